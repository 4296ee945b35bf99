-- Run by the realtime service when it starts, when it begins to read the log, and every few hours: partitions of
-- `realtime.messages` for the days to come, and the publication through which rows of it are read. Days are those of UTC.

do $$
declare
    day date;
    partition text;
begin
    -- Nodes that come up together do it one after the other; nobody waits long for a table that is in use.
    perform set_config('lock_timeout', '5s', true);
    perform pg_advisory_xact_lock(hashtext('monobase.realtime.messages'));

    for day in
        select generate_series(today - 1, today + 3, '1 day')::date
        from (select (now() at time zone 'utc')::date as today) as clock
    loop
        partition := 'messages_' || to_char(day, 'YYYY_MM_DD');
        if to_regclass(format('realtime.%I', partition)) is null then
            -- Attached, because making it a partition at once would lock out whoever reads or writes messages.
            execute format('create table realtime.%I (like realtime.messages including all)', partition);
            execute format('alter table realtime.%I enable row level security', partition);
            execute format('revoke all on realtime.%I from public, anon, authenticated, service_role', partition);
            execute format(
                'alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)',
                partition, day, day + 1
            );
        end if;
    end loop;

    if not exists (select from pg_publication where pubname = 'supabase_realtime_messages_publication') then
        create publication supabase_realtime_messages_publication for table realtime.messages;
    elsif not exists (
        select from pg_publication_rel r
        join pg_publication p on p.oid = r.prpubid
        where p.pubname = 'supabase_realtime_messages_publication' and r.prrelid = 'realtime.messages'::regclass
    ) then
        alter publication supabase_realtime_messages_publication add table realtime.messages;
    end if;
end
$$;
