-- How many clients hold a session in database $1.
select count(*) from pg_stat_activity where datname = $1 and backend_type = 'client backend'
