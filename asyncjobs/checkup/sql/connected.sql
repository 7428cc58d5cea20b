-- Who has the most connections to the server, at most $1 of them. Walks no table: pg_stat_activity.
select usename as role, datname as database, application_name as name, count(*) as connections
from pg_catalog.pg_stat_activity
where datname is not null and coalesce(backend_type, 'client backend') = 'client backend'
group by usename, datname, application_name
order by connections desc, role, database, name
limit $1
