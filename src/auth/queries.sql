-- What the auth area asks, as tenon_worker in one tenant. What takes more than a statement is a function of 0002_auth.sql.

-- name: auth_user_get   $1 user, $2 session or null; the hot one: one plan, everything inlined
select auth.user_object(u, i.list), u.banned_until > now(), $2::uuid is null or s.id is not null
  from auth.users as u
  left join auth.sessions as s
    on s.tenant_id = u.tenant_id and s.id = $2::uuid and s.user_id = u.id and coalesce(s.not_after > now(), true)
  left join lateral (select jsonb_agg(auth.identity_object(k) order by k.created_at, k.id) as list
                       from auth.identities as k where k.tenant_id = u.tenant_id and k.user_id = u.id) as i on true
 where u.id = $1::uuid;

-- name: auth_password_find   $1 address
select u.id, u.encrypted_password
  from auth.users as u
 where u.email = $1 and not u.is_sso_user and u.deleted_at is null;

-- name: auth_sign_in   $1 user, $2 the hash that was checked, $3 a better one or null, $4 session, $5 hash of its refresh token, $6 user agent, $7 address, $8 lifetime
select r.outcome, r.user_object, r.claims
  from auth.sign_in($1, $2, $3, row($4, $5, $6, $7, $8)::auth.new_session) as r;

-- name: auth_sign_up   $1 address or null, $2 hash, $3 metadata, $4 confirmed at once, $5 session, $6 hash of its refresh token, $7 user agent, $8 address, $9 lifetime, $10 confirmation
select r.outcome, r.user_object, r.claims, r.failure
  from auth.sign_up($1, $2, $3, $4, row($5, $6, $7, $8, $9)::auth.new_session, $10) as r;

-- name: auth_refresh   $1 session, $2 counter, $3 hash of the token, $4 hash of the next, $5 reuse interval, $6 user agent, $7 address
select r.outcome, r.user_object, r.claims, r.counter
  from auth.refresh_session($1, $2, $3, $4, $5, $6, $7) as r;

-- name: auth_logout   $1 user, $2 session or null, $3 scope; the columns of auth_user_get without the first
with person as (
    select u.tenant_id, u.id, u.banned_until > now() as is_banned,
           $2::uuid is null or exists (select from auth.sessions as s
                                        where s.tenant_id = u.tenant_id and s.id = $2::uuid and s.user_id = u.id) as is_live
      from auth.users as u where u.id = $1::uuid),
gone as (
    delete from auth.sessions as s using person as p
     where s.tenant_id = p.tenant_id and s.user_id = p.id and p.is_live
       and case $3 when 'global' then true when 'local' then s.id = $2::uuid else s.id is distinct from $2::uuid end)
select null, p.is_banned, p.is_live from person as p;

-- name: auth_user_create   $1 tenant, $2 address, $3 hash, $4 metadata; the operator's, as tenon_owner
select auth.create_user($1::uuid, $2, $3, $4::jsonb);

-- name: auth_password_set   $1 tenant, $2 user, $3 hash; the operator's
with person as (
    update auth.users as u set encrypted_password = $3, updated_at = now()
     where u.tenant_id = $1::uuid and u.id = $2::uuid and u.deleted_at is null
    returning u.tenant_id, u.id),
gone as (
    delete from auth.sessions as s using person as p where s.tenant_id = p.tenant_id and s.user_id = p.id)
select p.id from person as p;
