create index limit_ready on limit_job (queue, priority, run_at, id) where state = 'ready'
