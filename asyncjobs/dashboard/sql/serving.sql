-- Who could run something now: the tasks and queues (null: all) of each process that lives, by its lock
-- in pg_locks or by a lease while its link is being renewed.
-- Walks process_alive (id) where ended_at is null.
select tasks, queues
from asyncjobs.process
where
  ended_at is null
  and (
    lease_until > statement_timestamp()
    or lock_key in (
      select (classid::bigint << 32) | objid::bigint
      from pg_locks
      where
        locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
    )
  )
