-- The process ($1) ends in good order, with nothing running.
update asyncjobs.process
set ended_at = statement_timestamp(), ending = 'stopped'
where process.id = $1::bigint and process.ended_at is null
