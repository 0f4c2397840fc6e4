-- 0016: files in SQL: what policies ask about names, lists, files that belong to rows, and files in what people take along
--
-- Names, arguments and results of the first functions are Supabase's, because policies and queries written for it call them.

-- --- names --------------------------------------------------------------------------------------------------------------------------

create function storage.foldername(name text) returns text[]
    language sql immutable parallel safe
    return trim_array(string_to_array(nullif(name, ''), '/'), 1);
comment on function storage.foldername(text) is 'The folders of a name: {a,b} of a/b/c.txt, {} of c.txt.';

create function storage.filename(name text) returns text
    language sql immutable parallel safe
    return split_part(name, '/', -1);
comment on function storage.filename(text) is 'A name without its folders.';

create function storage.extension(name text) returns text
    language sql immutable parallel safe
    return split_part(split_part(name, '/', -1), '.', -1);
comment on function storage.extension(text) is 'What follows the last dot of a file''s name; without a dot the whole of it.';

create function storage.operation() returns text
    language sql stable parallel safe
    return nullif(current_setting('storage.operation', true), '');
comment on function storage.operation() is 'What the request does: storage.object.upload; null outside of requests for files.';

create function storage.allow_any_operation(expected_operations text[]) returns boolean
    language sql stable parallel safe
    return coalesce((select bool_or(expected <> ''
                                    and regexp_replace(expected, '^storage\.', '') = regexp_replace(storage.operation(), '^storage\.', ''))
                       from unnest(expected_operations) as expected), false);
comment on function storage.allow_any_operation(text[]) is 'Whether the request does one of these, with or without `storage.` in front.';

create function storage.allow_only_operation(expected_operation text) returns boolean
    language sql stable parallel safe
    return storage.allow_any_operation(array[expected_operation]);
comment on function storage.allow_only_operation(text) is 'Whether this is what the request does, with or without `storage.` in front.';

-- --- lists --------------------------------------------------------------------------------------------------------------------------
--
-- What a list reads depends on how much it gives and not on how much there is. Where a name belongs to a folder, the folder is given and
-- the scan begins anew behind it: behind `photos/`, that is at `photos/` with the greatest of all characters appended. So each folder costs
-- one descent of an index, whatever is in it.
--
-- Two things keep it that way. Everything that bounds a scan is a comparison of plain columns: under row security only operators
-- that leak nothing may be index conditions, and neither LIKE nor lower() is one; hence the columns name_key and folder_key. And the
-- planner, who cannot know how soon a scan will be left, is told to read in the order of an index, by one plan for all values.
--
-- What is hidden by row security is read and left out, one row after the other: who may see one folder of many asks for that folder.

-- The folders right below a prefix, as full names with the slash, in the order of names. `sought`: what they go on with, in any case.
create function storage.subfolders(in_bucket text, in_prefix text, descending boolean, row_limit integer, after_name text default null,
                                   sought text default '') returns setof text
    language plpgsql stable
    set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set plan_cache_mode = force_generic_plan
as $$
declare
    me constant uuid := tenon.tenant_id();
    bucket constant text collate "default" := in_bucket; -- an index wants its own collation, whatever that of the argument is
    slash constant text := chr(1); -- in folder_key
    last constant text := chr(1114111); -- sorts behind all others
    low constant text collate "C" := translate(in_prefix, '/', slash);
    high constant text collate "C" := low || last;
    depth constant integer := length(low);
    at text collate "C" := coalesce(translate(after_name, '/', slash) || case when descending then '' else last end,
                                    case when descending then high else low end);
    found_key text;
    given integer := 0;
begin
    while given < row_limit loop
        if descending then
            select o.folder_key into found_key from storage.objects o
             where o.tenant_id = me and o.bucket_id = bucket and o.folder_key > low and o.folder_key < at
             order by o.folder_key desc limit 1;
        else
            select o.folder_key into found_key from storage.objects o
             where o.tenant_id = me and o.bucket_id = bucket and o.folder_key > at and o.folder_key < high
             order by o.folder_key limit 1;
        end if;
        exit when found_key is null;
        found_key := left(found_key, depth + position(slash in substr(found_key, depth + 1)));
        at := found_key || case when descending then '' else last end;
        if starts_with(lower(substr(found_key, depth + 1) collate "C"), sought) then
            return next translate(found_key, slash, '/');
            given := given + 1;
        end if;
    end loop;
