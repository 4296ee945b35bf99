-- Every relation outside the system schemas: those in exposed schemas to be offered, the others because views and
-- junctions may lead through them. $1: the exposed schemas.
select
  c.oid,
  n.nspname,
  c.relname,
  c.relkind in ('v', 'm') as is_view,
  c.relispartition,
  n.nspname = any ($1::text[]) as exposed,
  d.description,
  -- The bits are those of pg_relation_is_updatable: 8 insert, 4 update, 16 delete, INSTEAD OF triggers included.
  case
    when c.relkind in ('r', 'p') then 28
    when c.relkind in ('v', 'f') and n.nspname = any ($1::text[]) then pg_relation_is_updatable(c.oid, true)
    else 0
  end as updatable
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_description d
  on d.objoid = c.oid and d.objsubid = 0 and d.classoid = 'pg_class'::regclass and n.nspname = any ($1::text[])
where c.relkind in ('r', 'v', 'm', 'f', 'p')
  and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  and not pg_is_other_temp_schema(n.oid)
