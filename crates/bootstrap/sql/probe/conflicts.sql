-- What stands where a fresh database needs room. One sentence a row; none means that we may begin.

select format(
  'schema %s exists already (owner %s, %s tables): rename or drop it',
  namespace.nspname,
  namespace.nspowner::regrole,
  (select count(*) from pg_catalog.pg_class where relnamespace = namespace.oid and relkind in ('r', 'p'))
)
from pg_catalog.pg_namespace as namespace
where namespace.nspname in ('auth', 'storage', 'realtime', '_realtime', 'graphql_public', 'pgbouncer', '_monobase')

union all

-- A function or table of somebody else in there would be found by everyone.
select format('schema extensions exists already and holds %s %s: move it elsewhere', kind, name)
from (
  select 'relation', relation.oid::regclass::text, relation.oid, 'pg_catalog.pg_class'::regclass
  from pg_catalog.pg_class as relation
  where relation.relnamespace = to_regnamespace('extensions') and relation.relkind in ('r', 'p', 'v', 'm', 'f')
  union all
  select 'function', routine.oid::regprocedure::text, routine.oid, 'pg_catalog.pg_proc'::regclass
  from pg_catalog.pg_proc as routine
  where routine.pronamespace = to_regnamespace('extensions')
) as object (kind, name, oid, class)
where not exists (
  select
  from pg_catalog.pg_depend
  where classid = object.class and objid = object.oid and deptype = 'e'
)

union all

select format('role %s exists already: rename or drop it', rolname)
from pg_catalog.pg_roles
where rolname in (
  'anon', 'authenticated', 'service_role', 'supabase_auth_admin', 'supabase_storage_admin', 'supabase_functions_admin',
  'supabase_realtime_admin', 'supabase_replication_admin', 'supabase_read_only_user', 'supabase_etl_admin',
  'dashboard_user', 'pgbouncer', 'pgsodium_keyiduser', 'pgsodium_keyholder', 'pgsodium_keymaker'
)
-- Making an existing role a superuser would be a gift to whoever holds its password.
or (rolname = 'supabase_admin' and not rolsuper)

union all

select format(
  'extension %s is installed in schema %s: run `alter extension %I set schema extensions` (after `create schema extensions`)',
  extname, extnamespace::regnamespace, extname
)
from pg_catalog.pg_extension
where extname in ('pgcrypto', 'uuid-ossp', 'pgjwt') and extnamespace::regnamespace::text <> 'extensions'

union all

select format('publication %s exists already and belongs to %s: drop or rename it', pubname, pubowner::regrole)
from pg_catalog.pg_publication
where pubname = 'supabase_realtime'

order by 1;