end $$;

-- One level below a prefix, folders and files together, in the order of names without regard to case. Folders whose names differ only
-- in case are one.
create function storage.search_by_name(in_bucket text, in_prefix text, sought text, descending boolean, row_limit integer, row_offset integer)
    returns table (name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb)
    language plpgsql stable
    set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    me constant uuid := tenon.tenant_id();
    bucket constant text collate "default" := in_bucket; -- an index wants its own collation, whatever that of the argument is
    last constant text := chr(1114111);
    depth constant integer := length(in_prefix) + length(sought);
    low constant text collate "C" := lower(in_prefix collate "C") || sought;
    high constant text collate "C" := low || last;
    name_high constant text collate "C" := in_prefix || last;
    at_key text collate "C" := case when descending then high else low end; -- ascending: the next one is here or behind,
    at_name text collate "C" := '';                                         -- descending: in front
    files refcursor;
    file record;
    slash integer;
    to_skip integer := row_offset;
    to_give integer := row_limit;
begin
    loop
        if descending then
            open files for
                select o.name, o.name_key, o.id, o.updated_at, o.created_at, o.last_accessed_at, o.metadata from storage.objects o
                 where o.tenant_id = me and o.bucket_id = bucket and (o.name_key, o.name) < (at_key, at_name) and o.name_key >= low
                   and o.name > in_prefix and o.name < name_high
                 order by o.name_key desc, o.name desc;
        else
            open files for
                select o.name, o.name_key, o.id, o.updated_at, o.created_at, o.last_accessed_at, o.metadata from storage.objects o
                 where o.tenant_id = me and o.bucket_id = bucket and (o.name_key, o.name) >= (at_key, at_name) and o.name_key < high
                   and o.name > in_prefix and o.name < name_high
                 order by o.name_key, o.name;
        end if;
        loop
            if to_give <= 0 then
                return;
            end if;
            fetch files into file;
            if not found then
                return;
            end if;
            slash := position('/' in substr(file.name, depth + 1));
            if to_skip > 0 then
                to_skip := to_skip - 1;
            else
                to_give := to_give - 1;
                if slash > 0 then
                    return query select substr(left(file.name, depth + slash - 1), length(in_prefix) + 1), null::uuid, null::timestamptz,
                                        null::timestamptz, null::timestamptz, null::jsonb;
                else
                    return query select substr(file.name, length(in_prefix) + 1), file.id, file.updated_at, file.created_at,
                                        file.last_accessed_at, file.metadata;
                end if;
            end if;
            exit when slash > 0;
        end loop;
        close files;
        at_key := left(file.name_key, depth + slash) || case when descending then '' else last end;
    end loop;
end $$;

-- The same by a time: all folders in the order of their names, then the files.
create function storage.search_by_time(in_bucket text, in_prefix text, sought text, sort_column text, descending boolean, row_limit integer,
                                       row_offset integer)
    returns table (name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb)
    language plpgsql stable set search_path = '' set enable_sort = off
as $$
#variable_conflict use_column
declare
    whole constant text := in_prefix || sought; -- a slash in what is sought leads into a folder, which is as it is written
    base constant text := coalesce(substring(whole from '^.*/'), '');
    rest constant text := lower(substr(whole, length(base) + 1) collate "C");
    folders text[] := array(select f from storage.subfolders(in_bucket, base, descending, row_offset + row_limit, null, rest) f);
