-- What the processes $1 run, the longest running first, at most $2 of each.
-- Walks job_running (claimed_by) where state = 'running', one range a process.
select
  owner.id as claimed_by, own.id, own.task, own.queue, own.attempt, own.claimed_at, own.progress,
  own.progress_note, own.cancel_asked_at, statement_timestamp() as now
from unnest($1::bigint[]) as owner (id)
cross join lateral (
  select id, task, queue, attempt, claimed_at, progress, progress_note, cancel_asked_at
  from asyncjobs.job
  where state = 'running' and claimed_by = owner.id
  order by claimed_at, id
  limit $2
) as own
order by owner.id, own.claimed_at, own.id
