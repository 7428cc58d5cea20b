-- oldest code: 0.1.0
-- Functions that roles with few rights may call, and nobody else.
--
-- Postgres lets everybody execute a new function. Until now that did no harm but one: whoever had `usage` of
-- this schema could have tend_archive, which runs as its owner, make days without end. From here on
-- functions are executed by those who are granted it. Nobody loses what they can use: whoever may insert
-- into job (or into archive, which only executors do) is granted the functions that go with it, below, and
-- so is pg_write_all_data. A role that is made later needs the grants of docs/security.md.

-- Attach the archive's missing days and drop those that may be forgotten; answers what it did.
-- As before, and only days that a job could be kept until: keep= ends at ten years.
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
        when lock_not_available or duplicate_table or unique_violation then deed := 'busy';
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

-- The door for triggers and other languages: store one job, in the caller's transaction.
-- The id is a UUIDv7 of the server's clock. The NOTIFY is a hint, sent when the caller commits.
-- It inserts as its owner, so that a role may be given this and no right to the table. What it refuses is
-- what would keep others from working: names that no page can show, megabytes, moments that no calendar has.
create or replace function asyncjobs.enqueue(
  task text,
  arguments jsonb default '{}',
  queue text default 'default',
  priority integer default 0,
  run_at timestamptz default null
)
returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $enqueue$
declare
  job_id uuid := encode(
    set_bit(set_bit(overlay(
      uuid_send(gen_random_uuid())
      placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
    ), 52, 1), 53, 1), 'hex')::uuid;
  due timestamptz := coalesce(enqueue.run_at, statement_timestamp());
begin
  if length(enqueue.task) not between 1 and 200 or enqueue.task ~ '[[:cntrl:]]' then
    raise exception 'task must be a name of 1 to 200 printable characters' using errcode = 'invalid_parameter_value';
  end if;
  if length(enqueue.queue) not between 1 and 200 or enqueue.queue ~ '[[:cntrl:]]' then
    raise exception 'queue must be a name of 1 to 200 printable characters' using errcode = 'invalid_parameter_value';
  end if;
  if octet_length(enqueue.arguments::text) > 1048576 then
    raise exception 'arguments are more than a megabyte of JSON; store them elsewhere, pass a reference' using errcode = 'program_limit_exceeded';
  end if;
  if due not between '0001-01-02 00:00:00+00' and '9999-12-30 00:00:00+00' then
    raise exception 'run_at must be a moment between the years 1 and 9999' using errcode = 'datetime_field_overflow';
  end if;
  insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, arguments)
  values (
    job_id, enqueue.task, enqueue.queue, enqueue.priority::smallint,
    case when due > statement_timestamp() then 'scheduled' else 'ready' end,
    due, due, enqueue.arguments
  );
  perform pg_notify('asyncjobs', json_build_object('ready', json_build_array(enqueue.queue))::text);
  return job_id;
end
$enqueue$;

-- Take back those of some jobs, just stored again because their first answer was lost, that had been stored,
-- run and archived before. It looks and deletes as its owner, so that a role that only enqueues needs no
-- right to read or delete anything; what has been claimed before, or is not in the archive, stays.
create function asyncjobs.forget_recorded(ids uuid[])
returns setof uuid
language sql
security definer
set search_path = pg_catalog, pg_temp
as $forget$
  delete from asyncjobs.job
  where job.id = any (forget_recorded.ids) and job.fence = 0
    and exists (select from asyncjobs.finished where finished.id = job.id)
  returning job.id
$forget$;

revoke execute on function asyncjobs.tend_archive(date[]) from public;
revoke execute on function asyncjobs.enqueue(text, jsonb, text, integer, timestamptz) from public;
revoke execute on function asyncjobs.forget_recorded(uuid[]) from public;

do $grants$
declare
  role record;
begin
  for role in
    select
      case when given.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(given.grantee)) end as name,
      pg_class.relname = 'job' as enqueues, pg_class.relname = 'archive' as archives
    from pg_class
    cross join lateral aclexplode(pg_class.relacl) as given
    where pg_class.oid in ('asyncjobs.job'::regclass, 'asyncjobs.archive'::regclass)
      and given.privilege_type = 'INSERT' and given.grantee <> pg_class.relowner
    union all
    select 'pg_write_all_data', true, true
    from pg_roles
    where pg_roles.rolname = 'pg_write_all_data'
  loop
    if role.enqueues then
      execute format('grant execute on function asyncjobs.enqueue(text, jsonb, text, integer, timestamptz) to %s', role.name);
      execute format('grant execute on function asyncjobs.forget_recorded(uuid[]) to %s', role.name);
    end if;
    if role.archives then
      execute format('grant execute on function asyncjobs.tend_archive(date[]) to %s', role.name);
    end if;
  end loop;
  -- The table of the migration before this one, to those who have the one that is used like it.
  for role in
    select
      case when given.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(given.grantee)) end as name,
      given.privilege_type as may
    from pg_class
    cross join lateral aclexplode(pg_class.relacl) as given
    where pg_class.oid = 'asyncjobs.server_life'::regclass and given.grantee <> pg_class.relowner
      and given.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  loop
    execute format('grant %s on asyncjobs.home to %s', role.may, role.name);
  end loop;
end
$grants$;
