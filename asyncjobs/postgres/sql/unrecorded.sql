-- Say of outcomes that finish.sql did not record ($2, under the fences $3) why: 'locked' (the row is still
-- ours: try again), 'recorded' (it is in the archive with our fence: an earlier answer was lost), or 'lost' (not
-- ours any more). Apart from finish.sql, which would else open every day of the archive each time.
select
  outcome.id, outcome.fence,
  case
    when exists (
      select from asyncjobs.job
      where job.id = outcome.id and job.fence = outcome.fence and job.claimed_by = $1::bigint
    ) then 'locked'
    when exists (
      select from asyncjobs.finished
      where finished.id = outcome.id and finished.fence = outcome.fence and finished.claimed_by = $1::bigint
    ) then 'recorded'
    else 'lost'
  end as answer
from unnest($2::uuid[], $3::bigint[]) as outcome (id, fence)
