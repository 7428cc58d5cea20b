with ordered as (insert into customer_order (note) values ('what the app is about'))
select pg_notify('somebody', '')
