-- Less than a queue: what to run, and whether somebody has it. No order but that of storing, no time, no
-- second index; half of each page stays free, so that a claim rewrites its row in place (HOT) and touches
-- no index at all.
create table bare_job (
  id         bigint generated always as identity primary key,
  task       text not null,
  arguments  text not null,
  is_claimed boolean not null default false
)
with (fillfactor = 45)
