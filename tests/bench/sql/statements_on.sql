-- Every session of this database that begins from now on has its statements written to the log.
do $$ begin execute format('alter database %I set log_statement = ''all''', current_database()); end $$
