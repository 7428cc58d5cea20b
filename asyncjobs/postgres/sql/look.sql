-- Look at the others: who (not $1) runs jobs, or says that it lives, while nobody holds its lock and no
-- lease speaks for it? It starts from running jobs, not from processes: a job that was born running while
-- its process was being buried is found here by the next look. Those that run jobs and that only a lease
-- speaks for are named too: on our own machine one can see whether they are gone, and all of them are to be
-- watched until the lease is renewed, or ends.
-- Reads pg_locks, as any role may; nobody probes with try_lock, which is re-entrant and disturbs the owner.
-- A server that has started since server_life was written is in a life that nobody has noted yet, of age 0:
-- whoever has no session of its own does not notice a restart otherwise.
with held as materialized (
  select (pg_locks.classid::bigint << 32) | pg_locks.objid::bigint as lock_key
  from pg_catalog.pg_locks
  where pg_locks.locktype = 'advisory' and pg_locks.objsubid = 1 and pg_locks.granted
    and pg_locks.database = (select pg_database.oid from pg_catalog.pg_database where datname = current_database())
),
owner as (
  select distinct job.claimed_by as id
  from asyncjobs.job
  where job.state = 'running' and job.claimed_by <> $1::bigint
),
alive as (
  select id, generation, lock_key, life, lease_until, machine, pid, pid_started, name
  from asyncjobs.process
  where process.ended_at is null and process.id <> $1::bigint
)
select
  coalesce(alive.id, owner.id) as id, alive.generation, alive.machine, alive.pid, alive.pid_started, alive.name,
  owner.id is not null as runs_jobs,
  coalesce(alive.lease_until > statement_timestamp(), false) as is_leased,
  server_life.postmaster_started_at <> pg_postmaster_start_time()
    or coalesce(alive.life <> server_life.began_at, false) as of_an_earlier_life,
  case
    when server_life.postmaster_started_at <> pg_postmaster_start_time() then 0.0
    else date_part('epoch', statement_timestamp() - server_life.began_at)
  end as life_age
from owner
full join alive on alive.id = owner.id
cross join asyncjobs.server_life
where alive.id is null
  or (
    (owner.id is not null or coalesce(alive.lease_until, '-infinity') <= statement_timestamp())
    and not exists (select from held where held.lock_key = alive.lock_key)
  )
