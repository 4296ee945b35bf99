-- Listings over HTTP: `search` by pages of offset, in two forms, and `search_v2` by cursor.
--
-- Covers Storage's migrations 37 (add-bucket-name-length-trigger) to 39 (add-search-v2-sort-support), and the bodies of
-- `search` that 9, 10, 23, 34 and 36 replaced one after the other.

create or replace function storage.enforce_bucket_name_length() returns trigger
language plpgsql
as $$
begin
    if length(new.name) > 100 then
        raise exception 'bucket name "%" is too long (% characters). Max is 100.', new.name, length(new.name);
    end if;
    return new;
end
$$;

create or replace trigger enforce_bucket_name_length_trigger
    before insert or update of name on storage.buckets
    for each row execute function storage.enforce_bucket_name_length();

do $$
begin
    if to_regtype('storage.buckettype') is null then
        create type storage.buckettype as enum ('STANDARD', 'ANALYTICS');
    end if;
end
$$;

alter table storage.buckets drop column if exists iceberg_catalog;
alter table storage.buckets add column if not exists type storage.buckettype not null default 'STANDARD';

create table if not exists storage.buckets_analytics (
    id text not null,
    type storage.buckettype not null default 'ANALYTICS',
    format text not null default 'ICEBERG',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint buckets_analytics_pkey primary key (id)
);

alter table storage.buckets_analytics
    add column if not exists type storage.buckettype not null default 'ANALYTICS';

create table if not exists storage.iceberg_namespaces (
    id uuid not null default gen_random_uuid(),
    bucket_id text not null,
    name text collate "C" not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint iceberg_namespaces_pkey primary key (id),
    constraint iceberg_namespaces_bucket_id_fkey
        foreign key (bucket_id) references storage.buckets_analytics (id) on delete cascade
);

create unique index if not exists idx_iceberg_namespaces_bucket_id on storage.iceberg_namespaces (bucket_id, name);

create table if not exists storage.iceberg_tables (
    id uuid not null default gen_random_uuid(),
    namespace_id uuid not null,
    bucket_id text not null,
    name text collate "C" not null,
    location text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint iceberg_tables_pkey primary key (id),
    constraint iceberg_tables_namespace_id_fkey
        foreign key (namespace_id) references storage.iceberg_namespaces (id) on delete cascade,
    constraint iceberg_tables_bucket_id_fkey
        foreign key (bucket_id) references storage.buckets_analytics (id) on delete cascade
);

create unique index if not exists idx_iceberg_tables_namespace_id on storage.iceberg_tables (namespace_id, name);

alter table storage.buckets_analytics enable row level security;
alter table storage.iceberg_namespaces enable row level security;
alter table storage.iceberg_tables enable row level security;
grant all on storage.buckets_analytics to service_role, authenticated, anon;
revoke all on storage.iceberg_namespaces, storage.iceberg_tables from anon, authenticated;
grant all on storage.iceberg_namespaces, storage.iceberg_tables to service_role;
grant select on storage.iceberg_namespaces, storage.iceberg_tables to authenticated, anon;

-- The five-argument form of the first schema would make calls ambiguous.
drop function if exists storage.search(text, text, int, int, int);

-- For roles under row level security: folders are what the visible objects imply. `levels` is the depth that is listed;
-- folders come first, then files, each sorted.
create or replace function storage.search_legacy_v1(
    prefix text,
    bucketname text,
    limits int default 100,
    levels int default 1,
    offsets int default 0,
    search text default '',
    sortcolumn text default 'name',
    sortorder text default 'asc'
) returns table (
    name text,
    id uuid,
    updated_at timestamptz,
    created_at timestamptz,
    last_accessed_at timestamptz,
    metadata jsonb
)
language plpgsql stable
as $$
declare
    direction constant text := case sortorder when 'desc' then 'desc' else 'asc' end;
    sorted_by constant text := case
        when sortcolumn in ('updated_at', 'created_at', 'last_accessed_at') then sortcolumn
        else 'name'
    end;
begin
    return query execute format(
        $sql$
        (
            select o.path_tokens[$1] as name, null::uuid, null::timestamptz, null::timestamptz, null::timestamptz,
                null::jsonb
            from storage.objects o
            where o.bucket_id = $2 and o.name ilike $3 and cardinality(o.path_tokens) <> $1
            group by o.path_tokens[$1]
            order by 1 %1$s
        )
        union all
        (
            select o.path_tokens[$1] as name, o.id, o.updated_at, o.created_at, o.last_accessed_at, o.metadata
            from storage.objects o
            where o.bucket_id = $2 and o.name ilike $3 and cardinality(o.path_tokens) = $1
            order by %2$I %1$s
        )
        limit $4 offset $5
        $sql$,
        direction, sorted_by
    ) using levels, bucketname, prefix || search || '%', limits, offsets;
end
$$;

