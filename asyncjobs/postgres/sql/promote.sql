-- Make up to $1 due jobs ready; any process does it for all queues, rows that somebody holds are skipped.
-- Answers how many, in which queues, how many it saw (more than it promoted means: look again, soon), and in
-- how many seconds the next is due.
-- Walks job_scheduled (run_at).
with due as materialized (
  select job.id
  from asyncjobs.job
  where job.state = 'scheduled' and job.run_at <= statement_timestamp()
  order by job.run_at
  limit $1::integer
  for no key update skip locked
),
promoted as (
  update asyncjobs.job
  set state = 'ready'
  where job.id = any (array(select due.id from due))
  returning queue
)
select
  (select count(*) from promoted) as promoted,
  array(select distinct promoted.queue from promoted) as queues,
  (
    select count(*)
    from (
      select
      from asyncjobs.job
      where job.state = 'scheduled' and job.run_at <= statement_timestamp()
      order by job.run_at
      limit $1::integer
    ) as seen
  ) as saw,
  (
    -- Infinity, which SQL may store, cannot be subtracted from before Postgres 17.
    select date_part('epoch', least(job.run_at, '9999-12-30 00:00:00+00') - statement_timestamp())
    from asyncjobs.job
    where job.state = 'scheduled' and job.run_at > statement_timestamp()
    order by job.run_at
    limit 1
  ) as due_in
