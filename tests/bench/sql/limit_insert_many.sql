with stored as (
  insert into limit_job (task, arguments)
  select task, arguments::jsonb from unnest($1::text[], $2::text[]) as given (task, arguments)
  returning id
)
select pg_notify('limit', '') where exists (select from stored)
