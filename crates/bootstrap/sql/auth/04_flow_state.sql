-- The state of sign-ins that leave the site and come back (PKCE), indexes for clean-up, and what a session knows of its device.
--
-- Covers GoTrue's versions 20230322519590 to 20231114161723.

do $$
begin
    if to_regtype('auth.code_challenge_method') is null then
        create type auth.code_challenge_method as enum ('s256', 'plain');
    end if;
end
$$;

create table if not exists auth.flow_state (
    id uuid not null,
    user_id uuid,
    auth_code text not null,
    code_challenge_method auth.code_challenge_method not null,
    code_challenge text not null,
    provider_type text not null,
    provider_access_token text,
    provider_refresh_token text,
    created_at timestamptz,
    updated_at timestamptz,
    constraint flow_state_pkey primary key (id)
);

comment on table auth.flow_state is 'stores metadata for pkce logins';

-- Rows live for minutes. An older table may hold some, which can no longer be completed without a method.
do $$
begin
    if not exists (
        select from pg_attribute
        where attrelid = 'auth.flow_state'::regclass and attname = 'authentication_method' and not attisdropped
    ) then
        delete from auth.flow_state;
        alter table auth.flow_state add column authentication_method text not null;
    end if;
end
$$;

create index if not exists idx_auth_code on auth.flow_state (auth_code);
create index if not exists idx_user_id_auth_method on auth.flow_state (user_id, authentication_method);
create index if not exists flow_state_created_at_idx on auth.flow_state (created_at desc);

-- The unique constraint on the same column has an index already.
drop index if exists auth.refresh_tokens_token_idx;

-- For the removal of what has expired.
create index if not exists refresh_tokens_updated_at_idx on auth.refresh_tokens (updated_at desc);
create index if not exists saml_relay_states_created_at_idx on auth.saml_relay_states (created_at desc);
create index if not exists sessions_not_after_idx on auth.sessions (not_after desc);
create index if not exists mfa_challenge_created_at_idx on auth.mfa_challenges (created_at desc);

create index if not exists mfa_factors_user_id_idx on auth.mfa_factors (user_id);

alter table auth.saml_relay_states
    add column if not exists flow_state_id uuid
        constraint saml_relay_states_flow_state_id_fkey references auth.flow_state (id) on delete cascade;

-- `refreshed_at` really is without time zone; it holds UTC.
alter table auth.sessions
    add column if not exists refreshed_at timestamp,
    add column if not exists user_agent text,
    add column if not exists ip inet,
    add column if not exists tag text;
