-- 0015: files: buckets, the objects in them, who may see them, and which bytes on disk belong to nobody any more
--
-- A row names its bytes by `version`: objects/<tenant>/<2 hex>/<2 hex>/<version>, written once and never changed. A row never names bytes
-- that are not whole on disk: they are there before the row is, and go (by way of storage.trash) after it has gone. Whatever takes a
-- row away, the API, SQL of the app or a cascade, leaves the bytes to the sweeper by the trigger below.
--
-- Columns and names are Supabase's where people's policies, triggers and keys mention them.

comment on schema storage is 'Files: buckets, objects, and how uploads in parts stand.';

create table storage.buckets (
    tenant_id          uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id                 text        not null,
    name               text        not null check (char_length(name) between 1 and 100),
    owner              uuid,
    owner_id           text,
    public             boolean     not null default false,
    file_size_limit    bigint      check (file_size_limit >= 0),                -- bytes; null or 0: no limit of its own
    allowed_mime_types text[],                                                 -- null: any
    avif_autodetection boolean     default false,
    type               text        not null default 'STANDARD' check (type = 'STANDARD'),
    encrypted          boolean     not null default false,                     -- AES-256-GCM at rest
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, name)
);
comment on table storage.buckets is 'Where files are put, with the rules for them.';
select tenon.isolate('storage.buckets', scope => 'storage:buckets');

create table storage.objects (
    tenant_id        uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id               uuid        not null default tenon.uuid7() primary key, -- alone, so that people's tables can refer to it
    bucket_id        text        not null,
    name             text        collate "C" not null check (octet_length(name) between 1 and 1024),
    owner            uuid,
    owner_id         text,
    version          text,                                                   -- null: a row without bytes
    metadata         jsonb,                                                  -- {eTag, size, mimetype, cacheControl, lastModified, …}
    user_metadata    jsonb,
    path_tokens      text[]      generated always as (string_to_array(name, '/')) stored,
    -- what lists sort by; a column, because row security does not let lower() into an index condition
    name_key         text        collate "C" generated always as (lower(name)) stored,
    -- 'a/b/' of 'a/b/c', with a slash that sorts before everything: a folder `a` comes before `a-b`
    folder_key       text        collate "C" generated always as (translate(coalesce(substring(name from '^.*/'), ''), '/', E'\x01')) stored,
    size             bigint      not null default 0 check (size >= 0),       -- bytes of the content
    sha256           bytea       check (octet_length(sha256) = 32),          -- of the content
    sealed_key       bytea,                                                  -- null: the bytes on disk are not encrypted
    is_attached      boolean     not null default false,                     -- there are rows of storage.attachments
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    last_accessed_at timestamptz default now(),
    unique (tenant_id, id),
    unique (tenant_id, bucket_id, name),
    unique (tenant_id, version),
    foreign key (tenant_id, bucket_id) references storage.buckets (tenant_id, id)
);
comment on table storage.objects is 'One row for each file.';
create index objects_by_key on storage.objects (tenant_id, bucket_id, name_key, name);
create index objects_by_creation on storage.objects (tenant_id, bucket_id, created_at, name);
create index objects_by_update on storage.objects (tenant_id, bucket_id, updated_at, name);
create index objects_by_creation_in_folder on storage.objects (tenant_id, bucket_id, folder_key, created_at, name);
create index objects_by_update_in_folder on storage.objects (tenant_id, bucket_id, folder_key, updated_at, name);
create index objects_by_owner on storage.objects (tenant_id, owner_id) where owner_id is not null;
select tenon.isolate('storage.objects');

-- An agent's scopes name the bucket: storage:docs:read, storage:docs:write. Which buckets these are is found out once, not for each row.
-- A bucket whose name could be taken for a piece of another scope (docs:read, buckets) is out of every agent's reach.
create function storage.scoped_buckets(action text) returns text[]
    language sql stable security definer set search_path = ''
begin atomic
    select coalesce(array_agg(b.id), '{}') from storage.buckets b
     where b.tenant_id = tenon.tenant_id() and b.id !~ ':' and b.id <> 'buckets'
       and tenon.has_scope('storage:' || b.id || ':' || action);
end;
create policy tenon_agent_reads on storage.objects as restrictive for select to agent
    using (bucket_id = any ((select storage.scoped_buckets('read'))::text[]));
create policy tenon_agent_adds on storage.objects as restrictive for insert to agent
    with check (bucket_id = any ((select storage.scoped_buckets('write'))::text[]));
create policy tenon_agent_edits on storage.objects as restrictive for update to agent
    using (bucket_id = any ((select storage.scoped_buckets('write'))::text[]))
    with check (bucket_id = any ((select storage.scoped_buckets('write'))::text[]));
