-- The $1 processes that ended last, the youngest first.
-- Walks the primary key of process backwards.
select id, name, kind, pid, slots, version, started_at, ended_at, ending, statement_timestamp() as now
from asyncjobs.process
where ended_at is not null
order by id desc
limit $1
