insert into limit_job (task, arguments) values ($1, $2)
