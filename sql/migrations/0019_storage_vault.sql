-- 0019: files: keys of tenants for encrypted buckets, and what a scanner has put aside
--
-- A file of an encrypted bucket has a key of its own, sealed in its row under a key of the tenant. That one is here, sealed under
-- storage.master_key, which no database has ever seen. So who has the database has no content, and who has the disk has none either.

create table storage.tenant_keys (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    generation integer     not null check (generation > 0),  -- the highest one seals what is new
    sealed     bytea       not null,
    master     text        not null,                         -- which master key has sealed it; tells nothing about it
    created_at timestamptz not null default now(),
    primary key (tenant_id, generation)
);
comment on table storage.tenant_keys is 'Keys under which the keys of files are sealed; themselves sealed under storage.master_key.';
select tenon.isolate('storage.tenant_keys');
grant select, insert on storage.tenant_keys to tenon_worker;

create table storage.quarantine (
    tenant_id  uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id         uuid        not null default tenon.uuid7(), -- the file is quarantine/<tenant>/<id>
    bucket_id  text        not null,
    name       text        not null,
    owner_id   text,                                       -- who has sent it; null: nobody
    signature  text        not null,                       -- what the scanner calls it
    size       bigint      not null,
    sha256     bytea       not null,                       -- of the content
    sealed_key bytea,                                      -- null: the file is not encrypted
    created_at timestamptz not null default now(),
    primary key (tenant_id, id)
);
comment on table storage.quarantine is 'Uploads that were refused because a scanner knows what is in them. The operator looks at them, releases or deletes them.';
select tenon.isolate('storage.quarantine');
grant select, insert on storage.quarantine to tenon_worker;

-- A sealed key is: one byte, the form (1); four, the generation of the tenant's key; the rest.
create function storage.key_generation(sealed_key bytea) returns integer
    language sql immutable parallel safe
    return case when octet_length(sealed_key) > 5 and get_byte(sealed_key, 0) = 1
           then (get_byte(sealed_key, 1) << 24) | (get_byte(sealed_key, 2) << 16) | (get_byte(sealed_key, 3) << 8) | get_byte(sealed_key, 4) end;

-- Whatever the server believed when it began: the bytes of a row in an encrypted bucket have a key, and the tenant's key for it is there.
-- The locks make those who change either wait for this transaction, so that they see its row. It runs after the row was written, because
-- row security has been asked then.
create function storage.check_encryption() returns trigger
    language plpgsql security definer set search_path = ''
as $$
declare
    wanted boolean;
begin
    if new.sealed_key is null then
        select b.encrypted into wanted from storage.buckets b where b.tenant_id = new.tenant_id and b.id = new.bucket_id for share;
        if not wanted then
            return null;
        end if;
    else
        perform from storage.tenant_keys k
         where k.tenant_id = new.tenant_id and k.generation = storage.key_generation(new.sealed_key) for key share;
        if found then
            return null;
        end if;
    end if;
    raise exception using errcode = 'PT503', constraint = 'encryption_changed', column = '1',
        message = 'The encryption of this bucket has just been changed', hint = 'Try again.';
end $$;
create trigger tenon_check_encryption after insert or update of version, sealed_key, bucket_id on storage.objects
    for each row when (new.version is not null) execute function storage.check_encryption();

-- Encrypting a file, or sealing its key anew, is no change of it.
drop trigger update_objects_updated_at on storage.objects;
create trigger update_objects_updated_at before update on storage.objects
    for each row when (coalesce(current_setting('tenon.keep_updated_at', true), '') <> 'on') execute function storage.set_updated_at();

-- Keys of a tenant that a newer one has replaced and that seal nothing any more. Who is about to write a row holds the lock of its key, so
-- what is not to be seen here will not come; later it is refused.
create function storage.drop_unused_keys(tenant uuid) returns integer
    language plpgsql set search_path = ''
as $$
declare
    dropped integer;
begin
    perform from storage.tenant_keys k where k.tenant_id = tenant for update;
    delete from storage.tenant_keys k
     where k.tenant_id = tenant
       and k.generation < (select max(n.generation) from storage.tenant_keys n where n.tenant_id = tenant)
       and not exists (select from storage.objects o where o.tenant_id = tenant and storage.key_generation(o.sealed_key) = k.generation)
       and not exists (select from storage.quarantine q where q.tenant_id = tenant and storage.key_generation(q.sealed_key) = k.generation);
    get diagnostics dropped = row_count;
    return dropped;
end $$;

revoke execute on function storage.key_generation(bytea), storage.check_encryption(), storage.drop_unused_keys(uuid) from public;
grant execute on function storage.key_generation(bytea) to tenon_worker;
