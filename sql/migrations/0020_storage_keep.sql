-- 0020: files and rows in step: what the sweeper and `tenon storage fsck` ask
--
-- Two things name bytes: a row of storage.objects, and a row of storage.lost_objects. What neither names is removed, but never at once: it goes
-- to storage.trash first, and whoever takes it out of there looks again.

-- A claim is a lease: a process that is killed while it removes bytes loses nothing, because removing them again does no harm.
alter table storage.trash add column claimed_until timestamptz not null default '-infinity';

create table storage.lost_objects (
    tenant_id uuid        not null default tenon.tenant_id(),
    object_id uuid        not null,
    version   text        not null,                     -- which bytes the row had
    size      bigint      not null,
    reason    text        not null check (reason in ('missing', 'size', 'content')),
    found_at  timestamptz not null default now(),
    primary key (tenant_id, object_id),
    foreign key (tenant_id, object_id) references storage.objects (tenant_id, id) on delete cascade
);
comment on table storage.lost_objects is
    'Objects whose bytes were gone or damaged when `tenon storage fsck --repair` looked: their rows are without bytes until these are back.';
create index lost_objects_by_version on storage.lost_objects (tenant_id, version);
select tenon.isolate('storage.lost_objects');
grant select on storage.lost_objects to tenon_worker, service_role;
create trigger tenon_throw_away after delete on storage.lost_objects for each row execute function storage.throw_away();

-- Whatever gives the row other bytes ends the wait for the old ones. When the row goes, the key above does.
create function storage.end_loss() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    delete from storage.lost_objects l where l.tenant_id = new.tenant_id and l.object_id = new.id;
    return null;
end $$;
select tenon.run_as_platform('storage.end_loss()');
create trigger tenon_end_loss after update of version on storage.objects
    for each row when (old.version is null and new.version is not null) execute function storage.end_loss();

-- What storage.dir is told by: a file in it has the same id. A folder without it, once there has been one, is another: a disk that is not
-- mounted, a wrong path.
create table storage.folder (
    id        uuid        primary key default gen_random_uuid(),
    marked_at timestamptz                               -- null: no folder has been used yet
);
comment on table storage.folder is 'One row: the id in storage.dir/tenon.id.';
insert into storage.folder default values;
select tenon.close('storage.folder');

create function storage.names_version(tenant uuid, wanted text) returns boolean
    language sql stable set search_path = ''
begin atomic
    select exists (select from storage.objects o where o.tenant_id = tenant and o.version = wanted)
        or exists (select from storage.lost_objects l where l.tenant_id = tenant and l.version = wanted);
end;

-- --- the sweeper --------------------------------------------------------------------------------------------------------------------

-- Bytes that have been in the trash long enough. `is_named`: a row names them again, so only the note of them goes.
create function storage.claim_trash(most integer, grace_s bigint, lease_s bigint)
    returns table (tenant_id uuid, version text, is_named boolean)
    language sql volatile set search_path = ''
as $$
    update storage.trash as t
       set claimed_until = now() + lease_s * interval '1 second'
      from (select x.tenant_id, x.version
              from storage.trash as x
             where x.deleted_at <= now() - grace_s * interval '1 second' and x.claimed_until <= now()
             order by x.deleted_at
             limit most
               for update skip locked) as due
     where t.tenant_id = due.tenant_id and t.version = due.version
    returning t.tenant_id, t.version, storage.names_version(t.tenant_id, t.version)
$$;
comment on function storage.claim_trash(integer, bigint, bigint) is 'Bytes to remove now, for the sweeper.';

create function storage.forget_trash(tenants uuid[], versions text[]) returns bigint
    language sql volatile set search_path = ''
as $$
    with gone as (
        delete from storage.trash as t using unnest(tenants, versions) as g (tenant_id, version)
         where t.tenant_id = g.tenant_id and t.version = g.version returning 1)
    select count(*) from gone
$$;
comment on function storage.forget_trash(uuid[], text[]) is 'What the sweeper has removed.';

-- Of these files, those that nothing names and nothing has thrown away yet. `is_known`: the database knows their tenant.
create function storage.unnamed_files(tenants uuid[], versions text[]) returns table (tenant_id uuid, version text, is_known boolean)
    language sql stable set search_path = ''
as $$
    select f.tenant_id, f.version, exists (select from tenon.tenants t where t.id = f.tenant_id)
      from unnest(tenants, versions) as f (tenant_id, version)
     where not storage.names_version(f.tenant_id, f.version)
       and not exists (select from storage.trash t where t.tenant_id = f.tenant_id and t.version = f.version)
