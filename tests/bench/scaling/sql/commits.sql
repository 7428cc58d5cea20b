select xact_commit from pg_catalog.pg_stat_database where datname = current_database()
