-- Make the session ours: what a role, a database or a server may have set otherwise, and the planner held
-- to the indexes that the statements were written for, whatever it believes of a table that is empty one
-- minute and full the next. Answers one row, which says whose session it is (see session.sql).
select
  pg_backend_pid() as pid, date_part('epoch', pg_postmaster_start_time()) as server_began,
  current_database()::text as database, pg_is_in_recovery() as is_standby,
  host(inet_server_addr()) as host, inet_server_port() as port,
  count(set_config(setting.name, wanted.value, false)) as settings
from unnest($1::text[], $2::text[]) as wanted (name, value)
join pg_catalog.pg_settings as setting on lower(setting.name) = wanted.name
