truncate asyncjobs.job, asyncjobs.archive, asyncjobs.archive_spill
