-- What the S3 door keeps beside the original's tables.

-- What an upload in parts will be once it is complete: content type, cache control, kept headers, the algorithm of its
-- checksums.
create table if not exists _storage.multipart (
    upload_id text not null,
    details jsonb not null default '{}',
    constraint multipart_pkey primary key (upload_id),
    constraint multipart_upload_id_fkey
        foreign key (upload_id) references storage.s3_multipart_uploads (id) on delete cascade
);

-- Cross-origin rules of buckets, as the S3 protocol sets them.
create table if not exists _storage.bucket_cors (
    bucket_id text not null,
    rules jsonb not null,
    constraint bucket_cors_pkey primary key (bucket_id),
    constraint bucket_cors_bucket_id_fkey foreign key (bucket_id) references storage.buckets (id) on delete cascade
);
