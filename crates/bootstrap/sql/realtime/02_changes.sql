-- From a change in the log to what each subscriber may see of it; privileges of the API roles.
--
-- Covers Realtime's versions 20231018144023 to 20240827160934. The tables `channels`, `broadcasts` and `presences` of
-- some of them were given up by 20240523004032, in favour of `messages` in the next file.
-- monobase decodes `pgoutput` in its own process and does not call these functions; an original Realtime does.

do $$
begin
    if not exists (select from pg_roles where rolname = 'supabase_realtime_admin') then
        create role supabase_realtime_admin nologin noinherit noreplication;
    end if;
    if not pg_has_role('postgres', 'supabase_realtime_admin', 'member') then
        grant supabase_realtime_admin to postgres;
    end if;
end
$$;

drop table if exists realtime.broadcasts, realtime.presences, realtime.channels cascade;
drop function if exists realtime.channel_name();

-- One change (an object of wal2json's second format), seen by each role that subscribes to its table:
-- - a table without primary key, or whose key the role may not read, gives an error instead of the row;
-- - columns that the role may not read are left out;
-- - of a change larger than `max_record_bytes`, values of more than 64 bytes are left out;
-- - a deleted row can no longer be asked for its policies, so under row level security only its key is shown.
create or replace function realtime.apply_rls(wal jsonb, max_record_bytes integer default (1024 * 1024))
returns setof realtime.wal_rls
language plpgsql
as $$
declare
    relation constant regclass := format('%I.%I', wal ->> 'schema', wal ->> 'table')::regclass;
    kind constant realtime.action := case wal ->> 'action'
        when 'I' then 'INSERT'
        when 'U' then 'UPDATE'
        when 'D' then 'DELETE'
        else 'ERROR'
    end;
    secured constant boolean := (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = relation);
    oversized constant boolean := octet_length(wal::text) > max_record_bytes;
    problems constant text[] := case when oversized then array['Error 413: Payload Too Large'] else '{}' end;
    heading constant jsonb := jsonb_build_object('schema', wal ->> 'schema', 'table', wal ->> 'table', 'type', kind);

    -- The row after and before the change.
    present realtime.wal_column[];
    former realtime.wal_column[];

    subscriptions constant realtime.subscription[] := array(
        select s from realtime.subscription s where s.entity = relation
    );
    reader regrole;
    readable text[];
    audience realtime.subscription[];
    subscriber realtime.subscription;
    recipients uuid[];
    allowed boolean;
    event jsonb;
begin
    perform set_config('role', 'none', true);

    select
        array_agg(decoded.value order by decoded.position) filter (where decoded.part = 'columns'),
        array_agg(decoded.value order by decoded.position) filter (where decoded.part = 'identity')
    into present, former
    from (
        select part, field.position, (
            field.item ->> 'name',
            field.item ->> 'type',
            field.item ->> 'typeoid',
            realtime.cast(
                field.item ->> 'value',
                coalesce((field.item ->> 'typeoid')::regtype, (field.item ->> 'type')::regtype)
            ),
            exists (select from jsonb_array_elements(wal -> 'pk') as key where key ->> 'name' = field.item ->> 'name'),
            true
        )::realtime.wal_column as value
        from unnest(array['columns', 'identity']) as part,
            jsonb_array_elements(wal -> part) with ordinality as field (item, position)
    ) decoded;

    for reader in
        select distinct s.claims_role::text from unnest(subscriptions) as s order by 1
    loop
        audience := array(select s from unnest(subscriptions) as s where s.claims_role = reader);
        readable := array(
            select a.attname::text
            from pg_catalog.pg_attribute a
            where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
                and pg_catalog.has_column_privilege(reader, relation, a.attnum, 'SELECT')
        );

        if kind <> 'DELETE' and not exists (select from unnest(present) as c where c.is_pkey) then
            return next (
                heading,
                secured,
                (select array_agg(s.subscription_id) from unnest(audience) as s),
                array['Error 400: Bad Request, no primary key']
            )::realtime.wal_rls;
            continue;
        end if;

        if kind <> 'DELETE' and exists (
            select from unnest(present) as c where c.is_pkey and c.name <> all (readable)
        ) then
            return next (
                heading,
                secured,
                (select array_agg(s.subscription_id) from unnest(audience) as s),
                array['Error 401: Unauthorized']
            )::realtime.wal_rls;
            continue;
        end if;

        event := heading || jsonb_build_object(
            'commit_timestamp',
            to_char((wal ->> 'timestamp')::timestamptz at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'columns',
            (
                select jsonb_agg(jsonb_build_object('name', a.attname, 'type', t.typname) order by a.attnum)
                from pg_catalog.pg_attribute a
                join pg_catalog.pg_type t on t.oid = a.atttypid
                where a.attrelid = relation and a.attnum > 0 and a.attname = any (readable)
            )
        );

        -- A large value that an update did not touch is not in the log: it is taken from the row before, if that is there.
        if kind in ('INSERT', 'UPDATE') then
            event := event || jsonb_build_object('record', (
                select jsonb_object_agg(shown.name, shown.value)
                from (
                    select c.name, c.value from unnest(present) as c
                    where not oversized or octet_length(c.value::text) <= 64
                    union all
                    select f.name, f.value from unnest(former) as f
                    where not oversized and not exists (select from unnest(present) as c where c.name = f.name)
                ) shown
                where shown.name = any (readable)
            ));
        end if;
        if kind in ('UPDATE', 'DELETE') then
            event := event || jsonb_build_object('old_record', (
                select jsonb_object_agg(f.name, f.value)
                from unnest(former) as f
                where f.name = any (readable)
                    and (not oversized or octet_length(f.value::text) <= 64)
                    and (kind = 'UPDATE' or not secured or f.is_pkey)
            ));
        end if;

        audience := array(
            select s
            from unnest(audience) as s
            where realtime.is_visible_through_filters(present, s.filters)
                or (kind = 'DELETE' and realtime.is_visible_through_filters(former, s.filters))
        );

        if kind = 'DELETE' or not secured then
            recipients := array(select s.subscription_id from unnest(audience) as s);
        else
            -- Each subscriber asks for the row by its key, under its own role and claims.
            if exists (select from pg_catalog.pg_prepared_statements p where p.name = 'walrus_rls_stmt') then
                deallocate walrus_rls_stmt;
            end if;
            execute realtime.build_prepared_statement_sql('walrus_rls_stmt', relation, present);

            recipients := '{}';
            foreach subscriber in array audience loop
                perform
                    set_config('role', (select r.rolname from pg_catalog.pg_roles r where r.oid = reader), true),
                    set_config('request.jwt.claims', subscriber.claims::text, true);
                execute 'execute walrus_rls_stmt' into allowed;
                if allowed then
                    recipients := recipients || subscriber.subscription_id;
                end if;
            end loop;
            perform set_config('role', 'none', true);
        end if;

        return next (event, secured, recipients, problems)::realtime.wal_rls;
    end loop;
end
$$;

-- Reads a logical slot of the wal2json plugin and returns what has a recipient. Without that plugin, or where the server's
-- `output_plugin_libraries` does not name it, the call fails when the slot is read. Tables whose names contain a space are
-- left out: the plugin's list of tables has no way to name them.
create or replace function realtime.list_changes(
    publication name,
    slot_name name,
    max_changes integer,
    max_record_bytes integer
) returns setof realtime.wal_rls
language sql
set log_min_messages to 'fatal'
as $$
    with published as (
        select
            concat_ws(
                ',',
                case when p.pubinsert then 'insert' end,
                case when p.pubupdate then 'update' end,
                case when p.pubdelete then 'delete' end
            ) as actions,
            coalesce(
                (
                    select string_agg(realtime.quote_wal2json(format('%I.%I', t.schemaname, t.tablename)::regclass), ',')
                    from pg_catalog.pg_publication_tables t
                    where t.pubname = p.pubname and position(' ' in t.tablename) = 0
                ),
                ''
            ) as tables
        from pg_catalog.pg_publication p
        where p.pubname = publication
    )
    select seen.wal, seen.is_rls_enabled, seen.subscription_ids, seen.errors
    from published,
        pg_catalog.pg_logical_slot_get_changes(
            slot_name, null, max_changes,
            'format-version', '2',
            'include-pk', 'true',
            'include-transaction', 'false',
            'include-timestamp', 'true',
            'include-type-oids', 'true',
            'actions', published.actions,
            'add-tables', published.tables
        ) as change,
        realtime.apply_rls(change.data::jsonb, max_record_bytes) as seen
    where published.tables <> '' and cardinality(seen.subscription_ids) > 0
$$;

-- The next file's functions are not among these: they are called by name in policies and triggers, and open to everyone.
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant select on all tables in schema realtime to postgres, anon, authenticated, service_role;
grant execute on all functions in schema realtime to postgres, anon, authenticated, service_role;
grant usage on all sequences in schema realtime to postgres, anon, authenticated, service_role;

grant all on schema realtime to supabase_realtime_admin;
grant all on all tables in schema realtime to supabase_realtime_admin;
grant all on all sequences in schema realtime to supabase_realtime_admin;
grant all on all functions in schema realtime to supabase_realtime_admin;
