-- A page of all jobs, wherever they lie, the newest first, from $5 on.
-- Walks the primary key of job and archive_id (id) of each day, and of the spill, backwards, merged.
-- Looks at no more than $3 rows and answers up to $4 of task $1 and queue $2 (null: any). Where $3 ends the
-- walk early, its last row comes too, not matching, to tell where to go on.
select
  id, task, queue, priority, state, attempt, crashes,
  claimed_by, claimed_at, cancel_asked_at, created_at, run_at,
  promise, progress, progress_note, finished_at, ran,
  left(error, 300) as error,
  case when pg_column_size(arguments) <= 2000 then left(arguments::text, 200) end as preview,
  ($1::text is null or task = $1) and ($2::text is null or queue = $2) as matches,
  step, statement_timestamp() as now
from (
  select
    id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
    created_at, run_at, promise, progress, progress_note, arguments, finished_at, ran, error,
    row_number() over (order by id desc) as step
  from (
    select
      id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
      created_at, run_at, promise, progress, progress_note, arguments,
      null::timestamptz as finished_at, null::double precision as ran, null::text as error
    from asyncjobs.job
    union all
    select
      id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
      created_at, run_at, promise, progress, progress_note, arguments,
      finished_at, ran, error
    from asyncjobs.finished
  ) as known
  where id < $5
  order by id desc
  limit $3
) as looked
where (($1::text is null or task = $1) and ($2::text is null or queue = $2)) or step = $3
order by id desc
limit $4
