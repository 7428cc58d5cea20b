-- One value of each type that we send or read, to see whether a pool that was handed in decodes them its own way.
select
  '00000000-0000-7000-8000-000000000000'::uuid as uuid, '{}'::jsonb as jsonb,
  statement_timestamp() as timestamptz, 'text'::text as text
