-- Functions from a row of one relation to rows of another. $1: the exposed schemas.
select
  pn.nspname,
  p.proname,
  an.nspname as table_schema,
  ac.relname as table_name,
  rn.nspname as target_schema,
  rc.relname as target_name,
  not p.proretset or p.prorows = 1 as to_one
from pg_proc p
join pg_namespace pn on pn.oid = p.pronamespace
join pg_class ac on ac.reltype = p.proargtypes[0]
join pg_namespace an on an.oid = ac.relnamespace
join pg_class rc on rc.reltype = p.prorettype
join pg_namespace rn on rn.oid = rc.relnamespace
where p.pronargs = 1
  and ac.relkind in ('r', 'v', 'm', 'f', 'p')
  and rc.relkind in ('r', 'v', 'm', 'f', 'p')
  and an.nspname = any ($1::text[])
  and rn.nspname = any ($1::text[])
