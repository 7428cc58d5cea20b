-- A page of the running jobs backwards: those just before ($5, $6), the nearest first.
-- Walks job_running (claimed_by) where state = 'running' and sorts: there are never more than slots.
-- Looks at no more than $3 rows and answers up to $4 of task $1 and queue $2 (null: any). Where $3 ends the
-- walk early, its last row comes too, not matching, to tell where to go on.
select
  id, task, queue, priority, state, attempt, crashes,
  claimed_by, claimed_at, cancel_asked_at, created_at,
  least(greatest(run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as run_at,
  least(greatest(promise, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as promise,
  progress, progress_note,
  case when pg_column_size(coalesce(shown, arguments)) <= 2000 then left(coalesce(shown, arguments)::text, 200) end as preview,
  shown is not null as is_masked,
  ($1::text is null or task = $1) and ($2::text is null or queue = $2) as matches,
  step, statement_timestamp() as now
from (
  select
    id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
    created_at, run_at, promise, progress, progress_note, arguments,
    extra -> 'shown' as shown,
    row_number() over (order by claimed_at desc, id desc) as step
  from asyncjobs.job
  where state = 'running' and (claimed_at, id) < ($5, $6)
  order by claimed_at desc, id desc
  limit $3
) as looked
where (($1::text is null or task = $1) and ($2::text is null or queue = $2)) or step = $3
order by claimed_at desc, id desc
limit $4
