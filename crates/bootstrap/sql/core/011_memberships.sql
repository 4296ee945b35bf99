-- Who may act as whom.

grant anon, authenticated, service_role to authenticator;

-- postgres owns nothing of auth, storage and realtime, but must be able to write policies and triggers on their tables.
-- The platform has a C library for that; here it is membership in the owners, fenced in by the guard trigger.
grant anon, authenticated, service_role to postgres;
grant supabase_auth_admin, supabase_storage_admin, supabase_functions_admin, supabase_realtime_admin to postgres;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

-- Storage signs in as its admin and then acts as the caller.
grant authenticator to supabase_storage_admin;

grant pg_read_all_data to supabase_read_only_user;
grant pg_monitor, pg_read_all_data to supabase_etl_admin;

grant pgsodium_keyholder to service_role;
grant pgsodium_keyiduser to pgsodium_keyholder;
grant pgsodium_keyholder to pgsodium_keymaker;
grant pgsodium_keyiduser, pgsodium_keyholder, pgsodium_keymaker to postgres with admin option;

do $$
begin
  -- From 16 on CREATEROLE no longer reaches roles that its holder did not create. Without these, `grant anon to app_user`
  -- and `alter role anon set ...` fail in migrations that worked on 15.
  if current_setting('server_version_num')::integer >= 160000 then
    grant anon, authenticated, service_role to postgres with admin option;
    grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres with admin option;
    -- For `alter role authenticator set pgrst....` (PostgREST's in-database configuration). Neither inherited nor usable
    -- with SET ROLE. Dynamic, because 15 cannot parse it.
    execute 'grant authenticator to postgres with admin true, inherit false, set false';
  end if;
end
$$;
