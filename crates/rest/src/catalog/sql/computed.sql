-- Functions from a row of one relation to rows of another. $1: the exposed schemas.
-- From the functions by way of their types: there are far fewer functions with one argument than relations.
with candidates as materialized (
  select p.pronamespace, p.proname, p.proretset, p.prorows, a.typrelid as relation, r.typrelid as target
  from pg_proc p
  join pg_type a on a.oid = p.proargtypes[0]
  join pg_type r on r.oid = p.prorettype
  where p.pronargs = 1
    and a.typtype = 'c'
    and r.typtype = 'c'
)
select
  pn.nspname,
  p.proname,
  an.nspname as table_schema,
  ac.relname as table_name,
  rn.nspname as target_schema,
  rc.relname as target_name,
  not p.proretset or p.prorows = 1 as to_one
from candidates p
join pg_namespace pn on pn.oid = p.pronamespace
join pg_class ac on ac.oid = p.relation
join pg_namespace an on an.oid = ac.relnamespace
join pg_class rc on rc.oid = p.target
join pg_namespace rn on rn.oid = rc.relnamespace
where ac.relkind in ('r', 'v', 'm', 'f', 'p')
  and rc.relkind in ('r', 'v', 'm', 'f', 'p')
  and an.nspname = any ($1::text[])
  and rn.nspname = any ($1::text[])
