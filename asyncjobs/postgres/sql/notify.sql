-- Tell the other processes. A statement of its own, after the commit that it speaks of: in a caller's
-- transaction it would hold a cluster-wide lock through the flush. This one does not wait for a flush either: it
-- is a hint, and what it speaks of is on the disk.
select set_config('synchronous_commit', 'off', true), pg_notify($1::text, $2::text)
