-- The days that the archive lacks: for jobs that end today (`ahead` 0) or tomorrow (1) and are kept for one of
-- $1 days. And how many days it still has although they may be gone since yesterday or longer.
-- Walks no table: pg_class by name, pg_inherits by parent.
select
  array(
    select wanted.kept
    from (
      select kept.days as kept, (statement_timestamp() at time zone 'utc')::date + kept.days + 1 as day
      from unnest($1::integer[]) as kept (days)
    ) as wanted
    where to_regclass(format('asyncjobs.%I', 'archive_' || to_char(wanted.day, 'YYYYMMDD'))) is null
  ) as missing_today,
  array(
    select wanted.kept
    from (
      select kept.days as kept, (statement_timestamp() at time zone 'utc')::date + kept.days + 2 as day
      from unnest($1::integer[]) as kept (days)
    ) as wanted
    where to_regclass(format('asyncjobs.%I', 'archive_' || to_char(wanted.day, 'YYYYMMDD'))) is null
  ) as missing_tomorrow,
  (
    select count(*)
    from pg_catalog.pg_inherits
    join pg_catalog.pg_class as child on child.oid = pg_inherits.inhrelid
    where
      pg_inherits.inhparent = 'asyncjobs.archive'::regclass and child.relname ~ '^archive_[0-9]{8}$'
      and to_date(right(child.relname, 8), 'YYYYMMDD') < (statement_timestamp() at time zone 'utc')::date
  ) as overdue,
  exists (
    select
    from pg_catalog.pg_inherits
    where pg_inherits.inhparent = 'asyncjobs.archive'::regclass
  ) as was_tended
