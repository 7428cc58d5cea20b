-- Whose session is this? Its pid and the start of its server tell sessions apart, also those of two servers
-- that count their processes alike; start and database tell where a connection has led, and host and port,
-- null for a unix socket, at which of its doors it came in. `turn` counts the
-- session's transactions: two in a row of one client are next to each other, if nobody else was there.
select
  pg_backend_pid() as pid, date_part('epoch', pg_postmaster_start_time()) as server_began,
  current_database()::text as database, pg_is_in_recovery() as is_standby,
  host(inet_server_addr()) as host, inet_server_port() as port,
  (
    select split_part(pg_locks.virtualxid, '/', 2)::bigint
    from pg_catalog.pg_locks
    where pg_locks.locktype = 'virtualxid' and pg_locks.pid = pg_backend_pid()
    limit 1
  ) as turn
