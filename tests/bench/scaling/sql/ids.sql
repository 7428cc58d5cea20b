select gen_random_uuid()::text as id from generate_series(1, $1::integer)
