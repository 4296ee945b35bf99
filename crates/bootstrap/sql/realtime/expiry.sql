-- Run by the realtime service every few hours: messages live for three days after theirs. One partition a transaction would
-- be kinder to readers, but there is hardly ever more than one.

do $$
declare
    partition text;
begin
    perform set_config('lock_timeout', '5s', true);
    for partition in
        select c.relname
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'realtime.messages'::regclass
            and c.relname ~ '^messages_\d{4}_\d{2}_\d{2}$'
            and to_date(c.relname, '"messages_"YYYY_MM_DD') < (now() at time zone 'utc' - interval '72 hours')::date
    loop
        execute format('drop table realtime.%I', partition);
    end loop;
end
$$;
