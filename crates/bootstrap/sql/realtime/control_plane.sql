-- The tenants of a Realtime server, their limits and how each one's changes are read.
--
-- Covers all versions of Realtime's control plane, 20210706140551 to 20250811121559. Secrets in it are encrypted by the
-- server.

create table if not exists _realtime.tenants (
    id uuid not null,
    name text,
    external_id text,
    jwt_secret text,
    max_concurrent_users integer not null default 200,
    inserted_at timestamp(0) not null,
    updated_at timestamp(0) not null,
    constraint tenants_pkey primary key (id)
);

create unique index if not exists tenants_external_id_index on _realtime.tenants (external_id);

-- The constraint of some versions, beside the index. It stays where a restored dump hung the foreign key on it.
do $$
begin
    alter table _realtime.tenants drop constraint if exists uniq_external_id;
exception when dependent_objects_still_exist then
    null;
end
$$;

create table if not exists _realtime.extensions (
    id uuid not null,
    type text,
    settings jsonb,
    tenant_external_id text,
    inserted_at timestamp(0) not null,
    updated_at timestamp(0) not null,
    constraint extensions_pkey primary key (id),
    constraint extensions_tenant_external_id_fkey
        foreign key (tenant_external_id) references _realtime.tenants (external_id) on delete cascade
);

create unique index if not exists extensions_tenant_external_id_type_index
    on _realtime.extensions (tenant_external_id, type);
create index if not exists extensions_tenant_external_id_index on _realtime.extensions (tenant_external_id);

alter table _realtime.tenants add column if not exists max_events_per_second integer not null default 100;
alter table _realtime.tenants add column if not exists postgres_cdc_default text default 'postgres_cdc_rls';
alter table _realtime.tenants add column if not exists max_bytes_per_second integer not null default 100000;
alter table _realtime.tenants add column if not exists max_channels_per_client integer not null default 100;
alter table _realtime.tenants add column if not exists max_joins_per_second integer not null default 500;
alter table _realtime.tenants add column if not exists suspend boolean default false;
alter table _realtime.tenants add column if not exists jwt_jwks jsonb;
alter table _realtime.tenants drop column if exists enable_authorization;
alter table _realtime.tenants add column if not exists notify_private_alpha boolean default false;
alter table _realtime.tenants add column if not exists private_only boolean not null default false;
alter table _realtime.tenants add column if not exists migrations_ran integer default 0;
alter table _realtime.tenants add column if not exists broadcast_adapter varchar(255) default 'gen_rpc';
alter table _realtime.tenants add column if not exists max_presence_events_per_second integer default 10000;
alter table _realtime.tenants add column if not exists max_payload_size_in_kb integer default 3000;

-- Types and defaults of older versions. Nothing is rewritten where they are right.
alter table _realtime.tenants
    alter column name type text,
    alter column external_id type text,
    alter column jwt_secret type text,
    alter column postgres_cdc_default type text,
    alter column postgres_cdc_default set default 'postgres_cdc_rls',
    alter column max_concurrent_users set default 200,
    alter column max_concurrent_users set not null,
    alter column max_events_per_second set default 100,
    alter column max_events_per_second set not null,
    alter column broadcast_adapter set default 'gen_rpc';

alter table _realtime.extensions
    alter column type type text,
    alter column tenant_external_id type text;

-- The former name of the way in which changes are read, and of its polling interval.
update _realtime.extensions set type = 'postgres_cdc_rls' where type = 'postgres';
update _realtime.extensions
set settings = (settings - 'poll_interval') || jsonb_build_object('poll_interval_ms', settings -> 'poll_interval')
where settings ? 'poll_interval';
