-- The names of columns of relations outside the exposed schemas, as far as these have keys. $1: the exposed schemas.
select a.attrelid, a.attnum, a.attname
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where a.attnum > 0
  and not a.attisdropped
  and c.relkind in ('r', 'f', 'p')
  and n.nspname <> all ($1::text[] || '{pg_catalog,information_schema,pg_toast}')
  and c.oid in (
    select conrelid from pg_constraint where contype in ('p', 'u', 'f')
    union all
    select confrelid from pg_constraint where contype = 'f'
  )
