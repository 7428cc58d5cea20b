-- The newest $1 photos (older than photo $2, if given), each with what its jobs say of it.
--
-- How far a photo is needs no column of ours: its jobs live in the same Postgres, a join away. Walks
-- photo_newest, then the jobs by their keys; a key is null where there is nothing to ask, and then
-- nothing is looked up.
with shown as (
  select
    photo.*,
    case when sized_at is null then sizing end as sizing_open,
    case when caption is null then captioning end as captioning_open
  from photo_desk.photo
  where $2::uuid is null or (arrived_at, id) < (select arrived_at, id from photo_desk.photo where id = $2)
  order by arrived_at desc, id desc
  limit $1
)
select
  shown.id, shown.name, shown.bytes, shown.width, shown.height, shown.caption,
  shown.sizing as job_id,
  case
    when shown.sized_at is not null then 'ready'
    when job.state = 'running' then 'working'
    when job.id is not null then 'waiting'
    else 'failed'
  end as state,
  coalesce(job.progress, 0) as progress,
  coalesce(job.progress_note, '') as note,
  captioning.id is not null as caption_comes,
  coalesce(captioning.attempt - (captioning.state = 'running')::integer, 0) as caption_failures,
  coalesce(shown.kept_until > now(), false) as original_kept
from shown
left join asyncjobs.job as job on job.id = shown.sizing_open
left join asyncjobs.job as captioning on captioning.id = shown.captioning_open
order by shown.arrived_at desc, shown.id desc
