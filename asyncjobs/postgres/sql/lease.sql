-- Speak for process $1 for another $2 seconds while its link is down; sent through the pool.
update asyncjobs.process
set lease_until = statement_timestamp() + $2::double precision * interval '1 second'
where process.id = $1::bigint and process.ended_at is null
returning id
