-- No policy is asked when a table is truncated. Again here, after everything has been granted.

do $$
declare
  relation text;
begin
  foreach relation in array array['storage.buckets', 'storage.objects', 'storage.prefixes', 'storage.buckets_analytics'] loop
    if to_regclass(relation) is not null then
      execute format('revoke truncate on %s from anon, authenticated', relation);
    end if;
  end loop;
end
$$;
