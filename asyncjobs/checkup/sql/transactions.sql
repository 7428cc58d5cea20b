-- Who has a transaction open in this database that keeps vacuum from cleaning up, the oldest first, at most $1:
-- sessions, prepared transactions, replication slots and standbys. Their age in seconds where this role may see
-- it, and in transactions always.
-- Walks no table: pg_stat_activity, pg_prepared_xacts, pg_replication_slots.
select held.kind, held.pid, held.name, held.role, held.state, held.seconds, held.transactions
from (
  select
    'session' as kind, pid, application_name as name, usename::text as role, state,
    date_part('epoch', clock_timestamp() - xact_start) as seconds,
    greatest(age(backend_xid), age(backend_xmin)) as transactions
  from pg_catalog.pg_stat_activity
  where
    (datname = current_database() or backend_type = 'walsender') and pid <> pg_backend_pid()
    and (xact_start is not null or backend_xid is not null or backend_xmin is not null)
    and coalesce(backend_type, 'client backend') in ('client backend', 'walsender')
  union all
  select
    'prepared', null, gid, owner::text, null,
    date_part('epoch', clock_timestamp() - prepared), age(transaction)
  from pg_catalog.pg_prepared_xacts
  where database = current_database()
  union all
  select
    'slot', active_pid, slot_name::text, null, case when active then 'active' else 'inactive' end,
    null, age(xmin)
  from pg_catalog.pg_replication_slots
  where xmin is not null
) as held
order by held.seconds desc nulls last, held.transactions desc nulls last
limit $1