create policy tenon_agent_drops on storage.objects as restrictive for delete to agent
    using (bucket_id = any ((select storage.scoped_buckets('write'))::text[]));

grant select, insert, update, delete on storage.buckets, storage.objects to anon, authenticated, agent, service_role, tenon_worker;

-- --- what has lost its row ----------------------------------------------------------------------------------------------------------

create table storage.trash (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    version    text        not null,
    deleted_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, version)
);
comment on table storage.trash is 'Bytes that no row names any more. The sweeper removes them when whoever still reads them has had the time.';
create index trash_by_age on storage.trash (deleted_at);
select tenon.isolate('storage.trash');
grant select, insert, update, delete on storage.trash to tenon_worker;

-- As the platform, since it happens in the context of whoever deletes.
create function storage.throw_away() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    if old.version is not null and (tg_op = 'DELETE' or new.version is distinct from old.version) then
        insert into storage.trash (tenant_id, version) values (old.tenant_id, old.version) on conflict do nothing;
    end if;
    return null;
end $$;
select tenon.run_as_platform('storage.throw_away()');
create trigger tenon_throw_away after delete or update of version on storage.objects
    for each row execute function storage.throw_away();

create function storage.set_updated_at() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end $$;
create trigger update_objects_updated_at before update on storage.objects
    for each row execute function storage.set_updated_at();
create trigger update_buckets_updated_at before update on storage.buckets
    for each row execute function storage.set_updated_at();

-- Supabase's guard against `delete from storage.objects` in psql is kept, because people rely on its error; here nothing would be lost.
create function storage.protect_delete() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    if coalesce(current_setting('storage.allow_delete_query', true), '') <> 'true' and current_user not in ('tenon_owner', 'tenon_platform') then
        raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
            using errcode = '42501', hint = 'Or say first: set local storage.allow_delete_query = ''true''.';
    end if;
    return null;
end $$;
create trigger protect_buckets_delete before delete on storage.buckets for each statement execute function storage.protect_delete();
create trigger protect_objects_delete before delete on storage.objects for each statement execute function storage.protect_delete();

-- Which bytes a row names is the server's to say, not the app's: a function that lets people write rows here must not let them read what others
-- have deleted, or hide what they store.
create function storage.protect_content() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    if coalesce(current_setting('storage.operation', true), '') = ''
       and current_user not in ('tenon_platform', 'tenon_worker') and not pg_has_role(current_user, 'tenon_owner', 'member') then
        raise exception 'version, size, sha256 and sealed_key of an object are written by the Storage API only' using errcode = '42501';
    end if;
    return new;
end $$;
create trigger tenon_protect_content_of_new before insert on storage.objects for each row
    when (new.version is not null or new.size <> 0 or new.sha256 is not null or new.sealed_key is not null)
    execute function storage.protect_content();
create trigger tenon_protect_content before update of version, size, sha256, sealed_key on storage.objects for each row
    when (row(new.version, new.size, new.sha256, new.sealed_key) is distinct from row(old.version, old.size, old.sha256, old.sealed_key))
    execute function storage.protect_content();

-- --- how much there is --------------------------------------------------------------------------------------------------------------

-- Several rows for one owner, so that uploads at the same time do not wait for each other; their sum counts.
create table storage.usage (
    tenant_id uuid     not null default tenon.tenant_id() references tenon.tenants (id),
    owner_id  text     not null, -- '': nobody's
    shard     smallint not null,
    bytes     bigint   not null default 0,
    objects   bigint   not null default 0,
    primary key (tenant_id, owner_id, shard)
);
comment on table storage.usage is 'Bytes and objects of each owner, in shards.';
select tenon.isolate('storage.usage');
grant select on storage.usage to tenon_worker, service_role;

create table storage.quotas (
    tenant_id    uuid   primary key default tenon.tenant_id() references tenon.tenants (id),
    tenant_bytes bigint check (tenant_bytes >= 0), -- null: as storage.tenant_quota says
    user_bytes   bigint check (user_bytes >= 0)    -- of each person; null: as storage.user_quota says
);
comment on table storage.quotas is 'Quotas of a tenant that differ from the deployment''s.';
select tenon.isolate('storage.quotas');
grant select on storage.quotas to tenon_worker, service_role;

create function storage.add_usage(tenant uuid, owner text, more_bytes bigint, more_objects bigint) returns void
    language plpgsql set search_path = ''
as $$
begin
    insert into storage.usage as u (tenant_id, owner_id, shard, bytes, objects)
    values (tenant, coalesce(owner, ''), pg_backend_pid() % 16, more_bytes, more_objects)
        on conflict (tenant_id, owner_id, shard) do update set bytes = u.bytes + excluded.bytes, objects = u.objects + excluded.objects;
end $$;