begin
    return query select rtrim(substr(f, length(in_prefix) + 1), '/'), null::uuid, null::timestamptz, null::timestamptz, null::timestamptz, null::jsonb
                   from unnest(folders[row_offset + 1 :]) as f;
    return query execute format(
        'select substr(o.name, $3), o.id, o.updated_at, o.created_at, o.last_accessed_at, o.metadata from storage.objects o
          where o.tenant_id = (select tenon.tenant_id()) and o.bucket_id = $1 and o.folder_key = translate($2, ''/'', chr(1)) and o.name > $2 and starts_with(o.name_key, $4)
          order by o.%1$I %2$s, o.name %2$s limit $5 offset $6', sort_column, case when descending then 'desc' else 'asc' end)
        using in_bucket, base, length(in_prefix) + 1, lower(base collate "C") || rest,
              row_limit - greatest(cardinality(folders) - row_offset, 0), greatest(row_offset - cardinality(folders), 0);
end $$;

-- Supabase's list: one level below a prefix, names relative to it. `levels` follows from the prefix and is not looked at.
create function storage.search(prefix text, bucketname text, limits integer default 100, levels integer default 1, offsets integer default 0,
                               search text default '', sortcolumn text default 'name', sortorder text default 'asc')
    returns table (name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb)
    language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    base constant text := coalesce(prefix, '') || case when prefix ~ '[^/]$' then '/' else '' end;
    sought constant text := coalesce(search, '');
    descending constant boolean := coalesce(lower(sortorder) = 'desc', false);
    row_limit constant integer := least(greatest(coalesce(limits, 100), 0), 1500);
    row_offset constant integer := least(greatest(coalesce(offsets, 0), 0), 1000000000);
begin
    if lower(sortcolumn) in ('created_at', 'updated_at', 'last_accessed_at') then
        return query select * from storage.search_by_time(bucketname, base, sought, lower(sortcolumn), descending, row_limit, row_offset);
    else
        return query select * from storage.search_by_name(bucketname, base, lower(sought collate "C") collate "default", descending, row_limit, row_offset);
    end if;
end $$;
comment on function storage.search(text, text, integer, integer, integer, text, text, text) is 'Folders and files right below a prefix.';

-- What begins with a prefix, by full names, grouped at the first delimiter behind the prefix. `after_name`: the last one of the page
-- before, or any text at which to begin.
create function storage.list_by_name(in_bucket text, in_prefix text, delimiter text, row_limit integer, after_name text, descending boolean)
    returns table (is_folder boolean, name text, id uuid, version text, owner_id text, size bigint, metadata jsonb, created_at timestamptz,
                   updated_at timestamptz, last_accessed_at timestamptz)
    language plpgsql stable
    set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    me constant uuid := tenon.tenant_id();
    bucket constant text collate "default" := in_bucket; -- an index wants its own collation, whatever that of the argument is
    last constant text := chr(1114111);
    depth constant integer := length(in_prefix);
    low constant text collate "C" := in_prefix;
    high constant text collate "C" := in_prefix || last;
    after constant text collate "C" := after_name;
    after_cut constant integer := case when starts_with(after, in_prefix) then position(delimiter in substr(after, depth + 1)) end;
    at text collate "C" := case
        when after is null then case when descending then high else low end
        when descending then least(after, high)
        -- a folder that was given has been given with all that is in it
        when after_cut > 0 and depth + after_cut + length(delimiter) - 1 = length(after) then after || last
        else greatest(after || chr(1), low) end;
    files refcursor;
    file record;
    cut integer;
    to_give integer := row_limit;
begin
    loop
        if descending then
            open files for
                select o.name, o.id, o.version, o.owner_id, o.size, o.metadata, o.created_at, o.updated_at, o.last_accessed_at
                  from storage.objects o
                 where o.tenant_id = me and o.bucket_id = bucket and o.name >= low and o.name < at
                 order by o.name desc;
        else
            open files for
                select o.name, o.id, o.version, o.owner_id, o.size, o.metadata, o.created_at, o.updated_at, o.last_accessed_at
                  from storage.objects o
                 where o.tenant_id = me and o.bucket_id = bucket and o.name >= at and o.name < high
                 order by o.name;
        end if;
        loop
            if to_give <= 0 then
                return;
            end if;
            fetch files into file;
            if not found then
                return;
            end if;
            to_give := to_give - 1;
            cut := position(delimiter in substr(file.name, depth + 1));
            exit when cut > 0;
            return query select false, file.name, file.id, file.version, file.owner_id, file.size, file.metadata, file.created_at,
                                file.updated_at, file.last_accessed_at;
        end loop;
        close files;
        at := left(file.name, depth + cut + length(delimiter) - 1);
        return query select true, at, null::uuid, null, null, null::bigint, null::jsonb, null::timestamptz, null::timestamptz, null::timestamptz;
        at := at || case when descending then '' else last end;
    end loop;
end $$;

-- The same by a time. Folders, which have none, come first.
create function storage.list_by_time(in_bucket text, in_prefix text, delimiter text, row_limit integer, after_name text, after_time timestamptz,
                                     sort_column text, descending boolean)
    returns table (is_folder boolean, name text, id uuid, version text, owner_id text, size bigint, metadata jsonb, created_at timestamptz,
                   updated_at timestamptz, last_accessed_at timestamptz)
    language plpgsql stable set search_path = '' set enable_sort = on
as $$
#variable_conflict use_column
declare
    base constant text := coalesce(substring(in_prefix from '^.*/'), '');
    folders text[] := '{}';
begin
    if delimiter = '/' and after_time is null then
        folders := array(select f from storage.subfolders(in_bucket, in_prefix, descending, row_limit, after_name) f);
        return query select true, f, null::uuid, null::text, null::text, null::bigint, null::jsonb, null::timestamptz, null::timestamptz,
                            null::timestamptz from unnest(folders) as f;
    end if;
    if cardinality(folders) >= row_limit then
        return;
    end if;
    if delimiter = '/' or in_prefix = '' then -- an index has these in this order; else it depends on how many there are
        perform set_config('enable_sort', 'off', true);
    end if;
    return query execute format(
        'select false, o.name, o.id, o.version, o.owner_id, o.size, o.metadata, o.created_at, o.updated_at, o.last_accessed_at
           from storage.objects o
          where o.tenant_id = (select tenon.tenant_id()) and o.bucket_id = $1 and o.name >= $2 and o.name < $3'
        || case when delimiter = '/' then ' and o.folder_key = translate($4, ''/'', chr(1))' else '' end
        || case when after_time is not null then ' and (o.%1$I, o.name) %3$s ($5, $6)' else '' end
        || ' order by o.%1$I %2$s, o.name %2$s limit $7',
        sort_column, case when descending then 'desc' else 'asc' end, case when descending then '<' else '>' end)
        using in_bucket, in_prefix, in_prefix || chr(1114111), base, after_time, after_name, row_limit - cardinality(folders);
end $$;

-- The lists of Supabase's v2 and of S3. With `delimiter` what has one behind the prefix is a folder, given once, by its name up to and with the
-- delimiter. The next page begins behind `after_name`, and by a time behind (`after_time`, `after_name`), where a last row that was a folder
-- has no time.
create function storage.list_objects(in_bucket text, in_prefix text default '', delimiter text default null, row_limit integer default 1000,
                                     after_name text default null, sort_column text default 'name', sort_order text default 'asc',
                                     after_time timestamptz default null)
    returns table (is_folder boolean, name text, id uuid, version text, owner_id text, size bigint, metadata jsonb, created_at timestamptz,
                   updated_at timestamptz, last_accessed_at timestamptz)
    language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    base constant text := coalesce(in_prefix, '');
    cut constant text := nullif(delimiter, '');
    after constant text := nullif(after_name, '');
    descending constant boolean := coalesce(lower(sort_order) = 'desc', false);
begin
    if lower(sort_column) in ('created_at', 'updated_at') then
        return query select * from storage.list_by_time(in_bucket, base, cut, row_limit, after, after_time, lower(sort_column), descending);
    else
        return query select * from storage.list_by_name(in_bucket, base, cut, row_limit, after, descending);
    end if;
end $$;
comment on function storage.list_objects(text, text, text, integer, text, text, text, timestamptz) is
    'Folders and files whose names begin with a prefix, a page at a time.';

-- --- files that belong to rows -----------------------------------------------------------------------------------------------------
--
-- Who may see the row may see the file, and the file goes when the row goes, or the last one of several. A row is named by its table and
-- the text of its primary key (without tenant_id). Tables only, and only those within the walls of tenants. `truncate` counts as deleting
-- all rows; dropping a table leaves its files where they are.

create table storage.attachments (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    object_id  uuid        not null,
    target     regclass    not null,
    row_key    text        not null check (octet_length(row_key) <= 1024),
    created_at timestamptz not null default now(),
    primary key (tenant_id, object_id, target, row_key),
    foreign key (tenant_id, object_id) references storage.objects (tenant_id, id) on delete cascade
);
comment on table storage.attachments is 'Which files belong to which rows.';
create index attachments_by_row on storage.attachments (tenant_id, target, row_key);
select tenon.isolate('storage.attachments');

-- The column by which rows of a table are named: the primary key, if that is one column beside tenant_id, of a type whose text is the
-- same everywhere. No row for what is no table within the walls.
create function storage.key_column(target regclass) returns table (key_name name, key_type text)
    language sql stable set search_path = ''
as $$
    select min(a.attname::text)::name, min(a.atttypid::regtype::text)
      from pg_catalog.pg_class c
      join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
      join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey::int2[]) and a.attname <> 'tenant_id'
     where c.oid = target and c.relkind in ('r', 'p') and c.relnamespace <> 'storage'::regnamespace
       and exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polname = 'tenon_tenant')
    having count(*) = 1 and bool_and(a.atttypid in ('uuid'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype, 'varchar'::regtype))