-- For roles that bypass row level security: folders come from their own table.
create or replace function storage.search_v1_optimised(
    prefix text,
    bucketname text,
    limits int default 100,
    levels int default 1,
    offsets int default 0,
    search text default '',
    sortcolumn text default 'name',
    sortorder text default 'asc'
) returns table (
    name text,
    id uuid,
    updated_at timestamptz,
    created_at timestamptz,
    last_accessed_at timestamptz,
    metadata jsonb
)
language plpgsql stable
as $$
declare
    direction constant text := case sortorder when 'desc' then 'desc' else 'asc' end;
    sorted_by constant text := case
        when sortcolumn in ('updated_at', 'created_at', 'last_accessed_at') then sortcolumn
        else 'name'
    end;
begin
    return query execute format(
        $sql$
        (
            select (string_to_array(p.name, '/'))[p.level] as name, null::uuid, null::timestamptz, null::timestamptz,
                null::timestamptz, null::jsonb
            from storage.prefixes p
            where p.bucket_id = $2 and p.level = $1 and lower(p.name) like $3
            order by 1 %1$s
        )
        union all
        (
            select o.path_tokens[o.level] as name, o.id, o.updated_at, o.created_at, o.last_accessed_at, o.metadata
            from storage.objects o
            where o.bucket_id = $2 and o.level = $1 and lower(o.name) like $3
            order by %2$I %1$s
        )
        limit $4 offset $5
        $sql$,
        direction, sorted_by
    ) using levels, bucketname, lower(prefix || search) || '%', limits, offsets;
end
$$;

create or replace function storage.search(
    prefix text,
    bucketname text,
    limits int default 100,
    levels int default 1,
    offsets int default 0,
    search text default '',
    sortcolumn text default 'name',
    sortorder text default 'asc'
) returns table (
    name text,
    id uuid,
    updated_at timestamptz,
    created_at timestamptz,
    last_accessed_at timestamptz,
    metadata jsonb
)
language plpgsql volatile
as $$
begin
    if (select r.rolbypassrls from pg_catalog.pg_roles r where r.rolname = current_user) then
        return query
        select * from storage.search_v1_optimised(
            prefix, bucketname, limits, levels, offsets, search, sortcolumn, sortorder
        );
    else
        return query
        select * from storage.search_legacy_v1(
            prefix, bucketname, limits, levels, offsets, search, sortcolumn, sortorder
        );
    end if;
end
$$;

-- One page of folders and files together, in byte order of their names or by a time with the name as tie-breaker. The
-- page before ended at `start_after`, whose time was `sort_column_after` (in milliseconds, as clients carry it).
drop function if exists storage.search_v2(text, text, int, int, text);
create or replace function storage.search_v2(
    prefix text,
    bucket_name text,
    limits int default 100,
    levels int default 1,
    start_after text default '',
    sort_order text default 'asc',
    sort_column text default 'name',
    sort_column_after text default ''
) returns table (
    key text,
    name text,
    id uuid,
    updated_at timestamptz,
    created_at timestamptz,
    last_accessed_at timestamptz,
    metadata jsonb
)
language plpgsql stable
as $$
declare
    descending constant boolean := coalesce(lower(sort_order) = 'desc', false);
    direction constant text := case when descending then 'desc' else 'asc' end;
    beyond constant text := case when descending then '<' else '>' end;
    by_time constant boolean := coalesce(lower(sort_column) in ('updated_at', 'created_at'), false);
    following text;
    sorting text;
begin
    if by_time then
        following := format(
            $sql$(date_trunc('milliseconds', %I), name collate "C") %s
                (coalesce(nullif($6, '')::timestamptz, 'epoch'), $5)$sql$,
            lower(sort_column), beyond
        );
        sorting := format(
            $sql$coalesce(date_trunc('milliseconds', %I), 'epoch') %s, name collate "C" %2$s$sql$,
            lower(sort_column), direction
        );
    else
        following := format('name collate "C" %s $5', beyond);
        sorting := format('name collate "C" %s', direction);
    end if;

    return query execute format(
        $sql$
        select entry.* from (
            (
                select split_part(name, '/', $4) as key, name, null::uuid as id, updated_at, created_at,
                    null::timestamptz as last_accessed_at, null::jsonb as metadata
                from storage.prefixes
                where bucket_id = $2 and level = $4 and name collate "C" ^@ $1 and ($5 = '' or %1$s)
                order by %2$s
                limit $3
            )
            union all
            (
                select split_part(name, '/', $4), name, id, updated_at, created_at, last_accessed_at, metadata
                from storage.objects
                where bucket_id = $2 and level = $4 and name collate "C" ^@ $1 and ($5 = '' or %1$s)
                order by %2$s
                limit $3
            )
        ) entry
        order by %2$s
        limit $3
        $sql$,
        following, sorting
    ) using coalesce(prefix, ''), bucket_name, limits, levels, coalesce(start_after, ''), sort_column_after;
end
$$;
