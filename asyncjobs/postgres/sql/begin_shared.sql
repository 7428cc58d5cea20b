-- Begin a transaction with our settings, which end with it: behind a pooler that hands a server's session from
-- client to client nothing else may be set. A script without parameters, so that it takes one round trip; what it
-- sets is compared with SETTINGS in a test. Of those it leaves out what the first line says, what only counts
-- between transactions, and the socket, which is the pooler's. A loop that is blocked in mid-transaction holds its
-- locks for 5 s at most.
begin isolation level read committed, read write, not deferrable;
select set_config(setting.name, wanted.value, true)
from (
  values
    ('synchronous_commit', 'on'),
    ('statement_timeout', '30s'),
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
