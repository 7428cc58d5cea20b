select $1::text::pg_lsn - $2::text::pg_lsn
