-- Take back those of the jobs just stored again ($1) that had been stored, run and archived before: a
-- second statement with a fresh snapshot, because `not exists` in the first waits for the mover and then
-- decides by what it saw before.
delete from asyncjobs.job
where job.id = any ($1::text[]::uuid[]) and job.fence = 0
  and exists (select from asyncjobs.finished where finished.id = job.id)
returning id
