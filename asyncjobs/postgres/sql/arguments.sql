-- The arguments of job $1 that the claim left behind because they are large; only while it is ours ($2) under
-- this fence ($3). No row: it is not ours any more. Probes the primary key.
select arguments::text as arguments
from asyncjobs.job
where id = $1::uuid and claimed_by = $2::bigint and fence = $3::bigint
