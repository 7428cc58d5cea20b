-- Make up to $1 due jobs ready; any process does it for all queues, rows that somebody holds are skipped.
-- Answers how many, in which queues, how many it saw (more than it promoted means: look again, soon), and in
-- how many seconds the next is due.
--
-- Dead entries of the index are walked again each time while some old transaction might want them, so the
-- answer also tells how many seconds it `walked`, and from which moment on the next may begin ($2; null: from
-- the beginning): where this one came to, and no later than two seconds ago, as whoever stores a job that is due by
-- now may not have committed yet.
-- It does not wait for its flush. After a crash of the server these are scheduled again, and due; and a claim,
-- which does wait, brings what came before it to the disk.
-- Walks job_scheduled (run_at), from $2 on.
with due as materialized (
  select job.id, job.run_at
  from asyncjobs.job
  where job.state = 'scheduled' and job.run_at <= statement_timestamp()
    and job.run_at >= coalesce($2::text::timestamptz, '-infinity')
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
        and job.run_at >= coalesce($2::text::timestamptz, '-infinity')
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
  ) as due_in,
  least(taken.up_to, statement_timestamp() - interval '2 s')::text as reached,
  taken.walked
from (
  select
    case when count(*) = $1::integer then max(due.run_at) end as up_to,
    date_part('epoch', clock_timestamp() - statement_timestamp()) as walked
  from due
) as taken
cross join set_config('synchronous_commit', 'off', true)
