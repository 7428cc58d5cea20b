-- Make up to $3 ready jobs ours ($4): of each queue in $1 no more than its room in $2, most urgent first,
-- earliest promise first within a priority. What we cannot run ($5: tasks that we do not
-- know, keys that we do not have) stays where it is.
--
-- Candidates are chosen without locks, $7 for each free slot, and only the best of them are locked: had
-- each queue's share been locked at once, a second claimer would find everything taken and go to sleep.
-- Of the suspects (jobs whose processes died, $8 times or more) at most $6 are taken, so that the next death
-- names the guilty.
-- Answers at least one row; `saw` above the number of jobs means: look again. `walked` is how many seconds
-- it took to choose.
--
-- Dead entries of the index are walked again by every claim for as long as some old transaction might
-- want them. A process that notices knows, from survey.sql, before which places nothing lives, and names the
-- stretches that are left ($9 queue, from $10 priority, $11 promise, $12 id, up to priority $13). A queue
-- without a stretch is walked from its beginning.
--
-- Arguments of more than 64 kB stay behind (null) and are asked for by arguments.sql: a process whose loop
-- is blocked reads nothing, and the rest of a large answer would keep this statement, its locks and its
-- snapshot open. What is stored in more is not even fetched; what is stored in less is measured as text,
-- because it may have been compressed.
--
-- Walks job_ready (queue, priority, promise, id), one range a queue or stretch, and finds what it chose by its place (ctid), which
-- takes a fifth less time than by its id: what this snapshot saw stays where it was as long as the snapshot lasts. A row that
-- somebody has written meanwhile is elsewhere: if it is locked there, it is not claimed there, and the next claim sees it.
-- `is not distinct from` keeps the lock away from job_ready, which looks small where statistics say that nothing lives.
with served as (
  select queue, room
  from unnest($1::text[], $2::integer[]) as served (queue, room)
),
stretch as (
  select
    served.queue, served.room, coalesce(stretch.priority, -32768)::smallint as priority,
    coalesce(stretch.promise::timestamptz, '-infinity') as promise,
    coalesce(stretch.id, '00000000-0000-0000-0000-000000000000') as id,
    coalesce(stretch.up_to, 32767)::smallint as up_to
  from served
  left join unnest($9::text[], $10::smallint[], $11::text[], $12::uuid[], $13::smallint[])
    as stretch (queue, priority, promise, id, up_to) on stretch.queue = served.queue
),
candidate as materialized (
  select pick.place
  from stretch
  cross join lateral (
    select job.ctid as place, job.id, job.priority, job.promise
    from asyncjobs.job
    where job.state = 'ready' and job.queue = stretch.queue
      and (job.priority, job.promise, job.id) >= (stretch.priority, stretch.promise, stretch.id)
      and job.priority <= stretch.up_to
      and job.task <> all ($5::text[]) and coalesce(job.extra ->> 'key', '') <> all ($5::text[])
      and (job.crashes < $8::integer or $6::integer > 0)
    order by job.priority, job.promise, job.id
    limit stretch.room * $7::integer
  ) as pick
  order by pick.priority, pick.promise, pick.id
  limit $3::integer * $7::integer
),
locked as materialized (
  select job.ctid as place, job.id, job.queue, job.priority, job.promise, job.crashes
  from asyncjobs.job
  where job.ctid = any (array(select candidate.place from candidate)) and job.state is not distinct from 'ready'
  order by job.priority, job.promise, job.id
  limit $3::integer
  for no key update skip locked
),
ranked as (
  select
    locked.place, served.room, locked.crashes,
    row_number() over (partition by locked.queue order by locked.priority, locked.promise, locked.id) as in_queue,
    row_number() over (partition by locked.crashes >= $8::integer order by locked.priority, locked.promise, locked.id) as in_kind
  from locked
  join served on served.queue = locked.queue
),
chosen as materialized (
  select ranked.place
  from ranked
  where ranked.in_queue <= ranked.room and (ranked.crashes < $8::integer or ranked.in_kind <= $6::integer)
),
claimed as (
  update asyncjobs.job
  set
    state = 'running', attempt = attempt + 1, fence = fence + 1, claimed_by = $4::bigint,
    claimed_at = statement_timestamp(), progress = null, progress_note = null
  where job.ctid = any (array(select chosen.place from chosen))
  returning
    id, task, queue, attempt, crashes, fence, priority, promise,
    case when pg_column_size(arguments) <= 65536 then arguments::text end as arguments,
    date_part('epoch', statement_timestamp() - created_at) as age
)
select
  seen.saw, seen.walked, claimed.priority, claimed.id, claimed.task, claimed.queue, claimed.attempt, claimed.crashes, claimed.fence,
  case when octet_length(claimed.arguments) <= 65536 then claimed.arguments end as arguments, claimed.age
from (
  select count(*) as saw, date_part('epoch', clock_timestamp() - statement_timestamp()) as walked from candidate
) as seen
left join claimed on true
order by claimed.priority, claimed.promise, claimed.id
