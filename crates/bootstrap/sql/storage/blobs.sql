-- What the service keeps beside the original's tables: which blobs it wrote, and uploads that are under way. In a schema
-- of its own that no API role may enter: `storage` is exposed over REST by many projects.

-- The ledger of blobs. A row is written before the blob is, and goes after the blob has gone: what is not in here was not
-- written by the service and is never removed by its sweeper.
create table if not exists _storage.blobs (
    -- The blob's name: `storage.objects.version` of the object that it belongs to.
    name text not null,
    written_at timestamptz not null default now(),
    -- When a row first referred to it.
    committed_at timestamptz,
    -- When the sweeper decided to remove it. From then on no row may refer to it.
    doomed_at timestamptz,
    constraint blobs_pkey primary key (name)
);

create index if not exists blobs_doomed_at_idx on _storage.blobs (doomed_at) where doomed_at is not null;

-- Resumable uploads that are under way.
create table if not exists _storage.uploads (
    id text not null,
    bucket_id text not null,
    key text not null,
    version text not null,
    owner_id text,
    -- Bytes in all; null while the client has not said.
    length bigint,
    upsert boolean not null default false,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    constraint uploads_pkey primary key (id)
);

create index if not exists uploads_expires_at_idx on _storage.uploads (expires_at) where expires_at is not null;

-- The parts of uploads, resumable ones and those of the S3 protocol: each a blob of its own.
create table if not exists _storage.parts (
    -- `_storage.uploads.id` or `storage.s3_multipart_uploads.id`.
    upload_id text not null,
    number int not null,
    blob text not null,
    size bigint not null,
    etag text not null,
    checksums jsonb not null default '{}',
    written_at timestamptz not null default now(),
    constraint parts_pkey primary key (upload_id, number)
);

create index if not exists parts_blob_idx on _storage.parts (blob);

-- Records that a row refers to a blob. Fails when the sweeper was faster, and so undoes the transaction that would have
-- made a row without a blob.
create or replace function _storage.keep(blob text) returns void
language plpgsql
as $$
begin
    update _storage.blobs set committed_at = now() where name = blob and doomed_at is null;
    if not found then
        raise exception 'the upload took longer than blobs without an object are kept';
    end if;
end
$$;

revoke all on function _storage.keep(text) from public;
