-- Fences the services' schemas in. `postgres` is a member of their owners, so that migrations may write policies and
-- triggers on their tables; membership alone would also let it alter and drop those tables. These event triggers refuse
-- everything else, in the words that the platform uses, so that guides and error searches stay true.

create or replace function _monobase.is_service_session() returns boolean
language sql stable set search_path = ''
as $$
  -- The login counts, not the current role: a function that runs with another role's rights does not get through.
  select session_user in (
      'supabase_admin',
      'supabase_auth_admin',
      'supabase_storage_admin',
      'supabase_functions_admin',
      'supabase_realtime_admin'
    )
    or (
      session_user <> 'postgres'
      and (select rolsuper from pg_catalog.pg_roles where rolname = session_user)
    )
$$;

create or replace function _monobase.is_protected_schema(schema_name text) returns boolean
language sql immutable set search_path = ''
as $$
  select coalesce(schema_name in ('auth', 'storage', '_storage', 'realtime', '_realtime', 'vault', '_monobase'), false)
$$;

create or replace function _monobase.guard_commands() returns event_trigger
language plpgsql security definer set search_path = ''
as $$
declare
  command record;
  relation_name text;
begin
  if _monobase.is_service_session() then
    return;
  end if;

  for command in
    select *
    from pg_catalog.pg_event_trigger_ddl_commands() as done
    where not done.in_extension
      and done.command_tag not in (
        'CREATE POLICY', 'ALTER POLICY', 'CREATE TRIGGER', 'CREATE INDEX', 'COMMENT',
        'GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES'
      )
  loop
    -- The table that the command was about: a rule has no schema of its own, and a table that was moved to another schema is
    -- recognised by its owner.
    select class.relname
    into relation_name
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.oid = case command.classid
        when 'pg_catalog.pg_class'::regclass then command.objid
        when 'pg_catalog.pg_rewrite'::regclass
          then (select ev_class from pg_catalog.pg_rewrite where pg_rewrite.oid = command.objid)
      end
      and (
        _monobase.is_protected_schema(namespace.nspname)
        or class.relowner::regrole::text in (
          'supabase_admin', 'supabase_auth_admin', 'supabase_storage_admin', 'supabase_realtime_admin'
        )
      );

    if relation_name is null and not _monobase.is_protected_schema(command.schema_name) then
      continue;
    end if;
    if command.command_tag like 'CREATE %' and command.object_type <> 'rule' then
      raise exception using
        errcode = 'insufficient_privilege',
        message = format('permission denied for schema %s', command.schema_name);
    end if;
    raise exception using
      errcode = 'insufficient_privilege',
      message = format(
        'must be owner of %s %s',
        case when command.object_type like 'table%' or command.object_type = 'rule' then 'table' else command.object_type end,
        coalesce(relation_name, command.object_identity)
      );
  end loop;
end
$$;

create or replace function _monobase.guard_drops() returns event_trigger
language plpgsql security definer set search_path = ''
as $$
declare
  dropped record;
begin
  if _monobase.is_service_session() then
    return;
  end if;

  -- Triggers and policies may go; what goes with them follows. Everything else in these schemas stays.
  for dropped in
    select *
    from pg_catalog.pg_event_trigger_dropped_objects() as gone
    where gone.original
      and gone.object_type not in ('trigger', 'policy')
      and _monobase.is_protected_schema(gone.schema_name)
  loop
    raise exception using
      errcode = 'insufficient_privilege',
      message = format(
        'must be owner of %s %s',
        case when dropped.object_type like 'table%' then 'table' else dropped.object_type end,
        -- a column or constraint of a table is addressed by schema, table and its own name
        case when dropped.object_type like 'table%' then dropped.address_names[2] else dropped.object_identity end
      );
  end loop;
end
$$;

drop event trigger if exists monobase_guard;
create event trigger monobase_guard on ddl_command_end execute function _monobase.guard_commands();

drop event trigger if exists monobase_guard_drops;
create event trigger monobase_guard_drops on sql_drop execute function _monobase.guard_drops();

-- Also under `session_replication_role = replica`, which postgres may set.
alter event trigger monobase_guard enable always;
alter event trigger monobase_guard_drops enable always;
