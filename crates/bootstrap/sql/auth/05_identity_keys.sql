-- Identities get a key of their own, so that one provider's id can be linked and unlinked; anonymous users.
--
-- Covers GoTrue's versions 20231117164230 to 20240314092811.

do $$
begin
    if not exists (
        select from pg_attribute
        where attrelid = 'auth.identities'::regclass and attname = 'provider_id' and not attisdropped
    ) then
        alter table auth.identities rename column id to provider_id;
    end if;
    if not exists (
        select from pg_attribute
        where attrelid = 'auth.identities'::regclass and attname = 'id' and not attisdropped
    ) then
        -- The former key was (provider, provider_id).
        alter table auth.identities drop constraint if exists identities_pkey;
        alter table auth.identities
            add column id uuid not null default gen_random_uuid(),
            add constraint identities_pkey primary key (id);
    end if;
    if not exists (
        select from pg_constraint
        where conrelid = 'auth.identities'::regclass and conname = 'identities_provider_id_provider_unique'
    ) then
        alter table auth.identities
            add constraint identities_provider_id_provider_unique unique (provider_id, provider);
    end if;
end
$$;

alter table auth.saml_relay_states drop column if exists from_ip_address;

alter table auth.users add column if not exists is_anonymous boolean not null default false;
create index if not exists users_is_anonymous_idx on auth.users (is_anonymous);

alter table auth.flow_state add column if not exists auth_code_issued_at timestamptz;

alter table auth.saml_providers add column if not exists name_id_format text;
