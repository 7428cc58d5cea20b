insert into bare_job (task, arguments)
select $1, $2 from generate_series(1, $3::integer)
