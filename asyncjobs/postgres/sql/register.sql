-- Enter a new process. Its lock is held before this is sent: a row without a lock would look dead.
insert into asyncjobs.process
  (lock_key, life, name, kind, machine, pid, pid_started, slots, queues, tasks, version)
select
  $1::bigint, server_life.began_at, $2::text, $3::text, $4::text, $5::integer, $6::bigint, $7::integer,
  $8::text[], $9::text[], $10::text
from asyncjobs.server_life
returning id, generation
