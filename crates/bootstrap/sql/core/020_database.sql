-- The database itself. Its name need not be `postgres`.

do $$
declare
  db constant text := current_database();
  owned_by text;
begin
  select pg_get_userbyid(datdba) into owned_by from pg_catalog.pg_database where datname = db;
  -- Owning the database is what gives `postgres` the schema public (its owner is the role pg_database_owner). A database
  -- that belongs to somebody with a name of their own is left with them.
  if owned_by = 'postgres' then
    null;
  elsif (select rolsuper from pg_catalog.pg_roles where rolname = owned_by) then
    execute format('alter database %I owner to postgres', db);
  else
    grant all on schema public to postgres with grant option;
  end if;

  execute format('grant all on database %I to postgres, dashboard_user', db);
  -- Their migrations create schemas and install extensions.
  execute format('grant create on database %I to supabase_auth_admin, supabase_storage_admin', db);
end
$$;

grant usage on schema public to postgres, anon, authenticated, service_role;
