-- A table of folders beside the objects, kept by triggers, so that a listing need not visit every object below a folder.
--
-- Covers Storage's migrations 26 (objects-prefixes) to 36 (optimise-existing-functions). The triggers that 36 leaves on
-- `objects` and `prefixes` are those that 42 restores; they are in the file of 42.

alter table storage.objects add column if not exists level int;

-- The number of segments of a name.
create or replace function storage.get_level(name text) returns int
language sql immutable strict
as $$
    select array_length(string_to_array(name, '/'), 1)
$$;

-- The folder that a name lies in; empty at the top. A trailing slash belongs to the segment before it, except for a name
-- of one segment, which is returned as it is.
create or replace function storage.get_prefix(name text) returns text
language sql immutable strict
as $$
    select case when position('/' in name) = 0 then '' else regexp_replace(name, '/[^/]+/?$', '') end
$$;

-- Every folder above a name, outermost first.
create or replace function storage.get_prefixes(name text) returns text[]
language plpgsql immutable strict
as $$
declare
    segments constant text[] := string_to_array(name, '/');
begin
    return array(
        select array_to_string(segments[:depth], '/')
        from generate_series(1, cardinality(segments) - 1) as depth
        order by depth
    );
end
$$;

create table if not exists storage.prefixes (
    bucket_id text not null,
    name text collate "C" not null,
    level int not null generated always as (storage.get_level(name)) stored,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    constraint prefixes_pkey primary key (bucket_id, level, name),
    constraint "prefixes_bucketId_fkey" foreign key (bucket_id) references storage.buckets (id)
);

alter table storage.prefixes enable row level security;
grant all on storage.prefixes to service_role, authenticated, anon;

-- Runs as its owner: whoever may write an object may thereby make its folders.
create or replace function storage.add_prefixes(_bucket_id text, _name text) returns void
language plpgsql security definer
as $$
begin
    insert into storage.prefixes (bucket_id, name)
    select _bucket_id, folder from unnest(storage.get_prefixes(_name)) as folder
    on conflict do nothing;
end
$$;

-- Removes one folder unless something is directly inside it; says whether it did.
create or replace function storage.delete_prefix(_bucket_id text, _name text) returns boolean
language plpgsql security definer
as $$
declare
    depth constant int := storage.get_level(_name);
begin
    if exists (
        select from storage.prefixes p
        where p.bucket_id = _bucket_id and p.level = depth + 1 and p.name ^@ (_name || '/')
    ) or exists (
        select from storage.objects o
        where o.bucket_id = _bucket_id and o.level = depth + 1 and o.name collate "C" ^@ (_name || '/')
    ) then
        return false;
    end if;

    delete from storage.prefixes p
    where p.bucket_id = _bucket_id and p.level = depth and p.name = _name;
    return true;
end
$$;

create or replace function storage.prefixes_insert_trigger() returns trigger
language plpgsql
as $$
begin
    perform storage.add_prefixes(new.bucket_id, new.name);
    return new;
end
$$;

create or replace function storage.objects_insert_prefix_trigger() returns trigger
language plpgsql
as $$
begin
    perform storage.add_prefixes(new.bucket_id, new.name);
    new.level := storage.get_level(new.name);
    return new;
end
$$;

create or replace function storage.delete_prefix_hierarchy_trigger() returns trigger
language plpgsql
as $$
declare
    folder constant text := storage.get_prefix(old.name);
begin
    if folder <> '' then
        perform storage.delete_prefix(old.bucket_id, folder);
    end if;
    return old;
end
$$;

-- A moved object leaves folders in which nothing else lies, and makes those on its new way.
create or replace function storage.objects_update_prefix_trigger() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'UPDATE' and (new.name, new.bucket_id) is distinct from (old.name, old.bucket_id) then
        delete from storage.prefixes p
        where p.bucket_id = old.bucket_id
            and p.name = any (storage.get_prefixes(old.name))
            and not exists (
                select from storage.objects o
                where o.bucket_id = old.bucket_id and o.id <> old.id and o.name collate "C" ^@ (p.name || '/')
            );
        perform storage.add_prefixes(new.bucket_id, new.name);
    end if;
    new.level := storage.get_level(new.name);
    return new;
end
$$;

create or replace trigger prefixes_create_hierarchy
    before insert on storage.prefixes
    for each row when (pg_trigger_depth() < 1)
    execute function storage.prefixes_insert_trigger();

-- Folders and levels of objects that are older than these columns. `updated_at` of those objects stays what it was.
insert into storage.prefixes (bucket_id, name)
select distinct o.bucket_id, folder
from storage.objects o, unnest(storage.get_prefixes(o.name)) as folder
where folder <> ''
on conflict do nothing;

do $$
begin
    if exists (select from storage.objects where level is null) then
        alter table storage.objects disable trigger user;
        update storage.objects set level = storage.get_level(name) where level is null;
        alter table storage.objects enable trigger user;
    end if;
end
$$;

create unique index if not exists idx_name_bucket_level_unique on storage.objects (name collate "C", bucket_id, level);
create unique index if not exists objects_bucket_id_level_idx on storage.objects (bucket_id, level, name collate "C");
create index if not exists idx_objects_lower_name
    on storage.objects ((path_tokens[level]), lower(name) text_pattern_ops, bucket_id, level);
create index if not exists idx_prefixes_lower_name
    on storage.prefixes (bucket_id, level, ((string_to_array(name, '/'))[level]), lower(name) text_pattern_ops);

-- What follows the last dot of the last segment, or all of it.
create or replace function storage.extension(name text) returns text
language plpgsql immutable
as $$
declare
    segments constant text[] := string_to_array(name, '/');
begin
    return split_part(segments[cardinality(segments)], '.', -1);
end
$$;

-- All segments but the last. Policies write `(storage.foldername(name))[1]` for the outermost folder.
create or replace function storage.foldername(name text) returns text[]
language plpgsql immutable
as $$
declare
    segments constant text[] := string_to_array(name, '/');
begin
    return segments[:array_length(segments, 1) - 1];
end
$$;

-- Its columns had other names before 2021, which `create or replace` cannot change.
drop function if exists storage.get_size_by_bucket();
create function storage.get_size_by_bucket() returns table (size bigint, bucket_id text)
language plpgsql stable
as $$
begin
    return query
    select sum((o.metadata ->> 'size')::bigint)::bigint, o.bucket_id
    from storage.objects o
    group by o.bucket_id;
end
$$;
