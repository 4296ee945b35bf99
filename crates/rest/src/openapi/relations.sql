-- The relations of a schema that the current role may use in some way. $1: the schema.
select c.relname
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1
  and c.relkind in ('r', 'v', 'm', 'f', 'p')
  and not c.relispartition
  and (
    pg_catalog.pg_has_role(c.relowner, 'usage')
    or pg_catalog.has_table_privilege(
      c.oid, 'select, insert, update, delete, truncate, references, trigger')
    or pg_catalog.has_any_column_privilege(c.oid, 'select, insert, update, references')
  )
