-- storage/s3_queries.sql: what the S3 dialect asks beyond the object model

-- --- as the caller ---

-- name: s3_buckets   $1 prefix or '', $2 after which name or '', $3 how many
select b.name, to_char(b.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from storage.buckets b
 where starts_with(b.name, $1::text) and b.name collate "C" > $2::text
 order by b.name collate "C" limit $3::integer

-- name: s3_bucket_see   $1 name
select b.public from storage.buckets b where b.id = $1

-- name: s3_bucket_create   $1 name, $2 public
insert into storage.buckets (id, name, public, owner, owner_id)
select $1, $1, $2::boolean, case when who.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then who.id::uuid end, who.id
  from (select nullif(auth.jwt() ->> 'sub', '')) as who (id)

-- name: s3_bucket_delete   $1 name
delete from storage.buckets b where b.id = $1 returning b.id

-- name: s3_list   $1 bucket, $2 prefix, $3 delimiter or null, $4 how many, $5 after which name or null
select l.is_folder, l.name, l.metadata ->> 'eTag', l.size,
       coalesce(l.metadata ->> 'lastModified', to_char(l.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
       coalesce(l.owner_id, tenon.tenant_id()::text)
  from storage.list_objects($1, $2, $3, $4::integer, $5) as l

-- name: s3_visible   $1 bucket, $2 names
select o.name from storage.objects o where o.bucket_id = $1 and o.name = any ($2::text[])

-- name: s3_tags_set   $1 bucket, $2 name, $3 tags or null
update storage.objects o
   set metadata = case when $3::jsonb is null then coalesce(o.metadata, '{}') - 'tags'
                       else coalesce(o.metadata, '{}') || jsonb_build_object('tags', $3::jsonb) end
 where o.bucket_id = $1 and o.name = $2
returning 1

-- --- as the server, in the tenant: uploads in parts ---
-- Whose an upload is: the person's or the agent's who has begun it; that of nobody, and all others, are the tenant's own keys'.

-- name: s3_upload_create   $1 id, $2 bucket, $3 key, $4 owner or null, $5 user metadata or null, $6 what it said, $7 seconds that it may take
insert into storage.s3_multipart_uploads (id, bucket_id, key, owner_id, user_metadata, metadata, expires_at)
values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, now() + make_interval(secs => $7::double precision))

-- name: s3_upload_find   $1 id, $2 bucket, $3 key, $4 owner or null, $5 whether any owner
select u.metadata, u.user_metadata, u.owner_id, u.in_progress_size, u.completed_at is not null, u.result,
       to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from storage.s3_multipart_uploads u
 where u.id = $1 and u.bucket_id = $2 and u.key = $3 and u.expires_at > now()
   and ($5::boolean or u.owner_id = $4)

-- name: s3_part_add   $1 upload, $2 number, $3 size, $4 MD5, $5 file, $6 checksums, $7 room, $8 and $9 quotas
select storage.add_s3_part($1, $2::integer, $3::bigint, $4, $5::uuid, $6::jsonb, $7::bigint, $8::bigint, $9::bigint)

-- name: s3_part_announce   $1 upload, $2 number, $3 size, $4 and $5 quotas
select storage.announce_s3_part($1, $2::integer, $3::bigint, $4::bigint, $5::bigint)

-- name: s3_parts   $1 upload, $2 after which number, $3 how many
select p.part_number, p.size, p.etag, p.version, p.checksums,
       to_char(p.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from storage.s3_multipart_uploads_parts p
 where p.upload_id = $1 and p.part_number > $2::integer
 order by p.part_number limit $3::integer

-- name: s3_upload_claim   $1 id
-- One who completes it at a time; who has died doing so, within the hour before, has lost it.
update storage.s3_multipart_uploads u set completing_at = now()
 where u.id = $1 and u.completed_at is null and (u.completing_at is null or u.completing_at < now() - interval '1 hour')
returning 1

-- name: s3_upload_release   $1 id
update storage.s3_multipart_uploads u set completing_at = null where u.id = $1 and u.completed_at is null

-- name: s3_upload_done   $1 id, $2 result
update storage.s3_multipart_uploads u
   set completed_at = now(), completing_at = null, in_progress_size = 0, result = $2::jsonb, expires_at = greatest(u.expires_at, now() + interval '1 hour')
 where u.id = $1

-- name: s3_parts_remove   $1 upload
delete from storage.s3_multipart_uploads_parts p where p.upload_id = $1 returning p.version

-- name: s3_upload_remove   $1 id; who asks has claimed it
delete from storage.s3_multipart_uploads u where u.id = $1 and u.completed_at is null returning 1

-- name: s3_uploads   $1 bucket, $2 prefix, $3 after which key, $4 and which id or null, $5 how many, $6 owner or null, $7 whether any owner
select u.key, u.id, coalesce(u.owner_id, u.tenant_id::text),
       to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from storage.s3_multipart_uploads u
 where u.bucket_id = $1 and starts_with(u.key, $2) and u.completed_at is null and u.expires_at > now()
   and (u.key > $3 or u.key = $3 and u.id > $4)
   and ($7::boolean or u.owner_id = $6)
 order by u.key, u.id limit $5::integer
