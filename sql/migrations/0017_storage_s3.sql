-- 0017: files, by S3: access keys, and uploads that come in parts

-- --- keys ---------------------------------------------------------------------------------------------------------------------------

-- Signatures are checked with the secret itself, so it is here, sealed with the server's own key, and not as a hash. The access key id is
-- random, and unique over all tenants because it tells which one it is.
create table storage.s3_keys (
    tenant_id     uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id            uuid        not null default tenon.uuid7(),
    access_key_id text        not null unique check (access_key_id ~ '^TNS3[A-Z2-7]{16}$'),
    secret        bytea       not null,
    kind          text        not null check (kind in ('service', 'user', 'agent')),
    user_id       uuid,
    agent_id      uuid,
    name          text        not null check (char_length(name) between 1 and 200),
    created_at    timestamptz not null default now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz, -- to the minute
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, agent_id) references tenon.agents (tenant_id, id) on delete cascade,
    constraint of_somebody check ((kind = 'user') = (user_id is not null) and (kind = 'agent') = (agent_id is not null))
);
comment on table storage.s3_keys is 'Access keys for S3: of the tenant, of a person or of an agent.';
create index s3_keys_by_user on storage.s3_keys (tenant_id, user_id) where user_id is not null;
create index s3_keys_by_agent on storage.s3_keys (tenant_id, agent_id) where agent_id is not null;
select tenon.isolate('storage.s3_keys');

-- Who signs with this access key id, asked as tenon_authenticator before the tenant is known. As tenon.find_key() in 0013: the last columns are
-- those of who acts for somebody, and may change at any time.
create function storage.find_s3_key(wanted text)
    returns table (id uuid, tenant_id uuid, role text, scopes jsonb, user_id uuid, expires_at timestamptz, tenant_status text,
                   agent_id uuid, rate_per_minute integer, person_status text, claims jsonb, secret bytea)
    language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    key storage.s3_keys;
    agent tenon.agents;
    person auth.users;
    act jsonb;
begin
    select * into key from storage.s3_keys k where k.access_key_id = wanted and k.revoked_at is null;
    if not found then
        return;
    end if;
    if current_setting('transaction_read_only') = 'off' then
        update storage.s3_keys set last_used_at = now()
         where ctid = (select k.ctid from storage.s3_keys k
                        where k.tenant_id = key.tenant_id and k.id = key.id
                          and (k.last_used_at is null or k.last_used_at < now() - interval '1 minute')
                          for no key update skip locked);
    end if;
    if key.kind = 'agent' then
        select * into agent from tenon.agents a where a.tenant_id = key.tenant_id and a.id = key.agent_id and a.revoked_at is null;
        select * into person from auth.users u
         where u.tenant_id = key.tenant_id and u.id = agent.user_id and u.deleted_at is null and auth.agent_may_act_for(u);
        if agent.id is null or agent.user_id is distinct from person.id then
            return;
        end if;
        act := jsonb_build_object('sub', agent.id, 'name', agent.name);
    elsif key.kind = 'user' then
        select * into person from auth.users u where u.tenant_id = key.tenant_id and u.id = key.user_id and u.deleted_at is null;
        if not found then
            return;
        end if;
    end if;
    perform set_config('tenon.tenant_id', key.tenant_id::text, true); -- for what auth.claims() reads
    return query
        select key.id, key.tenant_id,
               case key.kind when 'service' then 'service_role' when 'agent' then 'agent'
                    else coalesce(nullif(person.role, ''), 'authenticated') end,
               tenon.expand_scopes(agent.scopes), person.id, least(key.expires_at, agent.expires_at), t.status, agent.id,
               agent.rate_per_minute,
               case when person.banned_until > now() then 'banned' when person.id is not null then 'active' end,
               case when key.kind = 'service' then jsonb_build_object('role', 'service_role', 'tenant_id', key.tenant_id)
                    when key.kind = 'user' then auth.claims(person, null, 'aal1', '[]') - array['session_id', 'amr']
                    when person.id is not null then auth.agent_claims(person, act)
                    else jsonb_build_object('role', 'agent', 'tenant_id', key.tenant_id, 'act', act) end,
               key.secret
          from tenon.tenants t where t.id = key.tenant_id;
end $$;
comment on function storage.find_s3_key(text) is 'The access key with this id: its tenant, what it may become, and its sealed secret.';
select tenon.run_as_platform('storage.find_s3_key(text)');

