-- Buckets and objects under row level security, and the helpers that policies read an object's name with.
--
-- Covers Storage's migrations 1 (initialmigration) to 19 (alter-default-value-objects-id).

create table if not exists storage.buckets (
    id text not null,
    name text not null,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    constraint buckets_pkey primary key (id)
);

create unique index if not exists bname on storage.buckets (name);

create table if not exists storage.objects (
    id uuid not null default gen_random_uuid(),
    bucket_id text,
    name text,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(),
    metadata jsonb,
    constraint objects_pkey primary key (id),
    constraint "objects_bucketId_fkey" foreign key (bucket_id) references storage.buckets (id)
);

-- The arbiter of upserts.
create unique index if not exists bucketid_objname on storage.objects (bucket_id, name);
create index if not exists name_prefix_search on storage.objects (name text_pattern_ops);

-- Owners are not always users of the auth schema: tokens may come from elsewhere, and users are deleted.
alter table storage.buckets drop constraint if exists buckets_owner_fkey;
alter table storage.objects drop constraint if exists objects_owner_fkey;
alter table storage.objects alter column id set default gen_random_uuid();

alter table storage.buckets
    add column if not exists public boolean default false,
    add column if not exists avif_autodetection boolean default false;

-- The size limit was counted in kilobytes under another name for a short while; its values are taken over unchanged.
do $$
declare
    columns name[] := array(
        select attname from pg_attribute
        where attrelid = 'storage.buckets'::regclass and attnum > 0 and not attisdropped
    );
begin
    if not 'max_file_size_kb' = any (columns) then
        alter table storage.buckets add column if not exists file_size_limit bigint;
    elsif not 'file_size_limit' = any (columns) then
        alter table storage.buckets rename column max_file_size_kb to file_size_limit;
        alter table storage.buckets alter column file_size_limit type bigint;
    else
        alter table storage.buckets drop column max_file_size_kb;
    end if;
end
$$;

alter table storage.buckets
    add column if not exists allowed_mime_types text[],
    add column if not exists owner_id text;

alter table storage.objects
    add column if not exists path_tokens text[] generated always as (string_to_array(name, '/')) stored,
    add column if not exists version text,
    add column if not exists owner_id text;

comment on column storage.buckets.owner is 'Field is deprecated, use owner_id instead';
comment on column storage.objects.owner is 'Field is deprecated, use owner_id instead';

-- Everything is granted and nothing is visible until the user writes policies. The ledger is the service's alone.
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
alter table storage.migrations enable row level security;
grant all on storage.buckets, storage.objects to postgres, anon, authenticated, service_role;

-- The part of a name after its last slash.
create or replace function storage.filename(name text) returns text
language plpgsql
as $$
declare
    segments text[] := string_to_array(name, '/');
begin
    return segments[cardinality(segments)];
end
$$;

create or replace function storage.update_updated_at_column() returns trigger
language plpgsql
as $$
begin
    new.updated_at = now();
    return new;
end
$$;

create or replace trigger update_objects_updated_at
    before update on storage.objects
    for each row execute function storage.update_updated_at_column();

-- Asks the insert policies without leaving a row: the exception that reports success undoes the insert. Callers know
-- success by its sqlstate.
create or replace function storage.can_insert_object(bucketid text, name text, owner uuid, metadata jsonb) returns void
language plpgsql
as $$
begin
    insert into storage.objects (bucket_id, name, owner, metadata)
    values (can_insert_object.bucketid, can_insert_object.name, can_insert_object.owner, can_insert_object.metadata);

    raise sqlstate 'PT200' using message = 'ROLLBACK', detail = 'rollback successful insert';
end
$$;
