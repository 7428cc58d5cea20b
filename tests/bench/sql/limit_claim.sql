-- Walks limit_ready, then the primary key.
with due as materialized (
  select id
  from limit_job
  where state = 'ready' and queue = 'default' and run_at <= statement_timestamp()
  order by priority, run_at, id
  limit $1::integer
  for no key update skip locked
)
update limit_job
set state = 'running'
where id = any (array(select id from due))
returning id, task, arguments
