-- Media handlers: aggregates over a relation's rows (or any rows), and functions, that return a domain named like a media
-- type. $1: the exposed schemas.
with media as (
  select t.oid, t.typname, n.nspname
  from pg_type t
  join pg_namespace n on n.oid = t.typnamespace
  where t.typtype = 'd'
    and (t.typname = '*/*' or t.typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$')
)
select
  pn.nspname as handler_schema,
  p.proname as handler_name,
  case when t.typname <> 'anyelement' then tn.nspname end as target_schema,
  case when t.typname <> 'anyelement' then t.typname end as target_name,
  media.typname as media_type
from media
join pg_proc p on p.prorettype = media.oid and p.prokind = 'a' and p.pronargs = 1
join pg_namespace pn on pn.oid = p.pronamespace
join pg_type t on t.oid = p.proargtypes[0]
join pg_namespace tn on tn.oid = t.typnamespace
where pn.nspname = any ($1::text[])
  and (
    t.typname = 'anyelement'
    or exists (select from pg_class c where c.reltype = t.oid and c.relkind in ('r', 'v', 'm', 'f', 'p'))
  )
union all
select media.nspname, media.typname, pn.nspname, p.proname, media.typname
from media
join pg_proc p on p.prorettype = media.oid and p.prokind = 'f' and not p.proretset
join pg_namespace pn on pn.oid = p.pronamespace
where pn.nspname = any ($1::text[])
