-- Let the lease of process $1 end in $2 seconds. No row: it was buried in the meantime; everything it ran is
-- somebody else's, and it must come back as a new process.
--
-- Behind a pooler nobody sees Postgres restart, so each renewal also notes a new life of the server, if one has
-- begun (see begin_life.sql): all others are given the time that a young life gives, before anybody is rescued.
-- Walks the primary key of process, and reads one row of server_life.
with begun as (
  insert into asyncjobs.server_life (postmaster_started_at, began_at)
  select pg_postmaster_start_time(), clock_timestamp()
  where not exists (
    select from asyncjobs.server_life where postmaster_started_at = pg_postmaster_start_time()
  )
  on conflict (only_row) do update
  set postmaster_started_at = excluded.postmaster_started_at, began_at = excluded.began_at
  where server_life.postmaster_started_at <> excluded.postmaster_started_at
  returning began_at
)
update asyncjobs.process
set
  lease_until = statement_timestamp() + $2::double precision * interval '1 second',
  life = coalesce(
    (select begun.began_at from begun), (select server_life.began_at from asyncjobs.server_life), life
  )
where process.id = $1::bigint and process.ended_at is null
returning id, generation
