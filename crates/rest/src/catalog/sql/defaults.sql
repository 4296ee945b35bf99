-- The defaults of columns in exposed schemas; what identity columns take is one. $1: the exposed schemas.
-- Defaults name no columns, so PostgreSQL need not open the table to print them.
select d.adrelid, d.adnum, pg_get_expr(d.adbin, 0)
from pg_attrdef d
join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
join pg_class c on c.oid = d.adrelid
join pg_namespace n on n.oid = c.relnamespace
where a.attgenerated = ''
  and not c.relispartition
  and n.nspname = any ($1::text[])
union all
select d.refobjid, d.refobjsubid, format('nextval(%L)', d.objid::regclass)
from pg_depend d
join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
join pg_class c on c.oid = d.refobjid
join pg_namespace n on n.oid = c.relnamespace
where d.classid = 'pg_class'::regclass
  and d.refclassid = 'pg_class'::regclass
  and d.deptype = 'i'
  and a.attidentity = 'd'
  and not c.relispartition
  and n.nspname = any ($1::text[])
