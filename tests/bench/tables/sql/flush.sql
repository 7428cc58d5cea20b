-- Commit something, so that the log is on the disk up to here.
select pg_logical_emit_message(true, 'bench', '')
