-- The processes that have not ended, the oldest first, at most $1: alive by the lock in pg_locks, or by a lease
-- where there is none to hold (its key is negative); or leased while the link is being renewed; or neither:
-- dead, and soon found so.
-- Walks process_alive (id) where ended_at is null, and for each job_running (claimed_by).
select
  id, name, kind, pid, slots, queues, tasks, draining, version, started_at, linked_at, blocks,
  lock_key in (
    select (classid::bigint << 32) | objid::bigint
    from pg_locks
    where
      locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
  ) as is_alive,
  coalesce(lease_until > statement_timestamp(), false) as is_leased,
  lock_key < 0 and coalesce(lease_until > statement_timestamp(), false) as is_alive_by_lease,
  (select count(*) from asyncjobs.job where state = 'running' and claimed_by = process.id) as running,
  statement_timestamp() as now
from asyncjobs.process
where ended_at is null
order by id
limit $1
