-- What the original leaves open to whoever may call functions over REST: the functions that keep the table of folders run
-- as their owner, and everyone may execute them, so that anyone could make folders, remove them and take locks. The
-- triggers run as the owner instead, and the functions are theirs alone.

alter function storage.objects_insert_prefix_trigger() security definer set search_path = '';
alter function storage.objects_update_prefix_trigger() security definer set search_path = '';
alter function storage.delete_prefix_hierarchy_trigger() security definer set search_path = '';
alter function storage.prefixes_insert_trigger() security definer set search_path = '';
alter function storage.add_prefixes(text, text) set search_path = '';
alter function storage.delete_prefix(text, text) set search_path = '';
alter function storage.delete_leaf_prefixes(text[], text[]) set search_path = '';
alter function storage.lock_top_prefixes(text[], text[]) set search_path = '';

revoke all on function
    storage.add_prefixes(text, text),
    storage.delete_prefix(text, text),
    storage.delete_leaf_prefixes(text[], text[]),
    storage.lock_top_prefixes(text[], text[])
from public, anon, authenticated, service_role;

-- No policy is asked when a table is truncated.
revoke truncate on storage.buckets, storage.objects, storage.prefixes, storage.buckets_analytics
from anon, authenticated;
