-- Is this the database that its jobs belong to? `is_noted`: somebody has said which one is. `is_here`: this
-- one. `is_upgraded`: pg_upgrade has carried it into another cluster; the server is newer, and the note is
-- still the very row that was written. `has_jobs`: something unfinished is stored.
-- Reads home, of one row, and the first leaf of an index of job.
with here as (
  select
    control.system_identifier, pg_database.oid as database,
    current_setting('server_version_num')::integer as server_version
  from pg_catalog.pg_control_system() as control
  join pg_catalog.pg_database on pg_database.datname = current_database()
)
select
  home.only_row is not null as is_noted,
  coalesce(
    home.system_identifier = here.system_identifier and home.database = here.database, false
  ) as is_here,
  coalesce(
    home.system_identifier <> here.system_identifier
    and here.server_version / 10000 > home.server_version / 10000
    and home.tableoid = home.written_to
    and home.xmin::text::bigint = home.written_by::text::numeric % 4294967296, false
  ) as is_upgraded,
  exists (select from asyncjobs.job) as has_jobs,
  home.noted_at
from here
left join asyncjobs.home on true
