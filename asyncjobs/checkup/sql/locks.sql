-- Who holds a lock on a table of ours that claims or ends have to wait for. Walks no table: pg_locks, and
-- pg_class by oid.
select
  pg_locks.pid, pg_class.relname::text as name, pg_locks.mode, activity.application_name,
  activity.usename::text as role, activity.state,
  date_part('epoch', clock_timestamp() - activity.xact_start) as seconds
from pg_catalog.pg_locks
join pg_catalog.pg_class on pg_class.oid = pg_locks.relation
left join pg_catalog.pg_stat_activity as activity on activity.pid = pg_locks.pid
where
  pg_locks.locktype = 'relation' and pg_locks.granted
  and pg_locks.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and pg_locks.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  and pg_locks.relation in (
    to_regclass('asyncjobs.job'), to_regclass('asyncjobs.archive'), to_regclass('asyncjobs.process')
  )
order by seconds desc nulls last, pg_locks.pid
