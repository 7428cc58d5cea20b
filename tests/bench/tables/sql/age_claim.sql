-- Claim them all, for the process that came last.
update asyncjobs.job
set
  state = 'running', attempt = 1, fence = 1, claimed_at = statement_timestamp(),
  claimed_by = (select max(process.id) from asyncjobs.process)
where job.state = 'ready'
