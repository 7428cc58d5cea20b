-- Make the session ours: what a role, a database or a server may have set otherwise, and the planner held
-- to the indexes that the statements were written for, whatever it believes of a table that is empty one
-- minute and full the next.
select set_config(setting.name, wanted.value, false)
from unnest($1::text[], $2::text[]) as wanted (name, value)
join pg_catalog.pg_settings as setting on setting.name = wanted.name
