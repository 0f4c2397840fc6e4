-- objects/queries.sql: what the object model asks the database
--
-- storage.object_columns() gives the columns that tn_object_read() reads, in their order.

-- name: objects_begin_operation   $1 operation
select storage.begin_operation($1)

-- name: objects_find_bucket   $1 id
select id, name, public, encrypted, coalesce(file_size_limit, 0), to_json(allowed_mime_types) from storage.find_bucket($1)

-- name: objects_find_by_policy   $1 bucket, $2 name
select d.* from storage.objects o cross join lateral storage.object_columns(o) d where o.bucket_id = $1 and o.name = $2

-- name: objects_find_public   $1 bucket, $2 name
select d.* from storage.find_public_object($1, $2) o cross join lateral storage.object_columns(o) d

-- name: objects_find_either   $1 bucket, $2 name; by a policy first
(select d.* from storage.objects o cross join lateral storage.object_columns(o) d where o.bucket_id = $1 and o.name = $2)
union all
(select d.* from storage.find_public_object($1, $2) o cross join lateral storage.object_columns(o) d)
limit 1

-- name: objects_put   $1 bucket, $2 name, $3 id, $4 version, $5 upsert, $6 owner, $7 size, $8 sha256, $9 sealed key, $10 metadata, $11 user's metadata, $12 and $13 quotas, $14 if_match, $15 if_none_match
select row_id, row_owner, to_char(row_created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       to_char(row_updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from storage.put_object($1, $2, $3::uuid, $4, $5::boolean, $6, $7::bigint, $8::bytea, $9::bytea, $10::jsonb, $11::jsonb, $12::bigint,
                          $13::bigint, $14, $15)

-- --- encryption --------------------------------------------------------------------------------------------------------------------

-- name: objects_move   $1 bucket, $2 name, $3 new bucket, $4 new name; where the bytes change: $5 version, $6 new version, $7 sealed key
with moved as (
    update storage.objects o
       set bucket_id = $3, name = $4, version = coalesce($6, o.version), sealed_key = coalesce($7::bytea, o.sealed_key)
     where o.bucket_id = $1 and o.name = $2 and ($5::text is null or o.version = $5)
    returning o
)
select d.* from moved cross join lateral storage.object_columns(moved.o) d

-- name: objects_remove   $1 bucket, $2 names
with gone as (
    delete from storage.objects o where o.bucket_id = $1 and o.name = any ($2::text[]) returning o
)
select d.* from gone cross join lateral storage.object_columns(gone.o) d

-- A row that changes meanwhile is judged again as it is then.
-- name: objects_remove_if   $1 bucket, $2 [{"name", "etag" or null or "*", "size" or null, "modified": seconds or null}, …]
with gone as (
    delete from storage.objects o
     using jsonb_to_recordset($2::jsonb) as w (name text, etag text, size bigint, modified bigint)
     where o.bucket_id = $1 and o.name = w.name and (w.etag is null or w.etag = '*' or o.metadata ->> 'eTag' = w.etag)
       and (w.size is null or o.size = w.size)
       and (w.modified is null or floor(extract(epoch from coalesce((o.metadata ->> 'lastModified')::timestamptz, o.updated_at))) = w.modified)
    returning o
)
select d.* from gone cross join lateral storage.object_columns(gone.o) d

-- name: vault_newest_key
select generation, sealed from storage.tenant_keys where tenant_id = tenon.tenant_id() order by generation desc limit 1

-- name: vault_first_key   $1 sealed, $2 name of the master key
insert into storage.tenant_keys (generation, sealed, master) values (1, $1::bytea, $2) on conflict do nothing

-- name: vault_key   $1 generation
select sealed from storage.tenant_keys where tenant_id = tenon.tenant_id() and generation = $1::integer

-- --- the sweeper: as tenon_worker, without a tenant ---

-- name: objects_claim_trash   $1 how many, $2 storage.trash_grace_s, $3 seconds of the lease
select tenant_id, version, is_named from storage.claim_trash($1::integer, $2::bigint, $3::bigint)

-- name: objects_forget_trash   $1 tenants, $2 versions
select storage.forget_trash($1::uuid[], $2::text[])

-- name: objects_throw_away_unnamed   $1 tenants, $2 versions
select storage.throw_away_unnamed($1::uuid[], $2::text[])

-- name: objects_unstaged_files   $1 tenants, $2 ids
select tenant_id, id from storage.unstaged_files($1::uuid[], $2::uuid[])

-- name: objects_expire_staged   $1 how many
select tenant_id, id from storage.expire_staged($1::integer)

-- name: objects_figures
select trash, bytes, objects from storage.figures()

-- name: objects_find_folder
select id, marked_at is not null from storage.find_folder()

-- name: objects_mark_folder
select storage.mark_folder()

-- --- fsck: in the role tenon_platform ---

-- name: objects_rows_page   $1 tenant, $2 version: behind these; $3 of this tenant, or null; $4 how many
select o.tenant_id, o.id, o.bucket_id, o.name, o.version, o.size, encode(o.sha256, 'hex'), o.sealed_key
  from storage.objects o
 where o.version is not null and (o.tenant_id, o.version) > ($1::uuid, $2) and ($3::uuid is null or o.tenant_id = $3::uuid)
 order by o.tenant_id, o.version
 limit $4::integer

-- name: objects_row_is_there   $1 tenant, $2 id, $3 version
select 1 from storage.objects o where o.tenant_id = $1::uuid and o.id = $2::uuid and o.version = $3

-- name: objects_lose_object   $1 tenant, $2 id, $3 version, $4 reason
select storage.lose_object($1::uuid, $2::uuid, $3, $4)

-- name: objects_lost_page   $1 tenant, $2 object: behind these; $3 of this tenant, or null; $4 how many; columns as of objects_rows_page
select o.tenant_id, o.id, o.bucket_id, o.name, l.version, l.size, encode(o.sha256, 'hex'), o.sealed_key
  from storage.lost_objects l join storage.objects o on o.tenant_id = l.tenant_id and o.id = l.object_id
 where o.version is null and (l.tenant_id, l.object_id) > ($1::uuid, $2::uuid) and ($3::uuid is null or l.tenant_id = $3::uuid)
 order by l.tenant_id, l.object_id
 limit $4::integer

-- name: objects_restore_object   $1 tenant, $2 id, $3 version
select storage.restore_object($1::uuid, $2::uuid, $3)

-- name: objects_tenant_key   $1 tenant, $2 generation
select k.sealed from storage.tenant_keys k where k.tenant_id = $1::uuid and k.generation = $2::integer

-- name: objects_unnamed_files   $1 tenants, $2 versions
select tenant_id, version, is_known from storage.unnamed_files($1::uuid[], $2::text[])

-- name: objects_usage_differences   $1 tenant, or null
select tenant_id, owner_id,
       format('%s bytes in %s objects are counted, and it is %s in %s', counted_bytes, counted_objects, bytes, objects)
  from storage.usage_differences($1::uuid)

-- name: objects_recount_usage   $1 tenant, or null
select storage.recount_usage($1::uuid)

-- name: objects_named_trash   $1 tenant, or null
select t.tenant_id, t.version from storage.trash t
 where ($1::uuid is null or t.tenant_id = $1::uuid) and storage.names_version(t.tenant_id, t.version)

-- name: objects_mend_trash   $1 tenant, or null
delete from storage.trash t
 where ($1::uuid is null or t.tenant_id = $1::uuid) and storage.names_version(t.tenant_id, t.version)
returning t.tenant_id, t.version

-- name: objects_count_lost   $1 tenant, or null
select count(*) from storage.lost_objects l where $1::uuid is null or l.tenant_id = $1::uuid

-- --- virus scanning -----------------------------------------------------------------------------------------------------------------

-- name: quarantine_add   $1 id, $2 bucket, $3 name, $4 owner or null, $5 signature, $6 size, $7 sha256, $8 sealed key
insert into storage.quarantine (id, bucket_id, name, owner_id, signature, size, sha256, sealed_key)
values ($1::uuid, $2, $3, coalesce($4, nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')), $5, $6::bigint,
        $7::bytea, $8::bytea)
