-- Schemas, their owners and who may enter. Owner supabase_admin is what makes the CLI's remote reset spare a schema.

create schema if not exists extensions authorization postgres;
create schema if not exists auth authorization supabase_admin;
create schema if not exists storage authorization supabase_admin;
create schema if not exists realtime authorization supabase_admin;
create schema if not exists _realtime authorization supabase_admin;
create schema if not exists graphql_public authorization supabase_admin;
create schema if not exists pgbouncer authorization pgbouncer;

grant usage on schema extensions to anon, authenticated, service_role, postgres;
grant all on schema extensions to dashboard_user;

grant all on schema auth to supabase_auth_admin, dashboard_user, postgres;
grant usage on schema auth to anon, authenticated, service_role;

grant all on schema storage to supabase_storage_admin, dashboard_user;
grant all on schema storage to postgres with grant option;
grant usage on schema storage to anon, authenticated, service_role;

grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant all on schema realtime to supabase_realtime_admin;

grant usage on schema graphql_public to postgres with grant option;
grant usage on schema graphql_public to anon, authenticated, service_role;
