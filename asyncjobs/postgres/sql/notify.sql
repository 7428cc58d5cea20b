-- Tell the other processes. A statement of its own, after the commit that it speaks of: in a caller's
-- transaction it would hold a cluster-wide lock through the flush.
select pg_notify($1::text, $2::text)
