-- oldest code: 0.1.0
-- Which database these jobs belong to, so that a copy of it does not run what waits in the original.
--
-- Noted by the first executor. A database that was dumped and restored, or made from a template, comes with
-- the note of another one. Replicas share the identifier of their cluster; so do copies of its disk, which
-- nothing in here can tell apart.
create table asyncjobs.home (
  only_row          boolean primary key default true,
  system_identifier bigint not null,                -- of the cluster, made by initdb
  database          oid not null,
  server_version    integer not null,               -- server_version_num
  -- The row as it was written: by which transaction, in which table. pg_upgrade makes a new cluster and
  -- carries the pages over, so that both still fit; whatever restores a dump writes the row anew.
  written_by        xid8 not null default pg_current_xact_id(),
  written_to        oid not null,
  noted_at          timestamptz not null default statement_timestamp(),
  constraint one_row check (only_row)
);
