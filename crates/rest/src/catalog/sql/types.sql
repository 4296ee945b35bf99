-- Types of columns. $1 and $2: their oids and modifiers, side by side.
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
  )
select
  u.type,
  u.modifier,
  t.typtype = 'd' as is_domain,
  t.typtype = 'd' and t.typnotnull as not_null,
  case
    -- A domain over a built-in type passes for that type, any other keeps its name.
    when t.typtype = 'd' and b.typnamespace = 'pg_catalog'::regnamespace then format_type(b.base, null)
    when t.typtype <> 'd' and t.typnamespace = 'pg_catalog'::regnamespace then format_type(t.oid, null)
    else format_type(t.oid, u.modifier)
  end as data_type,
  format_type(t.oid, u.modifier) as nominal_type,
  case
    when m.type in (1042, 1043) and m.modifier >= 4 then m.modifier - 4
    when m.type in (1560, 1562) and m.modifier >= 0 then m.modifier
  end as max_length,
  case when t.typtype = 'd' then pg_get_expr(t.typdefaultbin, 0) end as default_value,
  (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = coalesce(b.base, t.oid))
    as labels
from unnest($1::oid[], $2::int[]) as u (type, modifier)
join pg_type t on t.oid = u.type
left join bases b on b.oid = t.oid
cross join lateral (
  select
    case when t.typtype = 'd' then t.typbasetype else t.oid end as type,
    case when t.typtype = 'd' then t.typtypmod else u.modifier end as modifier
) m
