-- lo_import and lo_export read and write files of the server. Only superusers can call them; this makes sure that they
-- belong to ours.

do $$
begin
  alter function pg_catalog.lo_export(oid, text) owner to supabase_admin;
  alter function pg_catalog.lo_import(text) owner to supabase_admin;
  alter function pg_catalog.lo_import(text, oid) owner to supabase_admin;
end
$$;
