-- One job, wherever it is: one statement over both tables, so that a job on its way to the archive, or back,
-- is never missed. Of arguments that are secret only what may be shown leaves the database.
-- A run_at that no calendar has, as SQL may store it, is told as the nearest that one has. Walks both primary paths by id.
select
  id, task, queue, priority, state,
  least(greatest(run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as run_at, created_at, attempt, crashes, claimed_by, claimed_at,
  cancel_asked_at, coalesce(extra -> 'shown', arguments) as arguments, extra -> 'shown' is not null as is_masked,
  progress, progress_note, history,
  null::timestamptz as finished_at, null::double precision as ran, null::jsonb as result, null::text as error, null::text as traceback
from asyncjobs.job
where job.id = $1::uuid
union all
select
  id, task, queue, priority, state,
  least(greatest(run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as run_at, created_at, attempt, crashes, claimed_by, claimed_at,
  cancel_asked_at, coalesce(extra -> 'shown', arguments) as arguments, extra -> 'shown' is not null as is_masked,
  progress, progress_note, history,
  finished_at, ran, result, error, traceback
from asyncjobs.finished
where finished.id = $1::uuid
