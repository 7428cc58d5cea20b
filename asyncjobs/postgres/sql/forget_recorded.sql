-- Take back those of the jobs just stored again ($1) that had been stored, run and archived before: a
-- second statement with a fresh snapshot, because `not exists` in the first waits for the mover and then
-- decides by what it saw before. A function of the owner's does it, since a role that only enqueues may neither
-- read the archive nor delete jobs. Probes the primary key, then archive_id of each day.
select forgotten.id
from asyncjobs.forget_recorded($1::text[]::uuid[]) as forgotten (id)
