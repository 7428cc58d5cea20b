-- What the host's second route asks for: a table of its own, beside those of the guest.
create table if not exists public.article as
select id, 'article ' || id as name, id * 1.5 as price from generate_series(1, 1000) as id;
alter table public.article drop constraint if exists article_pkey;
alter table public.article add constraint article_pkey primary key (id);
analyze public.article
