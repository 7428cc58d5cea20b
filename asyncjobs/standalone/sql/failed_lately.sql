-- How many jobs failed in the last 24 hours; counting stops at $1.
-- Walks archive_finished (state, finished_at) of each day, and of the spill.
select count(*) as failed
from (
  select
  from asyncjobs.finished
  where state = 'failed' and finished_at > statement_timestamp() - interval '24 hours'
  limit $1
) as capped
