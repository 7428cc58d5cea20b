-- Note how far runs of ours ($1) are. Guarded as every write of a run; a row that somebody holds is
-- skipped, its next report comes soon enough. Answers the ids that were ours.
-- Probes the primary key once for each report, as finish.sql does and for the same reason; no index holds
-- progress, so the update is HOT where the page has room. It does not wait for its flush: a crash of the server may
-- take some of it back.
with mine as materialized (
  select held.id, report.fraction, report.note
  from unnest($2::uuid[], $3::bigint[], $4::real[], $5::text[]) as report (id, fence, fraction, note)
  cross join lateral (
    select job.id
    from asyncjobs.job
    where job.id = report.id and job.fence = report.fence
      and job.claimed_by is not distinct from $1::bigint
    for no key update skip locked
  ) as held
)
update asyncjobs.job
set progress = mine.fraction, progress_note = mine.note
from mine
cross join set_config('synchronous_commit', 'off', true)
where job.id = any (array(select mine.id from mine)) and job.id = mine.id
returning job.id
