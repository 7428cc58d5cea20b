insert into customer_order (note) values ('what the app is about')
