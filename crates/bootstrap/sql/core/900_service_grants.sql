-- After the services' own migrations: what default privileges cannot give, because the tables' owner is not the one for
-- whom those are declared. Row level security decides what the API roles see.

do $$
declare
  relation text;
begin
  foreach relation in array array['storage.buckets', 'storage.objects'] loop
    if to_regclass(relation) is not null then
      execute format('grant all on %s to anon, authenticated, service_role', relation);
      execute format('grant all on %s to postgres with grant option', relation);
    end if;
  end loop;

  -- What was migrated is the services' business: whoever changes these rows breaks the next start.
  foreach relation in array array['auth.schema_migrations', 'storage.migrations', 'realtime.schema_migrations'] loop
    if to_regclass(relation) is not null then
      execute format('revoke all on %s from public, anon, authenticated, service_role, dashboard_user', relation);
      execute format('revoke all on %s from postgres', relation);
    end if;
  end loop;
end
$$;
