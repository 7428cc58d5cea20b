-- Bury process $1, as it was in generation $2, and take its running jobs from it.
--
-- One statement. It holds the process row against a direct start that is on its way (that one waits, finds
-- us buried and is born ready; or it was first, then we leave and the next look comes), and it holds, to its end, the key
-- that the owner itself would need to come back. An owner that lives or has a lease keeps everything, unless
-- it is known to be gone ($6): then its lease speaks for nobody.
-- A process that has ended already, or is unknown, needs no burial: what it still holds is taken.
--
-- The attempt is given back and a crash is counted instead: for those that had the most already, which are all
-- when there was no suspect; for nobody when the process was draining. At $3 crashes the job has failed; a job that somebody
-- asked to cancel is cancelled. Rows that somebody holds are skipped, the next look comes.
-- Walks job_running, then the primary key, in id order: as text, or the planner would walk the whole key for the
-- order's sake, where statistics say that nothing lives. Each row is carried whole to where it goes: two CTEs
-- joined with each other would be compared row by row, and 2,000 that fail at once took 340 ms.
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
      when owner.generation = $2::integer and (
        coalesce(owner.lease_until, '-infinity') <= statement_timestamp() or $6::boolean
      )
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
  select
    job.id, job.task, job.queue, job.priority, job.run_at, job.promise, job.attempt, job.crashes, job.fence,
    job.claimed_by, job.claimed_at, job.cancel_asked_at, job.created_at, job.arguments, job.progress,
    job.progress_note, job.history, job.extra
  from asyncjobs.job
  where job.state = 'running' and job.claimed_by = $1::bigint and exists (select from dead)
  order by job.id::text
  for update skip locked
),
charge as (
  select
    (select bool_or(dead.draining) from dead) as nobody,
    (select max(taken.crashes) from taken) as most,
    (select dead.name from dead) as name
),
fate as materialized (
  select
    charged.id, charged.task, charged.queue, charged.priority, charged.run_at, charged.promise, charged.attempt,
    charged.crashes, charged.fence, charged.claimed_by, charged.claimed_at, charged.cancel_asked_at,
    charged.created_at, charged.arguments, charged.progress, charged.progress_note, charged.history, charged.extra,
    charged.who,
    case
      when charged.cancel_asked_at is not null then 'cancelled'
      when charged.crashes >= $3::integer then 'failed'
      else 'ready'
    end as state
  from (
    select
      taken.id, taken.task, taken.queue, taken.priority, taken.run_at, taken.promise, taken.attempt,
      case
        when charge.nobody then taken.crashes
        when taken.crashes = charge.most then taken.crashes + 1
        else taken.crashes
      end as crashes,
      taken.fence, taken.claimed_by, taken.claimed_at, taken.cancel_asked_at, taken.created_at, taken.arguments,
      taken.progress, taken.progress_note, taken.history, taken.extra,
      coalesce(charge.name, taken.claimed_by::text) as who
    from taken
    cross join charge
  ) as charged
),
ended as (
  delete from asyncjobs.job
  where job.id = any (array(select fate.id from fate where fate.state <> 'ready'))
),
archived as (
  insert into asyncjobs.archive
    (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
    finished_at, ran, result, error, traceback, forget_on)
  select
    fate.id, fate.task, fate.queue, fate.priority, fate.state, fate.run_at, fate.promise,
    fate.attempt, fate.crashes, fate.fence + 1, fate.claimed_by, fate.claimed_at,
    fate.cancel_asked_at, fate.created_at, fate.arguments, fate.progress, fate.progress_note,
    fate.history, fate.extra,
    statement_timestamp(), null, null,
    case when fate.state = 'failed'
      then format('ProcessDied: %s processes died while running it, the last was %s', fate.crashes, fate.who) end,
    null,
    (statement_timestamp() at time zone 'utc')::date
      + case when fate.state = 'failed' then $4::integer else $5::integer end + 1
  from fate
  where fate.state <> 'ready'
),
back as (
  update asyncjobs.job
  set
    state = 'ready', fence = job.fence + 1, claimed_by = null, claimed_at = null,
    attempt = greatest(job.attempt - 1, 0), crashes = fate.crashes,
    history = case when jsonb_array_length(job.history) >= 20 then job.history - 0
      else coalesce(job.history, '[]') end || jsonb_build_object(
        'attempt', job.attempt, 'outcome', 'crashed', 'process', job.claimed_by,
        'started_at', job.claimed_at, 'waited', date_part('epoch', job.claimed_at - least(greatest(job.run_at, '0001-01-02 00:00:00+00'), job.claimed_at)),
        'ran', null, 'error', format('process %s died', fate.who), 'traceback', null)
  from fate
  where job.id = any (array(select fate.id from fate where fate.state = 'ready')) and job.id = fate.id
)
select fate.id, fate.task, fate.queue, fate.state
from fate
