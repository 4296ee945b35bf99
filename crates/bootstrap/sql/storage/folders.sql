-- The folders of a new object, at a tenth of the cost: an upload inserts twice (once to ask the policies) and spent two thirds
-- of both inserts on folders that are there already.
create or replace function storage.objects_insert_prefix_trigger() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    new.level := storage.get_level(new.name);
    -- With its folder, all folders above it are there. One that somebody is removing (`xmax`) is waited for below.
    if new.level > 1 and not exists (
        select from storage.prefixes p
        where p.bucket_id = new.bucket_id
            and p.level = new.level - 1
            and p.name = array_to_string((string_to_array(new.name, '/'))[:new.level - 1], '/')
            and p.xmax = '0'::pg_catalog.xid
    ) then
        insert into storage.prefixes (bucket_id, name)
        select new.bucket_id, array_to_string((string_to_array(new.name, '/'))[:depth], '/')
        from generate_series(1, new.level - 1) as depth
        on conflict do nothing;
    end if;
    return new;
end
$$;
