-- Begin a transaction of the lease, as begin_shared.sql does for the pool's, but in a hurry: the server gives a
-- statement up before we do, else a backend would stay behind that waits for a lock, and acts when it gets it.
begin isolation level read committed, read write, not deferrable;
select set_config(setting.name, wanted.value, true)
from (
  values
    ('application_name', 'asyncjobs lease'),
    ('synchronous_commit', 'on'),
    ('statement_timeout', '3500ms'),
    ('lock_timeout', '0'),
    ('idle_in_transaction_session_timeout', '5s'),
    ('search_path', 'pg_catalog'),
    ('timezone', 'UTC'),
    ('jit', 'off'),
    ('enable_seqscan', 'off'),
    ('enable_bitmapscan', 'off'),
    ('enable_hashjoin', 'off'),
    ('enable_mergejoin', 'off'),
    ('plan_cache_mode', 'force_generic_plan')
) as wanted (name, value)
join pg_catalog.pg_settings as setting on lower(setting.name) = wanted.name
