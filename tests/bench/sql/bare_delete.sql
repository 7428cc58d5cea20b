delete from bare_job where id = any ($1::bigint[])
