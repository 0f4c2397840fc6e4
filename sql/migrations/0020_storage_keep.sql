-- 0020: files and rows in step: what the sweeper and `tenon storage fsck` ask
--
-- Two things name bytes: a row of storage.objects, and a row of storage.lost_objects. What neither names is removed, but never at once: it goes
-- to storage.trash first, and whoever takes it out of there looks again.

-- A claim is a lease: a process that is killed while it removes bytes loses nothing, because removing them again does no harm.
alter table storage.trash add column claimed_until timestamptz not null default '-infinity';

create table storage.lost_objects (
    tenant_id uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id        uuid        not null,
    bucket_id text        not null,
    name      text        collate "C" not null,
    version   text        not null,
    reason    text        not null check (reason in ('missing', 'size', 'content')),
    row       jsonb       not null,                     -- as it was in storage.objects
    found_at  timestamptz not null default now(),
    primary key (tenant_id, id)
);
comment on table storage.lost_objects is 'Rows whose bytes were gone or damaged when `tenon storage fsck --repair` looked. What is left of the bytes stays.';
create index lost_objects_by_version on storage.lost_objects (tenant_id, version);
select tenon.isolate('storage.lost_objects');
grant select on storage.lost_objects to tenon_worker, service_role;
create trigger tenon_throw_away after delete on storage.lost_objects for each row execute function storage.throw_away();

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

-- A row whose bytes are gone or damaged leaves storage.objects and is kept whole in storage.lost_objects. False: it has changed meanwhile.
create function storage.lose_object(tenant uuid, wanted uuid, wanted_version text, why text) returns boolean
    language plpgsql volatile set search_path = ''
as $$
declare
    found storage.objects;
begin
    perform set_config('storage.allow_delete_query', 'true', true);
    delete from storage.objects o where o.tenant_id = tenant and o.id = wanted and o.version = wanted_version returning * into found;
    if found.id is null then
        return false;
    end if;
    insert into storage.lost_objects (tenant_id, id, bucket_id, name, version, reason, row)
    values (tenant, found.id, found.bucket_id, found.name, found.version, why, to_jsonb(found))
        on conflict (tenant_id, id) do update
       set bucket_id = excluded.bucket_id, name = excluded.name, version = excluded.version, reason = excluded.reason, row = excluded.row,
           found_at = now();
    delete from storage.trash t where t.tenant_id = tenant and t.version = wanted_version;
    return true;
end $$;
comment on function storage.lose_object(uuid, uuid, text, text) is 'Puts aside a row whose bytes are not what it says.';

select tenon.run_as_platform(f) from unnest(array[
    'storage.claim_trash(integer, bigint, bigint)', 'storage.forget_trash(uuid[], text[])', 'storage.unnamed_files(uuid[], text[])',
    'storage.throw_away_unnamed(uuid[], text[])', 'storage.unstaged_files(uuid[], uuid[])', 'storage.expire_staged(integer)',
    'storage.figures()']::regprocedure[]) as f;

revoke execute on function storage.names_version(uuid, text), storage.claim_trash(integer, bigint, bigint), storage.forget_trash(uuid[], text[]),
    storage.unnamed_files(uuid[], text[]), storage.throw_away_unnamed(uuid[], text[]), storage.unstaged_files(uuid[], uuid[]),
    storage.expire_staged(integer), storage.figures(), storage.usage_differences(uuid), storage.recount_usage(uuid),
    storage.lose_object(uuid, uuid, text, text) from public;
grant execute on function storage.claim_trash(integer, bigint, bigint), storage.forget_trash(uuid[], text[]), storage.unnamed_files(uuid[], text[]),
    storage.throw_away_unnamed(uuid[], text[]), storage.unstaged_files(uuid[], uuid[]), storage.expire_staged(integer), storage.figures()
    to tenon_worker;
