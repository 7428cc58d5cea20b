-- How many transactions have committed in this database, as far as their sessions have said so.
select pg_stat_get_db_xact_commit(pg_database.oid)
from pg_catalog.pg_database
where pg_database.datname = current_database()
