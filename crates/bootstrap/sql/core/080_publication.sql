-- Empty: users add the tables whose changes they want to hear of, `alter publication supabase_realtime add table ...`.

do $$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
    alter publication supabase_realtime owner to postgres;
  end if;
end
$$;