-- What processes keep in memory goes by the channel and the words of 0001: `key:` and the SHA-256 of what it is kept under.
create function storage.notify_s3_key() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    if tg_op <> 'INSERT' then
        perform pg_notify('tenon', 'key:' || encode(sha256(convert_to('s3:' || old.access_key_id, 'UTF8')), 'hex'));
    end if;
    if tg_op <> 'DELETE' then
        perform pg_notify('tenon', 'key:' || encode(sha256(convert_to('s3:' || new.access_key_id, 'UTF8')), 'hex'));
    end if;
    return null;
end $$;
create trigger notify after insert or delete or update of tenant_id, access_key_id, secret, kind, user_id, agent_id, expires_at, revoked_at
    on storage.s3_keys for each row execute function storage.notify_s3_key();
create trigger notify_all after truncate on storage.s3_keys execute function tenon.notify('keys:reload');

-- A publishable key is public and proves nothing. With it as the secret and a person's token beside it, clients of S3 sign for that person;
-- the signature can only be checked by who knows the key, so it is kept, sealed, from now on.
alter table tenon.keys add column sealed bytea,
    add constraint sealed_when_public check (sealed is null or kind = 'publishable');

create function storage.find_publishable_keys(wanted text) returns table (sealed text)
    language sql stable security definer set search_path = ''
begin atomic
    select string_agg(k.sealed::text, ' ' order by k.created_at desc, k.id)
      from (select k.* from tenon.keys k
             where k.tenant_id = wanted::uuid and k.kind = 'publishable' and k.revoked_at is null and k.sealed is not null
               and coalesce(k.expires_at > now(), true)
             order by k.created_at desc, k.id limit 16) k;
end;
comment on function storage.find_publishable_keys(text) is 'The sealed publishable keys of a tenant.';
select tenon.run_as_platform('storage.find_publishable_keys(text)');

create function storage.notify_publishable() returns trigger
    language plpgsql set search_path = ''
as $$
begin
    perform pg_notify('tenon', 'key:' || encode(sha256(convert_to('publishable:' || coalesce(new.tenant_id, old.tenant_id), 'UTF8')), 'hex'));
    return null;
end $$;
create trigger notify_publishable after insert or delete or update of hash, sealed, expires_at, revoked_at
    on tenon.keys for each row execute function storage.notify_publishable();

-- --- uploads in parts ---------------------------------------------------------------------------------------------------------------

-- One that is complete stays for a while, so that a client which has not heard of it may ask again.
create table storage.s3_multipart_uploads (
    tenant_id        uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id               text        not null,
    in_progress_size bigint      not null default 0 check (in_progress_size >= 0),
    upload_signature text        not null default '',                -- Supabase's; unused
    bucket_id        text        not null,
    key              text        collate "C" not null,
    version          text        not null default '',                -- Supabase's; unused
    owner_id         text,                                           -- a person, or `agent:<id>`; null: the tenant's own keys'
    created_at       timestamptz not null default now(),
    user_metadata    jsonb,
    metadata         jsonb       not null default '{}',              -- what CreateMultipartUpload said: type, checksums, …
    expires_at       timestamptz not null,
    completing_at    timestamptz,                                    -- somebody is assembling it since
    completed_at     timestamptz,
    result           jsonb,                                          -- of the completed one: what was answered
    primary key (tenant_id, id),
    foreign key (tenant_id, bucket_id) references storage.buckets (tenant_id, id)
);
comment on table storage.s3_multipart_uploads is 'Uploads of S3 that come in parts.';
create index s3_multipart_uploads_list on storage.s3_multipart_uploads (tenant_id, bucket_id, key, created_at, id);
create index s3_multipart_uploads_by_expiry on storage.s3_multipart_uploads (expires_at);
select tenon.isolate('storage.s3_multipart_uploads');

create table storage.s3_multipart_uploads_parts (
    tenant_id   uuid        not null default tenon.tenant_id() references tenon.tenants (id),
    id          uuid        not null default tenon.uuid7(),
    upload_id   text        not null,
    size        bigint      not null default 0 check (size >= 0),
    part_number integer     not null check (part_number between 1 and 10000),
    bucket_id   text        not null,
    key         text        collate "C" not null,
    etag        text        not null,                                -- MD5 in hexadecimal
    owner_id    text,
    version     uuid        not null,                                -- the file in staging
    checksums   jsonb       not null default '{}',                   -- {"crc32": "<base64>", …}
    created_at  timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, upload_id, part_number),
    foreign key (tenant_id, upload_id) references storage.s3_multipart_uploads (tenant_id, id)
);
comment on table storage.s3_multipart_uploads_parts is 'The parts of uploads that have arrived.';
select tenon.isolate('storage.s3_multipart_uploads_parts');
create unique index s3_multipart_uploads_parts_by_file on storage.s3_multipart_uploads_parts (tenant_id, version);

