-- The names of our tables and indexes, by the number of the file that the log calls them by.
select pg_relation_filenode(pg_class.oid)::bigint as file, pg_class.relname as name
from pg_catalog.pg_class
where pg_class.relnamespace = 'asyncjobs'::regnamespace and pg_relation_filenode(pg_class.oid) is not null
