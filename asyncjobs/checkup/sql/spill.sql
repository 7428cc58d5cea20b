-- How many finished jobs found no day in the archive; counting stops at $1.
-- Walks archive_spill_id, which is empty but for trouble.
select count(*) as spilled
from (
  select id
  from asyncjobs.archive_spill
  order by id
  limit $1
) as capped
