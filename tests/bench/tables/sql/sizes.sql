-- How large the hot table and its indexes are, how much of it is dead, and how large the archive is.
select
  (select n_dead_tup from pg_catalog.pg_stat_user_tables where relid = 'asyncjobs.job'::regclass) as dead,
  pg_table_size('asyncjobs.job') as table, pg_indexes_size('asyncjobs.job') as indexes,
  (
    select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
    from pg_catalog.pg_inherits
    where inhparent = 'asyncjobs.archive'::regclass
  ) as archive
