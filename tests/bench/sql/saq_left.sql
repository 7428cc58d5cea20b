select count(*) from saq_jobs where status in ('new', 'queued', 'active')
