-- What GoTrue added from 2.181 to 2.196 and today's clients speak: passkeys, another form of sign-in state, custom providers.
--
-- Covers versions 20250925093508 to 20260625000000, under upstream's own numbers: a newer GoTrue finds them applied, and
-- 2.180.0 ignores rows that it does not know. Two are left out, 20251007112900 and 20251111201300: 2.180.0 reads sessions with
-- `select *` and fails on columns it does not know. A newer GoTrue adds them itself. Every statement skips what exists.

alter table auth.mfa_factors add column if not exists last_webauthn_challenge_data jsonb;
comment on column auth.mfa_factors.last_webauthn_challenge_data is
    'Stores the latest WebAuthn challenge data including attestation/assertion for customer verification';

alter table auth.oauth_authorizations add column if not exists nonce text;

-- Constraints know no "if not exists".
do $$
begin
    if not exists (
        select from pg_catalog.pg_constraint
        where conname = 'oauth_authorizations_nonce_length' and conrelid = 'auth.oauth_authorizations'::regclass
    ) then
        alter table auth.oauth_authorizations
            add constraint oauth_authorizations_nonce_length check (char_length(nonce) <= 255);
    end if;
end
$$;

create table if not exists auth.oauth_client_states (
    id uuid not null,
    provider_type text not null,
    code_verifier text,
    created_at timestamptz not null,
    constraint oauth_client_states_pkey primary key (id)
);
create index if not exists idx_oauth_client_states_created_at on auth.oauth_client_states (created_at);
comment on table auth.oauth_client_states is
    'Stores OAuth states for third-party provider authentication flows where Supabase acts as the OAuth client.';

alter table auth.flow_state add column if not exists invite_token text;
alter table auth.flow_state add column if not exists referrer text;
alter table auth.flow_state add column if not exists oauth_client_state_id uuid;
alter table auth.flow_state add column if not exists linking_target_id uuid;
alter table auth.flow_state add column if not exists email_optional boolean not null default false;
alter table auth.flow_state alter column code_challenge drop not null;
alter table auth.flow_state alter column code_challenge_method drop not null;
alter table auth.flow_state alter column auth_code drop not null;
comment on table auth.flow_state is 'Stores metadata for all OAuth/SSO login flows';

-- 2.180.0 inserts clients without naming this column: it needs a default there, which newer releases never use.
alter table auth.oauth_clients
    add column if not exists token_endpoint_auth_method text
        check (token_endpoint_auth_method in ('client_secret_basic', 'client_secret_post', 'none'));
update auth.oauth_clients
set token_endpoint_auth_method = case client_type when 'public' then 'none' else 'client_secret_basic' end
where token_endpoint_auth_method is null;
alter table auth.oauth_clients alter column token_endpoint_auth_method set default 'client_secret_basic';
alter table auth.oauth_clients alter column token_endpoint_auth_method set not null;

