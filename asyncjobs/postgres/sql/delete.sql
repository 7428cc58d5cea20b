-- Forget job $1, wherever it is. One that runs is only asked to stop, it ends as cancelled.
-- Answers 'deleted' or 'asked' and who runs it; nothing for an unknown job.
with target as materialized (
  select job.id, job.state, job.claimed_by
  from asyncjobs.job
  where job.id = $1::uuid
  for update
),
asked as (
  update asyncjobs.job
  set cancel_asked_at = coalesce(cancel_asked_at, statement_timestamp())
  from target
  where job.id = target.id and target.state = 'running'
  returning 'asked' as answer, job.claimed_by
),
waiting as (
  delete from asyncjobs.job
  using target
  where job.id = target.id and target.state <> 'running'
  returning 'deleted' as answer, null::bigint as claimed_by
),
archived as (
  delete from asyncjobs.archive
  where archive.id = $1::uuid
  returning 'deleted' as answer, null::bigint as claimed_by
),
spilled as (
  delete from asyncjobs.archive_spill
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
