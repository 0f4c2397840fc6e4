-- storage/queries.sql: what the dialects ask beyond the object model, as the caller: row security decides

-- name: storage_begin   $1 storage.operation
select storage.begin_operation($1)

-- --- buckets ---------------------------------------------------------------------------------------------------------------------------

-- Without `returning`: making a bucket takes no right to see it.
-- name: storage_bucket_create   $1 id, $2 name, $3 public, $4 bytes or null, $5 types or null, $6 encrypted
insert into storage.buckets (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types, encrypted)
select $1, $2,
       case when sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then sub::uuid end, sub, $3::boolean, $4::bigint, $5::text[], $6::boolean
  from (select nullif((select auth.jwt()) ->> 'sub', '') as sub) as who

-- name: storage_bucket_list   $1 in the name, or null, $2 limit or null, $3 offset, $4 column, $5 asc or desc
select coalesce(json_agg(json_build_object(
           'id', b.id, 'name', b.name, 'owner', coalesce(b.owner::text, ''), 'owner_id', b.owner_id, 'public', b.public, 'type', b.type,
           'file_size_limit', b.file_size_limit, 'allowed_mime_types', b.allowed_mime_types,
           'created_at', to_char(b.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'updated_at', to_char(b.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by b.place), '[]')
  from (select x.*, row_number() over (order by
                   case when $4 = 'id' and $5 = 'asc' then x.id end, case when $4 = 'id' and $5 = 'desc' then x.id end desc,
                   case when $4 = 'created_at' and $5 = 'asc' then x.created_at end,
                   case when $4 = 'created_at' and $5 = 'desc' then x.created_at end desc,
                   case when $4 = 'updated_at' and $5 = 'asc' then x.updated_at end,
                   case when $4 = 'updated_at' and $5 = 'desc' then x.updated_at end desc,
                   case when $5 = 'asc' then x.name end, case when $5 = 'desc' then x.name end desc) as place
          from storage.buckets as x
         where $1::text is null or strpos(lower(x.name), lower($1)) > 0
         order by place limit $2::bigint offset $3::bigint) as b

-- name: storage_bucket_get   $1 id
select json_build_object(
           'id', b.id, 'name', b.name, 'owner', coalesce(b.owner::text, ''), 'owner_id', b.owner_id, 'public', b.public,
           'file_size_limit', b.file_size_limit, 'allowed_mime_types', b.allowed_mime_types,
           'created_at', to_char(b.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'updated_at', to_char(b.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  from storage.buckets as b
 where b.id = $1

-- name: storage_bucket_update   $1 id, $2 public or null to keep, $3 limit too?, $4 bytes, $5 types too?, $6 types, $7 encrypted or null
update storage.buckets as b
   set public = coalesce($2::boolean, b.public),
       file_size_limit = case when $3::boolean then $4::bigint else b.file_size_limit end,
       allowed_mime_types = case when $5::boolean then $6::text[] else b.allowed_mime_types end,
       encrypted = coalesce($7::boolean, b.encrypted)
 where b.id = $1

-- name: storage_bucket_exists   $1 id; gives the time as well, with which an emptying begins
select clock_timestamp() from storage.buckets as b where b.id = $1

-- name: storage_bucket_empty   $1 id, $2 what was made before, $3 so many at most
delete from storage.objects as o
 where o.bucket_id = $1
   and o.name in (select x.name from storage.objects as x
                   where x.bucket_id = $1 and x.created_at <= $2::timestamptz order by x.name limit $3::integer)

-- That nothing is in it is the foreign keys' to say: they see every row.
-- name: storage_bucket_delete   $1 id
delete from storage.buckets as b where b.id = $1

-- --- objects ---------------------------------------------------------------------------------------------------------------------------

-- name: storage_visible   $1 bucket, $2 names
select o.name from storage.objects as o where o.bucket_id = $1 and o.name = any ($2::text[])

-- name: storage_list   $1 prefix, $2 bucket, $3 limit, $4 offset, $5 search, $6 column, $7 order
select coalesce(json_agg(json_build_object(
           'name', s.name, 'id', s.id,
           'updated_at', to_char(s.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'created_at', to_char(s.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'last_accessed_at', to_char(s.last_accessed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'metadata', s.metadata) order by s.place), '[]')
  from storage.search($1, $2, $3::integer, 1, $4::integer, $5, $6, $7)
       with ordinality as s (name, id, updated_at, created_at, last_accessed_at, metadata, place)

-- One row more than is shown tells whether there is more. Folders and objects are told apart; the last row that is shown is where the
-- next page goes on.
-- name: storage_list_v2   $1 bucket, $2 prefix, $3 delimiter, $4 limit, $5 after, $6 column, $7 order, $8 after this time
with found as (
    select * from storage.list_objects($1, $2, $3, $4::integer + 1, $5, $6, $7, $8::timestamptz)
         with ordinality as s (is_folder, name, id, version, owner_id, size, metadata, created_at, updated_at, last_accessed_at, place)
), page as (select * from found where place <= $4::integer)
select (select count(*) > $4::integer from found),
       (select coalesce(json_agg(json_build_object(
                   'name', p.name, 'key', rtrim(p.name, '/'), 'id', null, 'updated_at', null, 'created_at', null,
                   'last_accessed_at', null, 'metadata', null) order by p.place), '[]')
          from page as p where p.is_folder),
       (select coalesce(json_agg(jsonb_build_object(
                   'name', p.name, 'id', p.id, 'version', p.version,
                   'updated_at', to_char(p.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'created_at', to_char(p.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'last_accessed_at', to_char(p.last_accessed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'metadata', p.metadata)
                   || case when $3 = '' then '{}'
                           else jsonb_build_object('key', (string_to_array(p.name, '/'))[cardinality(string_to_array(p.name, '/'))]) end
                   order by p.place), '[]')
          from page as p where not p.is_folder),
       (select p.name from page as p order by p.place desc limit 1),
       (select to_json(case when p.is_folder then null when $6 = 'created_at' then p.created_at when $6 = 'updated_at' then p.updated_at end) #>> '{}'
          from page as p order by p.place desc limit 1)

-- --- resumable uploads, as tenon_worker ------------------------------------------------------------------------------------------------

-- name: tus_find   $1 id
select u.owner_id, coalesce(u.owner_id = nullif((select auth.jwt()) ->> 'sub', ''), false), u.signed, u.staging_id, u.length, u."offset",
       u.metadata, u.upsert, u.finished_at is not null, u.expires_at <= now(),
       to_char(u.expires_at at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"'), u.noted_at
  from storage.uploads as u
 where u.id = $1::uuid

-- name: tus_begin   $1 id, $2 bucket, $3 name, $4 owner where signed, $5 signed?, $6 staged file, $7 length or null, $8 Upload-Metadata, $9 upsert?, $10 seconds, $11 quota of the tenant, $12 of a person
select to_char(storage.begin_upload($1::uuid, $2, $3, case when $5::boolean then $4 else nullif((select auth.jwt()) ->> 'sub', '') end,
                                    $5::boolean, $6::uuid, $7::bigint, $8, $9::boolean, $10::bigint, $11::bigint, $12::bigint)
               at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"')

-- name: tus_continue   $1 id, $2 offset, $3 length or null, $4 bytes that there will be, $5 seconds, $6 quota of the tenant, $7 of a person
select u.generation, to_char(u.expires_at at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"')
  from storage.continue_upload($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint) as u
 where u.id is not null

-- name: tus_note   $1 id, $2 generation, $3 offset, $4 bytes on disk, $5 seconds, $6 quota of the tenant, $7 of a person
select to_char(u.expires_at at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"'), u.wanted >= u.generation
  from storage.note_upload($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint) as u
 where u.id is not null

-- name: tus_finish   $1 id, $2 generation, $3 length, $4 seconds
update storage.uploads as u
   set "offset" = $3::bigint, finished_at = now(), noted_at = clock_timestamp(), expires_at = now() + $4::bigint * interval '1 second'
 where u.id = $1::uuid and u.generation = $2::bigint

-- name: tus_forget   $1 id
delete from storage.uploads as u where u.id = $1::uuid and u.finished_at is null

-- Who writes hears of these by NOTIFY, or finds `wanted` the next time it writes down how far it is.
-- name: tus_stop   $1 id
update storage.uploads as u set wanted = u.generation where u.id = $1::uuid
returning pg_notify('tenon', 'tus_stop:' || u.id || ':' || u.generation)

-- name: tus_ask   $1 id
select pg_notify('tenon', 'tus_note:' || $1::uuid)
