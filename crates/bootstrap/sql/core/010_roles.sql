-- Every role that services, migrations of users and dumps of hosted projects expect. Attributes are set whether or not
-- the role exists, so that adopting a database brings them to the documented state. Passwords are set elsewhere.

do $$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      -- the three roles that a request runs as
      ('anon', 'nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      ('authenticated', 'nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      ('service_role', 'nologin inherit nosuperuser nocreatedb nocreaterole noreplication bypassrls'),
      -- login of the REST interface; becomes one of the three above, inherits none of them
      ('authenticator', 'login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      -- owners of the services' tables
      ('supabase_auth_admin', 'login noinherit nosuperuser nocreatedb createrole noreplication nobypassrls'),
      ('supabase_storage_admin', 'login noinherit nosuperuser nocreatedb createrole noreplication nobypassrls'),
      ('supabase_functions_admin', 'login noinherit nosuperuser nocreatedb createrole noreplication nobypassrls'),
      ('supabase_realtime_admin', 'nologin noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      -- replicas, dashboards, data pipelines, poolers
      ('supabase_replication_admin', 'login inherit nosuperuser nocreatedb nocreaterole replication nobypassrls'),
      ('supabase_read_only_user', 'login inherit nosuperuser nocreatedb nocreaterole noreplication bypassrls'),
      ('supabase_etl_admin', 'login inherit nosuperuser nocreatedb nocreaterole replication nobypassrls'),
      ('dashboard_user', 'nologin inherit nosuperuser createdb createrole replication nobypassrls'),
      ('pgbouncer', 'login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      -- pgsodium is not here, but dumps of hosted projects grant its roles
      ('pgsodium_keyiduser', 'nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      ('pgsodium_keyholder', 'nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls'),
      ('pgsodium_keymaker', 'nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls')
    ) as roles (name, attributes)
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
      execute format('create role %I', wanted.name);
    end if;
    execute format('alter role %I with %s', wanted.name, wanted.attributes);
  end loop;

  -- The users' admin. Where it exists as a superuser (the usual name of a server's first role) it stays one: taking the
  -- attribute away could lock the owner of the server out, and PostgreSQL 16 and later forbid it for the first role.
  if not exists (select from pg_catalog.pg_roles where rolname = 'postgres') then
    create role postgres with nosuperuser;
  end if;
  alter role postgres with createdb createrole replication bypassrls login inherit;
end
$$;

-- Settings that applications can notice. Timeouts bound what a request may cost.
alter role supabase_admin set search_path to "$user", public, auth, extensions;
alter role postgres set search_path to "$user", public, extensions;
alter role anon set statement_timeout to '3s';
alter role authenticated set statement_timeout to '8s';
alter role authenticator set statement_timeout to '8s';
alter role authenticator set lock_timeout to '8s';
alter role supabase_auth_admin set search_path to auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout to 60000;
alter role supabase_storage_admin set search_path to storage;
alter role supabase_functions_admin set search_path to supabase_functions;
alter role supabase_read_only_user set default_transaction_read_only to on;
