do $$ begin execute format('alter database %I reset log_statement', current_database()); end $$
