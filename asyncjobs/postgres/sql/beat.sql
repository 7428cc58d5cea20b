-- The beat: which running jobs does Postgres think are ours ($1), under which fence, and which of them
-- has somebody asked to cancel? Walks job_running.
select id, fence, cancel_asked_at is not null as cancel_asked
from asyncjobs.job
where state = 'running' and claimed_by = $1::bigint
