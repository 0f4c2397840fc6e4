-- 0018: resumable uploads (tus 1.0): how far each has come
--
-- The bytes so far are a file in storage.dir/staging, named by `staging_id`; what lies in it behind `offset` does not count. `offset`
-- reaches `length` only when the object is there: until then it stays one byte short, so that no client takes an upload for finished
-- that is not.

create table storage.uploads (
    tenant_id   uuid        not null default tenon.tenant_id(),
    id          uuid        not null,                          -- random: part of the address that clients go on with
    bucket_id   text        not null,
    name        text        collate "C" not null,
    owner_id    text,                                          -- who began it, and may go on; null: nobody but the tenant's secret key
    signed      boolean     not null default false,            -- begun with a signed token, and goes on with such
    staging_id  uuid        not null,
    length      bigint      check (length >= 0),               -- null: to be said later
    held        bigint      not null default 0,                -- bytes that are on disk or announced, while `length` is not said
    "offset"    bigint      not null default 0 check ("offset" >= 0),
    metadata    text        not null default '',               -- Upload-Metadata, as it was sent
    upsert      boolean     not null default false,
    generation  bigint      not null default 0,                -- of who writes; a new one for each request with bytes
    wanted      bigint      not null default -1,               -- another request waits for who writes with this generation to stop
    noted_at    timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, staging_id),
    foreign key (tenant_id, bucket_id) references storage.buckets (tenant_id, id) on delete cascade
);
comment on table storage.uploads is 'Resumable uploads, and the finished ones until they expire.';
create index uploads_by_expiry on storage.uploads (expires_at);
create index uploads_by_bucket on storage.uploads (tenant_id, bucket_id);
select tenon.isolate('storage.uploads');
grant select, insert, update, delete on storage.uploads to tenon_worker;

-- What has been announced and has not arrived counts towards the quotas, else many could begin what only one may end; and so does what has
-- come of an upload that has not said its length.
create function storage.check_uploads_quota(of_owner text, tenant_default bigint, user_default bigint) returns void
    language plpgsql set search_path = ''
as $$
declare
    own storage.quotas := (select q from storage.quotas q where q.tenant_id = tenon.tenant_id());
    tenant_limit constant bigint := coalesce(own.tenant_bytes, nullif(tenant_default, 0));
    user_limit   constant bigint := case when of_owner is not null then coalesce(own.user_bytes, nullif(user_default, 0)) end;
begin
    if tenant_limit is null and user_limit is null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('tenon.storage.quota'), hashtext(tenon.tenant_id()::text));
    if (select coalesce(sum(u.bytes), 0) from storage.usage u where u.tenant_id = tenon.tenant_id())
       + (select coalesce(sum(coalesce(u.length, greatest(u.held, u."offset"))), 0) from storage.uploads u
           where u.tenant_id = tenon.tenant_id() and u.finished_at is null and u.expires_at > now()) > tenant_limit then
        raise exception using errcode = 'PT413', constraint = 'quota_exceeded', message = 'The storage quota of this tenant is used up',
            hint = 'Delete files, or ask the operator for a larger quota.';
    end if;
    if (select coalesce(sum(u.bytes), 0) from storage.usage u where u.tenant_id = tenon.tenant_id() and u.owner_id = of_owner)
       + (select coalesce(sum(coalesce(u.length, greatest(u.held, u."offset"))), 0) from storage.uploads u
           where u.tenant_id = tenon.tenant_id() and u.owner_id = of_owner and u.finished_at is null and u.expires_at > now())
       > user_limit then
        raise exception using errcode = 'PT413', constraint = 'quota_exceeded', message = 'Your storage quota is used up',
            hint = 'Delete files, or ask the operator for a larger quota.';
    end if;
end $$;

create function storage.begin_upload(
    new_id uuid, in_bucket text, new_name text, by_owner text, is_signed boolean, staging uuid, new_length bigint, new_metadata text,
    new_upsert boolean, lives_s bigint, tenant_default bigint, user_default bigint
) returns timestamptz
    language plpgsql set search_path = ''
as $$
declare
    until constant timestamptz := now() + lives_s * interval '1 second';
