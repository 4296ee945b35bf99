-- What the S3 protocol needs: uploads in parts, listings by delimiter, metadata of the user's own.
--
-- Covers Storage's migrations 20 (list-objects-with-delimiter) to 25 (custom-metadata).

-- S3 orders keys by their bytes.
create index if not exists idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");

create table if not exists storage.s3_multipart_uploads (
    id text not null,
    in_progress_size bigint not null default 0,
    upload_signature text not null,
    bucket_id text not null,
    key text collate "C" not null,
    version text not null,
    owner_id text,
    created_at timestamptz not null default now(),
    constraint s3_multipart_uploads_pkey primary key (id),
    constraint s3_multipart_uploads_bucket_id_fkey foreign key (bucket_id) references storage.buckets (id)
);

create table if not exists storage.s3_multipart_uploads_parts (
    id uuid not null default gen_random_uuid(),
    upload_id text not null,
    size bigint not null default 0,
    part_number int not null,
    bucket_id text not null,
    key text collate "C" not null,
    etag text not null,
    owner_id text,
    version text not null,
    created_at timestamptz not null default now(),
    constraint s3_multipart_uploads_parts_pkey primary key (id),
    constraint s3_multipart_uploads_parts_bucket_id_fkey foreign key (bucket_id) references storage.buckets (id),
    constraint s3_multipart_uploads_parts_upload_id_fkey
        foreign key (upload_id) references storage.s3_multipart_uploads (id) on delete cascade
);

create index if not exists idx_multipart_uploads_list
    on storage.s3_multipart_uploads (bucket_id, key collate "C", created_at);

-- Sizes were int in migration 21; nothing is rewritten where they are bigint.
alter table storage.s3_multipart_uploads alter column in_progress_size type bigint;
alter table storage.s3_multipart_uploads_parts alter column size type bigint;

alter table storage.s3_multipart_uploads add column if not exists user_metadata jsonb;
alter table storage.objects add column if not exists user_metadata jsonb;

alter table storage.s3_multipart_uploads enable row level security;
alter table storage.s3_multipart_uploads_parts enable row level security;
revoke all on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts from anon, authenticated;
grant all on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to service_role;
grant select on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to authenticated, anon;

-- The request's operation as the server names it (`storage.object.upload` and so on), for policies that tell them apart.
create or replace function storage.operation() returns text
language plpgsql stable
as $$
begin
    return current_setting('storage.operation', true);
end
$$;

-- One page of an S3 listing: objects below the prefix in byte order, those that share a name up to the next delimiter
-- folded into one row. `next_token` is the last name of the page before, `start_after` the client's own starting point.
create or replace function storage.list_objects_with_delimiter(
    bucket_id text,
    prefix_param text,
    delimiter_param text,
    max_keys integer default 100,
    start_after text default '',
    next_token text default ''
) returns table (name text, id uuid, metadata jsonb, updated_at timestamptz)
language plpgsql
as $$
#variable_conflict use_column
declare
    in_bucket constant text := list_objects_with_delimiter.bucket_id;
    within constant text := coalesce(prefix_param, '');
    delimiter constant text := nullif(delimiter_param, '');
begin
    return query
    select distinct on (folded.name) folded.name, o.id, o.metadata, o.updated_at
    from storage.objects o
    cross join lateral (
        select nullif(position(delimiter in substr(o.name, length(within) + 1)), 0) as at
    ) found
    cross join lateral (
        select coalesce(left(o.name, length(within) + found.at - 1 + length(delimiter)), o.name) collate "C" as name
    ) folded
    where o.bucket_id = in_bucket
        and o.name collate "C" ^@ within
        and (coalesce(start_after, '') = '' or o.name collate "C" > start_after)
        and (coalesce(next_token, '') = '' or folded.name > next_token)
    order by folded.name, o.name collate "C"
    limit max_keys;
end
$$;

-- The same for uploads that are under way. A page continues after a key, or after an upload of the same key.
create or replace function storage.list_multipart_uploads_with_delimiter(
    bucket_id text,
    prefix_param text,
    delimiter_param text,
    max_keys integer default 100,
    next_key_token text default '',
    next_upload_token text default ''
) returns table (key text, id text, created_at timestamptz)
language plpgsql
as $$
#variable_conflict use_column
declare
    in_bucket constant text := list_multipart_uploads_with_delimiter.bucket_id;
    within constant text := coalesce(prefix_param, '');
    delimiter constant text := nullif(delimiter_param, '');
    after_key constant text := coalesce(next_key_token, '');
    after_upload constant text := coalesce(next_upload_token, '');
begin
    return query
    select distinct on (folded.key) folded.key, u.id, u.created_at
    from storage.s3_multipart_uploads u
    cross join lateral (
        select nullif(position(delimiter in substr(u.key, length(within) + 1)), 0) as at
    ) found
    cross join lateral (
        select coalesce(left(u.key, length(within) + found.at - 1 + length(delimiter)), u.key) collate "C" as key
    ) folded
    where u.bucket_id = in_bucket
        and u.key ^@ within
        and case
            when after_upload <> '' then u.id collate "C" > after_upload
            else after_key = '' or folded.key > after_key
        end
    order by folded.key, u.created_at
    limit max_keys;
end
$$;
