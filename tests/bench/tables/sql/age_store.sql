-- Store $1 jobs, one each $2 seconds up to now, as if they had come so.
insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, created_at, arguments)
select
  overlay(gen_random_uuid()::text placing lpad(to_hex((extract(epoch from came.at) * 1000)::bigint >> 16), 8, '0') from 1 for 8)::uuid,
  'app.small', 'default', 0, 'ready', came.at, came.at, came.at, '{"args": [1]}'
from generate_series(1, $1::integer) as nth
cross join lateral (
  select statement_timestamp() - ($1::integer - nth) * $2::double precision * interval '1 second' as at
) as came
