-- Which tasks are ready in which queue, among the first $1 jobs of each queue: what nobody can run stays at
-- the head of its queue.
-- Leaps through job_ready (queue, priority, promise, id) from queue to queue, and walks the head of each.
with recursive named (queue) as (
  (select queue from asyncjobs.job where state = 'ready' order by queue limit 1)
  union all
  select (select queue from asyncjobs.job where state = 'ready' and queue > named.queue order by queue limit 1)
  from named
  where named.queue is not null
)
select named.queue, head.task, count(*) as jobs
from named
cross join lateral (
  select task
  from asyncjobs.job
  where state = 'ready' and queue = named.queue
  order by priority, promise, id
  limit $1
) as head
group by named.queue, head.task
order by named.queue, head.task