$$;

-- Whether the caller sees this row, as row security of its table has it. What is gone, closed or no key of that table is not seen.
create function storage.sees_row(target regclass, row_key text) returns boolean
    language plpgsql stable set search_path = ''
as $$
declare
    key record;
    seen boolean;
begin
    select * into key from storage.key_column(target);
    if not found then
        return false;
    end if;
    execute format('select exists (select from %s r where r.%I = $1::%s)', target, key.key_name, key.key_type) into seen using row_key;
    return seen;
exception when insufficient_privilege or undefined_table or undefined_column or data_exception then
    return false;
end $$;

-- Whether the caller sees a row to which the file belongs.
create function storage.sees_attached(object uuid) returns boolean
    language sql stable set search_path = ''
as $$
    select exists (select from storage.attachments a where a.tenant_id = tenon.tenant_id() and a.object_id = object)
$$;

-- Whether the caller may change the file: a lock takes the right to.
create function storage.may_edit(object uuid) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    perform from storage.objects o where o.tenant_id = tenon.tenant_id() and o.id = object for no key update;
    return found;
end $$;

create policy tenon_agent_reads on storage.attachments as restrictive for select to agent
    using (cardinality((select storage.scoped_buckets('read'))) > 0);
create policy tenon_agent_adds on storage.attachments as restrictive for insert to agent
    with check (cardinality((select storage.scoped_buckets('write'))) > 0);
