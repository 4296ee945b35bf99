-- The columns of the relations in exposed schemas. $1: the exposed schemas.
-- Plain: types, defaults and comments are queries of their own, so that what follows from a type is worked out once, and
-- nothing is looked up for columns that have none.
select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '' as is_generated
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid
where a.attnum > 0
  and not a.attisdropped
  and c.relkind in ('r', 'v', 'm', 'f', 'p')
  and not c.relispartition
  and n.nspname = any ($1::text[])
