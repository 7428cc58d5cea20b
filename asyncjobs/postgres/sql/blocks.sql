-- Note in the row of process $1 which tasks have blocked its event loop ($2): for those who look at it from elsewhere.
-- Walks the primary key of process.
update asyncjobs.process
set blocks = $2::jsonb
where process.id = $1::bigint
