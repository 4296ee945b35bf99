-- What the server applies to a new connection (`alter role … set`, `alter database … set`), without what configures this service.
select coalesce(string_agg(concat_ws(' ', s.setrole, s.setdatabase, one.setting), e'\n' order by s.setrole, s.setdatabase, one.setting), '')
from pg_db_role_setting s
cross join lateral unnest(s.setconfig) as one (setting)
where s.setrole in (0, quote_ident(current_user)::regrole)
  and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and one.setting not like 'pgrst.%'
