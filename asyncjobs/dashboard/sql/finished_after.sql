-- A page of the jobs that finished as $7, the latest first, from ($5, $6) on.
-- Walks archive_finished (state, finished_at) of each day, and of the spill, backwards, merged.
-- What ended at one moment is sorted by id.
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
    created_at, run_at, promise, progress, progress_note, arguments,
    extra -> 'shown' as shown, finished_at, ran, error,
    row_number() over (order by finished_at desc, id) as step
  from asyncjobs.finished
  where state = $7 and finished_at <= $5 and (finished_at < $5 or id > $6)
  order by finished_at desc, id
  limit $3
) as looked
where (($1::text is null or task = $1) and ($2::text is null or queue = $2)) or step = $3
order by finished_at desc, id
limit $4
