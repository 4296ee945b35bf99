-- One line for each property of each object of a schema ($1) that other programs can depend on. Function bodies are left
-- out, and so are the not-null constraints that PostgreSQL names itself since 18.
with relation as (
    select c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relacl
    from pg_class c
    where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S') and not c.relispartition
),
granted (object, owner, acl) as (
    select case when relkind = 'S' then 'sequence ' else 'table ' end || relname, relowner, relacl from relation
    union all
    select 'function ' || p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
    from pg_proc p
    where p.pronamespace = $1::text::regnamespace
),
line (line) as (
    select format(
        'table %s owner %s%s%s%s', relname, relowner::regrole,
        case relkind when 'p' then ' partitioned by ' || pg_get_partkeydef(oid) else '' end,
        case when relrowsecurity then ' row level security' else '' end,
        case when relforcerowsecurity then ' forced' else '' end
    )
    from relation where relkind <> 'S'
    union all
    select format(
        'column %s.%s %s%s%s%s%s', r.relname,
        lpad((row_number() over (partition by r.oid order by a.attnum))::text, 2, '0') || ' ' || quote_ident(a.attname),
        format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then ' not null' else '' end,
        case when a.attcollation <> t.typcollation then ' collate ' || a.attcollation::regcollation else '' end,
        case a.attidentity when 'a' then ' identity always' when 'd' then ' identity by default' else '' end,
        case when d.oid is not null then
            case a.attgenerated when 's' then ' generated ' else ' default ' end || pg_get_expr(d.adbin, d.adrelid)
        else '' end
    )
    from relation r
    join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    where r.relkind <> 'S'
    union all
    select format('constraint %s.%I %s', r.relname, c.conname, pg_get_constraintdef(c.oid))
    from relation r join pg_constraint c on c.conrelid = r.oid
    where c.contype <> 'n'
    union all
    select 'index ' || pg_get_indexdef(i.indexrelid)
    from relation r join pg_index i on i.indrelid = r.oid
    union all
    select 'trigger ' || pg_get_triggerdef(t.oid)
    from relation r join pg_trigger t on t.tgrelid = r.oid
    where not t.tgisinternal
    union all
    select format('policy %s.%I', r.relname, p.polname) from relation r join pg_policy p on p.polrelid = r.oid
    union all
    select format('sequence %s owner %s of %s.%s', r.relname, r.relowner::regrole, d.refobjid::regclass, a.attname)
    from relation r
    join pg_depend d on d.objid = r.oid and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass
        and d.classid = 'pg_class'::regclass
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where r.relkind = 'S'
    union all
    select format('enum %s owner %s (%s)', t.typname, t.typowner::regrole, string_agg(e.enumlabel, ', ' order by e.enumsortorder))
    from pg_type t join pg_enum e on e.enumtypid = t.oid
    where t.typnamespace = $1::text::regnamespace
    group by t.oid, t.typname, t.typowner
    union all
    select format(
        'composite %s owner %s (%s)', t.typname, t.typowner::regrole,
        string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
    )
    from pg_type t
    join pg_class c on c.oid = t.typrelid and c.relkind = 'c'
    join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    where t.typnamespace = $1::text::regnamespace
    group by t.oid, t.typname, t.typowner
    union all
    select format(
        'function %s(%s) returns %s language %s %s%s%s%s owner %s', p.proname, pg_get_function_arguments(p.oid),
        pg_get_function_result(p.oid), l.lanname,
        case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
        case when p.proisstrict then ' strict' else '' end,
        case when p.prosecdef then ' security definer' else '' end,
        coalesce(' set ' || array_to_string(p.proconfig, ', '), ''),
        p.proowner::regrole
    )
    from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = $1::text::regnamespace
    union all
    select format(
        'grant %s to %s: %s', g.object, case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
        string_agg(a.privilege_type || case when a.is_grantable then '*' else '' end, ' ' order by a.privilege_type)
    )
    from granted g, aclexplode(g.acl) as a
    -- MAINTAIN came with 17; it is granted with everything else.
    where a.grantee <> g.owner and a.privilege_type <> 'MAINTAIN'
    group by g.object, a.grantee
    union all
    select format('comment on %s %s: %s', i.type, i.identity, d.description)
    from pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) as i
    where i.schema = $1::text or (i.type = 'table column' and starts_with(i.identity, $1::text || '.'))
)
select line from line order by line collate "C"
