-- Rows of `realtime.subscription` hold the claims of everyone who is connected. The original lets the API roles read them;
-- no client does, and the schema is not exposed, but a function of somebody's might be.

do $$
begin
  if to_regclass('realtime.subscription') is not null then
    revoke all on realtime.subscription from public, anon, authenticated;
  end if;
end
$$;
