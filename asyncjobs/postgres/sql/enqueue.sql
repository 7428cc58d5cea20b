-- Store jobs, each at its own time: run_at where it is given, else `delay` seconds from now. Now is the
-- start of this statement, not of the caller's transaction, which may be ten minutes old.
-- Answers those that are not ready now: of ten thousand that are, nothing more is to be said.
-- Ids, times and JSON travel as text, because a caller's connection may have codecs of its own for them.
-- A column in which all are alike comes as one value, or as none where all are null: it takes less to send
-- and to read, and `unnest` fills up with nulls.
with stored as (
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
  returning job.id, job.state, job.run_at, job.fence
)
select stored.id::text, stored.state, date_part('epoch', stored.run_at - statement_timestamp()) as due_in, stored.fence
from stored
where stored.state <> 'ready'
