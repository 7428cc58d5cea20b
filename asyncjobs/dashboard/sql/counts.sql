-- How many jobs stand in each state; counting stops at $1, so that ten million cost what ten thousand do.
-- Index-only walks: job_held, job_scheduled, job_ready and job_running; archive_finished of each day.
select
  (select count(*) from (select from asyncjobs.job where state = 'held' limit $1) as capped) as held,
  (select count(*) from (select from asyncjobs.job where state = 'scheduled' limit $1) as capped) as scheduled,
  (select count(*) from (select from asyncjobs.job where state = 'ready' limit $1) as capped) as ready,
  (select count(*) from (select from asyncjobs.job where state = 'running' limit $1) as capped) as running,
  (select count(*) from (select from asyncjobs.finished where state = 'succeeded' limit $1) as capped) as succeeded,
  (select count(*) from (select from asyncjobs.finished where state = 'failed' limit $1) as capped) as failed,
  (select count(*) from (select from asyncjobs.finished where state = 'cancelled' limit $1) as capped) as cancelled
