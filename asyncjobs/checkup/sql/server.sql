-- Which server this is, what its clock says (seconds since 1970), and how durable our commits are.
-- Walks nothing: settings and functions alone.
select
  date_part('epoch', clock_timestamp()) as now, pg_is_in_recovery() as is_standby,
  current_setting('transaction_read_only')::boolean as is_read_only,
  current_setting('synchronous_commit') as synchronous_commit
