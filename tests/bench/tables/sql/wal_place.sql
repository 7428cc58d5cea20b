-- Where the log ends that is on the disk: what was inserted and not yet flushed goes there first.
select pg_current_wal_flush_lsn()::text