create function storage.count_usage() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' and new.owner_id is not distinct from old.owner_id then
        perform storage.add_usage(new.tenant_id, new.owner_id, new.size - old.size, 0);
        return null;
    end if;
    if tg_op <> 'INSERT' then
        perform storage.add_usage(old.tenant_id, old.owner_id, -old.size, -1);
    end if;
    if tg_op <> 'DELETE' then
        perform storage.add_usage(new.tenant_id, new.owner_id, new.size, 1);
    end if;
    return null;
end $$;
select tenon.run_as_platform('storage.count_usage()');
create trigger tenon_count_usage after insert or delete or update of size, owner_id on storage.objects
    for each row execute function storage.count_usage();

-- Refuses what would be more than the tenant, or the owner, may have; called when the row is written, so what is checked is what will be.
-- Where there is a limit, who comes second waits for the first to end: else both would fit.
create function storage.check_quota(owner text, tenant_default bigint, user_default bigint) returns void
    language plpgsql security definer set search_path = ''
as $$
declare
    own storage.quotas := (select q from storage.quotas q where q.tenant_id = tenon.tenant_id());
    tenant_limit constant bigint := coalesce(own.tenant_bytes, nullif(tenant_default, 0));
    user_limit   constant bigint := case when owner is not null then coalesce(own.user_bytes, nullif(user_default, 0)) end;
begin
    if tenant_limit is null and user_limit is null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('tenon.storage.quota'), hashtext(tenon.tenant_id()::text));
    if (select sum(u.bytes) from storage.usage u where u.tenant_id = tenon.tenant_id()) > tenant_limit then
        raise exception using errcode = 'PT413', constraint = 'quota_exceeded', message = 'The storage quota of this tenant is used up',
            hint = 'Delete files, or ask the operator for a larger quota.';
    end if;
    if (select sum(u.bytes) from storage.usage u where u.tenant_id = tenon.tenant_id() and u.owner_id = owner) > user_limit then
        raise exception using errcode = 'PT413', constraint = 'quota_exceeded', message = 'Your storage quota is used up',
            hint = 'Delete files, or ask the operator for a larger quota.';
    end if;
end $$;

-- --- what the server asks -----------------------------------------------------------------------------------------------------------

-- plpgsql keeps the plans of a session; a function in SQL that cannot be inlined is parsed and planned anew by each query that calls it.

-- Settings of a request in the storage dialects; policies and the guard above look at them.
create function storage.begin_operation(operation text) returns void
    language plpgsql volatile set search_path = ''
as $$
begin
    perform set_config('storage.operation', operation, true), set_config('storage.allow_delete_query', 'true', true);
end $$;

-- The rules of a bucket, whoever asks: uploads and downloads need no policy on storage.buckets.
create function storage.find_bucket(wanted text) returns setof storage.buckets
    language plpgsql stable security definer set search_path = ''
as $$
begin
    return query select * from storage.buckets b where b.tenant_id = tenon.tenant_id() and b.id = wanted;
end $$;

-- An object in a public bucket, whoever asks.
create function storage.find_public_object(wanted_bucket text, wanted text) returns setof storage.objects
    language plpgsql stable security definer set search_path = ''
as $$
begin
    return query select o.* from storage.objects o join storage.buckets b on b.tenant_id = o.tenant_id and b.id = o.bucket_id
                  where o.tenant_id = tenon.tenant_id() and o.bucket_id = wanted_bucket and o.name = wanted and b.public;
end $$;

-- A row as the server reads it: columns in the order of tn_object_read() (objects/object.c). It is inlined.
create function storage.object_columns(o storage.objects) returns table (
    id uuid, version text, bucket text, name text, owner_id text, size bigint, content_type text, cache_control text, etag text, robots text,
    metadata jsonb, user_metadata jsonb, created_at text, updated_at text, last_accessed_at text, modified_at text, sha256 bytea,
    sealed_key bytea
)
    language sql stable
