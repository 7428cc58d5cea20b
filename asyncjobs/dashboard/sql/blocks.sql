-- How jobs of task $1 have blocked the event loops of the processes that live, and of the $2 that ended last, the
-- youngest first: those that have noted any.
-- Walks process_alive (id) where ended_at is null, and the primary key of process backwards.
select known.name, known.ended_at, known.blocks -> 'tasks' -> $1::text as block
from (
  (select id, name, ended_at, blocks from asyncjobs.process where ended_at is null)
  union all
  (select id, name, ended_at, blocks from asyncjobs.process where ended_at is not null order by id desc limit $2)
) as known
where known.blocks -> 'tasks' -> $1::text is not null
order by known.id desc
limit $2