$$;
comment on function storage.unnamed_files(uuid[], text[]) is 'Files that belong to nobody.';

-- Those of tenants that are not in this database stay: it may be the wrong one.
create function storage.throw_away_unnamed(tenants uuid[], versions text[]) returns bigint
    language sql volatile set search_path = ''
as $$
    with thrown as (
        insert into storage.trash (tenant_id, version)
        select u.tenant_id, u.version from storage.unnamed_files(tenants, versions) as u where u.is_known
            on conflict do nothing
        returning 1)
    select count(*) from thrown
$$;
comment on function storage.throw_away_unnamed(uuid[], text[]) is 'Puts files that belong to nobody into the trash.';

-- Of these files in the folder staging, those that no upload in parts has.
create function storage.unstaged_files(tenants uuid[], ids uuid[]) returns table (tenant_id uuid, id uuid)
    language plpgsql stable set search_path = ''
as $$
begin
    return query
    select f.tenant_id, f.id
      from unnest(tenants, ids) as f (tenant_id, id)
     where not storage.is_staged(f.tenant_id, f.id) and not storage.is_s3_part(f.tenant_id, f.id);
end $$;
comment on function storage.unstaged_files(uuid[], uuid[]) is 'Staged files that belong to no upload.';

-- Uploads in parts whose time is over: their rows go, and their files are named.
create function storage.expire_staged(most integer) returns table (tenant_id uuid, id uuid)
    language plpgsql volatile set search_path = ''
as $$
begin
    return query
    select e.tenant_id, e.staging_id from storage.expire_uploads(most) as e
     union all
    select e.tenant_id, e.version from storage.expire_s3_uploads(most) as e;
end $$;
comment on function storage.expire_staged(integer) is 'Deletes uploads that have stood still for too long, and tells their files.';

create function storage.find_folder() returns storage.folder
    language sql stable set search_path = ''
as $$
    select f from storage.folder f
$$;
comment on function storage.find_folder() is 'Which id storage.dir has, and since when.';

create function storage.mark_folder() returns void
    language sql volatile set search_path = ''
as $$
    update storage.folder set marked_at = now() where marked_at is null
$$;
comment on function storage.mark_folder() is 'The id has been written into storage.dir.';

create function storage.figures() returns table (trash bigint, bytes bigint, objects bigint)
    language sql stable set search_path = ''
as $$
    select (select count(*) from storage.trash), coalesce(sum(u.bytes), 0)::bigint, coalesce(sum(u.objects), 0)::bigint from storage.usage u
$$;
comment on function storage.figures() is 'How much there is, over all tenants.';

-- --- fsck ---------------------------------------------------------------------------------------------------------------------------

-- Counters that are not what the rows say.
create function storage.usage_differences(tenant uuid)
    returns table (tenant_id uuid, owner_id text, counted_bytes bigint, counted_objects bigint, bytes bigint, objects bigint)
    language sql stable set search_path = ''
as $$
    select coalesce(u.tenant_id, o.tenant_id), coalesce(u.owner_id, o.owner_id), coalesce(u.bytes, 0), coalesce(u.objects, 0),
           coalesce(o.bytes, 0), coalesce(o.objects, 0)
      from (select x.tenant_id, x.owner_id, sum(x.bytes)::bigint as bytes, sum(x.objects)::bigint as objects
              from storage.usage x where tenant is null or x.tenant_id = tenant group by 1, 2) as u
      full join (select x.tenant_id, coalesce(x.owner_id, '') as owner_id, sum(x.size)::bigint as bytes, count(*) as objects
                   from storage.objects x where tenant is null or x.tenant_id = tenant group by 1, 2) as o
        on o.tenant_id = u.tenant_id and o.owner_id = u.owner_id
     where (coalesce(u.bytes, 0), coalesce(u.objects, 0)) is distinct from (coalesce(o.bytes, 0), coalesce(o.objects, 0))
$$;
comment on function storage.usage_differences(uuid) is 'Where the counters of storage.usage are wrong.';

-- The lock waits for uploads that have written a counter and not committed, and those that come wait for us: each statement after it
-- sees all of the former and none of the latter.
create function storage.recount_usage(tenant uuid) returns bigint
    language plpgsql volatile set search_path = ''
as $$
declare
    mended bigint;
