-- How many jobs of task $1 and queue $2 (null: any) stand in each state, among the first $3 of it that
-- its page would look at; is_partial says that there were more to look at.
-- Walks job_held, job_scheduled and job_running; job_ready from queue $2 on, so that one which comes after
-- it says that all of it was seen; archive_finished of each day, latest first.
select
  state,
  count(*) filter (where ($1::text is null or task = $1) and ($2::text is null or queue = $2)) as found,
  count(*) = $3 and (state <> 'ready' or $2::text is null or bool_and(queue = $2)) as is_partial
from (
  (select state, task, queue from asyncjobs.job where state = 'held' order by id limit $3)
  union all
  (select state, task, queue from asyncjobs.job where state = 'scheduled' order by run_at limit $3)
  union all
  (
    select state, task, queue
    from asyncjobs.job
    where state = 'ready' and queue >= coalesce($2::text, '')
    order by queue, priority, promise, id
    limit $3
  )
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
