-- Walks the primary key.
with due as materialized (
  select id
  from bare_job
  where not is_claimed
  order by id
  limit $1::integer
  for no key update skip locked
)
update bare_job
set is_claimed = true
where id = any (array(select id from due))
returning id, task, arguments
