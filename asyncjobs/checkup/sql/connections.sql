-- How many connections there may be, to the server, to this database and for this role, and how many there are.
-- Whose rows this role may not read in full is counted with the rest, workers of the server among them.
-- Walks no table: pg_stat_activity, and one row each of pg_database and pg_roles.
with activity as materialized (
  select datname, usename, application_name
  from pg_catalog.pg_stat_activity
  where datname is not null and coalesce(backend_type, 'client backend') = 'client backend'
)
select
  current_setting('max_connections')::integer as most,
  current_setting('superuser_reserved_connections')::integer
    + coalesce(nullif(current_setting('reserved_connections', true), '')::integer, 0) as reserved,
  (select count(*) from activity) as used,
  (select count(*) from activity where application_name like 'asyncjobs%') as ours,
  pg_database.datconnlimit as most_of_database,
  (select count(*) from activity where datname = current_database()) as used_of_database,
  (select rolconnlimit from pg_catalog.pg_roles where rolname = current_user) as most_of_role,
  (select count(*) from activity where usename = current_user) as used_of_role
from pg_catalog.pg_database
where pg_database.datname = current_database()
