-- Tables, sequences and functions that `postgres` creates in public are not reachable over the API until somebody grants
-- it. For projects that ask for it (`api.auto_expose_new_tables = false`), on a fresh database.

alter default privileges for role postgres in schema public
  revoke select, insert, update, delete on tables from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  revoke usage, select on sequences from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  revoke execute on functions from anon, authenticated, service_role;
