-- The least that is still a queue: named queues, priorities, jobs for later, and the index by which the
-- next one is found (limit_index.sql).
create table limit_job (
  id         bigint generated always as identity primary key,
  queue      text not null default 'default',
  priority   smallint not null default 0,
  run_at     timestamptz not null default statement_timestamp(),
  state      text not null default 'ready',
  task       text not null,
  arguments  jsonb not null
)
