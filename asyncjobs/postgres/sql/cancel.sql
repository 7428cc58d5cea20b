-- Cancel job $1. One that waits goes to the archive; one that runs is only asked: its process stops it and
-- records the end. Answers 'cancelled' or 'asked' and by whom it is claimed; nothing for a job that is finished or unknown.
-- It waits for whoever holds the row for a fifth of a second at most, and is sent again: meanwhile it has one of
-- the pool's two connections, and a process that has lost its link needs one at once, to say that it lives.
with patience as materialized (
  select set_config('lock_timeout', '200ms', true) as at_most
),
target as materialized (
  select job.id, job.state, job.claimed_by
  from patience
  join asyncjobs.job on job.id = $1::uuid
  for update of job
),
asked as (
  update asyncjobs.job
  set cancel_asked_at = coalesce(cancel_asked_at, statement_timestamp())
  from target
  where job.id = $1::uuid and job.id = target.id and target.state = 'running'
),
ended as (
  delete from asyncjobs.job
  using target
  where job.id = $1::uuid and job.id = target.id and target.state <> 'running'
  returning
    job.id, job.task, job.queue, job.priority, job.run_at, job.promise, job.attempt, job.crashes, job.fence,
    job.created_at, job.arguments, job.progress, job.progress_note, job.history, job.extra
),
archived as (
  insert into asyncjobs.archive
    (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
    finished_at, ran, result, error, traceback, forget_on)
  select
    ended.id, ended.task, ended.queue, ended.priority, 'cancelled', ended.run_at, ended.promise,
    ended.attempt, ended.crashes, ended.fence + 1, null, null,
    statement_timestamp(), ended.created_at, ended.arguments, ended.progress, ended.progress_note,
    ended.history, ended.extra,
    statement_timestamp(), null, null, $3::text, null,
    (statement_timestamp() at time zone 'utc')::date + $2::integer + 1
  from ended
)
select case when target.state = 'running' then 'asked' else 'cancelled' end as answer, target.claimed_by
from target
