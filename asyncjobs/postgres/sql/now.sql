-- The server's time, in milliseconds, for ids.
select (date_part('epoch', clock_timestamp()) * 1000)::bigint
