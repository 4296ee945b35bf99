-- Single sign-on over SAML, and an identity row for every user who signs in by e-mail.
--
-- Covers GoTrue's versions 20221021082433 to 20230131181311. The table of SSO sessions that existed between
-- 20221021082433 and 20221215195900 is only ever dropped here.

create table if not exists auth.sso_providers (
    id uuid not null,
    resource_id text,
    created_at timestamptz,
    updated_at timestamptz,
    constraint sso_providers_pkey primary key (id),
    constraint "resource_id not empty" check (resource_id = null or char_length(resource_id) > 0)
);

comment on table auth.sso_providers is
    'Auth: Manages SSO identity provider information; see saml_providers for SAML.';
comment on column auth.sso_providers.resource_id is
    'Auth: Uniquely identifies a SSO provider according to a user-chosen resource ID (case insensitive), useful in infrastructure as code.';

create unique index if not exists sso_providers_resource_id_idx on auth.sso_providers (lower(resource_id));

create table if not exists auth.sso_domains (
    id uuid not null,
    sso_provider_id uuid not null,
    domain text not null,
    created_at timestamptz,
    updated_at timestamptz,
    constraint sso_domains_pkey primary key (id),
    constraint sso_domains_sso_provider_id_fkey
        foreign key (sso_provider_id) references auth.sso_providers (id) on delete cascade,
    constraint "domain not empty" check (char_length(domain) > 0)
);

comment on table auth.sso_domains is
    'Auth: Manages SSO email address domain mapping to an SSO Identity Provider.';

create index if not exists sso_domains_sso_provider_id_idx on auth.sso_domains (sso_provider_id);
create unique index if not exists sso_domains_domain_idx on auth.sso_domains (lower(domain));

create table if not exists auth.saml_providers (
    id uuid not null,
    sso_provider_id uuid not null,
    entity_id text not null,
    metadata_xml text not null,
    metadata_url text,
    attribute_mapping jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    constraint saml_providers_pkey primary key (id),
    constraint saml_providers_entity_id_key unique (entity_id),
    constraint saml_providers_sso_provider_id_fkey
        foreign key (sso_provider_id) references auth.sso_providers (id) on delete cascade,
    constraint "metadata_xml not empty" check (char_length(metadata_xml) > 0),
    constraint "metadata_url not empty" check (metadata_url = null or char_length(metadata_url) > 0),
    constraint "entity_id not empty" check (char_length(entity_id) > 0)
);

comment on table auth.saml_providers is 'Auth: Manages SAML Identity Provider connections.';

create index if not exists saml_providers_sso_provider_id_idx on auth.saml_providers (sso_provider_id);

create table if not exists auth.saml_relay_states (
    id uuid not null,
    sso_provider_id uuid not null,
    request_id text not null,
    for_email text,
    redirect_to text,
    created_at timestamptz,
    updated_at timestamptz,
    constraint saml_relay_states_pkey primary key (id),
    constraint saml_relay_states_sso_provider_id_fkey
        foreign key (sso_provider_id) references auth.sso_providers (id) on delete cascade,
    constraint "request_id not empty" check (char_length(request_id) > 0)
);

comment on table auth.saml_relay_states is
    'Auth: Contains SAML Relay State information for each Service Provider initiated login.';

create index if not exists saml_relay_states_sso_provider_id_idx on auth.saml_relay_states (sso_provider_id);
create index if not exists saml_relay_states_for_email_idx on auth.saml_relay_states (for_email);

drop table if exists auth.sso_sessions;

alter table auth.sessions add column if not exists not_after timestamptz;
comment on column auth.sessions.not_after is
    'Auth: Not after is a nullable column that contains a timestamp after which the session should be regarded as expired.';

alter table auth.refresh_tokens drop constraint if exists refresh_tokens_parent_fkey;

-- One e-mail address may belong to one ordinary account and any number of SSO accounts. A view or foreign key of the
-- user's that hangs on the old constraint must not stop the server from starting: then SSO accounts stay limited.
alter table auth.users add column if not exists is_sso_user boolean not null default false;
comment on column auth.users.is_sso_user is
    'Auth: Set this column to true when the account comes from SSO. These accounts can have duplicate emails.';

do $$
begin
    alter table auth.users drop constraint if exists users_email_key;
exception when dependent_objects_still_exist then
    raise warning 'constraint users_email_key on auth.users is kept, because other objects depend on it';
end
$$;

create unique index if not exists users_email_partial_key on auth.users (email) where (is_sso_user = false);
comment on index auth.users_email_partial_key is
    'Auth: A partial unique index that applies only when is_sso_user is false';

-- Users made before identities existed get the identity that their e-mail address stands for. The provider's id was
-- called `id` up to 20231117164230, so the column's name is looked up. Nothing happens on a new database. The dates are
-- GoTrue's own marks for rows made this way.
do $$
declare
    provider_id name := (
        select attname from pg_attribute
        where attrelid = 'auth.identities'::regclass and attname in ('provider_id', 'id') and atttypid = 'text'::regtype
    );
begin
    execute format(
        $sql$
        insert into auth.identities (%I, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
        select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email), 'email', null, made, made
        from auth.users u
        cross join lateral (
            select case when u.email is not null and u.encrypted_password <> '' then timestamptz '2022-11-25'
                else timestamptz '2023-01-25' end as made
        ) mark
        where (u.email is not null and u.encrypted_password <> ''
                and not exists (select from auth.identities i where i.user_id = u.id))
            or (u.invited_at is not null
                and not exists (select from auth.identities i where i.user_id = u.id and i.provider = 'email'))
        $sql$,
        provider_id
    );
end
$$;

update auth.identities
set last_sign_in_at = created_at
where provider = 'email' and last_sign_in_at is null and created_at = '2022-11-25' and updated_at = '2022-11-25';

update auth.identities i
set identity_data = i.identity_data || jsonb_build_object('email', u.email), updated_at = '2022-11-25'
from auth.users u
where u.id = i.user_id and i.provider = 'email' and i.identity_data ->> 'email' is null;

alter table auth.identities
    add column if not exists email text generated always as (lower(identity_data ->> 'email')) stored;
comment on column auth.identities.email is
    'Auth: Email is a generated column that references the optional email property in the identity_data';

create index if not exists identities_email_idx on auth.identities (email text_pattern_ops);
comment on index auth.identities_email_idx is 'Auth: Ensures indexed queries on the email column';

-- Soft deletion stores a hash longer than 15 characters in the phone columns. Skipped where the user's own views forbid
-- the change of type: long values are cut by the service before they are stored.
do $$
begin
    if exists (
        select from pg_attribute
        where attrelid = 'auth.users'::regclass and attname in ('phone', 'phone_change')
            and atttypid <> 'text'::regtype
    ) then
        alter table auth.users alter column phone type text, alter column phone_change type text;
    end if;
exception when feature_not_supported or dependent_objects_still_exist then
    raise warning 'phone columns of auth.users keep their type, because other objects depend on them';
end
$$;

alter table auth.users add column if not exists deleted_at timestamptz;
