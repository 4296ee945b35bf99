-- The columns of the relations in exposed schemas, in order. $1: the exposed schemas.
with recursive
  domains as (
    select oid, typbasetype as base from pg_type where typtype = 'd'
    union all
    select d.oid, t.typbasetype from domains d join pg_type t on t.oid = d.base where t.typtype = 'd'
  ),
  bases as (
    select d.oid, d.base, t.typnamespace
    from domains d
    join pg_type t on t.oid = d.base
    where t.typtype <> 'd'
  ),
  labels as (
    select enumtypid, json_agg(enumlabel order by enumsortorder) as labels from pg_enum group by enumtypid
  )
select
  a.attrelid,
  a.attnum,
  a.attname,
  d.description,
  not (a.attnotnull or (t.typtype = 'd' and t.typnotnull)) as nullable,
  case
    -- A domain over a built-in type passes for that type, any other keeps its name.
    when t.typtype = 'd' and b.typnamespace = 'pg_catalog'::regnamespace then format_type(b.base, null)
    when t.typtype <> 'd' and t.typnamespace = 'pg_catalog'::regnamespace then format_type(a.atttypid, null)
    else format_type(a.atttypid, a.atttypmod)
  end as data_type,
  format_type(a.atttypid, a.atttypmod) as nominal_type,
  case
    when m.type in (1042, 1043) and m.modifier >= 4 then m.modifier - 4
    when m.type in (1560, 1562) and m.modifier >= 0 then m.modifier
  end as max_length,
  case
    when t.typtype = 'd' and ad.adbin is null then pg_get_expr(t.typdefaultbin, 0)
    when a.attidentity = 'd' then format('nextval(%L)', s.objid::regclass)
    when a.attgenerated <> '' then null
    else pg_get_expr(ad.adbin, ad.adrelid)
  end as default_value,
  l.labels
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
cross join lateral (
  select
    case when t.typtype = 'd' then t.typbasetype else a.atttypid end as type,
    case when t.typtype = 'd' then t.typtypmod else a.atttypmod end as modifier
) m
left join bases b on b.oid = t.oid
left join labels l on l.enumtypid = coalesce(b.base, t.oid)
left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
left join pg_description d
  on d.objoid = a.attrelid and d.objsubid = a.attnum and d.classoid = 'pg_class'::regclass
left join pg_depend s
  on a.attidentity <> ''
  and s.refclassid = 'pg_class'::regclass
  and s.refobjid = a.attrelid
  and s.refobjsubid = a.attnum
  and s.classid = 'pg_class'::regclass
  and s.deptype = 'i'
where a.attnum > 0
  and not a.attisdropped
  and c.relkind in ('r', 'v', 'm', 'f', 'p')
  and not c.relispartition
  and n.nspname = any ($1::text[])
order by a.attrelid, a.attnum
