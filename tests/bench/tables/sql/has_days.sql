select exists (select from pg_catalog.pg_inherits where inhparent = 'asyncjobs.archive'::regclass)
