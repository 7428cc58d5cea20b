-- Enter a new process. Its lock is held before this is sent: a row without a lock would look dead. One that
-- lives by a lease ($11, seconds; null for a lock) has it from the first moment; its key is negative, and
-- nobody ever holds that lock.
insert into asyncjobs.process
  (lock_key, life, name, kind, machine, pid, pid_started, slots, queues, tasks, version, lease_until)
select
  $1::bigint, server_life.began_at, $2::text, $3::text, $4::text, $5::integer, $6::bigint, $7::integer,
  $8::text[], $9::text[], $10::text, statement_timestamp() + $11::double precision * interval '1 second'
from asyncjobs.server_life
returning id, generation
