-- Poolers look passwords up here. A role that may not log in, or whose password has expired, has none.

create or replace function pgbouncer.get_auth(p_usename text)
returns table (username text, password text)
language sql stable security definer set search_path = ''
as $$
  select
    role.rolname::text,
    case when role.rolcanlogin and (role.rolvaliduntil is null or role.rolvaliduntil > now()) then role.rolpassword end
  from pg_catalog.pg_authid as role
  where role.rolname = p_usename
$$;

alter function pgbouncer.get_auth(text) owner to supabase_admin;
revoke all on function pgbouncer.get_auth(text) from public;
grant execute on function pgbouncer.get_auth(text) to pgbouncer;
