-- How a database differs from what the steps bring about: kind, object, expected, found (null when it is missing).
-- Reads only the catalogue, changes nothing, and needs no schema of ours.

with wanted_role (name, attributes) as (
  values
    ('supabase_admin', 'superuser createdb createrole login replication bypassrls inherit'),
    ('postgres', 'createdb createrole login replication bypassrls inherit'),
    ('anon', 'inherit'),
    ('authenticated', 'inherit'),
    ('service_role', 'bypassrls inherit'),
    ('authenticator', 'login'),
    ('supabase_auth_admin', 'createrole login'),
    ('supabase_storage_admin', 'createrole login'),
    ('supabase_functions_admin', 'createrole login'),
    ('supabase_realtime_admin', ''),
    ('supabase_replication_admin', 'login replication inherit'),
    ('supabase_read_only_user', 'login bypassrls inherit'),
    ('supabase_etl_admin', 'login replication inherit'),
    ('dashboard_user', 'createdb createrole replication inherit'),
    ('pgbouncer', 'login inherit'),
    ('pgsodium_keyiduser', 'inherit'),
    ('pgsodium_keyholder', 'inherit'),
    ('pgsodium_keymaker', 'inherit')
),

found_role (name, attributes) as (
  select
    rolname::text,
    concat_ws(
      ' ',
      -- The first role of a server may be called postgres and cannot lose the attribute: not a difference.
      case when rolsuper and rolname <> 'postgres' then 'superuser' end,
      case when rolcreatedb then 'createdb' end,
      case when rolcreaterole then 'createrole' end,
      case when rolcanlogin then 'login' end,
      case when rolreplication then 'replication' end,
      case when rolbypassrls then 'bypassrls' end,
      case when rolinherit then 'inherit' end
    )
  from pg_catalog.pg_roles
),

wanted_setting (role, name, value) as (
  values
    ('supabase_admin', 'search_path', '"$user", public, auth, extensions'),
    ('postgres', 'search_path', '"$user", public, extensions'),
    ('anon', 'statement_timeout', '3s'),
    ('authenticated', 'statement_timeout', '8s'),
    ('authenticator', 'statement_timeout', '8s'),
    ('authenticator', 'lock_timeout', '8s'),
    ('supabase_auth_admin', 'search_path', 'auth'),
    ('supabase_auth_admin', 'idle_in_transaction_session_timeout', '60000'),
    ('supabase_storage_admin', 'search_path', 'storage'),
    ('supabase_functions_admin', 'search_path', 'supabase_functions')
),

found_setting (role, name, value) as (
  select setrole::regrole::text, split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)
  from pg_catalog.pg_db_role_setting
  cross join lateral unnest(setconfig) as entry
  where setdatabase = 0
),

wanted_membership (role, member) as (
  values
    ('anon', 'authenticator'),
    ('authenticated', 'authenticator'),
    ('service_role', 'authenticator'),
    ('anon', 'postgres'),
    ('authenticated', 'postgres'),
    ('service_role', 'postgres'),
    ('supabase_auth_admin', 'postgres'),
    ('supabase_storage_admin', 'postgres'),
    ('supabase_functions_admin', 'postgres'),
    ('supabase_realtime_admin', 'postgres'),
    ('pg_monitor', 'postgres'),
    ('pg_read_all_data', 'postgres'),
    ('pg_signal_backend', 'postgres'),
    ('authenticator', 'supabase_storage_admin'),
    ('pg_read_all_data', 'supabase_read_only_user')
),

found_membership (role, member) as (
  select roleid::regrole::text, member::regrole::text from pg_catalog.pg_auth_members
),

wanted_schema (name, owner) as (
  values
    ('extensions', 'postgres'),
    ('auth', 'supabase_admin'),
    ('storage', 'supabase_admin'),
    ('realtime', 'supabase_admin'),
    ('_realtime', 'supabase_admin'),
    ('graphql_public', 'supabase_admin'),
    ('pgbouncer', 'pgbouncer')
),

wanted_extension (name) as (
  values ('pgcrypto'), ('uuid-ossp')
),

wanted_event_trigger (name) as (
  values
    ('pgrst_ddl_watch'),
    ('pgrst_drop_watch'),
    ('issue_pg_cron_access'),
    ('issue_pg_net_access'),
    ('issue_pg_graphql_access'),
    ('issue_graphql_placeholder')
)

select 'role', wanted.name, wanted.attributes, found.attributes
from wanted_role as wanted
left join found_role as found using (name)
where found.attributes is distinct from wanted.attributes

union all

select 'role setting', format('%s of %s', wanted.name, wanted.role), wanted.value, found.value
from wanted_setting as wanted
left join found_setting as found using (role, name)
where found.value is distinct from wanted.value

union all

select 'membership', format('%s in %s', wanted.member, wanted.role), 'granted', null
from wanted_membership as wanted
where not exists (
  select from found_membership as found where found.role = wanted.role and found.member = wanted.member
)

union all

select 'schema', wanted.name, format('owner %s', wanted.owner), 'owner ' || found.nspowner::regrole
from wanted_schema as wanted
left join pg_catalog.pg_namespace as found on found.nspname = wanted.name
where found.nspowner::regrole::text is distinct from wanted.owner

union all

-- REASSIGN OWNED is the one statement that no event trigger sees.
select
  'table owner',
  format('%s.%s', namespace.nspname, relation.relname),
  case namespace.nspname
    when 'auth' then 'supabase_auth_admin'
    when 'storage' then 'supabase_storage_admin'
  end,
  relation.relowner::regrole::text
from pg_catalog.pg_class as relation
join pg_catalog.pg_namespace as namespace on namespace.oid = relation.relnamespace
where namespace.nspname in ('auth', 'storage')
  and relation.relkind in ('r', 'p')
  and relation.relowner::regrole::text not in ('supabase_admin', 'supabase_auth_admin', 'supabase_storage_admin')

union all

select 'extension', wanted.name, 'schema extensions', 'schema ' || found.extnamespace::regnamespace
from wanted_extension as wanted
left join pg_catalog.pg_extension as found on found.extname = wanted.name
where found.extnamespace::regnamespace::text is distinct from 'extensions'

union all

select 'event trigger', wanted.name, 'enabled', case found.evtenabled when 'D' then 'disabled' end
from wanted_event_trigger as wanted
left join pg_catalog.pg_event_trigger as found on found.evtname = wanted.name
where found.evtenabled is null or found.evtenabled = 'D'

union all

-- Whoever owns such a function decides what superusers run.
select 'event trigger owner', event_trigger.evtname, 'supabase_admin', routine.proowner::regrole::text
from pg_catalog.pg_event_trigger as event_trigger
join pg_catalog.pg_proc as routine on routine.oid = event_trigger.evtfoid
where event_trigger.evtname in (select name from wanted_event_trigger)
  and routine.proowner::regrole::text <> 'supabase_admin'

union all

select 'publication', 'supabase_realtime', 'present', null
where not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime')

order by 1, 2;