create policy tenon_agent_edits on storage.attachments as restrictive for update to agent using (false) with check (false);
create policy tenon_agent_drops on storage.attachments as restrictive for delete to agent
    using (cardinality((select storage.scoped_buckets('write'))) > 0);

create policy seen_with_row on storage.attachments for select to anon, authenticated using (storage.sees_row(target, row_key));
create policy added_by_editor on storage.attachments for insert to anon, authenticated
    with check (storage.may_edit(object_id) and storage.sees_row(target, row_key));
create policy dropped_by_editor on storage.attachments for delete to anon, authenticated using (storage.may_edit(object_id));
grant select, insert, delete on storage.attachments to anon, authenticated, agent, service_role;

create policy tenon_attached on storage.objects for select to anon, authenticated using (is_attached and storage.sees_attached(id));

-- Deletes what belongs to rows that are gone; as the platform, since a cascade has no other rights, and truncating has no tenant.
create function storage.follow_row() returns trigger
    language plpgsql set search_path = ''
as $$
declare
    root constant regclass := coalesce(pg_catalog.pg_partition_root(tg_relid), tg_relid);
    tenant uuid;
    key text;
    freed uuid[];
begin
    if tg_op <> 'TRUNCATE' then
        tenant := old.tenant_id;
        key := to_jsonb(old) ->> tg_argv[0];
    end if;
    if tg_op = 'UPDATE' then
        update storage.attachments a set row_key = to_jsonb(new) ->> tg_argv[0]
         where a.tenant_id = tenant and a.target = root and a.row_key = key;
        return null;
    end if;
    with gone as (
        delete from storage.attachments a
         where a.target = root and (tg_op = 'TRUNCATE' or a.tenant_id = tenant and a.row_key = key) returning a.object_id)
    select array_agg(g.object_id) into freed from gone g;
    -- who ends the other attachment of the same file at this moment waits, and then sees that it was the last
    perform from storage.objects o where o.id = any (freed) order by o.id for update;
    delete from storage.objects o
     where o.id = any (freed)
       and not exists (select from storage.attachments a join pg_catalog.pg_class c on c.oid = a.target -- else dropped
                        where a.tenant_id = o.tenant_id and a.object_id = o.id);
    return null;
end $$;
select tenon.run_as_platform('storage.follow_row()');

-- The triggers that do it. The first attachment makes them, and waits for those who write to the table: a migration that has called this
-- before has done the waiting.
create function storage.follow_rows(target regclass) returns void
    language plpgsql volatile set search_path = ''
as $$
declare
    key name := (select k.key_name from storage.key_column(target) k);
