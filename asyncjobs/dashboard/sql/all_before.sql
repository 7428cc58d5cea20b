-- A page of all jobs backwards: those just before $5, the nearest first.
-- Walks the primary key of job and archive_id (id) of each day, and of the spill, merged.
-- Looks at no more than $3 rows and answers up to $4 of task $1 and queue $2 (null: any). Where $3 ends the
-- walk early, its last row comes too, not matching, to tell where to go on.
select
  id, task, queue, priority, state, attempt, crashes,
  claimed_by, claimed_at, cancel_asked_at, created_at,
  least(greatest(run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as run_at,
  least(greatest(promise, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as promise,
  progress, progress_note, finished_at, ran,
  left(error, 300) as error,
  case when pg_column_size(coalesce(shown, arguments)) <= 2000 then left(coalesce(shown, arguments)::text, 200) end as preview,
  shown is not null as is_masked,
  ($1::text is null or task = $1) and ($2::text is null or queue = $2) as matches,
  step, statement_timestamp() as now
from (
  select
    id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
    created_at, run_at, promise, progress, progress_note, arguments, shown, finished_at, ran, error,
    row_number() over (order by id) as step
  from (
    select
      id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
      created_at, run_at, promise, progress, progress_note, arguments,
      extra -> 'shown' as shown,
      null::timestamptz as finished_at, null::double precision as ran, null::text as error
    from asyncjobs.job
    union all
    select
      id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
      created_at, run_at, promise, progress, progress_note, arguments,
      extra -> 'shown' as shown,
      finished_at, ran, error
    from asyncjobs.finished
  ) as known
  where id > $5
  order by id
  limit $3
) as looked
where (($1::text is null or task = $1) and ($2::text is null or queue = $2)) or step = $3
order by id
limit $4
