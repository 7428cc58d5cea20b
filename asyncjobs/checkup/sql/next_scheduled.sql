-- The scheduled job that is due next, and in how many seconds.
-- Walks job_scheduled (run_at) where state = 'scheduled'.
select task, date_part('epoch', least(greatest(run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') - statement_timestamp()) as due_in
from asyncjobs.job
where state = 'scheduled'
order by run_at
limit 1
