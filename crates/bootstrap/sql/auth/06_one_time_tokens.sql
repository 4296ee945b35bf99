-- One-time tokens in a table of their own, row level security on everything so far, and phone and WebAuthn factors.
--
-- Covers GoTrue's versions 20240427152123 to 20241009103726.

do $$
begin
    if to_regtype('auth.one_time_token_type') is null then
        create type auth.one_time_token_type as enum (
            'confirmation_token',
            'reauthentication_token',
            'recovery_token',
            'email_change_token_new',
            'email_change_token_current',
            'phone_change_token'
        );
    end if;
end
$$;

-- `created_at` and `updated_at` really are without time zone.
create table if not exists auth.one_time_tokens (
    id uuid not null,
    user_id uuid not null,
    token_type auth.one_time_token_type not null,
    token_hash text not null,
    relates_to text not null,
    created_at timestamp not null default now(),
    updated_at timestamp not null default now(),
    constraint one_time_tokens_pkey primary key (id),
    constraint one_time_tokens_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade,
    constraint one_time_tokens_token_hash_check check (char_length(token_hash) > 0)
);

create index if not exists one_time_tokens_token_hash_hash_idx on auth.one_time_tokens using hash (token_hash);
create index if not exists one_time_tokens_relates_to_hash_idx on auth.one_time_tokens using hash (relates_to);
create unique index if not exists one_time_tokens_user_id_token_type_key on auth.one_time_tokens (user_id, token_type);

-- No policies: nobody but the owner reads or writes these tables, unless the user grants it and adds a policy.
-- `postgres` may read them, as owner of the user's schema, and pass that on; the ledger is the service's alone.
do $$
declare
    relation regclass;
begin
    foreach relation in array array[
        'auth.instances',
        'auth.users',
        'auth.audit_log_entries',
        'auth.saml_relay_states',
        'auth.refresh_tokens',
        'auth.mfa_factors',
        'auth.sessions',
        'auth.sso_providers',
        'auth.sso_domains',
        'auth.mfa_challenges',
        'auth.mfa_amr_claims',
        'auth.saml_providers',
        'auth.flow_state',
        'auth.identities',
        'auth.one_time_tokens'
    ]::regclass[]
    loop
        execute format('alter table %s enable row level security', relation);
        execute format('grant select on %s to postgres with grant option', relation);
    end loop;
end
$$;
alter table auth.schema_migrations enable row level security;

alter type auth.factor_type add value if not exists 'phone';

alter table auth.mfa_factors
    add column if not exists phone text,
    add column if not exists last_challenged_at timestamptz
        constraint mfa_factors_last_challenged_at_key unique,
    add column if not exists web_authn_credential jsonb,
    add column if not exists web_authn_aaguid uuid;

-- One phone number is one factor of a user; two users may share a number.
alter table auth.mfa_factors drop constraint if exists mfa_factors_phone_key;
drop index if exists auth.unique_verified_phone_factor;
create unique index if not exists unique_phone_factor_per_user on auth.mfa_factors (user_id, phone);

alter table auth.mfa_challenges
    add column if not exists otp_code text,
    add column if not exists web_authn_session_data jsonb;
