-- Note that this is the database that its jobs belong to.
insert into asyncjobs.home (system_identifier, database, server_version, written_to)
select
  control.system_identifier, pg_database.oid, current_setting('server_version_num')::integer,
  'asyncjobs.home'::regclass
from pg_catalog.pg_control_system() as control
join pg_catalog.pg_database on pg_database.datname = current_database()
on conflict (only_row) do update
set
  system_identifier = excluded.system_identifier, database = excluded.database,
  server_version = excluded.server_version, written_by = pg_current_xact_id(),
  written_to = excluded.written_to, noted_at = statement_timestamp()
