truncate bare_job