begin
    insert into storage.uploads (id, bucket_id, name, owner_id, signed, staging_id, length, metadata, upsert, expires_at)
    values (new_id, in_bucket, new_name, by_owner, is_signed, staging, new_length, new_metadata, new_upsert, until);
    perform storage.check_uploads_quota(by_owner, tenant_default, user_default);
    return until;
end $$;

-- Another request goes on: with a length that had not been said, perhaps, and with so many bytes (`will_hold` in all, where it tells).
create function storage.continue_upload(
    of_id uuid, at_offset bigint, said_length bigint, will_hold bigint, lives_s bigint, tenant_default bigint, user_default bigint
) returns storage.uploads
    language plpgsql set search_path = ''
as $$
declare
    upload storage.uploads;
begin
    update storage.uploads as u
       set generation = u.generation + 1, noted_at = clock_timestamp(), length = coalesce(u.length, said_length), held = will_hold,
           "offset" = greatest(0, least(u."offset", coalesce(u.length, said_length) - 1)),
           expires_at = now() + lives_s * interval '1 second'
     where u.id = of_id and u."offset" = at_offset and u.finished_at is null
    returning u.* into upload;
    if found then
        perform storage.check_uploads_quota(upload.owner_id, tenant_default, user_default);
    end if;
    return upload;
end $$;

-- How far it is. Whoever has said the length has been asked about the quota before.
create function storage.note_upload(
    of_id uuid, by_generation bigint, new_offset bigint, now_held bigint, lives_s bigint, tenant_default bigint, user_default bigint
) returns storage.uploads
    language plpgsql set search_path = ''
as $$
declare
    upload storage.uploads;
begin
    update storage.uploads as u
       set "offset" = greatest(0, least(new_offset, u.length - 1)), held = greatest(u.held, now_held), noted_at = clock_timestamp(),
           expires_at = now() + lives_s * interval '1 second'
     where u.id = of_id and u.generation = by_generation and u.finished_at is null
    returning u.* into upload;
    if upload.id is not null and upload.length is null then
        perform storage.check_uploads_quota(upload.owner_id, tenant_default, user_default);
    end if;
    return upload;
end $$;

-- For the sweeper: forgets what has expired, of all tenants, and gives the files that are left of it.
create function storage.expire_uploads(most integer) returns table (tenant_id uuid, staging_id uuid)
    language sql volatile security definer set search_path = ''
begin atomic
    delete from storage.uploads as u
     using (select e.tenant_id, e.id from storage.uploads as e where e.expires_at < now()
             order by e.expires_at limit most for update skip locked) as expired
     where u.tenant_id = expired.tenant_id and u.id = expired.id
    returning u.tenant_id, u.staging_id;
end;
select tenon.run_as_platform('storage.expire_uploads(integer)');

-- For the sweeper too: is the file of that name in staging one of an upload that goes on?
create function storage.is_staged(tenant uuid, staging uuid) returns boolean
    language sql stable security definer set search_path = ''
begin atomic
    select exists (select from storage.uploads u where u.tenant_id = tenant and u.staging_id = staging and u.finished_at is null);
end;
select tenon.run_as_platform('storage.is_staged(uuid, uuid)');

revoke execute on function
    storage.begin_upload(uuid, text, text, text, boolean, uuid, bigint, text, boolean, bigint, bigint, bigint),
    storage.check_uploads_quota(text, bigint, bigint), storage.continue_upload(uuid, bigint, bigint, bigint, bigint, bigint, bigint),
    storage.note_upload(uuid, bigint, bigint, bigint, bigint, bigint, bigint),
    storage.expire_uploads(integer), storage.is_staged(uuid, uuid) from public;
grant execute on function
    storage.begin_upload(uuid, text, text, text, boolean, uuid, bigint, text, boolean, bigint, bigint, bigint),
    storage.check_uploads_quota(text, bigint, bigint), storage.continue_upload(uuid, bigint, bigint, bigint, bigint, bigint, bigint),
    storage.note_upload(uuid, bigint, bigint, bigint, bigint, bigint, bigint),
    storage.expire_uploads(integer), storage.is_staged(uuid, uuid) to tenon_worker;
