-- Forget what may be forgotten of the spill, and of the processes that ended longer ago than any job that
-- names them is kept ($1 days).
with spilled as (
  delete from asyncjobs.archive_spill
  where archive_spill.forget_on <= (statement_timestamp() at time zone 'utc')::date
),
ended as (
  delete from asyncjobs.process
  where process.ended_at < statement_timestamp() - $1::integer * interval '1 day'
)
select