begin
    if key is null then
        raise exception 'Files cannot be attached to rows of %', target
            using errcode = 'wrong_object_type', hint = 'It takes a protected table with a primary key of one column: uuid, text or an integer.';
    elsif exists (select from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname = 'tenon_follow_row') then
        return;
    end if;
    execute format('lock table %s in share row exclusive mode', target);
    if not exists (select from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname = 'tenon_follow_row') then
        execute format('create trigger tenon_follow_row after delete or update of %1$I on %2$s for each row execute function storage.follow_row(%1$L)',
                       key, target);
        execute format('create trigger tenon_follow_rows after truncate on %s for each statement execute function storage.follow_row()', target);
    end if;
end $$;
-- With the rights of tenon_owner, to whom tables of the app belong.
create function storage.follow_rows_of_app(target regclass) returns void
    language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform storage.follow_rows(target);
exception when insufficient_privilege then
    raise exception '% does not belong to tenon_owner', target
        using errcode = 'insufficient_privilege', hint = format('Say once, as its owner: select storage.follow_rows(%L).', target);
end $$;
comment on function storage.follow_rows(regclass) is 'Prepares a table for files that belong to its rows; the first attachment does it otherwise.';

-- `is_attached` as it is now; that is no change of the file.
create function storage.mark_attached(tenant uuid, object uuid) returns void
    language plpgsql volatile set search_path = ''
as $$
declare
    kept constant text := current_setting('tenon.keep_updated_at', true);
begin
    perform from storage.objects o where o.tenant_id = tenant and o.id = object for no key update; -- others may attach and detach it, too
    perform set_config('tenon.keep_updated_at', 'on', true);
    with held as (
        select exists (select from storage.attachments a where a.tenant_id = tenant and a.object_id = object) as yes)
    update storage.objects o set is_attached = held.yes from held
     where o.tenant_id = tenant and o.id = object and o.is_attached <> held.yes;
    perform set_config('tenon.keep_updated_at', coalesce(kept, ''), true);
end $$;

-- Makes an attachment hold: the row is there and stays until this transaction is over, and the file will go with it.
-- As the platform, which may lock rows of tables whoever owns them.
create function storage.note_attachment() returns trigger
    language plpgsql set search_path = ''
as $$
declare
    key record;
    canonical text;
begin
    if tg_op = 'DELETE' then
        perform storage.mark_attached(old.tenant_id, old.object_id);
        return null;
    end if;
    perform storage.follow_rows_of_app(new.target);
    select * into key from storage.key_column(new.target);
    execute format('select r.%1$I::text from %2$s r where r.tenant_id = $1 and r.%1$I = $2::%3$s for key share', key.key_name, new.target, key.key_type)
       into canonical using new.tenant_id, new.row_key;
    if canonical is distinct from new.row_key then
        raise exception 'No row of % has the key %', new.target, new.row_key using errcode = 'foreign_key_violation';
    end if;
    perform storage.mark_attached(new.tenant_id, new.object_id);
    return null;
end $$;
select tenon.run_as_platform('storage.note_attachment()');
create trigger tenon_note_attachment after insert or delete on storage.attachments
    for each row execute function storage.note_attachment();

-- `row_key`: the primary key as text, `new.id::text`. What is attached already stays so. Who may change the file and sees the row may.
create function storage.attach(object uuid, target regclass, row_key text) returns void
    language plpgsql volatile set search_path = ''
as $$
declare
    key record;
    canonical text := row_key;
begin
    select * into key from storage.key_column(target);
    if found then -- '007' is 7
        execute format('select $1::%s::text', key.key_type) into canonical using row_key;
    end if;
    insert into storage.attachments (object_id, target, row_key) values (object, target, canonical) on conflict do nothing;
end $$;
comment on function storage.attach(uuid, regclass, text) is 'Lets a file belong to a row: seen by whoever sees the row, deleted with it.';

create function storage.attach(bucket text, object_name text, target regclass, row_key text) returns void
    language plpgsql volatile set search_path = ''
as $$
declare
    object uuid := (select o.id from storage.objects o where o.tenant_id = tenon.tenant_id() and o.bucket_id = bucket and o.name = object_name);
begin
    if object is null then
        raise exception 'There is no file % in the bucket %', object_name, bucket using errcode = 'no_data_found';
    end if;
    perform storage.attach(object, target, row_key);
