-- The triggers that keep the table of folders, and a second set of functions for the same end which no trigger uses.
--
-- Covers Storage's migrations 40 (fix-prefix-race-conditions-optimized) to 43 (fix-object-level): 40 replaced the row
-- triggers by statement triggers, 42 went back, and the functions of 40 stayed.

-- One lock for each outermost folder that a statement touches, always taken in the same order.
create or replace function storage.lock_top_prefixes(bucket_ids text[], names text[]) returns void
language plpgsql security definer
as $$
declare
    folder text;
begin
    for folder in
        select distinct touched.bucket_id || '/' || split_part(touched.name, '/', 1)
        from unnest(bucket_ids, names) as touched (bucket_id, name)
        where touched.name <> ''
        order by 1
    loop
        perform pg_advisory_xact_lock(hashtextextended(folder, 0));
    end loop;
end
$$;

-- Removes the folders above the given names that nothing lies in, innermost first, until none is left.
create or replace function storage.delete_leaf_prefixes(bucket_ids text[], names text[]) returns void
language plpgsql security definer
as $$
begin
    loop
        delete from storage.prefixes p
        using (
            select distinct gone.bucket_id, folder as name, storage.get_level(folder) as level
            from unnest(bucket_ids, names) as gone (bucket_id, name), unnest(storage.get_prefixes(gone.name)) as folder
            where folder <> ''
        ) candidate
        where (p.bucket_id, p.level, p.name) = (candidate.bucket_id, candidate.level, candidate.name)
            and not exists (
                select from storage.objects o
                where o.bucket_id = p.bucket_id and o.level = p.level + 1 and o.name collate "C" ^@ (p.name || '/')
            )
            and not exists (
                select from storage.prefixes c
                where c.bucket_id = p.bucket_id and c.level = p.level + 1 and c.name ^@ (p.name || '/')
            );
        exit when not found;
    end loop;
end
$$;

-- After a delete on objects (transition table `deleted`). The setting keeps the deletes it causes from doing it again.
create or replace function storage.objects_delete_cleanup() returns trigger
language plpgsql security definer
as $$
declare
    bucket_ids text[];
    names text[];
begin
    if current_setting('storage.gc.prefixes', true) is distinct from '1' then
        perform set_config('storage.gc.prefixes', '1', true);
        select coalesce(array_agg(d.bucket_id), '{}'), coalesce(array_agg(d.name), '{}')
        into bucket_ids, names
        from deleted d
        where d.name <> '';
        perform storage.lock_top_prefixes(bucket_ids, names);
        perform storage.delete_leaf_prefixes(bucket_ids, names);
    end if;
    return null;
end
$$;

-- After a delete on prefixes.
create or replace function storage.prefixes_delete_cleanup() returns trigger
language plpgsql security definer
as $$
declare
    bucket_ids text[];
    names text[];
begin
    if current_setting('storage.gc.prefixes', true) is distinct from '1' then
        perform set_config('storage.gc.prefixes', '1', true);
        select coalesce(array_agg(d.bucket_id), '{}'), coalesce(array_agg(d.name), '{}')
        into bucket_ids, names
        from deleted d
        where d.name <> '';
        perform storage.lock_top_prefixes(bucket_ids, names);
        perform storage.delete_leaf_prefixes(bucket_ids, names);
    end if;
    return null;
end
$$;

-- After an update of objects (transition tables `old_rows` and `new_rows`): folders of the new names come before those of
-- the old ones go, so that a folder which is on both ways is never missing.
create or replace function storage.objects_update_cleanup() returns trigger
language plpgsql security definer
as $$
declare
    to_buckets text[];
    to_names text[];
    from_buckets text[];
    from_names text[];
begin
    if tg_op <> 'UPDATE' then
        return null;
    end if;

    select coalesce(array_agg(moved.bucket_id order by moved.bucket_id, moved.name), '{}'),
        coalesce(array_agg(moved.name order by moved.bucket_id, moved.name), '{}')
    into to_buckets, to_names
    from (
        select n.bucket_id, n.name from new_rows n where position('/' in n.name) > 0
        except
        select o.bucket_id, o.name from old_rows o
    ) moved;

    select coalesce(array_agg(moved.bucket_id order by moved.bucket_id, moved.name), '{}'),
        coalesce(array_agg(moved.name order by moved.bucket_id, moved.name), '{}')
    into from_buckets, from_names
    from (
        select o.bucket_id, o.name from old_rows o where o.name <> ''
        except
        select n.bucket_id, n.name from new_rows n
    ) moved;

    if cardinality(to_names) = 0 and cardinality(from_names) = 0 then
        return null;
    end if;

    perform storage.lock_top_prefixes(from_buckets || to_buckets, from_names || to_names);

    insert into storage.prefixes (bucket_id, name)
    select distinct target.bucket_id, folder
    from unnest(to_buckets, to_names) as target (bucket_id, name), unnest(storage.get_prefixes(target.name)) as folder
    on conflict do nothing;

    if cardinality(from_names) > 0 then
        perform set_config('storage.gc.prefixes', '1', true);
        perform storage.delete_leaf_prefixes(from_buckets, from_names);
    end if;
    return null;
end
$$;

create or replace function storage.objects_update_level_trigger() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'UPDATE' and (new.name, new.bucket_id) is distinct from (old.name, old.bucket_id) then
        new.level := storage.get_level(new.name);
    end if;
    return new;
end
$$;

drop trigger if exists objects_delete_cleanup on storage.objects;
drop trigger if exists objects_update_cleanup on storage.objects;
drop trigger if exists objects_update_level_trigger on storage.objects;
drop trigger if exists prefixes_delete_cleanup on storage.prefixes;

create or replace trigger objects_insert_create_prefix
    before insert on storage.objects
    for each row execute function storage.objects_insert_prefix_trigger();

create or replace trigger objects_update_create_prefix
    before update on storage.objects
    for each row when (new.name <> old.name or new.bucket_id <> old.bucket_id)
    execute function storage.objects_update_prefix_trigger();

create or replace trigger objects_delete_delete_prefix
    after delete on storage.objects
    for each row execute function storage.delete_prefix_hierarchy_trigger();

create or replace trigger prefixes_delete_hierarchy
    after delete on storage.prefixes
    for each row execute function storage.delete_prefix_hierarchy_trigger();

-- Levels that were wrong between 40 and 43.
do $$
begin
    if exists (select from storage.objects where level <> storage.get_level(name)) then
        alter table storage.objects disable trigger user;
        update storage.objects set level = storage.get_level(name) where level <> storage.get_level(name);
        alter table storage.objects enable trigger user;
    end if;
end
$$;
