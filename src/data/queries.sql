-- data/queries.sql: writes with an Idempotency-Key; everything else that the data API sends is made by sql*.c

-- name: claim_request   $1 key, $2 SHA-256 of the request, hexadecimal
select c.outcome, c.status, c.headers, c.body from tenon.claim_request($1, decode($2, 'hex')) as c

-- name: keep_answer   $1 key, $2 status, $3 header fields, $4 body or null
select tenon.keep_answer($1, $2::integer, $3::jsonb, $4)
