-- See that the archive has the days on which jobs that end in the coming week may be forgotten, for each
-- length of keeping in $1 (days), and drop the days that have passed. Safe to run by everybody at once.
select tended.day, tended.deed
from asyncjobs.tend_archive(
  array(
    select distinct (statement_timestamp() at time zone 'utc')::date + kept.days + 1 + ahead.days
    from unnest($1::integer[]) as kept (days)
    cross join generate_series(0, 7) as ahead (days)
    order by 1
  )
) as tended
