-- What a pool that was handed in has set; compared with what our promises need.
select setting.name, current_setting(setting.name) as value, setting.setting as raw
from pg_catalog.pg_settings as setting
where setting.name = any ($1::text[])
