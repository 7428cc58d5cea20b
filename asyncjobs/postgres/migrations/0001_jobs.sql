-- oldest code: 0.1.0
-- The hot table, the archive, the processes, and the life of the server.
--
-- job holds unfinished work only. A row leaves it for the archive in the statement that records its
-- end, so ten million finished jobs cost a claim nothing.
create table asyncjobs.job (
  id              uuid primary key,                 -- UUIDv7, made by the client on the server's time
  task            text not null,
  queue           text not null,
  priority        smallint not null default 0,      -- lower goes first
  state           text not null,
  run_at          timestamptz not null,             -- not before this moment
  promise         timestamptz not null,             -- by then it should have started: run_at + the queue's latency
  attempt         integer not null default 0,       -- counted at the claim; given back when the run was not the job's fault
  crashes         integer not null default 0,       -- processes that died while running it
  fence           bigint not null default 0,        -- grows at every change of hands, never goes back
  claimed_by      bigint,                           -- process.id
  claimed_at      timestamptz,
  cancel_asked_at timestamptz,                      -- cancel, edit and delete of a running job only ask
  created_at      timestamptz not null default statement_timestamp(),
  arguments       jsonb not null,
  progress        real,                             -- 0 to 1, of the current attempt
  progress_note   text,
  history         jsonb,                            -- earlier attempts, oldest first, the last 20
  extra           jsonb,                            -- what extensions keep with the job
  constraint job_state check (state in ('held', 'scheduled', 'ready', 'running')),
  constraint a_running_job_is_somebodys check (state <> 'running' or claimed_by is not null)
)
with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0.2);

-- The claim walks this one, one range a queue.
create index job_ready on asyncjobs.job (queue, priority, promise, id) where state = 'ready';
-- Promotion walks this one: what is due next?
create index job_scheduled on asyncjobs.job (run_at) where state = 'scheduled';
-- The beat and the rescue walk this one: whose are the running jobs? Paid at each claim.
create index job_running on asyncjobs.job (claimed_by) where state = 'running';
-- The dashboard walks this one: what is held? Empty, and so free, where nothing ever is.
create index job_held on asyncjobs.job (id) where state = 'held';

-- The archive is cut by the day on which a row may be forgotten, not by the day on which it finished:
-- a succeeded job of today (kept 7 days) and a failed one (kept 30) lie in different days, and each
-- day goes as a whole, by detach and drop, without one DELETE. There is no default partition: it could
-- never be split again. A row whose day is missing goes to archive_spill, so that a finish never waits
-- for DDL.
create table asyncjobs.archive (
  id              uuid not null,
  task            text not null,
  queue           text not null,
  priority        smallint not null,
  state           text not null,
  run_at          timestamptz not null,
  promise         timestamptz not null,
  attempt         integer not null,
  crashes         integer not null,
  fence           bigint not null,
  claimed_by      bigint,
  claimed_at      timestamptz,
  cancel_asked_at timestamptz,
  created_at      timestamptz not null,
  arguments       jsonb not null,
  progress        real,
  progress_note   text,
  history         jsonb,
  extra           jsonb,
  finished_at     timestamptz not null,
  ran             double precision,                 -- seconds that the last attempt ran
  result          jsonb,
  error           text,                             -- one line: the exception's type and words, or the reason
  traceback       text,
  forget_on       date not null,                    -- may be dropped when this day (UTC) begins
  constraint archive_state check (state in ('succeeded', 'failed', 'cancelled'))
)
partition by range (forget_on);

create index archive_id on asyncjobs.archive (id);
create index archive_finished on asyncjobs.archive (state, finished_at desc, id);

create table asyncjobs.archive_spill (like asyncjobs.archive including constraints);
create index archive_spill_id on asyncjobs.archive_spill (id);
create index archive_spill_finished on asyncjobs.archive_spill (state, finished_at desc, id);

-- All that is finished, wherever it lies.
create view asyncjobs.finished as
select
  id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
  cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
  finished_at, ran, result, error, traceback, forget_on
from asyncjobs.archive
union all
select
  id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, claimed_at,
  cancel_asked_at, created_at, arguments, progress, progress_note, history, extra,
  finished_at, ran, result, error, traceback, forget_on
from asyncjobs.archive_spill;

-- One row an executor. It lives exactly as long as some session holds the advisory lock `lock_key`;
-- nobody renews anything. Each life of its link is a generation with a key of its own, so that a ghost
-- of the former link proves nothing. Rows stay after the end, to give names to the history of jobs.
create table asyncjobs.process (
  id           bigint generated always as identity primary key,
  generation   integer not null default 1,
  lock_key     bigint not null,
  life         timestamptz not null,                -- server_life.began_at when the link was made
  lease_until  timestamptz,                         -- written through the pool when the link is lost
  draining     boolean not null default false,
  name         text not null,                       -- host:pid
  kind         text not null,                       -- 'web', 'standalone' or 'script'
  machine      text,                                -- boot id and pid namespace: where pid means something
  pid          integer not null,
  pid_started  bigint,                              -- the kernel's start time of that pid, in clock ticks
  slots        integer not null,
  queues       text[],                              -- null: all
  tasks        text[] not null,                     -- the names that it knows
  version      text not null,
  started_at   timestamptz not null default statement_timestamp(),
  linked_at    timestamptz not null default statement_timestamp(),
  ended_at     timestamptz,
  ending       text                                 -- 'stopped', or how it was found dead
);
create index process_alive on asyncjobs.process (id) where ended_at is null;

-- A crash of Postgres empties an unlogged table, and so does a promotion. The row missing, or older
-- than the postmaster, means that a new life of the server has begun and every lock was lost: young
-- lives rescue only on proof of death.
create unlogged table asyncjobs.server_life (
  only_row              boolean primary key default true,
  postmaster_started_at timestamptz not null,
  began_at              timestamptz not null,
  constraint one_row check (only_row)
);

-- Attach the archive's missing days and drop those that may be forgotten; answers what it did.
-- It runs as its owner, so that a role without the right to create tables can tend the archive, and it
-- gives up on a day after 100 ms of waiting: whoever reads now is more important, the next round comes.
create function asyncjobs.tend_archive(wanted date[])
returns table (day date, deed text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $tend$
declare
  part record;
begin
  foreach day in array wanted loop
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
    if part.forgotten_on <= (statement_timestamp() at time zone 'utc')::date then
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
create function asyncjobs.enqueue(
  task text,
  arguments jsonb default '{}',
  queue text default 'default',
  priority integer default 0,
  run_at timestamptz default null
)
returns uuid
language sql
as $enqueue$
  with stored as (
    insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, arguments)
    select
      encode(
        set_bit(set_bit(overlay(
          uuid_send(gen_random_uuid())
          placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
        ), 52, 1), 53, 1), 'hex')::uuid,
      task, queue, priority::smallint,
      case when run_at > statement_timestamp() then 'scheduled' else 'ready' end,
      coalesce(run_at, statement_timestamp()), coalesce(run_at, statement_timestamp()), arguments
    returning id
  )
  select stored.id
  from stored, lateral pg_notify('asyncjobs', json_build_object('ready', json_build_array(queue))::text)
$enqueue$;
