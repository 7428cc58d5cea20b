-- What the processes $1 run: how many jobs of each task, and for how many seconds the oldest.
-- Walks job_running (claimed_by) where state = 'running', one range a process.
select
  claimed_by, task, count(*) as jobs,
  date_part('epoch', statement_timestamp() - min(claimed_at)) as longest
from asyncjobs.job
where state = 'running' and claimed_by = any ($1::bigint[])
group by claimed_by, task
order by claimed_by, jobs desc, task
