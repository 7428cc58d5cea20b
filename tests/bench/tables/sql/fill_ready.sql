-- $2 jobs that are ready in ten queues that nobody serves, from number $1 on.
insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
select gen_random_uuid(), 'app.small', 'foreign_' || nth % 10, 'ready', due.at, due.at, '{"args": [1]}'
from generate_series($1::integer + 1, $1::integer + $2::integer) as nth
cross join lateral (select statement_timestamp() - nth * interval '100 ms' as at) as due
