-- The comments on columns in exposed schemas. $1: the exposed schemas.
select d.objoid, d.objsubid, d.description
from pg_description d
join pg_class c on c.oid = d.objoid
join pg_namespace n on n.oid = c.relnamespace
where d.classoid = 'pg_class'::regclass
  and d.objsubid > 0
  and n.nspname = any ($1::text[])
