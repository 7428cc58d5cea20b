-- The processes that have not ended, the oldest first, at most $1: alive by the lock in pg_locks, or leased
-- while the link is being renewed, or neither: dead, and not yet found so.
-- Walks process_alive (id) where ended_at is null, and for each job_running (claimed_by).
select
  id, name, kind, slots, queues, tasks, draining, version,
  lock_key in (
    select (classid::bigint << 32) | objid::bigint
    from pg_locks
    where
      locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
  ) as is_alive,
  coalesce(lease_until > statement_timestamp(), false) as is_leased,
  date_part('epoch', statement_timestamp() - started_at) as age,
  (select count(*) from asyncjobs.job where state = 'running' and claimed_by = process.id) as running
from asyncjobs.process
where ended_at is null
order by id
limit $1
