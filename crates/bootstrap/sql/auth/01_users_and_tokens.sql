-- Users, their identities, refresh tokens, the audit trail, and the functions through which policies read the signed-in user.
--
-- Covers GoTrue's versions 00 and 20210710035447 to 20220614074223.
-- Columns that later versions rename or retype appear here under their present name and type; the file that covers that
-- version carries the rename for a database that still has the old form.

create table if not exists auth.users (
    instance_id uuid,
    id uuid not null,
    aud varchar(255),
    role varchar(255),
    email varchar(255),
    encrypted_password varchar(255),
    email_confirmed_at timestamptz,
    invited_at timestamptz,
    confirmation_token varchar(255),
    confirmation_sent_at timestamptz,
    recovery_token varchar(255),
    recovery_sent_at timestamptz,
    email_change_token_new varchar(255),
    email_change varchar(255),
    email_change_sent_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    is_super_admin bool,
    created_at timestamptz,
    updated_at timestamptz,
    constraint users_pkey primary key (id)
);

comment on table auth.users is 'Auth: Stores user login data within a secure schema.';

-- A table from an image's init script or from before mid-2021 still has the first names of two columns.
do $$
declare
    former text;
    present text;
begin
    for former, present in
        values ('confirmed_at', 'email_confirmed_at'), ('email_change_token', 'email_change_token_new')
    loop
        if not exists (
            select from pg_attribute
            where attrelid = 'auth.users'::regclass and attname = present and not attisdropped
        ) then
            execute format('alter table auth.users rename column %I to %I', former, present);
        end if;
    end loop;
end
$$;

-- The varchar casts in the defaults are what is left of these columns' first type; schema diffs see them.
alter table auth.users
    add column if not exists phone text default null::varchar,
    add column if not exists phone_confirmed_at timestamptz,
    add column if not exists phone_change text default ''::varchar,
    add column if not exists phone_change_token varchar(255) default '',
    add column if not exists phone_change_sent_at timestamptz;

do $$
begin
    if not exists (
        select from pg_constraint where conrelid = 'auth.users'::regclass and conname = 'users_phone_key'
    ) then
        alter table auth.users add constraint users_phone_key unique (phone);
    end if;
end
$$;

-- `confirmed_at` is set as soon as either way of reaching the user is confirmed.
alter table auth.users
    add column if not exists confirmed_at timestamptz
        generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
    add column if not exists email_change_token_current varchar(255) default '',
    add column if not exists email_change_confirm_status smallint default 0
        constraint users_email_change_confirm_status_check
            check (email_change_confirm_status >= 0 and email_change_confirm_status <= 2),
    add column if not exists banned_until timestamptz,
    add column if not exists reauthentication_token varchar(255) default '',
    add column if not exists reauthentication_sent_at timestamptz;

create index if not exists users_instance_id_idx on auth.users (instance_id);

-- Before 2022 this index was on the bare address and of no use to look-ups that ignore case.
do $$
begin
    if pg_get_indexdef(to_regclass('auth.users_instance_id_email_idx')) not like '%lower(%' then
        drop index auth.users_instance_id_email_idx;
    end if;
end
$$;
create index if not exists users_instance_id_email_idx on auth.users (instance_id, lower(email));

-- A link token belongs to one user. Empty values and numeric one-time codes may repeat, so they stay outside the indexes.
create unique index if not exists confirmation_token_idx
    on auth.users (confirmation_token) where confirmation_token !~ '^[0-9 ]*$';
create unique index if not exists recovery_token_idx
    on auth.users (recovery_token) where recovery_token !~ '^[0-9 ]*$';
create unique index if not exists email_change_token_current_idx
    on auth.users (email_change_token_current) where email_change_token_current !~ '^[0-9 ]*$';
create unique index if not exists email_change_token_new_idx
    on auth.users (email_change_token_new) where email_change_token_new !~ '^[0-9 ]*$';
create unique index if not exists reauthentication_token_idx
    on auth.users (reauthentication_token) where reauthentication_token !~ '^[0-9 ]*$';

-- Refresh tokens name their user by text, without a foreign key: the rows of a deleted user go with its sessions.
create table if not exists auth.refresh_tokens (
    instance_id uuid,
    id bigserial not null,
    token varchar(255),
    user_id varchar(255),
    revoked bool,
    created_at timestamptz,
    updated_at timestamptz,
    constraint refresh_tokens_pkey primary key (id)
);

comment on table auth.refresh_tokens is 'Auth: Store of tokens used to refresh JWT tokens once they expire.';

alter table auth.refresh_tokens add column if not exists parent varchar(255);

do $$
begin
    if not exists (
        select from pg_constraint
        where conrelid = 'auth.refresh_tokens'::regclass and conname = 'refresh_tokens_token_unique'
    ) then
        alter table auth.refresh_tokens add constraint refresh_tokens_token_unique unique (token);
    end if;
end
$$;

create index if not exists refresh_tokens_instance_id_idx on auth.refresh_tokens (instance_id);
create index if not exists refresh_tokens_instance_id_user_id_idx on auth.refresh_tokens (instance_id, user_id);
create index if not exists refresh_tokens_parent_idx on auth.refresh_tokens (parent);

-- Nothing reads this table; tools expect to see it.
create table if not exists auth.instances (
    id uuid not null,
    uuid uuid,
    raw_base_config text,
    created_at timestamptz,
    updated_at timestamptz,
    constraint instances_pkey primary key (id)
);

comment on table auth.instances is 'Auth: Manages users across multiple sites.';

create table if not exists auth.audit_log_entries (
    instance_id uuid,
    id uuid not null,
    payload json,
    created_at timestamptz,
    constraint audit_log_entries_pkey primary key (id)
);

comment on table auth.audit_log_entries is 'Auth: Audit trail for user actions.';

alter table auth.audit_log_entries add column if not exists ip_address varchar(64) not null default '';

create index if not exists audit_logs_instance_id_idx on auth.audit_log_entries (instance_id);

-- Until 20231117164230 the provider's own id of the user was called `id` and was half of the primary key.
create table if not exists auth.identities (
    provider_id text not null,
    user_id uuid not null,
    identity_data jsonb not null,
    provider text not null,
    last_sign_in_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    constraint identities_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);

comment on table auth.identities is 'Auth: Stores identities associated to a user.';

create index if not exists identities_user_id_idx on auth.identities (user_id);

-- The claims of the request, for policies and column defaults. The setting of one claim (older REST servers) comes before
-- the JSON of all; a setting that is missing or empty is null and never an error. `language sql` and stable, without
-- `set` clauses, so that the planner can inline them.
create or replace function auth.uid() returns uuid
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

create or replace function auth.role() returns text
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;

create or replace function auth.email() returns text
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
    )
$$;

create or replace function auth.jwt() returns jsonb
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;

comment on function auth.uid() is 'Deprecated. Use auth.jwt() -> ''sub'' instead.';
comment on function auth.role() is 'Deprecated. Use auth.jwt() -> ''role'' instead.';
comment on function auth.email() is 'Deprecated. Use auth.jwt() -> ''email'' instead.';

comment on table auth.schema_migrations is 'Auth: Manages updates to the auth system.';
