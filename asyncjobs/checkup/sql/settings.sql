-- What the server has set, of the settings $1 that it knows, as pg_settings says it. Walks no table.
select pg_settings.name, pg_settings.setting
from pg_catalog.pg_settings
where pg_settings.name = any ($1::text[])
