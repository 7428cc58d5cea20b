-- One job, wherever it is: one statement over both tables, so that a job on its way to the archive, or back,
-- is never missed. Walks both primary paths by id.
select
  id, task, queue, priority, state, run_at, created_at, attempt, crashes, claimed_by, claimed_at,
  cancel_asked_at, arguments, progress, progress_note, history,
  null::timestamptz as finished_at, null::double precision as ran, null::jsonb as result, null::text as error, null::text as traceback
from asyncjobs.job
where job.id = $1::uuid
union all
select
  id, task, queue, priority, state, run_at, created_at, attempt, crashes, claimed_by, claimed_at,
  cancel_asked_at, arguments, progress, progress_note, history,
  finished_at, ran, result, error, traceback
from asyncjobs.finished
where finished.id = $1::uuid
