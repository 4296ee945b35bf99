-- Primary, unique and foreign keys, one row for each of their columns.
select
  k.oid,
  k.contype,
  k.conname,
  k.conrelid,
  a.attnum,
  a.attname,
  k.confrelid,
  fa.attnum as foreign_attnum,
  fa.attname as foreign_attname,
  -- The keys of partitions repeat those of their parents.
  k.conparentid <> 0 as inherited
from pg_constraint k
cross join lateral unnest(k.conkey, k.confkey) with ordinality as c (attnum, foreign_attnum, position)
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.attnum
left join pg_attribute fa on k.contype = 'f' and fa.attrelid = k.confrelid and fa.attnum = c.foreign_attnum
where k.contype in ('p', 'u', 'f')
  and k.connamespace <> 'pg_catalog'::regnamespace
order by k.conrelid, k.conname, k.oid, c.position
