-- The columns of the relations in exposed schemas. $1: the exposed schemas.
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
  attributes as materialized (
    select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid
    where a.attnum > 0
      and not a.attisdropped
      and c.relkind in ('r', 'v', 'm', 'f', 'p')
      and not c.relispartition
      and n.nspname = any ($1::text[])
  ),
  -- There are few types and many columns: what follows from the type is worked out once.
  types as materialized (
    select
      u.atttypid,
      u.atttypmod,
      t.typtype = 'd' as is_domain,
      t.typtype = 'd' and t.typnotnull as not_null,
      case when t.typtype = 'd' then pg_get_expr(t.typdefaultbin, 0) end as default_value,
      case
        -- A domain over a built-in type passes for that type, any other keeps its name.
        when t.typtype = 'd' and b.typnamespace = 'pg_catalog'::regnamespace then format_type(b.base, null)
        when t.typtype <> 'd' and t.typnamespace = 'pg_catalog'::regnamespace then format_type(t.oid, null)
        else format_type(t.oid, u.atttypmod)
      end as data_type,
      format_type(t.oid, u.atttypmod) as nominal_type,
      case
        when m.type in (1042, 1043) and m.modifier >= 4 then m.modifier - 4
        when m.type in (1560, 1562) and m.modifier >= 0 then m.modifier
      end as max_length,
      (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = coalesce(b.base, t.oid))
        as labels
    from (select distinct atttypid, atttypmod from attributes) u
    join pg_type t on t.oid = u.atttypid
    left join bases b on b.oid = t.oid
    cross join lateral (
      select
        case when t.typtype = 'd' then t.typbasetype else t.oid end as type,
        case when t.typtype = 'd' then t.typtypmod else u.atttypmod end as modifier
    ) m
  )
select
  a.attrelid,
  a.attnum,
  a.attname,
  d.description,
  not (a.attnotnull or t.not_null) as nullable,
  t.data_type,
  t.nominal_type,
  t.max_length,
  case
    when t.is_domain and ad.adbin is null then t.default_value
    when a.attidentity = 'd' then (
      select format('nextval(%L)', s.objid::regclass)
      from pg_depend s
      where s.classid = 'pg_class'::regclass
        and s.refclassid = 'pg_class'::regclass
        and s.refobjid = a.attrelid
        and s.refobjsubid = a.attnum
        and s.deptype = 'i'
      limit 1
    )
    when a.attgenerated <> '' then null
    else pg_get_expr(ad.adbin, ad.adrelid)
  end as default_value,
  t.labels
from attributes a
join types t on t.atttypid = a.atttypid and t.atttypmod = a.atttypmod
left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
left join pg_description d
  on d.objoid = a.attrelid and d.objsubid = a.attnum and d.classoid = 'pg_class'::regclass
