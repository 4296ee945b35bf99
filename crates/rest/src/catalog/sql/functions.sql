-- The functions of exposed schemas that can be called by named arguments, or with one argument that has no name.
-- $1: the exposed schemas, $2: patterns of the settings that are applied before a call.
with recursive
  domains as (
    select oid, typbasetype as base from pg_type where typtype = 'd'
    union all
    select d.oid, t.typbasetype from domains d join pg_type t on t.oid = d.base where t.typtype = 'd'
  )
select
  n.nspname,
  p.proname,
  d.description,
  i.parameters,
  rn.nspname as return_schema,
  coalesce(rc.relname, rt.typname) as return_name,
  p.proretset,
  rt.typtype = 'c' or coalesce(p.proargmodes::text[] && '{t,b,o}', false) as composite,
  p.provolatile,
  p.provariadic <> 0 as variadic,
  (
    select lower(split_part(setting, '=', 2))
    from unnest(p.proconfig) as setting
    where setting like 'default\_transaction\_isolation=%'
    limit 1
  ) as isolation,
  (
    select json_agg(json_build_array(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)))
    from unnest(p.proconfig) as setting
    where setting ~ any ($2::text[])
  ) as settings
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
left join domains rd
  on rd.oid = p.prorettype and not exists (select from domains inner_domain where inner_domain.oid = rd.base)
join pg_type rt on rt.oid = coalesce(rd.base, p.prorettype)
join pg_namespace rn on rn.oid = rt.typnamespace
left join pg_class rc on rc.oid = rt.typrelid
left join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass and d.objsubid = 0
cross join lateral (
  select
    coalesce(json_agg(
      json_build_array(
        coalesce(argument.name, ''),
        format_type(argument.type, null),
        argument.position <= p.pronargs - p.pronargdefaults,
        argument.mode = 'v'
      ) order by argument.position
    ), '[]') as parameters,
    count(*) filter (where coalesce(argument.name, '') = '') as unnamed,
    count(*) as total,
    min(argument.type::oid) as type
  from (
    select
      one.name, one.type, coalesce(one.mode, 'i') as mode,
      row_number() over (order by one.position) as position
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
      with ordinality as one (type, name, mode, position)
    where coalesce(one.mode, 'i') in ('i', 'b', 'v')
  ) argument
) i
where n.nspname = any ($1::text[])
  and p.prokind = 'f'
  and rt.oid <> 'trigger'::regtype
  and (
    i.unnamed = 0
    or (
      i.total = 1
      and i.type in ('bytea'::regtype, 'json'::regtype, 'jsonb'::regtype, 'text'::regtype, 'xml'::regtype)
    )
  )
