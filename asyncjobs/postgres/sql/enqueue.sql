-- Store jobs, each at its own time: run_at where it is given, else `delay` seconds from now. Now is the
-- start of this statement, not of the caller's transaction, which may be ten minutes old.
insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, arguments)
select
  wanted.id, wanted.task, wanted.queue, wanted.priority,
  case when due.at > statement_timestamp() then 'scheduled' else 'ready' end,
  due.at, due.at, wanted.arguments
from unnest(
  $1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::double precision[], $7::jsonb[]
) as wanted (id, task, queue, priority, run_at, delay, arguments)
cross join lateral (
  select coalesce(wanted.run_at, statement_timestamp() + wanted.delay * interval '1 second') as at
) as due
returning id, state, date_part('epoch', run_at - statement_timestamp()) as due_in, fence
