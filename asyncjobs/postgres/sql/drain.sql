-- Say that process $1 is draining: it starts nothing more, and a death in this state charges no job.
update asyncjobs.process
set draining = true
where process.id = $1::bigint
