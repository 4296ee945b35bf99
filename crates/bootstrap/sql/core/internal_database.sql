-- The database `_supabase`, beside the users' own: where the log store and the pooler of the reference installation keep
-- their tables. Restored dumps and tools expect it.

create schema if not exists _analytics authorization supabase_admin;
create schema if not exists _supavisor authorization supabase_admin;
