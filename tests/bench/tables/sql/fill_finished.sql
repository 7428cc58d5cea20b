-- $2 jobs that have succeeded in the last week, from number $1 on.
insert into asyncjobs.archive
  (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at, created_at,
  arguments, finished_at, ran, result, forget_on)
select
  gen_random_uuid(), 'app.small', 'default', 0, 'succeeded', ended.at, ended.at, 1, 0, 1, 1, ended.at, ended.at,
  '{"args": [1]}', ended.at, 0.001, 'null', (statement_timestamp() at time zone 'utc')::date + 8 + nth % 8
from generate_series($1::integer + 1, $1::integer + $2::integer) as nth
cross join lateral (select statement_timestamp() - nth * interval '50 ms' as at) as ended
