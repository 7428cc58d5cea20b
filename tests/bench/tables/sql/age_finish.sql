-- And let them end.
delete from asyncjobs.job where job.state = 'running'