grant select on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to service_role;
grant select, insert, update, delete on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to tenon_worker;

-- Complete ones do not stand in the way of their bucket's end.
create function storage.forget_complete_uploads() returns trigger
    language plpgsql security definer set search_path = ''
as $$
begin
    delete from storage.s3_multipart_uploads_parts p using storage.s3_multipart_uploads u -- left behind by a crash; the sweeper finds their files
     where p.tenant_id = u.tenant_id and p.upload_id = u.id and u.tenant_id = old.tenant_id and u.bucket_id = old.id and u.completed_at is not null;
    delete from storage.s3_multipart_uploads u
     where u.tenant_id = old.tenant_id and u.bucket_id = old.id and u.completed_at is not null;
    return old;
end $$;
create trigger tenon_forget_complete_uploads before delete on storage.buckets
    for each row execute function storage.forget_complete_uploads();

-- Refuses parts that would be more than the tenant, or whose upload it is, may have: what is stored and all parts of uploads on their way
-- count. As storage.check_quota(): where there is a limit, who comes second waits.
create function storage.check_s3_quota(owner text, more bigint, tenant_default bigint, user_default bigint) returns void
    language plpgsql set search_path = ''
as $$
declare
    own storage.quotas := (select q from storage.quotas q where q.tenant_id = tenon.tenant_id());
    tenant_limit constant bigint := coalesce(own.tenant_bytes, nullif(tenant_default, 0));
    user_limit   constant bigint := case when owner not like 'agent:%' then coalesce(own.user_bytes, nullif(user_default, 0)) end;
begin
    if more <= 0 or tenant_limit is null and user_limit is null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('tenon.storage.quota'), hashtext(tenon.tenant_id()::text));
    if more + (select coalesce(sum(u.bytes), 0) from storage.usage u where u.tenant_id = tenon.tenant_id())
       + (select coalesce(sum(m.in_progress_size), 0) from storage.s3_multipart_uploads m where m.tenant_id = tenon.tenant_id())
       > tenant_limit then
        raise exception using errcode = 'PT413', constraint = 'quota_exceeded', message = 'The storage quota of this tenant is used up',
            hint = 'Delete files, or ask the operator for a larger quota.';
    end if;
    if more + (select coalesce(sum(u.bytes), 0) from storage.usage u where u.tenant_id = tenon.tenant_id() and u.owner_id = owner)
       + (select coalesce(sum(m.in_progress_size), 0) from storage.s3_multipart_uploads m
           where m.tenant_id = tenon.tenant_id() and m.owner_id = owner)
       > user_limit then
        raise exception using errcode = 'PT413', constraint = 'quota_exceeded', message = 'Your storage quota is used up',
            hint = 'Delete files, or ask the operator for a larger quota.';
    end if;
end $$;

-- The same for a part that is announced; it takes the place of an earlier one of its number.
create function storage.announce_s3_part(wanted_upload text, wanted_part integer, new_size bigint, tenant_quota bigint, user_quota bigint)
    returns void
    language plpgsql set search_path = ''
as $$
begin
    perform storage.check_s3_quota(u.owner_id, new_size - coalesce(p.size, 0), tenant_quota, user_quota)
       from storage.s3_multipart_uploads u
       left join storage.s3_multipart_uploads_parts p on p.tenant_id = u.tenant_id and p.upload_id = u.id and p.part_number = wanted_part
      where u.tenant_id = tenon.tenant_id() and u.id = wanted_upload;
end $$;

-- Writes down a part, in place of an earlier one of that number: gives the file of the one that was there. `room` is how much the object may
-- have at most.
create function storage.add_s3_part(
    wanted_upload text, wanted_part integer, new_size bigint, new_etag text, new_version uuid, new_checksums jsonb, room bigint,
    tenant_quota bigint, user_quota bigint
) returns uuid
    language plpgsql set search_path = ''
