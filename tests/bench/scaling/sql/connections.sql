-- Those of our processes.
select count(*) from pg_catalog.pg_stat_activity where application_name like 'asyncjobs%' and datname = current_database()
