-- Which server and database this is, and the newest migration that was applied.
-- Walks the primary key of migration backwards.
select
  current_setting('server_version') as version, current_database() as database,
  (select name from asyncjobs.migration order by number desc limit 1) as migration
