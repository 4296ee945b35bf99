-- Sessions, second factors and the methods by which a session was authenticated.
--
-- Covers GoTrue's versions 20220811173540 to 20221021073300.

do $$
begin
    if to_regtype('auth.factor_type') is null then
        create type auth.factor_type as enum ('totp', 'webauthn', 'phone');
    end if;
    if to_regtype('auth.factor_status') is null then
        create type auth.factor_status as enum ('unverified', 'verified');
    end if;
    if to_regtype('auth.aal_level') is null then
        create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
    end if;
end
$$;

create table if not exists auth.sessions (
    id uuid not null,
    user_id uuid not null,
    created_at timestamptz,
    updated_at timestamptz,
    constraint sessions_pkey primary key (id),
    constraint sessions_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);

comment on table auth.sessions is 'Auth: Stores session data associated to a user.';

alter table auth.sessions
    add column if not exists factor_id uuid,
    add column if not exists aal auth.aal_level;

create index if not exists user_id_created_at_idx on auth.sessions (user_id, created_at);
create index if not exists sessions_user_id_idx on auth.sessions (user_id);

alter table auth.refresh_tokens add column if not exists session_id uuid;

do $$
begin
    if not exists (
        select from pg_constraint
        where conrelid = 'auth.refresh_tokens'::regclass and conname = 'refresh_tokens_session_id_fkey'
    ) then
        alter table auth.refresh_tokens
            add constraint refresh_tokens_session_id_fkey
            foreign key (session_id) references auth.sessions (id) on delete cascade;
    end if;
end
$$;

create index if not exists refresh_tokens_session_id_revoked_idx on auth.refresh_tokens (session_id, revoked);

create table if not exists auth.mfa_factors (
    id uuid not null,
    user_id uuid not null,
    friendly_name text,
    factor_type auth.factor_type not null,
    status auth.factor_status not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    secret text,
    constraint mfa_factors_pkey primary key (id),
    constraint mfa_factors_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);

comment on table auth.mfa_factors is 'auth: stores metadata about factors';

-- A user can leave factors unnamed, but not give one name to two of them.
create unique index if not exists mfa_factors_user_friendly_name_unique
    on auth.mfa_factors (friendly_name, user_id) where trim(friendly_name) <> '';
create index if not exists factor_id_created_at_idx on auth.mfa_factors (user_id, created_at);

create table if not exists auth.mfa_challenges (
    id uuid not null,
    factor_id uuid not null,
    created_at timestamptz not null,
    verified_at timestamptz,
    ip_address inet not null,
    constraint mfa_challenges_pkey primary key (id),
    constraint mfa_challenges_auth_factor_id_fkey
        foreign key (factor_id) references auth.mfa_factors (id) on delete cascade
);

comment on table auth.mfa_challenges is 'auth: stores metadata about challenge requests made';

create table if not exists auth.mfa_amr_claims (
    session_id uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    authentication_method text not null,
    constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method),
    constraint mfa_amr_claims_session_id_fkey foreign key (session_id) references auth.sessions (id) on delete cascade
);

comment on table auth.mfa_amr_claims is
    'auth: stores authenticator method reference claims for multi factor authentication';

-- The service writes this id itself, hence no default. Rows of a table that has none yet are given one here.
do $$
begin
    if not exists (
        select from pg_attribute
        where attrelid = 'auth.mfa_amr_claims'::regclass and attname = 'id' and not attisdropped
    ) then
        alter table auth.mfa_amr_claims add column id uuid not null default gen_random_uuid();
        alter table auth.mfa_amr_claims alter column id drop default;
    end if;
    if not exists (
        select from pg_constraint where conrelid = 'auth.mfa_amr_claims'::regclass and conname = 'amr_id_pk'
    ) then
        alter table auth.mfa_amr_claims add constraint amr_id_pk primary key (id);
    end if;
end
$$;