end $$;
comment on function storage.attach(text, text, regclass, text) is 'Lets a file belong to a row: seen by whoever sees the row, deleted with it.';

-- The file stays, and is its owner's alone. Gives whether it was attached.
create function storage.detach(object uuid, target regclass, row_key text) returns boolean
    language plpgsql volatile set search_path = ''
as $$
begin
    delete from storage.attachments a
     where a.tenant_id = tenon.tenant_id() and a.object_id = object and a.target = detach.target and a.row_key = detach.row_key;
    return found;
end $$;
comment on function storage.detach(uuid, regclass, text) is 'Ends what storage.attach() has begun; the file stays.';

create function storage.detach(bucket text, object_name text, target regclass, row_key text) returns boolean
    language sql volatile set search_path = ''
as $$
    select coalesce((select storage.detach(o.id, target, row_key) from storage.objects o
                      where o.tenant_id = tenon.tenant_id() and o.bucket_id = bucket and o.name = object_name), false)
$$;
comment on function storage.detach(text, text, regclass, text) is 'Ends what storage.attach() has begun; the file stays.';

-- --- people --------------------------------------------------------------------------------------------------------------------------

-- A person who is deleted takes their files along; the bytes go as those of every row that goes.
create function storage.delete_files() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    delete from storage.objects o where o.tenant_id = old.tenant_id and o.owner_id = old.id::text;
    return null;
end $$;
select tenon.run_as_platform('storage.delete_files()');
create trigger delete_files after delete on auth.users for each row execute function storage.delete_files();

create or replace function auth.export_account(person uuid) returns setof text
    language plpgsql stable set search_path = ''
as $$
begin
    return next '"exported_at":' || to_json(auth.rfc3339(now())) || ',"account":' || auth.describe_user(person);
    return query select auth.export_list(',', 'sessions', 'select jsonb_array_elements(auth.list_sessions($1, null))', person);
    return query select auth.export_list(',', 'factors', 'select jsonb_array_elements(auth.list_factors($1))', person);
    return query select auth.export_list(',', 'passkeys', 'select jsonb_array_elements(auth.passkeys_of($1))', person);
    return query select auth.export_list(',', 'teams', 'select auth.team_object(t, m.role)
        from auth.team_members m join auth.teams t on t.tenant_id = m.tenant_id and t.id = m.team_id
        where m.tenant_id = tenon.tenant_id() and m.user_id = $1 order by m.created_at, t.id', person);
    return query select auth.export_list(',', 'audit', 'select auth.audit_object(e) from auth.audit_log_entries e
        where e.tenant_id = tenon.tenant_id() and (e.payload ->> ''actor_id'' = $1::text or e.payload #>> ''{traits,user_id}'' = $1::text)
        order by e.created_at, e.id', person);
    return query select auth.export_list(',', 'usage', 'select to_jsonb(u) - ''tenant_id'' from tenon.usage u
        where u.tenant_id = tenon.tenant_id() and u.user_id = $1', person);
    return query select auth.export_list(',', 'files', 'select jsonb_build_object(''bucket'', o.bucket_id, ''name'', o.name, ''size'', o.size,
            ''type'', o.metadata ->> ''mimetype'', ''created_at'', auth.rfc3339(o.created_at), ''updated_at'', auth.rfc3339(o.updated_at),
            ''metadata'', o.user_metadata)
        from storage.objects o where o.tenant_id = tenon.tenant_id() and o.owner_id = $1::text order by o.bucket_id, o.name', person);
end $$;
do $$
declare
    ours text;
begin
    for ours in
        select p.oid::regprocedure::text from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'storage' and p.proname in (
            'foldername', 'filename', 'extension', 'operation', 'allow_any_operation', 'allow_only_operation',
            'subfolders', 'search_by_name', 'search_by_time', 'search', 'list_by_name', 'list_by_time', 'list_objects',
            'key_column', 'sees_row', 'sees_attached', 'may_edit', 'attach', 'detach')
    loop
        execute format('revoke execute on function %s from public', ours);
        execute format('grant execute on function %s to anon, authenticated, agent, service_role, tenon_worker', ours);
    end loop;
end $$;
revoke execute on function storage.follow_rows(regclass), storage.follow_rows_of_app(regclass), storage.mark_attached(uuid, uuid), storage.follow_row(), storage.note_attachment(), storage.delete_files() from public;
