-- oldest code: 0.1.0
-- What the tables cost: less log for each job.
--
-- Nothing here changes what a statement means, so that code from before this migration runs beside the new.

-- A claim rewrites its row. Half of each page is left for that: the new version stays on the page of the old
-- one, which saves the record of a lock, and of the row only what changed is logged.
alter table asyncjobs.job set (fillfactor = 50);

-- Rows come to the archive in the order of their ends. An index in that order serves the latest first just as
-- well, walked backwards, and grows at its right edge, where pages are left full; the one that it replaces grew
-- at the left of each state, where they were left half empty. Ends that were recorded together share
-- their moment, so that one key stands for all of them. While it is built, ends wait: with millions of finished
-- jobs that is more than a moment.
drop index asyncjobs.archive_finished;
create index archive_finished on asyncjobs.archive (state, finished_at);
drop index asyncjobs.archive_spill_finished;
create index archive_spill_finished on asyncjobs.archive_spill (state, finished_at);

-- Attach the archive's missing days and drop those that may be forgotten; answers what it did.
-- As before, and a day that another process makes at this very moment is busy, whichever of its names is seen
-- first: of the table, or of the type that every table brings.
create or replace function asyncjobs.tend_archive(wanted date[])
returns table (day date, deed text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $tend$
declare
  part record;
  today date := (statement_timestamp() at time zone 'utc')::date;
begin
  foreach day in array wanted loop
    continue when day is null or day not between today and today + 3660;
    if to_regclass(format('asyncjobs.%I', 'archive_' || to_char(day, 'YYYYMMDD'))) is null then
      begin
        execute format('create table asyncjobs.%I (like asyncjobs.archive including constraints)', 'archive_' || to_char(day, 'YYYYMMDD'));
        execute format(
          'alter table asyncjobs.archive attach partition asyncjobs.%I for values from (%L) to (%L)',
          'archive_' || to_char(day, 'YYYYMMDD'), day, day + 1);
        deed := 'attached';
      exception
        when lock_not_available or duplicate_table or duplicate_object or unique_violation then deed := 'busy';
      end;
      return next;
    end if;
  end loop;
  for part in
    select child.relname as name, to_date(right(child.relname, 8), 'YYYYMMDD') as forgotten_on
    from pg_inherits
    join pg_class as child on child.oid = pg_inherits.inhrelid
    where pg_inherits.inhparent = 'asyncjobs.archive'::regclass and child.relname ~ '^archive_[0-9]{8}$'
    order by child.relname
  loop
    if part.forgotten_on <= today then
      day := part.forgotten_on;
      begin
        execute format('alter table asyncjobs.archive detach partition asyncjobs.%I', part.name);
        execute format('drop table asyncjobs.%I', part.name);
        deed := 'dropped';
      exception
        when lock_not_available then deed := 'busy';
      end;
      return next;
    end if;
  end loop;
end
$tend$;
