-- What kind of server and database this is, and what the role that connected may do. One row.

select
  current_setting('server_version_num'),
  session_user,
  me.rolsuper,
  me.rolcreaterole,
  me.rolbypassrls,
  me.rolreplication,
  pg_is_in_recovery(),
  exists (select from pg_catalog.pg_roles where rolname = 'authenticator'),
  exists (
    select
    from pg_catalog.pg_class as relation
    join pg_catalog.pg_namespace as namespace on namespace.oid = relation.relnamespace
    where namespace.nspname = '_monobase' and relation.relname = 'install'
  ),
  exists (select from pg_catalog.pg_namespace where nspname in ('auth', 'storage', 'realtime')),
  (
    select string_agg(rolname, ', ' order by rolname)
    from pg_catalog.pg_roles
    where rolname in ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'neon_superuser', 'doadmin')
  ),
  (
    select string_agg(wanted.name, ',' order by wanted.name)
    from (values ('pgcrypto'), ('uuid-ossp')) as wanted (name)
    where not exists (select from pg_catalog.pg_available_extensions as offered where offered.name = wanted.name)
  ),
  exists (select from pg_catalog.pg_available_extensions where name = 'pgjwt'),
  current_setting('wal_level'),
  (select rolsuper from pg_catalog.pg_roles where rolname = 'postgres')
from pg_catalog.pg_roles as me
where me.rolname = session_user;
