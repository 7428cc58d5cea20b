-- What an app writes in the transaction in which it enqueues.
create table if not exists bench_order (
  id   bigint generated always as identity primary key,
  note text not null
)
