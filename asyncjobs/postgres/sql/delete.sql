-- Forget job $1, wherever it is. One that runs is only asked to stop, it ends as cancelled.
-- Answers 'deleted' or 'asked' and who runs it; nothing for an unknown job.
-- It waits for whoever holds the row for a fifth of a second at most, and is sent again: meanwhile it has one of
-- the pool's two connections, and a process that has lost its link needs one at once, to say that it lives.
with patience as materialized (
  select set_config('lock_timeout', '200ms', true) as at_most
),
target as materialized (
  select job.id, job.state, job.claimed_by
  from patience
  join asyncjobs.job on job.id = $1::uuid
  for update of job
),
asked as (
  update asyncjobs.job
  set cancel_asked_at = coalesce(cancel_asked_at, statement_timestamp())
  from target
  where job.id = $1::uuid and job.id = target.id and target.state = 'running'
  returning 'asked' as answer, job.claimed_by
),
waiting as (
  delete from asyncjobs.job
  using target
  where job.id = $1::uuid and job.id = target.id and target.state <> 'running'
  returning 'deleted' as answer, null::bigint as claimed_by
),
archived as (
  delete from asyncjobs.archive
  using patience
  where archive.id = $1::uuid
  returning 'deleted' as answer, null::bigint as claimed_by
),
spilled as (
  delete from asyncjobs.archive_spill
  using patience
  where archive_spill.id = $1::uuid
  returning 'deleted' as answer, null::bigint as claimed_by
)
select answer, claimed_by from asked
union all
select answer, claimed_by from waiting
union all
select answer, claimed_by from archived
union all
select answer, claimed_by from spilled
