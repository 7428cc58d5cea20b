-- The queues in which something is ready, at most $1.
-- Leaps through job_ready (queue, priority, promise, id) where state = 'ready': one probe a queue.
with recursive queues (name) as (
  (select queue from asyncjobs.job where state = 'ready' order by queue limit 1)
  union all
  select (select queue from asyncjobs.job where state = 'ready' and queue > queues.name order by queue limit 1)
  from queues
  where queues.name is not null
)
select name
from queues
where name is not null
limit $1
