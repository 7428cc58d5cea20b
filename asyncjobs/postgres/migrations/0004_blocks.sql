-- oldest code: 0.1.0
-- Which tasks have blocked the event loop of a process, how often, and where: null where none has.
alter table asyncjobs.process add column blocks jsonb;
