select count(*) from limit_job
