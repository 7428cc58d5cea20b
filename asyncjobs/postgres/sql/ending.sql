-- Where a job stands, and how it ended if it has. Walks both primary paths by id.
select state, task, null::jsonb as result, null::text as error, null::text as traceback
from asyncjobs.job
where job.id = $1::uuid
union all
select state, task, result, error, traceback
from asyncjobs.finished
where finished.id = $1::uuid
