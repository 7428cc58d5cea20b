insert into bench_order (note) values ('what the app is about')
