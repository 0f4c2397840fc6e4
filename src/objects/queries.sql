-- objects/queries.sql: what the object model asks the database

-- name: objects_begin_operation   $1 operation
select storage.begin_operation($1)

-- name: objects_find_bucket   $1 id
select id, name, public, encrypted, coalesce(file_size_limit, 0), to_json(allowed_mime_types) from storage.find_bucket($1)
