-- Begin the next generation of process $1 under a new lock ($2), held already. No row: it was buried in
-- the meantime; everything it ran is somebody else's, and it must come back as a new process.
update asyncjobs.process
set
  generation = generation + 1, lock_key = $2::bigint, lease_until = null, linked_at = statement_timestamp(),
  life = (select server_life.began_at from asyncjobs.server_life)
where process.id = $1::bigint and process.ended_at is null
returning id, generation
