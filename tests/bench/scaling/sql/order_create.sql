create table if not exists customer_order (id bigint generated always as identity primary key, note text)
