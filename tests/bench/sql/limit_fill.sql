insert into limit_job (task, arguments)
select $1, $2::text::jsonb from generate_series(1, $3::integer)
