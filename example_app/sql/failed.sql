-- The newest $1 photos whose job has ended without sizes, and why. Walks photo_unsized, then the
-- archive by its key. A job that is not there any more was deleted, or forgotten after its days.
select
  photo.id, photo.name, photo.sizing as job_id,
  coalesce(finished.error, 'Its job is not there any more.') as reason
from photo_desk.photo
left join asyncjobs.job on job.id = photo.sizing
left join asyncjobs.finished on finished.id = photo.sizing
where photo.sized_at is null and job.id is null
order by photo.arrived_at desc, photo.id desc
limit $1
