-- Extensions that every Supabase database has, in the schema where callers look for them. They belong to `postgres`, which
-- may drop and update them. Some may only be created by a superuser, so `postgres` is one for the length of this
-- transaction, which nobody else can see.

do $$
declare
  was_superuser constant boolean := (select rolsuper from pg_catalog.pg_roles where rolname = 'postgres');
begin
  if not was_superuser then
    alter role postgres superuser;
  end if;
  set local role postgres;

  create extension if not exists "uuid-ossp" with schema extensions;
  create extension if not exists pgcrypto with schema extensions;
  -- Reports need it; without the library preloaded it exists and says so when it is read.
  if exists (select from pg_catalog.pg_available_extensions where name = 'pg_stat_statements') then
    create extension if not exists pg_stat_statements with schema extensions;
  end if;
  -- sign() and verify() for projects that make tokens in SQL. Where the server does not offer the extension, the next step
  -- creates the same functions.
  if exists (select from pg_catalog.pg_available_extensions where name = 'pgjwt') then
    create extension if not exists pgjwt with schema extensions;
  end if;

  set local role supabase_admin;
  if not was_superuser then
    alter role postgres nosuperuser;
  end if;
end
$$;
