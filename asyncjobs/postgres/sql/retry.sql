-- Run job $1 again, now: one that failed or was cancelled comes back from the archive with all its attempts
-- before it; one that waits for its time need not wait longer. The fence goes on from where it was.
-- Answers its queue, or nothing.
-- It waits for whoever holds the row for a fifth of a second at most, and is sent again: meanwhile it has one of
-- the pool's two connections, and a process that has lost its link needs one at once, to say that it lives.
with patience as materialized (
  select set_config('lock_timeout', '200ms', true) as at_most
),
from_archive as (
  delete from asyncjobs.archive
  using patience
  where archive.id = $1::uuid and archive.state in ('failed', 'cancelled')
  returning
    id, task, queue, priority, attempt, fence, claimed_by, claimed_at, run_at, created_at,
    arguments, history, extra, state, ran, error, traceback
),
from_spill as (
  delete from asyncjobs.archive_spill
  using patience
  where archive_spill.id = $1::uuid and archive_spill.state in ('failed', 'cancelled')
  returning
    id, task, queue, priority, attempt, fence, claimed_by, claimed_at, run_at, created_at,
    arguments, history, extra, state, ran, error, traceback
),
gone as (
  select
    id, task, queue, priority, attempt, fence, claimed_by, claimed_at, run_at, created_at,
    arguments, history, extra, state, ran, error, traceback
  from from_archive
  union all
  select
    id, task, queue, priority, attempt, fence, claimed_by, claimed_at, run_at, created_at,
    arguments, history, extra, state, ran, error, traceback
  from from_spill
),
back as (
  insert into asyncjobs.job
    (id, task, queue, priority, state, run_at, promise, attempt, fence, created_at, arguments, history, extra)
  select
    gone.id, gone.task, gone.queue, gone.priority, 'ready', statement_timestamp(), statement_timestamp(),
    0, gone.fence + 1, gone.created_at, gone.arguments,
    case when jsonb_array_length(gone.history) >= 20 then gone.history - 0
      else coalesce(gone.history, '[]') end || jsonb_build_object(
        'attempt', gone.attempt, 'outcome', gone.state, 'process', gone.claimed_by,
        'started_at', gone.claimed_at, 'waited', date_part('epoch', gone.claimed_at - least(greatest(gone.run_at, '0001-01-02 00:00:00+00'), gone.claimed_at)),
        'ran', gone.ran, 'error', gone.error, 'traceback', gone.traceback),
    gone.extra
  from gone
  returning queue
),
hastened as (
  update asyncjobs.job
  set state = 'ready', fence = fence + 1, run_at = statement_timestamp(), promise = statement_timestamp()
  from patience
  where job.id = $1::uuid and job.state = 'scheduled'
  returning queue
)
select back.queue from back
union all
select hastened.queue from hastened
