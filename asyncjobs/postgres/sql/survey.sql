-- Where in each queue of $1, priority by priority, does the first job stand that is ready and that we could
-- run ($2: tasks that we do not know, keys that we do not have)? Before those places a claim need not look.
-- Answers a row for each queue and priority in which one stands, at least one row for each queue, and in each
-- row how many seconds all of it took.
--
-- A place is never later than $3 seconds ago: whoever stores a job at this moment may have its promise already
-- and not yet have committed. What commits later than that is found by the next survey.
-- Walks job_ready (queue, priority, promise, id) from the beginning of each queue, dead entries and all: that
-- is what the claims between two surveys are spared.
with recursive living (queue, priority, promise, id) as (
  select served.queue, job.priority, job.promise, job.id
  from unnest($1::text[]) as served (queue)
  left join lateral (
    select job.priority, job.promise, job.id
    from asyncjobs.job
    where job.state = 'ready' and job.queue = served.queue
      and job.task <> all ($2::text[]) and coalesce(job.extra ->> 'key', '') <> all ($2::text[])
    order by job.priority, job.promise, job.id
    limit 1
  ) as job on true
  union all
  select living.queue, job.priority, job.promise, job.id
  from living
  cross join lateral (
    select job.priority, job.promise, job.id
    from asyncjobs.job
    where job.state = 'ready' and job.queue = living.queue and job.priority > living.priority
      and job.task <> all ($2::text[]) and coalesce(job.extra ->> 'key', '') <> all ($2::text[])
    order by job.priority, job.promise, job.id
    limit 1
  ) as job
),
recent as (
  select statement_timestamp() - $3::double precision * interval '1 second' as at
),
seen as materialized (
  select living.queue, living.priority, living.promise, living.id
  from living
)
select
  seen.queue, seen.priority,
  coalesce(least(seen.promise, recent.at), recent.at)::text as promise,
  case when seen.promise < recent.at then seen.id
    else '00000000-0000-0000-0000-000000000000' end as id,
  recent.at::text as recent,
  (
    select date_part('epoch', clock_timestamp() - statement_timestamp())
    from (select count(*) from seen) as all_of_it
  ) as walked
from seen
cross join recent
