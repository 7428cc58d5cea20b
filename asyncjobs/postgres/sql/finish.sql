-- Record how runs of ours ($1) ended: the finished leave for the archive, the others go back to wait.
-- Every row is guarded by claimed_by and fence. Rows that somebody holds are skipped, never waited for.
-- Answers for each id: 'recorded' (then `state` is where it is now), 'locked' (try again), or 'lost' (not
-- ours any more). A row found in the archive with our fence was recorded before: that answer was lost.
-- A job that somebody asked to cancel does not go back to wait.
-- Walks the primary key.
with outcome as materialized (
  select id, fence, state, story, delay, counts, ran, result, error, traceback, keep_days
  from unnest(
    $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::double precision[], $7::boolean[],
    $8::double precision[], $9::jsonb[], $10::text[], $11::text[], $12::integer[]
  ) as outcome (id, fence, state, story, delay, counts, ran, result, error, traceback, keep_days)
),
mine as materialized (
  select
    job.id, job.fence,
    case when outcome.state in ('ready', 'scheduled') and job.cancel_asked_at is not null
      then 'cancelled' else outcome.state end as state
  from asyncjobs.job
  join outcome on outcome.id = job.id and outcome.fence = job.fence
  where job.id = any ($2::uuid[]) and job.state = 'running' and job.claimed_by = $1::bigint
  order by job.id
  for update of job skip locked
),
ended as (
  delete from asyncjobs.job
  where job.id = any (array(select mine.id from mine where mine.state in ('succeeded', 'failed', 'cancelled')))
  returning
    id, task, queue, priority, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra
),
archived as (
  insert into asyncjobs.archive
    (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
    cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
    finished_at, ran, result, error, traceback, forget_on)
  select
    ended.id, ended.task, ended.queue, ended.priority, mine.state, ended.run_at, ended.promise,
    ended.attempt, ended.crashes, ended.fence, ended.claimed_by, ended.claimed_at,
    ended.cancel_asked_at, ended.created_at, ended.arguments, ended.progress, ended.progress_note,
    ended.history, ended.extra,
    statement_timestamp(), outcome.ran, outcome.result, outcome.error, outcome.traceback,
    (statement_timestamp() at time zone 'utc')::date + outcome.keep_days + 1
  from ended
  join mine on mine.id = ended.id
  join outcome on outcome.id = ended.id
  where outcome.keep_days > 0
),
waiting as (
  update asyncjobs.job
  set
    state = mine.state, fence = job.fence + 1, claimed_by = null, claimed_at = null,
    attempt = case when outcome.counts then job.attempt else greatest(job.attempt - 1, 0) end,
    run_at = statement_timestamp() + outcome.delay * interval '1 second',
    promise = statement_timestamp() + outcome.delay * interval '1 second',
    history = case when jsonb_array_length(job.history) >= 20 then job.history - 0
      else coalesce(job.history, '[]') end || jsonb_build_object(
        'attempt', job.attempt, 'outcome', outcome.story, 'process', job.claimed_by,
        'started_at', job.claimed_at, 'waited', date_part('epoch', job.claimed_at - job.run_at),
        'ran', outcome.ran, 'error', outcome.error, 'traceback', outcome.traceback)
  from mine
  join outcome on outcome.id = mine.id
  where job.id = mine.id and mine.state in ('ready', 'scheduled')
)
select
  outcome.id, mine.state,
  case
    when mine.id is not null then 'recorded'
    when exists (
      select from asyncjobs.job
      where job.id = outcome.id and job.fence = outcome.fence and job.claimed_by = $1::bigint
    ) then 'locked'
    when exists (
      select from asyncjobs.finished
      where finished.id = outcome.id and finished.fence = outcome.fence and finished.claimed_by = $1::bigint
    ) then 'recorded'
    else 'lost'
  end as answer
from outcome
left join mine on mine.id = outcome.id
