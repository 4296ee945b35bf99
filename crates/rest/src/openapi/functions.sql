-- The functions of a schema that the current role may call. $1: the schema.
select distinct p.proname
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1
  and p.prokind = 'f'
  and pg_catalog.has_function_privilege(p.oid, 'execute')
