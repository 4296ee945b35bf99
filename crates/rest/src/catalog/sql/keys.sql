-- Primary, unique and foreign keys, with the numbers of their columns.
select
  k.contype,
  k.conname,
  k.conrelid,
  k.conkey::text,
  k.confrelid,
  k.confkey::text,
  -- The keys of partitions repeat those of their parents.
  k.conparentid <> 0 as inherited
from pg_constraint k
where k.contype in ('p', 'u', 'f')
  and k.connamespace <> 'pg_catalog'::regnamespace
order by k.conrelid, k.conname, k.oid
