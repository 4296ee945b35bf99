-- Some extensions create their objects as the superuser who installs them, in a schema of their own. When one of them
-- appears these event triggers open it to the roles that use it. They run with supabase_admin's rights, because the one
-- who creates an extension need not be its owner.

create or replace function extensions.grant_pg_cron_access() returns event_trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if not exists (
    select
    from pg_catalog.pg_event_trigger_ddl_commands() as command
    join pg_catalog.pg_extension as extension on command.objid = extension.oid
    where command.object_type = 'extension' and extension.extname = 'pg_cron'
  ) then
    return;
  end if;

  grant usage on schema cron to postgres with grant option;
  grant all on all functions in schema cron to postgres with grant option;
  grant all on all tables in schema cron to postgres with grant option;
  alter default privileges for role supabase_admin in schema cron grant all on tables to postgres with grant option;
  alter default privileges for role supabase_admin in schema cron grant all on functions to postgres with grant option;
  alter default privileges for role supabase_admin in schema cron grant all on sequences to postgres with grant option;

  -- Jobs are written through cron.schedule(); a row written by hand could name another user.
  revoke all on table cron.job from postgres;
  grant select on table cron.job to postgres with grant option;
end
$$;

comment on function extensions.grant_pg_cron_access() is 'Grants access to pg_cron';

create or replace function extensions.grant_pg_net_access() returns event_trigger
language plpgsql security definer set search_path = ''
as $$
declare
  request regprocedure;
begin
  if not exists (
    select
    from pg_catalog.pg_event_trigger_ddl_commands() as command
    join pg_catalog.pg_extension as extension on command.objid = extension.oid
    where command.object_type = 'extension' and extension.extname = 'pg_net'
  ) then
    return;
  end if;

  grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;

  -- Callers have no rights on the queue: the functions write to it for them.
  for request in
    select oid::regprocedure
    from pg_catalog.pg_proc
    where pronamespace = 'net'::regnamespace and proname in ('http_get', 'http_post')
  loop
    execute format('alter function %s security definer set search_path = net', request);
    execute format('revoke all on function %s from public', request);
    execute format(
      'grant execute on function %s to supabase_functions_admin, postgres, anon, authenticated, service_role',
      request
    );
  end loop;
end
$$;

comment on function extensions.grant_pg_net_access() is 'Grants access to pg_net';

drop event trigger if exists issue_pg_cron_access;
create event trigger issue_pg_cron_access on ddl_command_end
  when tag in ('CREATE EXTENSION')
  execute function extensions.grant_pg_cron_access();

drop event trigger if exists issue_pg_net_access;
create event trigger issue_pg_net_access on ddl_command_end
  when tag in ('CREATE EXTENSION')
  execute function extensions.grant_pg_net_access();

-- Superusers run these too, so nobody else may be able to change them. A database of somebody else may have them already.
alter function extensions.grant_pg_cron_access() owner to supabase_admin;
alter function extensions.grant_pg_net_access() owner to supabase_admin;
