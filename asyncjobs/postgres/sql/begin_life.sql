-- Note that a new life of the server has begun, if it has: the row was lost in a crash or a promotion, or
-- Postgres has started since. Only the first comer's note stays.
insert into asyncjobs.server_life (postmaster_started_at, began_at)
values (pg_postmaster_start_time(), clock_timestamp())
on conflict (only_row) do update
set postmaster_started_at = excluded.postmaster_started_at, began_at = excluded.began_at
where server_life.postmaster_started_at <> excluded.postmaster_started_at