as $$
declare
    upload storage.s3_multipart_uploads;
    earlier storage.s3_multipart_uploads_parts;
begin
    select * into upload from storage.s3_multipart_uploads u
     where u.tenant_id = tenon.tenant_id() and u.id = wanted_upload and u.completed_at is null and u.expires_at > now() for update;
    if not found then
        raise exception using errcode = 'PT404', constraint = 'NoSuchUpload', message = 'The specified upload does not exist.';
    end if;
    if upload.completing_at > now() - interval '1 hour' then
        raise exception using errcode = 'PT409', constraint = 'OperationAborted', message = 'The upload is being completed.';
    end if;
    select * into earlier from storage.s3_multipart_uploads_parts p
     where p.tenant_id = upload.tenant_id and p.upload_id = upload.id and p.part_number = wanted_part;
    if upload.in_progress_size + new_size - coalesce(earlier.size, 0) > room then
        raise exception using errcode = 'PT413', constraint = 'EntityTooLarge', message = 'The object exceeded the maximum allowed size';
    end if;
    perform storage.check_s3_quota(upload.owner_id, new_size - coalesce(earlier.size, 0), tenant_quota, user_quota);
    insert into storage.s3_multipart_uploads_parts as p
           (upload_id, size, part_number, bucket_id, key, etag, owner_id, version, checksums)
    values (upload.id, new_size, wanted_part, upload.bucket_id, upload.key, new_etag, upload.owner_id, new_version, new_checksums)
        on conflict (tenant_id, upload_id, part_number) do update
       set size = excluded.size, etag = excluded.etag, version = excluded.version, checksums = excluded.checksums, created_at = now();
    update storage.s3_multipart_uploads u set in_progress_size = in_progress_size + new_size - coalesce(earlier.size, 0)
     where u.tenant_id = upload.tenant_id and u.id = upload.id;
    return earlier.version;
end $$;

-- Ends uploads whose time is over, of all tenants: gives the files of their parts, which nobody needs any more.
create function storage.expire_s3_uploads(most integer) returns table (tenant_id uuid, version uuid)
    language plpgsql security definer set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
        with ended as (
            select u.tenant_id, u.id from storage.s3_multipart_uploads u
             where u.expires_at < now() and (u.completing_at is null or u.completing_at < now() - interval '1 hour')
             order by u.expires_at limit most for update skip locked),
        parts as (
            delete from storage.s3_multipart_uploads_parts p using ended e
             where p.tenant_id = e.tenant_id and p.upload_id = e.id
            returning p.tenant_id, p.version)
        select p.tenant_id, p.version from parts p;
    delete from storage.s3_multipart_uploads u
     where u.expires_at < now()
       and not exists (select from storage.s3_multipart_uploads_parts p where p.tenant_id = u.tenant_id and p.upload_id = u.id);
end $$;
comment on function storage.expire_s3_uploads(integer) is 'Ends uploads of S3 that have expired; gives the files of their parts.';
select tenon.run_as_platform('storage.expire_s3_uploads(integer)');

-- Whether a file in staging is a part of an upload.
create function storage.is_s3_part(tenant uuid, file uuid) returns boolean
    language sql stable security definer set search_path = ''
begin atomic
    select exists (select from storage.s3_multipart_uploads_parts p where p.tenant_id = tenant and p.version = file);
end;
select tenon.run_as_platform('storage.is_s3_part(uuid, uuid)');

revoke execute on function storage.find_s3_key(text), storage.find_publishable_keys(text), storage.notify_s3_key(), storage.notify_publishable(),
    storage.forget_complete_uploads(), storage.check_s3_quota(text, bigint, bigint, bigint),
    storage.announce_s3_part(text, integer, bigint, bigint, bigint),
    storage.add_s3_part(text, integer, bigint, text, uuid, jsonb, bigint, bigint, bigint), storage.expire_s3_uploads(integer), storage.is_s3_part(uuid, uuid) from public;
grant usage on schema storage to tenon_authenticator;
grant execute on function storage.find_s3_key(text), storage.find_publishable_keys(text) to tenon_authenticator;
grant execute on function storage.check_s3_quota(text, bigint, bigint, bigint), storage.announce_s3_part(text, integer, bigint, bigint, bigint),
    storage.add_s3_part(text, integer, bigint, text, uuid, jsonb, bigint, bigint, bigint), storage.expire_s3_uploads(integer), storage.is_s3_part(uuid, uuid) to tenon_worker;
