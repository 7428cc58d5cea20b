-- Take a snapshot and a number, as a transaction does that has written something.
select pg_current_xact_id()
