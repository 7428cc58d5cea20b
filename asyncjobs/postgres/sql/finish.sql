-- Record how runs of ours ($1) ended: the finished leave for the archive, the others go back to wait.
-- Every row is guarded by claimed_by and fence. Rows that somebody holds are skipped, never waited for.
-- Answers those that were not recorded (`state` is null; unrecorded.sql tells why), and the cancelled: a job
-- that somebody asked to cancel does not go back to wait. Of a thousand that went as was said, nothing more
-- is to be said. What a success has none of (error, delay and the like) comes in one value, `more`; a
-- column in which all are alike comes as one value, or as none where all are null.
-- What is given back unharmed keeps its place among those that wait, as what is rescued does.
-- Probes the primary key once for each outcome, in id order. The probe is a lateral subquery with its own
-- lock, so that no plan can turn it round: two CTEs, or `outcome` and our running rows, joined with each
-- other would be compared row by row (our sessions know no hash join): 240 ends took 20 ms, and take 3.
-- For the same reason `mine` carries row and outcome together, and `not in`, a hashed subplan, finds the
-- rest. `is not distinct from` keeps the probe away from job_running, and each write names its ids as an array
-- too: where statistics say that nothing lives, the planner else walks the whole key to join it.
with outcome as materialized (
  select
    id, coalesce(fence, ($3::bigint[])[1]) as fence, coalesce(state, ($4::text[])[1]) as state, ran, result,
    coalesce(keep_days, ($7::integer[])[1]) as keep_days,
    more ->> 'story' as story, more ->> 'error' as error, more ->> 'traceback' as traceback,
    (more ->> 'delay')::double precision as delay, (more ->> 'counts')::boolean as counts
  from unnest(
    $2::uuid[], $3::bigint[], $4::text[], $5::double precision[], $6::jsonb[], $7::integer[], $8::jsonb[]
  ) as outcome (id, fence, state, ran, result, keep_days, more)
  order by id
),
mine as materialized (
  select
    held.id, held.task, held.queue, held.priority, held.run_at, held.promise, held.attempt, held.crashes,
    held.fence, held.claimed_by, held.claimed_at, held.cancel_asked_at, held.created_at, held.arguments,
    held.progress, held.progress_note, held.history, held.extra,
    case when outcome.state in ('ready', 'scheduled') and held.cancel_asked_at is not null
      then 'cancelled' else outcome.state end as state,
    outcome.story = 'released' and outcome.delay = 0 as keeps_place,
    outcome.story, outcome.delay, outcome.counts, outcome.ran, outcome.result, outcome.error,
    outcome.traceback, outcome.keep_days
  from outcome
  cross join lateral (
    select
      job.id, job.task, job.queue, job.priority, job.run_at, job.promise, job.attempt, job.crashes,
      job.fence, job.claimed_by, job.claimed_at, job.cancel_asked_at, job.created_at, job.arguments,
      job.progress, job.progress_note, job.history, job.extra
    from asyncjobs.job
    where job.id = outcome.id and job.fence = outcome.fence
      and job.claimed_by is not distinct from $1::bigint
    for update skip locked
  ) as held
),
ended as (
  delete from asyncjobs.job
  where job.id = any (array(select mine.id from mine where mine.state in ('succeeded', 'failed', 'cancelled')))
),
archived as (
  insert into asyncjobs.archive
    (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
    finished_at, ran, result, error, traceback, forget_on)
  select
    mine.id, mine.task, mine.queue, mine.priority, mine.state, mine.run_at, mine.promise,
    mine.attempt, mine.crashes, mine.fence, mine.claimed_by, mine.claimed_at,
    mine.cancel_asked_at, mine.created_at, mine.arguments, mine.progress, mine.progress_note,
    mine.history, mine.extra,
    statement_timestamp(), mine.ran, mine.result, mine.error, mine.traceback,
    (statement_timestamp() at time zone 'utc')::date + mine.keep_days + 1
  from mine
  where mine.state in ('succeeded', 'failed', 'cancelled') and mine.keep_days > 0
),
waiting as (
  update asyncjobs.job
  set
    state = mine.state, fence = job.fence + 1, claimed_by = null, claimed_at = null,
    attempt = case when mine.counts then job.attempt else greatest(job.attempt - 1, 0) end,
    run_at = case when mine.keeps_place then job.run_at else statement_timestamp() + mine.delay * interval '1 second' end,
    promise = case when mine.keeps_place then job.promise else statement_timestamp() + mine.delay * interval '1 second' end,
    history = case when jsonb_array_length(job.history) >= 20 then job.history - 0
      else coalesce(job.history, '[]') end || jsonb_build_object(
        'attempt', job.attempt, 'outcome', mine.story, 'process', job.claimed_by,
        'started_at', job.claimed_at, 'waited', date_part('epoch', job.claimed_at - least(greatest(job.run_at, '0001-01-02 00:00:00+00'), job.claimed_at)),
        'ran', mine.ran, 'error', mine.error, 'traceback', mine.traceback)
  from mine
  where job.id = any (array(select mine.id from mine where mine.state in ('ready', 'scheduled')))
    and job.id = mine.id and mine.state in ('ready', 'scheduled')
)
select mine.id, mine.fence, mine.state
from mine
where mine.state = 'cancelled'
union all
select outcome.id, outcome.fence, null
from outcome
where (outcome.id, outcome.fence) not in (select mine.id, mine.fence from mine)