begin atomic
    select (o).id, (o).version, (o).bucket_id, (o).name, (o).owner_id, (o).size, (o).metadata ->> 'mimetype', (o).metadata ->> 'cacheControl',
           (o).metadata ->> 'eTag', (o).metadata ->> 'xRobotsTag', (o).metadata, (o).user_metadata,
           to_char((o).created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           to_char((o).updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           to_char((o).last_accessed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           (o).metadata ->> 'lastModified', (o).sha256, (o).sealed_key;
end;

-- Writes the row of an upload with the rights of whoever calls: policies decide. Without `upsert` it needs no right to read; with it,
-- those to read and to update as well, and the row that was there keeps its id. The two conditions (an ETag, or a star) hold at the
-- commit, whatever others do meanwhile. Gives what of the row is not known before.
create function storage.put_object(
    wanted_bucket text, wanted_name text, new_id uuid, new_version text, upsert boolean, by_owner text, new_size bigint, new_sha256 bytea,
    new_sealed_key bytea, new_metadata jsonb, new_user_metadata jsonb, tenant_quota bigint, user_quota bigint, if_match text,
    if_none_match text, out row_id uuid, out row_owner text, out row_created_at timestamptz, out row_updated_at timestamptz
)
    language plpgsql set search_path = ''
as $$
declare
    who constant text := coalesce(by_owner, nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', ''));
    who_uuid constant uuid := case when who ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then who::uuid end;
begin
    row_id := new_id;
    row_owner := who;
    row_created_at := now();
    row_updated_at := now();
    new_user_metadata := coalesce(new_user_metadata, '{}');
    if if_match is not null then
        update storage.objects o
           set owner = who_uuid, owner_id = who, version = new_version, size = new_size, sha256 = new_sha256, sealed_key = new_sealed_key,
               metadata = new_metadata, user_metadata = new_user_metadata
         where o.bucket_id = wanted_bucket and o.name = wanted_name and if_match in ('*', o.metadata ->> 'eTag')
        returning o.id, o.created_at into row_id, row_created_at;
        if not found and not exists (select from storage.objects o where o.bucket_id = wanted_bucket and o.name = wanted_name) then
            raise exception using errcode = 'PT404', constraint = 'NoSuchKey', message = 'Object not found';
        end if;
    elsif upsert and if_none_match is distinct from '*' then
        insert into storage.objects as o (id, bucket_id, name, owner, owner_id, version, size, sha256, sealed_key, metadata, user_metadata)
        values (new_id, wanted_bucket, wanted_name, who_uuid, who, new_version, new_size, new_sha256, new_sealed_key, new_metadata,
                new_user_metadata)
            on conflict (tenant_id, bucket_id, name) do update
           set owner = excluded.owner, owner_id = excluded.owner_id, version = excluded.version, size = excluded.size,
               sha256 = excluded.sha256, sealed_key = excluded.sealed_key, metadata = excluded.metadata,
               user_metadata = excluded.user_metadata
         where if_none_match is null or o.metadata ->> 'eTag' is distinct from if_none_match
        returning o.id, o.created_at into row_id, row_created_at;
    elsif if_none_match = '*' then
        insert into storage.objects (id, bucket_id, name, owner, owner_id, version, size, sha256, sealed_key, metadata, user_metadata)
        values (new_id, wanted_bucket, wanted_name, who_uuid, who, new_version, new_size, new_sha256, new_sealed_key, new_metadata,
                new_user_metadata)
            on conflict do nothing;
    else
        insert into storage.objects (id, bucket_id, name, owner, owner_id, version, size, sha256, sealed_key, metadata, user_metadata)
        values (new_id, wanted_bucket, wanted_name, who_uuid, who, new_version, new_size, new_sha256, new_sealed_key, new_metadata,
                new_user_metadata);
    end if;
    if not found then
        raise exception using errcode = 'PT412', constraint = 'PreconditionFailed',
            message = 'At least one of the pre-conditions you specified did not hold';
    end if;
    -- Asked before the bytes come (there is no version yet): who may replace must have the right to, whether there is something or not, or else
    -- what an upload takes would depend on files that the caller may not see.
    if upsert and new_version is null then
        update storage.objects o set metadata = o.metadata where o.id = row_id;
        if not found then
            raise exception using errcode = '42501', message = 'new row violates row-level security policy for table "objects"';
        end if;
    end if;
    perform storage.check_quota(who, tenant_quota, user_quota);
end $$;
comment on function storage.put_object(text, text, uuid, text, boolean, text, bigint, bytea, bytea, jsonb, jsonb, bigint, bigint, text, text) is
    'Writes the row of an upload as the caller.';

revoke execute on function storage.scoped_buckets(text), storage.throw_away(), storage.set_updated_at(), storage.protect_delete(), storage.protect_content(), storage.count_usage(),
    storage.add_usage(uuid, text, bigint, bigint), storage.check_quota(text, bigint, bigint), storage.begin_operation(text),
    storage.find_bucket(text), storage.find_public_object(text, text),
    storage.object_columns(storage.objects),
    storage.put_object(text, text, uuid, text, boolean, text, bigint, bytea, bytea, jsonb, jsonb, bigint, bigint, text, text) from public;
grant execute on function storage.scoped_buckets(text) to agent;
grant execute on function storage.check_quota(text, bigint, bigint), storage.begin_operation(text), storage.find_bucket(text),
    storage.find_public_object(text, text), storage.object_columns(storage.objects),
    storage.put_object(text, text, uuid, text, boolean, text, bigint, bytea, bytea, jsonb, jsonb, bigint, bigint, text, text)
    to anon, authenticated, agent, service_role, tenon_worker;
