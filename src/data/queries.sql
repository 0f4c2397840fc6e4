-- data/queries.sql: writes with an Idempotency-Key; everything else that the data API sends is made by sql*.c

-- name: claim_request   $1 key, $2 SHA-256 of the request, hexadecimal
select c.outcome, c.status, c.headers, c.body from tenon.claim_request($1, decode($2, 'hex')) as c

-- name: run_deferred
-- What is deferred runs as the role that the transaction has at its end.
set constraints all immediate

-- name: keep_answer   $1 key, $2 status, $3 header fields, $4 body or null
select tenon.keep_answer($1, $2::integer, $3::jsonb, $4)

-- name: describe   $1 schema, $2 relations (oids) of which only some columns are the caller's
-- The schema's comment (relation null), and the columns that may be used.
select null::bigint as relation, null::smallint as number, obj_description(n.oid, 'pg_namespace') as comment
  from pg_namespace as n where n.nspname = $1
union all
select a.attrelid::bigint, a.attnum, null
  from pg_attribute as a
 where a.attrelid = any ($2::oid[]) and a.attnum > 0 and not a.attisdropped
   and (has_column_privilege(a.attrelid, a.attnum, 'select') or has_column_privilege(a.attrelid, a.attnum, 'insert')
        or has_column_privilege(a.attrelid, a.attnum, 'update'))
