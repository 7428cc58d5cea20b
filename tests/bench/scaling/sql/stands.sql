-- How many jobs are left, how much was written to the log since the server's beginning, and the commits of this database.
select
  (select count(*) from asyncjobs.job) as left,
  (pg_current_wal_insert_lsn() - '0/0')::bigint as wal,
  (select xact_commit from pg_catalog.pg_stat_database where datname = current_database()) as commits
