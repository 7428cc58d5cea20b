-- The hot table once more, cut by queue into as many parts as there are queues here, in the place of the other.
alter table asyncjobs.job rename to job_in_one;
create table asyncjobs.job (like asyncjobs.job_in_one including defaults including constraints) partition by list (queue);
alter table asyncjobs.job add primary key (id, queue);
create index on asyncjobs.job (queue, priority, promise, id) where state = 'ready';
create index on asyncjobs.job (run_at) where state = 'scheduled';
create index on asyncjobs.job (claimed_by) where state = 'running';
create index on asyncjobs.job (id) where state = 'held'
