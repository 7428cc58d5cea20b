-- Store one job, as enqueue.sql stores many, and answer as that does: a row where it is not ready now.
-- Without arrays, as most callers bring one job and wait for it: Postgres needs a fifth less time.
with stored as (
  insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, arguments, extra)
  select
    $1::text::uuid, $2::text, $3::text, $4::smallint,
    case when due.at > statement_timestamp() then 'scheduled' else 'ready' end,
    due.at, due.at, $7::text::jsonb, $8::text::jsonb
  from (
    select coalesce($5::text::timestamptz, statement_timestamp() + $6::double precision * interval '1 second') as at
  ) as due
  returning job.id, job.state, job.run_at, job.fence
)
select stored.id::text, stored.state, date_part('epoch', stored.run_at - statement_timestamp()) as due_in, stored.fence
from stored
where stored.state <> 'ready'
