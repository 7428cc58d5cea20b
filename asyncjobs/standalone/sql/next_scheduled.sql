-- The scheduled job that is due next, and in how many seconds.
-- Walks job_scheduled (run_at) where state = 'scheduled'.
select task, date_part('epoch', run_at - statement_timestamp()) as due_in
from asyncjobs.job
where state = 'scheduled'
order by run_at
limit 1
