-- Messages that the database itself broadcasts, and the policies on which private channels rest.
--
-- Covers Realtime's versions 20240919163303 to 20250905041441 and, of 20240523004032, the table `messages`. The versions
-- about unlogged tables and about index bridging leave nothing behind in PostgreSQL.

-- Rows are transient, policies are not: a table that is not partitioned yet hands its policies on to the new one.
do $$
declare
    policies text[] := '{}';
    statement text;
begin
    if (select relkind from pg_class where oid = to_regclass('realtime.messages')) = 'r' then
        policies := array(
            select format(
                'create policy %I on realtime.messages as %s for %s to %s',
                p.policyname, p.permissive, p.cmd, (select string_agg(quote_ident(r), ', ') from unnest(p.roles) as r)
            )
            || coalesce(' using (' || p.qual || ')', '')
            || coalesce(' with check (' || p.with_check || ')', '')
            from pg_policies p
            where p.schemaname = 'realtime' and p.tablename = 'messages'
        );
        drop table realtime.messages cascade;
    end if;

    create table if not exists realtime.messages (
        topic text not null,
        extension text not null,
        payload jsonb,
        event text,
        private boolean default false,
        updated_at timestamp not null default now(),
        inserted_at timestamp not null default now(),
        id uuid not null default gen_random_uuid()
    ) partition by range (inserted_at);

    foreach statement in array policies loop
        execute statement;
    end loop;
end
$$;

-- Databases between 20241030150047 and 20241108114728 have a numeric key beside a text `uuid`.
do $$
begin
    if exists (
        select from pg_attribute
        where attrelid = 'realtime.messages'::regclass and attname = 'uuid' and not attisdropped
    ) then
        alter table realtime.messages drop column id, drop column uuid;
        alter table realtime.messages add column id uuid not null default gen_random_uuid();
    end if;
    if not exists (select from pg_constraint where conrelid = 'realtime.messages'::regclass and contype = 'p') then
        alter table realtime.messages add constraint messages_pkey primary key (id, inserted_at);
    end if;
end
$$;

drop sequence if exists realtime.messages_id_seq;

alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;

-- For the replay of recent messages to a channel that is joined again.
create index if not exists messages_inserted_at_topic_index
    on realtime.messages (inserted_at desc, topic) where extension = 'broadcast' and private is true;

-- The topic that a policy is asked about; null outside of a channel.
create or replace function realtime.topic() returns text
language sql stable
as $$
    select nullif(current_setting('realtime.topic', true), '')
$$;
alter function realtime.topic() owner to supabase_realtime_admin;

-- Broadcasts one message. A failure is logged and never reaches the caller: a trigger that tells clients of a change must
-- not undo the change.
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void
language plpgsql
as $$
begin
    perform set_config('realtime.topic', send.topic, true);
    insert into realtime.messages (payload, event, topic, private, extension)
    values (send.payload, send.event, send.topic, send.private, 'broadcast');
exception when others then
    raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- For row triggers: broadcasts the row before and after.
create or replace function realtime.broadcast_changes(
    topic_name text,
    event_name text,
    operation text,
    table_name text,
    table_schema text,
    new record,
    old record,
    level text default 'ROW'
) returns void
language plpgsql
as $$
begin
    if level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    if operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'Unexpected operation type: %', operation;
    end if;
    perform realtime.send(
        jsonb_build_object(
            'schema', table_schema,
            'table', table_name,
            'operation', operation,
            'record', new,
            'old_record', old
        ),
        event_name,
        topic_name
    );
exception when others then
    raise exception 'Failed to process the row: %', sqlerrm;
end
$$;

-- The hash index of the first versions.
do $$
begin
    if exists (
        select from pg_class c
        join pg_am a on a.oid = c.relam
        where c.oid = to_regclass('realtime.ix_realtime_subscription_entity') and a.amname <> 'btree'
    ) then
        drop index realtime.ix_realtime_subscription_entity;
    end if;
end
$$;
create index if not exists ix_realtime_subscription_entity on realtime.subscription (entity);

-- Publications of a former way to read messages. A server of today makes its own when it starts.
do $$
declare
    publication name;
begin
    if not exists (select from realtime.schema_migrations where version = 20250123174212) then
        for publication in
            select pubname from pg_publication
            where starts_with(pubname, 'realtime_messages') or starts_with(pubname, 'supabase_realtime_messages')
        loop
            execute format('drop publication %I', publication);
        end loop;
    end if;
end
$$;
