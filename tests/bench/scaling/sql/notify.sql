select pg_notify('somebody', '')
