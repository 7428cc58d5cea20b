insert into bare_job (task, arguments)
select task, arguments from unnest($1::text[], $2::text[]) as given (task, arguments)
