-- The settings of the login role that configure this service (`alter role … set pgrst.x`); those for this database win.
select substr(split_part(one.setting, '=', 1), length('pgrst.') + 1), substr(one.setting, strpos(one.setting, '=') + 1)
from pg_db_role_setting s
cross join lateral unnest(s.setconfig) as one (setting)
where s.setrole = quote_ident(current_user)::regrole
  and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and one.setting like 'pgrst.%'
order by s.setdatabase
