-- The bytes of WAL since the cluster was made, and the commits of this database.
select
  pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as wal,
  (select xact_commit from pg_stat_database where datname = current_database()) as commits
