with stored as (
  insert into limit_job (task, arguments) values ($1, $2)
  returning id
)
select pg_notify('limit', '') from stored
