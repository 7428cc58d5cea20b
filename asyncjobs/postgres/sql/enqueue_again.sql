-- Store jobs whose first answer was lost: what is there already stays as it is. Followed, in the same
-- transaction, by forget_recorded.sql.
insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, arguments, extra)
select
  wanted.id::uuid, coalesce(wanted.task, ($2::text[])[1]), coalesce(wanted.queue, ($3::text[])[1]),
  coalesce(wanted.priority, ($4::smallint[])[1]),
  case when due.at > statement_timestamp() then 'scheduled' else 'ready' end,
  due.at, due.at, wanted.arguments::jsonb, wanted.extra::jsonb
from unnest(
  $1::text[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::double precision[], $7::text[],
  $8::text[]
) as wanted (id, task, queue, priority, run_at, delay, arguments, extra)
cross join lateral (
  select coalesce(
    wanted.run_at::timestamptz,
    statement_timestamp() + coalesce(wanted.delay, ($6::double precision[])[1]) * interval '1 second'
  ) as at
) as due
on conflict (id) do nothing
returning id::text, state, date_part('epoch', run_at - statement_timestamp()) as due_in, fence
