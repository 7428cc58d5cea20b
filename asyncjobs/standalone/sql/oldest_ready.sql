-- For how many seconds the ready job waits that has waited longest; no row where none is ready.
-- Leaps through job_ready (queue, priority, promise, id): the first of each queue and priority, at most $1.
with recursive head (queue, priority, promise) as (
  (
    select queue, priority, promise
    from asyncjobs.job
    where state = 'ready'
    order by queue, priority, promise, id
    limit 1
  )
  union all
  select next.queue, next.priority, next.promise
  from head
  cross join lateral (
    select queue, priority, promise
    from asyncjobs.job
    where state = 'ready' and (queue, priority) > (head.queue, head.priority)
    order by queue, priority, promise, id
    limit 1
  ) as next
)
select date_part('epoch', statement_timestamp() - min(promise)) as waited
from (select promise from head limit $1) as heads
having count(*) > 0
