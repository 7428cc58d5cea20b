-- How many photos there are of each kind. Walks photo_unsized and the jobs by their key.
select
  (select count(*) from photo_desk.photo where sized_at is not null) as ready,
  count(*) filter (where job.state = 'running') as working,
  count(*) filter (where job.state <> 'running') as waiting,
  count(*) filter (where job.id is null) as failed
from photo_desk.photo
left join asyncjobs.job on job.id = photo.sizing
where photo.sized_at is null
