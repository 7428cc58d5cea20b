-- How many jobs of task $1 and queue $2 (null: any) stand in each state, among the first $3 of it that
-- its page would look at; is_partial says that there were more to look at.
-- Walks job_held, job_scheduled, job_ready and job_running; archive_finished of each day, latest first.
select
  state,
  count(*) filter (where ($1::text is null or task = $1) and ($2::text is null or queue = $2)) as found,
  count(*) = $3 as is_partial
from (
  (select state, task, queue from asyncjobs.job where state = 'held' order by id limit $3)
  union all
  (select state, task, queue from asyncjobs.job where state = 'scheduled' order by run_at limit $3)
  union all
  (select state, task, queue from asyncjobs.job where state = 'ready' and ($2::text is null or queue = $2) limit $3)
  union all
  (select state, task, queue from asyncjobs.job where state = 'running' limit $3)
  union all
  (
    select state, task, queue
    from asyncjobs.finished
    where state = 'succeeded'
    order by finished_at desc
    limit $3
  )
  union all
  (select state, task, queue from asyncjobs.finished where state = 'failed' order by finished_at desc limit $3)
  union all
  (select state, task, queue from asyncjobs.finished where state = 'cancelled' order by finished_at desc limit $3)
) as looked
group by state
