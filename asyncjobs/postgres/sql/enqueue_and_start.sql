-- Store jobs as enqueue.sql does, and let those that wish it ($9) be born running and ours ($10): they
-- start when this commits, without a claim. Only when this generation ($11) of our process stands (the
-- row is held, so that a burial waits for us or we for it, and then we are buried and all are born
-- ready), and when nothing that we could run is ready before them in the queues that we serve ($12, less
-- the tasks that we do not know and the keys that we do not have, $13): else a steady local stream would keep older jobs waiting for ever.
-- Answers those that are not ready: born running, or for later.
-- One probe into job_ready for the whole batch.
with me as materialized (
  select process.id
  from asyncjobs.process
  where process.id = $10::bigint and process.generation = $11::integer
    and process.ended_at is null and not process.draining
  for key share
),
opening as materialized (
  select
    exists (select from me)
    and not exists (
      select
      from asyncjobs.job
      where job.state = 'ready' and job.queue = any ($12::text[]) and job.task <> all ($13::text[])
        and coalesce(job.extra ->> 'key', '') <> all ($13::text[])
    ) as is_open
),
stored as (
  insert into asyncjobs.job
    (id, task, queue, priority, state, run_at, promise, arguments, extra, attempt, fence, claimed_by, claimed_at)
  select
    wanted.id::uuid, coalesce(wanted.task, ($2::text[])[1]), coalesce(wanted.queue, ($3::text[])[1]),
    coalesce(wanted.priority, ($4::smallint[])[1]),
    case when due.at > statement_timestamp() then 'scheduled' when start.now then 'running' else 'ready' end,
    due.at, due.at, wanted.arguments::jsonb, wanted.extra::jsonb,
    case when start.now then 1 else 0 end,
    case when start.now then 1 else 0 end,
    case when start.now then $10::bigint end,
    case when start.now then statement_timestamp() end
  from unnest(
    $1::text[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::double precision[],
    $7::text[], $8::text[], $9::boolean[]
  ) as wanted (id, task, queue, priority, run_at, delay, arguments, extra, wish)
  cross join opening
  cross join lateral (
    select coalesce(
      wanted.run_at::timestamptz,
      statement_timestamp() + coalesce(wanted.delay, ($6::double precision[])[1]) * interval '1 second'
    ) as at
  ) as due
  cross join lateral (
    select wanted.wish and opening.is_open and due.at <= statement_timestamp() as now
  ) as start
  returning job.id, job.state, job.run_at, job.fence
)
select stored.id::text, stored.state, date_part('epoch', stored.run_at - statement_timestamp()) as due_in, stored.fence
from stored
where stored.state <> 'ready'
