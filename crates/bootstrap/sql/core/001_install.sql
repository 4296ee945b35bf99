-- The bootstrap superuser and our own ledger. Runs as whoever connected; every later step runs as supabase_admin.

do $$
begin
  -- An embedded cluster is initialised with this name. On anyone else's server it is made here, because owner checks of
  -- the CLI, Studio and the services test for exactly this name.
  if not exists (select from pg_catalog.pg_roles where rolname = 'supabase_admin') then
    create role supabase_admin with superuser;
  end if;
end
$$;

alter role supabase_admin with superuser createdb createrole replication bypassrls login inherit;

-- Owned by supabase_admin: the CLI's remote reset drops every schema that is not.
create schema if not exists _monobase authorization supabase_admin;

comment on schema _monobase is 'monobase: what was done to this database. Not part of the public interface.';

-- What has been applied, one row a numbered step.
create table if not exists _monobase.migrations (
  version text primary key,
  name text not null,
  applied_at timestamptz not null default now()
);

-- Exactly one row: who looks after this database.
create table if not exists _monobase.install (
  singleton boolean primary key default true check (singleton),
  -- Names this database for good. The nil uuid marks a template that nobody has started yet.
  id uuid not null,
  -- 'embedded', 'server' (somebody's own server, with a superuser) or 'managed'.
  class text not null,
  -- The layout of this schema. A program that knows only smaller numbers must not touch the database.
  format integer not null,
  -- The newest monobase that migrated this database.
  binary_version text not null,
  -- Digest of every step and option applied. Equal to ours: nothing to do.
  fingerprint text not null default '',
  -- True when the database was somebody else's Supabase database before.
  adopted boolean not null default false,
  installed_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

alter table _monobase.migrations owner to supabase_admin;
alter table _monobase.install owner to supabase_admin;
