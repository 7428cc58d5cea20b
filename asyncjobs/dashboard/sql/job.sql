-- All about job $1, wherever it lies: one statement, so that a job on its way to the archive is seen once.
-- A history that somebody has edited, and a run_at that no calendar has, do not keep it from being shown.
-- Texts end after $2 characters; JSON stored in more than $3 bytes is not opened at all.
-- Walks the primary key of job and archive_id (id) of each day and of the spill; process by its primary key.
select
  id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
  created_at, least(greatest(run_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') as run_at,
  progress, progress_note, history, finished_at, ran,
  left(error, $2) as error, left(traceback, $2) as traceback,
  case when pg_column_size(arguments) <= $3 then left(jsonb_pretty(coalesce(shown, arguments)), $2) end as arguments,
  pg_column_size(arguments) as arguments_size, shown is not null as is_masked,
  case when pg_column_size(result) <= $3 then left(jsonb_pretty(result), $2) end as result,
  pg_column_size(result) as result_size,
  (
    select jsonb_object_agg(process.id, process.name)
    from asyncjobs.process
    where
      process.id = claimed_by
      or process.id in (
        select case when earlier #>> '{}' ~ '^[0-9]{1,18}$' then (earlier #>> '{}')::bigint end
        from jsonb_path_query(history, '$[*].process') as earlier
      )
  ) as processes,
  statement_timestamp() as now
from (
  select
    id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
    created_at, run_at, progress, progress_note, history, arguments,
    extra -> 'shown' as shown,
    null::timestamptz as finished_at, null::double precision as ran, null::jsonb as result,
    null::text as error, null::text as traceback
  from asyncjobs.job
  union all
  select
    id, task, queue, priority, state, attempt, crashes, claimed_by, claimed_at, cancel_asked_at,
    created_at, run_at, progress, progress_note, history, arguments,
    extra -> 'shown' as shown,
    finished_at, ran, result, error, traceback
  from asyncjobs.finished
) as known
where id = $1
