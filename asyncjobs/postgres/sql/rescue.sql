-- Bury process $1, as it was in generation $2, and take its running jobs from it.
--
-- One statement. It holds the process row against a direct start that is on its way (that one waits, finds
-- us buried and is born ready; or it was first, then we leave and the next look comes), and it holds, to its end, the key
-- that the owner itself would need to come back. An owner that lives or has a lease keeps everything.
-- A process that has ended already, or is unknown, needs no burial: what it still holds is taken.
--
-- The attempt is given back and a crash is counted instead: for the suspect that ran, or for all when there
-- was none; for nobody when the process was draining. At $3 crashes the job has failed; a job that somebody
-- asked to cancel is cancelled. Rows that somebody holds are skipped, the next look comes.
-- Walks job_running, then the primary key, in id order.
with owner as materialized (
  select process.id, process.generation, process.lock_key, process.lease_until, process.draining, process.ended_at, process.name
  from asyncjobs.process
  where process.id = $1::bigint
  for update skip locked
),
dead as materialized (
  select owner.draining, owner.name
  from owner
  where
    case
      when owner.ended_at is not null then true
      when owner.generation = $2::integer and coalesce(owner.lease_until, '-infinity') <= statement_timestamp()
        then pg_try_advisory_xact_lock(owner.lock_key)
      else false
    end
  union all
  select false, null
  where not exists (select from asyncjobs.process where process.id = $1::bigint)
),
buried as (
  update asyncjobs.process
  set ended_at = statement_timestamp(), ending = 'died'
  where process.id = $1::bigint and process.ended_at is null and exists (select from dead)
),
taken as materialized (
  select job.id, job.crashes, job.cancel_asked_at
  from asyncjobs.job
  where job.state = 'running' and job.claimed_by = $1::bigint and exists (select from dead)
  order by job.id
  for update skip locked
),
charged as materialized (
  select
    taken.id,
    case
      when (select bool_or(dead.draining) from dead) then taken.crashes
      when taken.crashes > 0 or not (select bool_or(suspect.crashes > 0) from taken as suspect) then taken.crashes + 1
      else taken.crashes
    end as crashes,
    taken.cancel_asked_at
  from taken
),
fate as materialized (
  select
    charged.id, charged.crashes,
    case
      when charged.cancel_asked_at is not null then 'cancelled'
      when charged.crashes >= $3::integer then 'failed'
      else 'ready'
    end as state
  from charged
),
ended as (
  delete from asyncjobs.job
  where job.id = any (array(select fate.id from fate where fate.state <> 'ready'))
  returning
    id, task, queue, priority, run_at, promise, attempt, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra
),
archived as (
  insert into asyncjobs.archive
    (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
    finished_at, ran, result, error, traceback, forget_on)
  select
    ended.id, ended.task, ended.queue, ended.priority, fate.state, ended.run_at, ended.promise,
    ended.attempt, fate.crashes, ended.fence + 1, ended.claimed_by, ended.claimed_at,
    ended.cancel_asked_at, ended.created_at, ended.arguments, ended.progress, ended.progress_note,
    ended.history, ended.extra,
    statement_timestamp(), null, null,
    case when fate.state = 'failed'
      then format('ProcessDied: %s processes died while running it, the last was %s',
        fate.crashes, coalesce((select dead.name from dead), ended.claimed_by::text)) end,
    null,
    (statement_timestamp() at time zone 'utc')::date
      + case when fate.state = 'failed' then $4::integer else $5::integer end + 1
  from ended
  join fate on fate.id = ended.id
),
back as (
  update asyncjobs.job
  set
    state = 'ready', fence = job.fence + 1, claimed_by = null, claimed_at = null,
    attempt = greatest(job.attempt - 1, 0), crashes = fate.crashes,
    history = case when jsonb_array_length(job.history) >= 20 then job.history - 0
      else coalesce(job.history, '[]') end || jsonb_build_object(
        'attempt', job.attempt, 'outcome', 'crashed', 'process', job.claimed_by,
        'started_at', job.claimed_at, 'waited', date_part('epoch', job.claimed_at - job.run_at),
        'ran', null, 'error', format('process %s died', coalesce((select dead.name from dead), job.claimed_by::text)),
        'traceback', null)
  from fate
  where job.id = fate.id and fate.state = 'ready'
  returning job.id, job.task, job.queue, 'ready' as state
)
select back.id, back.task, back.queue, back.state
from back
union all
select ended.id, ended.task, ended.queue, fate.state
from ended
join fate on fate.id = ended.id