begin
    lock table storage.usage in share row exclusive mode;
    select count(*) into mended from storage.usage_differences(tenant);
    if mended > 0 then
        delete from storage.usage u where tenant is null or u.tenant_id = tenant;
        insert into storage.usage (tenant_id, owner_id, shard, bytes, objects)
        select o.tenant_id, coalesce(o.owner_id, ''), 0, sum(o.size), count(*)
          from storage.objects o where tenant is null or o.tenant_id = tenant group by 1, 2;
    end if;
    return mended;
end $$;
comment on function storage.recount_usage(uuid) is 'Counts bytes and objects anew; gives how many counters were wrong.';

-- The row stays, with its id and all that refers to it, and is one without bytes. False: it has changed meanwhile.
create function storage.lose_object(tenant uuid, wanted uuid, wanted_version text, why text) returns boolean
    language plpgsql volatile set search_path = ''
as $$
declare
    lost_size bigint := (select o.size from storage.objects o where o.tenant_id = tenant and o.id = wanted and o.version = wanted_version
                            for update);
begin
    if lost_size is null then
        return false;
    end if;
    insert into storage.lost_objects (tenant_id, object_id, version, size, reason) values (tenant, wanted, wanted_version, lost_size, why)
        on conflict (tenant_id, object_id) do update
       set version = excluded.version, size = excluded.size, reason = excluded.reason, found_at = now();
    perform set_config('tenon.keep_updated_at', 'on', true);
    update storage.objects o set version = null, size = 0 where o.tenant_id = tenant and o.id = wanted;
    perform set_config('tenon.keep_updated_at', '', true);
    delete from storage.trash t where t.tenant_id = tenant and t.version = wanted_version;
    return true;
end $$;
comment on function storage.lose_object(uuid, uuid, text, text) is 'Makes a row whose bytes are not what it says one without bytes.';

-- The bytes are back. False: the row has got others meanwhile, or its bucket has been encrypted and they are not.
create function storage.restore_object(tenant uuid, wanted uuid, wanted_version text) returns boolean
    language plpgsql volatile set search_path = ''
as $$
declare
    before constant text := coalesce(current_setting('tenon.tenant_id', true), '');
    lost storage.lost_objects;
begin
    perform from storage.objects o join storage.buckets b on b.tenant_id = o.tenant_id and b.id = o.bucket_id
      where o.tenant_id = tenant and o.id = wanted and o.version is null and (o.sealed_key is not null or not b.encrypted) for update of o;
    if not found then
        return false;
    end if;
    select * into lost from storage.lost_objects l where l.tenant_id = tenant and l.object_id = wanted and l.version = wanted_version;
    if lost.object_id is null then
        return false;
    end if;
    perform set_config('tenon.keep_updated_at', 'on', true), set_config('tenon.tenant_id', tenant::text, true); -- triggers ask for both
    update storage.objects o set version = lost.version, size = lost.size where o.tenant_id = tenant and o.id = wanted;
    perform set_config('tenon.keep_updated_at', '', true), set_config('tenon.tenant_id', before, true);
    delete from storage.trash t where t.tenant_id = tenant and t.version = wanted_version;
    return true;
end $$;
comment on function storage.restore_object(uuid, uuid, text) is 'Gives a row the bytes again that it had lost.';

select tenon.run_as_platform(f) from unnest(array[
    'storage.claim_trash(integer, bigint, bigint)', 'storage.forget_trash(uuid[], text[])', 'storage.unnamed_files(uuid[], text[])',
    'storage.throw_away_unnamed(uuid[], text[])', 'storage.unstaged_files(uuid[], uuid[])', 'storage.expire_staged(integer)',
    'storage.figures()', 'storage.find_folder()', 'storage.mark_folder()']::regprocedure[]) as f;

revoke execute on function storage.names_version(uuid, text), storage.claim_trash(integer, bigint, bigint), storage.forget_trash(uuid[], text[]),
    storage.unnamed_files(uuid[], text[]), storage.throw_away_unnamed(uuid[], text[]), storage.unstaged_files(uuid[], uuid[]),
    storage.expire_staged(integer), storage.figures(), storage.usage_differences(uuid), storage.recount_usage(uuid),
    storage.lose_object(uuid, uuid, text, text), storage.restore_object(uuid, uuid, text), storage.end_loss(), storage.find_folder(),
    storage.mark_folder() from public;
grant execute on function storage.claim_trash(integer, bigint, bigint), storage.forget_trash(uuid[], text[]), storage.unnamed_files(uuid[], text[]),
    storage.throw_away_unnamed(uuid[], text[]), storage.unstaged_files(uuid[], uuid[]), storage.expire_staged(integer), storage.figures(),
    storage.find_folder(), storage.mark_folder() to tenon_worker;
