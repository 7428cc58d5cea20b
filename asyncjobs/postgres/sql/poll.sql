-- The safety poll, all that an idle process asks: in which queues is something ready, in how many seconds
-- is the next scheduled job due, is anybody but us ($1) running something, and are we? And which is the newest
-- migration: somebody may have migrated since we looked whether the schema fits.
-- Steps through job_ready from queue to queue without reading what lies between; one probe into
-- job_scheduled, three into job_running, past our own, however many, one into the primary key of migration.
with recursive named (queue) as (
  (
    select job.queue
    from asyncjobs.job
    where job.state = 'ready'
    order by job.queue
    limit 1
  )
  union all
  select (
    select job.queue
    from asyncjobs.job
    where job.state = 'ready' and job.queue > named.queue
    order by job.queue
    limit 1
  )
  from named
  where named.queue is not null
)
select
  array(select named.queue from named where named.queue is not null) as ready_in,
  (
    -- Infinity, which SQL may store, cannot be subtracted from before Postgres 17.
    select date_part('epoch', least(greatest(job.run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') - statement_timestamp())
    from asyncjobs.job
    where job.state = 'scheduled'
    order by job.run_at
    limit 1
  ) as due_in,
  exists (
    select
    from asyncjobs.job
    where job.state = 'running' and job.claimed_by < $1::bigint
  )
  or exists (
    select
    from asyncjobs.job
    where job.state = 'running' and job.claimed_by > $1::bigint
  ) as others_run,
  exists (
    select
    from asyncjobs.job
    where job.state = 'running' and job.claimed_by = $1::bigint
  ) as we_run,
  (select migration.name from asyncjobs.migration order by migration.number desc limit 1) as migration
