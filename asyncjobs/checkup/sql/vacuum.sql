-- How well vacuum keeps up with the tables that change all the time. Walks no table of ours: the statistics, and
-- pg_class by oid.
select
  pg_class.relname::text as name, pg_stat_get_live_tuples(pg_class.oid) as living,
  pg_stat_get_dead_tuples(pg_class.oid) as dead,
  exists (
    select
    from unnest(pg_class.reloptions) as option
    where option in ('autovacuum_enabled=false', 'autovacuum_enabled=off')
  ) as is_off
from pg_catalog.pg_class
where pg_class.oid in (to_regclass('asyncjobs.job'), to_regclass('asyncjobs.process'))
order by pg_class.relname
