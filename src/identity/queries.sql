-- What identity asks: as tenon_authenticator before the tenant is known, as tenon_worker for the signing keys.

-- name: key_find   $1 hexadecimal SHA-256 of the key
-- The last column is of an agent: its id, its rate, how its person is, and the claims.
select k.id, k.tenant_id, k.role, k.scopes::text, k.user_id,
       floor(extract(epoch from k.expires_at))::bigint, k.tenant_status,
       case when k.agent_id is not null
            then concat_ws(' ', k.agent_id, coalesce(k.rate_per_minute, 0), coalesce(k.person_status, 'nobody'), k.claims) end
  from tenon.find_key(decode($1, 'hex')) as k;

-- name: access_key_find   $1 access key id of S3
-- As above, with the sealed secret behind it. Keys of people have no agent there.
select k.id, k.tenant_id, k.role, k.scopes::text, k.user_id,
       floor(extract(epoch from k.expires_at))::bigint, k.tenant_status,
       case when k.role <> 'service_role' or k.user_id is not null
            then concat_ws(' ', coalesce(k.agent_id::text, '-'), coalesce(k.rate_per_minute, 0), coalesce(k.person_status, 'nobody'), k.claims) end,
       k.secret
  from storage.find_s3_key($1) as k;

-- name: publishable_keys_find   $1 tenant
select k.sealed from storage.find_publishable_keys($1) as k;

-- name: delegation_find   $1 tenant, $2 claims of an exchanged token
select d.scopes::text, d.agent_id, d.rate_per_minute, d.person_status, d.claims::text
  from tenon.find_delegation($1::uuid, $2::jsonb) as d;

-- name: agent_request_record   $1 person or null, $2 what was asked and answered, $3 address or null; as tenon_worker
select auth.record_agent_request($1::uuid, $2::jsonb, $3::inet);

-- name: tenant_find   $1 name or id
select t.id, t.status from tenon.find_tenant($1) as t;

-- name: signing_keys_list   all that are not retired; the private half of the one that signs
select s.kid, s.status, s.public_jwk::text,
       case when s.status = 'active' then encode(s.private_encrypted, 'hex') end
  from tenon.signing_keys as s
 where s.status <> 'retired' and s.alg = 'ES256'
 order by s.created_at, s.kid;
