-- Does process $1 stand, in its generation $2, with a lease for another $3 seconds? The row is held until the
-- claim that follows in the same transaction is committed: a burial waits for the claim, or the claim for the
-- burial, and then there is no row. A renewal touches no key and waits for neither.
-- Walks the primary key.
select process.id
from asyncjobs.process
where
  process.id = $1::bigint and process.generation = $2::integer and process.ended_at is null
  and process.lease_until > statement_timestamp() + $3::double precision * interval '1 second'
for key share
