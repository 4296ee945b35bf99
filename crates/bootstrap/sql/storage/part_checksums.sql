-- The checksums of the parts that objects were uploaded in. Apart from the objects' own metadata, which every listing
-- carries: an object may have ten thousand parts.
create table if not exists _storage.part_checksums (
    blob text not null,
    -- The parts' values in order, one after another; how long each is follows from the object's algorithm.
    checksums bytea not null,
    constraint part_checksums_pkey primary key (blob),
    constraint part_checksums_blob_fkey foreign key (blob) references _storage.blobs (name) on delete cascade
);