-- Providers that an administrator adds at run time.
create table if not exists auth.custom_oauth_providers (
    id uuid not null default gen_random_uuid(),
    provider_type text not null check (provider_type in ('oauth2', 'oidc')),
    identifier text not null,
    name text not null,
    client_id text not null,
    client_secret text not null,
    acceptable_client_ids text[] not null default '{}',
    scopes text[] not null default '{}',
    pkce_enabled boolean not null default true,
    attribute_mapping jsonb not null default '{}',
    authorization_params jsonb not null default '{}',
    enabled boolean not null default true,
    email_optional boolean not null default false,
    issuer text,
    discovery_url text,
    skip_nonce_check boolean not null default false,
    cached_discovery jsonb,
    discovery_cached_at timestamptz,
    authorization_url text,
    token_url text,
    userinfo_url text,
    jwks_uri text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint custom_oauth_providers_pkey primary key (id),
    constraint custom_oauth_providers_identifier_key unique (identifier),
    constraint custom_oauth_providers_oidc_requires_issuer
        check (provider_type <> 'oidc' or issuer is not null),
    constraint custom_oauth_providers_oidc_issuer_https
        check (provider_type <> 'oidc' or issuer is null or issuer like 'https://%'),
    constraint custom_oauth_providers_oidc_discovery_url_https
        check (provider_type <> 'oidc' or discovery_url is null or discovery_url like 'https://%'),
    constraint custom_oauth_providers_oauth2_requires_endpoints check (
        provider_type <> 'oauth2'
        or (authorization_url is not null and token_url is not null and userinfo_url is not null)
    ),
    constraint custom_oauth_providers_authorization_url_https
        check (authorization_url is null or authorization_url like 'https://%'),
    constraint custom_oauth_providers_token_url_https check (token_url is null or token_url like 'https://%'),
    constraint custom_oauth_providers_userinfo_url_https
        check (userinfo_url is null or userinfo_url like 'https://%'),
    constraint custom_oauth_providers_jwks_uri_https check (jwks_uri is null or jwks_uri like 'https://%'),
    constraint custom_oauth_providers_identifier_format
        check (identifier ~ '^[a-z0-9][a-z0-9:-]{0,48}[a-z0-9]$'),
    constraint custom_oauth_providers_name_length check (char_length(name) between 1 and 100),
    constraint custom_oauth_providers_issuer_length
        check (issuer is null or char_length(issuer) between 1 and 2048),
    constraint custom_oauth_providers_discovery_url_length
        check (discovery_url is null or char_length(discovery_url) <= 2048),
    constraint custom_oauth_providers_authorization_url_length
        check (authorization_url is null or char_length(authorization_url) <= 2048),
    constraint custom_oauth_providers_token_url_length
        check (token_url is null or char_length(token_url) <= 2048),
    constraint custom_oauth_providers_userinfo_url_length
        check (userinfo_url is null or char_length(userinfo_url) <= 2048),
    constraint custom_oauth_providers_jwks_uri_length
        check (jwks_uri is null or char_length(jwks_uri) <= 2048),
    constraint custom_oauth_providers_client_id_length check (char_length(client_id) between 1 and 512)
);
create index if not exists custom_oauth_providers_identifier_idx on auth.custom_oauth_providers (identifier);
create index if not exists custom_oauth_providers_provider_type_idx
    on auth.custom_oauth_providers (provider_type);
create index if not exists custom_oauth_providers_enabled_idx on auth.custom_oauth_providers (enabled);
create index if not exists custom_oauth_providers_created_at_idx on auth.custom_oauth_providers (created_at);
alter table auth.custom_oauth_providers
    add column if not exists custom_claims_allowlist text[] not null default '{}';

-- Passkeys, and ceremonies of theirs that began.
create table if not exists auth.webauthn_credentials (
    id uuid not null default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    credential_id bytea not null,
    public_key bytea not null,
    attestation_type text not null default '',
    aaguid uuid,
    sign_count bigint not null default 0,
    transports jsonb not null default '[]',
    backup_eligible boolean not null default false,
    backed_up boolean not null default false,
    friendly_name text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    last_used_at timestamptz,
    constraint webauthn_credentials_pkey primary key (id)
);
create unique index if not exists webauthn_credentials_credential_id_key
    on auth.webauthn_credentials (credential_id);
create index if not exists webauthn_credentials_user_id_idx on auth.webauthn_credentials (user_id);

create table if not exists auth.webauthn_challenges (
    id uuid not null default gen_random_uuid(),
    user_id uuid references auth.users (id) on delete cascade,
    challenge_type text not null check (challenge_type in ('signup', 'registration', 'authentication')),
    session_data jsonb not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint webauthn_challenges_pkey primary key (id)
);
create index if not exists webauthn_challenges_user_id_idx on auth.webauthn_challenges (user_id);
create index if not exists webauthn_challenges_expires_at_idx on auth.webauthn_challenges (expires_at);
