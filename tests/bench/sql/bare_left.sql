select count(*) from bare_job
