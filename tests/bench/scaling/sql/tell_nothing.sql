-- What every process of the schema hears, and none has anything to do for.
select pg_notify('asyncjobs', '{"from": 0}')
