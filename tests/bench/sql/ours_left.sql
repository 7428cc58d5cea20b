select count(*) from asyncjobs.job
