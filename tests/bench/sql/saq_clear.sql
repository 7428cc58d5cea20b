truncate saq_jobs
