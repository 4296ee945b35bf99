-- The realtime service reads changes from the write-ahead log. These event triggers tell it in that same log when a
-- publication changes, so that it hears of it at once, in its place among the changes, and need not ask for it.

create or replace function _monobase.tell_of_publication() returns event_trigger
language plpgsql set search_path = ''
as $$
begin
  perform pg_catalog.pg_logical_emit_message(true, 'monobase.publication', '');
end
$$;

drop event trigger if exists realtime_publication_watch;
create event trigger realtime_publication_watch on ddl_command_end
when tag in ('CREATE PUBLICATION', 'ALTER PUBLICATION', 'DROP PUBLICATION')
execute function _monobase.tell_of_publication();

-- Superusers run it too, so nobody else may be able to change it.
alter function _monobase.tell_of_publication() owner to supabase_admin;
revoke all on function _monobase.tell_of_publication() from public;
