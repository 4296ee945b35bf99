-- GraphQL's entry point. The function answers "not enabled" until pg_graphql is installed, then passes its arguments on,
-- and goes back to the answer when the extension is dropped.

create or replace function extensions.set_graphql_placeholder() returns event_trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if not exists (
    select
    from pg_catalog.pg_event_trigger_dropped_objects() as dropped
    where dropped.object_type = 'extension' and dropped.object_name = 'pg_graphql'
  ) then
    return;
  end if;
  perform _monobase.create_graphql_placeholder();
end
$$;

-- Separate, because creating and restoring it must give the same function.
create or replace function _monobase.create_graphql_placeholder() returns void
language plpgsql security definer set search_path = ''
as $outer$
begin
  drop function if exists graphql_public.graphql(text, text, jsonb, jsonb);
  create function graphql_public.graphql(
    "operationName" text default null,
    query text default null,
    variables jsonb default null,
    extensions jsonb default null
  )
  returns jsonb
  language sql immutable
  as $$
    select '{"errors": [{"message": "pg_graphql extension is not enabled."}]}'::jsonb
  $$;
  grant execute on function graphql_public.graphql(text, text, jsonb, jsonb)
    to postgres, anon, authenticated, service_role;
end
$outer$;

revoke all on function _monobase.create_graphql_placeholder() from public;

create or replace function extensions.grant_pg_graphql_access() returns event_trigger
language plpgsql security definer set search_path = ''
as $outer$
begin
  if not exists (
    select
    from pg_catalog.pg_event_trigger_ddl_commands() as command
    where command.object_type = 'function'
      and command.schema_name = 'graphql'
      and command.object_identity like 'graphql.resolve(%'
  ) then
    return;
  end if;

  drop function if exists graphql_public.graphql(text, text, jsonb, jsonb);
  create function graphql_public.graphql(
    "operationName" text default null,
    query text default null,
    variables jsonb default null,
    extensions jsonb default null
  )
  returns jsonb
  language sql
  as $$
    select graphql.resolve(
      query => query,
      variables => coalesce(variables, '{}'),
      "operationName" => "operationName",
      extensions => extensions
    )
  $$;
  grant execute on function graphql_public.graphql(text, text, jsonb, jsonb)
    to postgres, anon, authenticated, service_role;

  -- resolve() need not be the last object of the extension's script: what is there, and what follows
  grant usage on schema graphql to postgres with grant option;
  grant usage on schema graphql to anon, authenticated, service_role;
  grant select on all tables in schema graphql to postgres, anon, authenticated, service_role;
  grant execute on all functions in schema graphql to postgres, anon, authenticated, service_role;
  grant all on all sequences in schema graphql to postgres, anon, authenticated, service_role;
  alter default privileges in schema graphql grant all on tables to postgres, anon, authenticated, service_role;
  alter default privileges in schema graphql grant all on functions to postgres, anon, authenticated, service_role;
  alter default privileges in schema graphql grant all on sequences to postgres, anon, authenticated, service_role;
end
$outer$;

comment on function extensions.grant_pg_graphql_access() is 'Grants access to pg_graphql';
comment on function extensions.set_graphql_placeholder() is
  'Reintroduces placeholder function for graphql_public.graphql';

do $$
begin
  if to_regprocedure('graphql_public.graphql(text, text, jsonb, jsonb)') is null then
    perform _monobase.create_graphql_placeholder();
  end if;
end
$$;

drop event trigger if exists issue_pg_graphql_access;
create event trigger issue_pg_graphql_access on ddl_command_end
  when tag in ('CREATE FUNCTION')
  execute function extensions.grant_pg_graphql_access();

drop event trigger if exists issue_graphql_placeholder;
create event trigger issue_graphql_placeholder on sql_drop
  when tag in ('DROP EXTENSION')
  execute function extensions.set_graphql_placeholder();

-- Superusers run these too, so nobody else may be able to change them. A database of somebody else may have them already.
alter function extensions.grant_pg_graphql_access() owner to supabase_admin;
alter function extensions.set_graphql_placeholder() owner to supabase_admin;
