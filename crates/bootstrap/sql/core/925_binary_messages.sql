-- Broadcasts of opaque bytes from the database, as later versions of Realtime have them. Their migrations make the same
-- column and replace the function, so an original server can take over. The constraint that theirs adds is left to them.

do $$
begin
  if to_regclass('realtime.messages') is null then
    return;
  end if;
  if not exists (
    select from pg_attribute
    where attrelid = 'realtime.messages'::regclass and attname = 'binary_payload' and not attisdropped
  ) then
    alter table realtime.messages add column binary_payload bytea;
  end if;
  if to_regprocedure('realtime.send_binary(bytea, text, text, boolean)') is null then
    execute $function$
      create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true)
      returns void
      language plpgsql
      as $body$
      begin
        perform set_config('realtime.topic', send_binary.topic, true);
        insert into realtime.messages (binary_payload, event, topic, private, extension)
        values (send_binary.payload, send_binary.event, send_binary.topic, send_binary.private, 'broadcast');
      exception when others then
        raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
      end
      $body$
    $function$;
    grant execute on function realtime.send_binary(bytea, text, text, boolean)
      to postgres, anon, authenticated, service_role;
  end if;
end
$$;
