-- Who listens to which table with which filters, and the filters themselves.
--
-- Covers Realtime's versions 20211116024918 to 20230328144023. The functions that read the log, `apply_rls` and
-- `list_changes`, changed last in 20240827160934 and are in the file of that version.

-- Forms from before 2022 are not carried on: they hold connected clients, who subscribe again.
do $$
begin
    if exists (
        select from pg_attribute
        where attrelid = to_regclass('realtime.subscription') and attname = 'user_id' and not attisdropped
    ) then
        drop table realtime.subscription;
        drop function if exists realtime.apply_rls(jsonb, int);
    end if;
    if exists (select from pg_attribute where attrelid = to_regclass('realtime.wal_column') and attname = 'type') then
        drop type realtime.wal_column cascade;
    end if;
    if exists (select from pg_attribute where attrelid = to_regclass('realtime.wal_rls') and attname = 'users') then
        drop type realtime.wal_rls cascade;
    end if;
end
$$;

do $$
begin
    if to_regtype('realtime.action') is null then
        create type realtime.action as enum ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'ERROR');
    end if;
    if to_regtype('realtime.equality_op') is null then
        create type realtime.equality_op as enum ('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in');
    end if;
    if to_regtype('realtime.user_defined_filter') is null then
        create type realtime.user_defined_filter as (column_name text, op realtime.equality_op, value text);
    end if;
    -- A column of a changed row. `type_oid` is null where the decoder does not report it.
    if to_regtype('realtime.wal_column') is null then
        create type realtime.wal_column as (
            name text,
            type_name text,
            type_oid oid,
            value jsonb,
            is_pkey boolean,
            is_selectable boolean
        );
    end if;
    -- A change as one role may see it, and the subscriptions that get it.
    if to_regtype('realtime.wal_rls') is null then
        create type realtime.wal_rls as (
            wal jsonb,
            is_rls_enabled boolean,
            subscription_ids uuid[],
            errors text[]
        );
    end if;
end
$$;

alter type realtime.equality_op add value if not exists 'in';

-- Declared immutable, which it is not, because a generated column needs it; a role's oid does not change in practice.
create or replace function realtime.to_regrole(role_name text) returns regrole
language sql immutable
as $$
    select role_name::regrole
$$;

create table if not exists realtime.subscription (
    id bigint not null generated always as identity,
    subscription_id uuid not null,
    entity regclass not null,
    filters realtime.user_defined_filter[] not null default '{}',
    claims jsonb not null,
    claims_role regrole not null generated always as (realtime.to_regrole(claims ->> 'role')) stored,
    created_at timestamp not null default timezone('utc', now()),
    constraint pk_subscription primary key (id)
);

create unique index if not exists subscription_subscription_id_entity_filters_key
    on realtime.subscription (subscription_id, entity, filters);

-- A value in the text form of its type, as JSON.
create or replace function realtime.cast(val text, type_ regtype) returns jsonb
language plpgsql immutable
as $$
declare
    converted jsonb;
begin
    execute format('select to_jsonb(%L::%s)', val, type_) into converted;
    return converted;
end
$$;

-- Compares two values in the text form of a type. The second operand of `in` is an array.
create or replace function realtime.check_equality_op(
    op realtime.equality_op,
    type_ regtype,
    val_1 text,
    val_2 text
) returns boolean
language plpgsql immutable
as $$
declare
    operator constant text := case op
        when 'eq' then '='
        when 'neq' then '<>'
        when 'lt' then '<'
        when 'lte' then '<='
        when 'gt' then '>'
        when 'gte' then '>='
        when 'in' then '= any'
    end;
    operand_type constant text := case when op = 'in' then type_::text || '[]' else type_::text end;
    holds boolean;
begin
    execute format('select %L::%s %s (%L::%s)', val_1, type_, operator, val_2, operand_type) into holds;
    return holds;
end
$$;

-- True if every filter on a column that is present holds; a null never passes a filter. No filters let everything pass.
create or replace function realtime.is_visible_through_filters(
    columns realtime.wal_column[],
    filters realtime.user_defined_filter[]
) returns boolean
language sql immutable
as $$
    select coalesce(cardinality(filters), 0) = 0 or bool_and(
        coalesce(
            realtime.check_equality_op(
                f.op,
                coalesce(c.type_oid::regtype, c.type_name::regtype),
                c.value #>> '{}',
                f.value
            ),
            false
        )
    )
    from unnest(filters) as f
    join unnest(columns) as c on c.name = f.column_name
$$;

-- Refuses filters on columns that the subscriber's role may not read and values that are not of the column's type. The
-- filters are put into one order, so that the unique index sees two orders of the same filters as equal.
create or replace function realtime.subscription_check_filters() returns trigger
language plpgsql
as $$
declare
    filter realtime.user_defined_filter;
    column_type regtype;
    listed jsonb;
begin
    foreach filter in array coalesce(new.filters, '{}') loop
        if not exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = new.entity and a.attname = filter.column_name and a.attnum > 0 and not a.attisdropped
                and pg_catalog.has_column_privilege(new.claims ->> 'role', a.attrelid, a.attnum, 'SELECT')
        ) then
            raise exception 'invalid column for filter %', filter.column_name;
        end if;

        select a.atttypid into column_type
        from pg_catalog.pg_attribute a
        where a.attrelid = new.entity and a.attname = filter.column_name;
        if column_type is null then
            raise exception 'failed to lookup type for column %', filter.column_name;
        end if;

        if filter.op = 'in' then
            listed := realtime.cast(filter.value, (column_type::text || '[]')::regtype);
            if jsonb_array_length(listed) > 100 then
                raise exception 'too many values for `in` filter. Maximum 100';
            end if;
        else
            perform realtime.cast(filter.value, column_type);
        end if;
    end loop;

    new.filters := coalesce(
        (select array_agg(f order by f.column_name, f.op, f.value) from unnest(new.filters) as f),
        '{}'
    );
    return new;
end
$$;

create or replace trigger tr_check_filters
    before insert or update on realtime.subscription
    for each row execute function realtime.subscription_check_filters();

-- A table's name in the form of wal2json's options, where a backslash may stand before every character.
create or replace function realtime.quote_wal2json(entity regclass) returns text
language sql immutable strict
as $$
    select regexp_replace(n.nspname, '(.)', '\\\1', 'g') || '.' || regexp_replace(c.relname, '(.)', '\\\1', 'g')
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid = entity
$$;

-- The text of a `prepare` that looks a row up by its primary key, to be executed as the role that may or may not see it.
create or replace function realtime.build_prepared_statement_sql(
    prepared_statement_name text,
    entity regclass,
    columns realtime.wal_column[]
) returns text
language sql
as $$
    select format(
        'prepare %s as select exists (select 1 from %s where %s)',
        prepared_statement_name,
        entity,
        string_agg(format('%I = %s', c.name, quote_nullable(c.value #>> '{}')), ' and ')
    )
    from unnest(columns) as c
    where c.is_pkey
    having count(*) > 0
$$;
