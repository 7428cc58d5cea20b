-- Note how far runs of ours ($1) are. Guarded as every write of a run; a row that somebody holds is
-- skipped, its next report comes soon enough. Answers the ids that were ours.
-- Walks the primary key; no index holds progress, so the update is HOT where the page has room.
with report as materialized (
  select id, fence, fraction, note
  from unnest($2::uuid[], $3::bigint[], $4::real[], $5::text[]) as report (id, fence, fraction, note)
),
mine as materialized (
  select job.id
  from asyncjobs.job
  join report on report.id = job.id and report.fence = job.fence
  where job.id = any ($2::uuid[]) and job.state = 'running' and job.claimed_by = $1::bigint
  order by job.id
  for no key update of job skip locked
)
update asyncjobs.job
set progress = report.fraction, progress_note = report.note
from mine
join report on report.id = mine.id
where job.id = mine.id
returning job.id
