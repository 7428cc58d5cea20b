delete from limit_job where id = any ($1::bigint[])
