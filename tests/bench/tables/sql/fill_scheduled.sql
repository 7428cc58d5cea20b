-- $2 jobs that are due from tomorrow on, from number $1 on.
insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
select gen_random_uuid(), 'app.small', 'default', 'scheduled', due.at, due.at, '{"args": [1]}'
from generate_series($1::integer + 1, $1::integer + $2::integer) as nth
cross join lateral (select statement_timestamp() + interval '1 day' + nth * interval '100 ms' as at) as due
