-- Our own table, beside the tables of asyncjobs. Safe from several processes at a time: they queue for
-- the lock, and all but the first find everything there.
select pg_advisory_xact_lock(hashtext('photo_desk'));

create schema if not exists photo_desk;

create table if not exists photo_desk.photo (
  id          uuid primary key,
  name        text not null,                       -- what the visitor called it: shown, never a path
  bytes       bigint not null,
  arrived_at  timestamptz not null default now(),
  sizing      uuid not null,                       -- the job that makes its sizes
  sized_at    timestamptz,
  width       integer,
  height      integer,
  captioning  uuid,                                -- the job that asks for its caption
  caption     text,
  kept_until  timestamptz                          -- when the original may go
);
create index if not exists photo_newest on photo_desk.photo (arrived_at desc, id desc);
create index if not exists photo_unsized on photo_desk.photo (sizing) where sized_at is null;
