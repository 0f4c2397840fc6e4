-- cmd/queries.sql: what the operator's command asks, in the role tenon_platform unless it says otherwise

-- name: act_as_platform
-- It sees all tenants. The login's own default tenant must not come into it.
set role tenon_platform;
set tenon.tenant_id = '';

-- name: act_as_owner
set role tenon_owner

-- name: act_as_login
set role none

-- name: begin
begin

-- name: commit
commit

-- --- init ---

-- name: database_exists   $1 name
select 1 from pg_catalog.pg_database where datname = $1

-- name: database_create_text   $1 name; the statement itself takes no parameters
select format('create database %I encoding ''UTF8'' template template0', $1::text)

-- name: is_superuser
select rolsuper from pg_catalog.pg_roles where rolname = session_user

-- name: init_lock
-- Roles belong to the cluster, and two that change one at the same time fail. This lock belongs to the database that
-- --superuser-url names, which is the same one for all.
select pg_advisory_lock(hashtextextended('tenon.init', 0))

-- --- tenants ---

-- name: tenant_find   $1 name or id
select t.id, t.name, t.status from tenon.tenants t where t.name = $1 or t.id::text = lower($1)

-- name: tenant_create   $1 name
insert into tenon.tenants (name) values ($1)
returning jsonb_build_object('id', id, 'name', name, 'status', status, 'created_at', created_at), id

-- name: tenant_is_only
select count(*) = 1 from tenon.tenants

-- name: tenant_login_text   $1 tenant; for the login itself: SQL typed into psql is about this tenant
select format('alter role %I in database %I set tenon.tenant_id = %L', session_user, current_database(), $1::uuid)

-- name: tenant_list
select jsonb_build_object('id', t.id, 'name', t.name, 'status', t.status, 'users', u.count, 'keys', k.count,
                          'created_at', t.created_at)
  from tenon.tenants t
  left join lateral (select count(*) from auth.users u where u.tenant_id = t.id) u on true
  left join lateral (select count(*) from tenon.keys k
                      where k.tenant_id = t.id and k.revoked_at is null
                        and coalesce(k.expires_at > now(), true)) k on true
 order by t.name

-- name: tenant_set_status   $1 tenant, $2 status
update tenon.tenants set status = $2, updated_at = now() where id = $1::uuid
returning jsonb_build_object('id', id, 'name', name, 'status', status)

-- name: budget_set   $1 tenant, $2 subject, $3 its id or null, $4 period, $5 micro-dollars
select to_jsonb(tenon.set_budget($1::uuid, $2, $3::uuid, $4, $5::bigint))

-- name: budget_remove   $1 tenant, $2 subject, $3 its id or null, $4 period
delete from tenon.budgets
 where tenant_id = $1::uuid and subject = $2 and subject_id is not distinct from $3::uuid and period = $4
returning jsonb_build_object('removed', true)

-- name: budget_list   $1 tenant
select to_jsonb(b) from tenon.budget_report() b where b.tenant_id = $1::uuid

-- --- keys ---

-- name: key_create   $1 tenant, $2 kind, $3 name, $4 hash in hexadecimal, $5 hint, $6 scopes, $7 user, $8 lifetime
insert into tenon.keys as k (tenant_id, kind, name, hash, hint, scopes, user_id, expires_at)
values ($1::uuid, $2::text, $3::text, decode($4::text, 'hex'), $5::text,
        to_jsonb(regexp_split_to_array(btrim($6::text, ' ,'), '[ ,]+')), $7::uuid, now() + $8::interval)
returning jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'kind', k.kind, 'name', k.name, 'scopes', k.scopes,
                             'user_id', k.user_id, 'expires_at', k.expires_at)

-- name: key_create_platform   $1 name, $2 hash in hexadecimal, $3 hint, $4 lifetime
insert into tenon.platform_keys as k (name, hash, hint, expires_at)
values ($1::text, decode($2::text, 'hex'), $3::text, now() + $4::interval)
returning jsonb_build_object('id', k.id, 'tenant_id', null, 'kind', 'platform', 'name', k.name, 'expires_at', k.expires_at)

-- name: key_list   $1 tenant or null for all, with the platform's
select jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'tenant', t.name, 'kind', k.kind, 'name', k.name,
                          'hint', k.hint, 'scopes', k.scopes, 'user_id', k.user_id, 'created_at', k.created_at,
                          'last_used_at', k.last_used_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at,
                          'state', case when k.revoked_at is not null then 'revoked'
                                        when k.expires_at <= now() then 'expired' else 'in force' end)
  from (select tenant_id, id, kind, name, hint, scopes, user_id, created_at, last_used_at, expires_at, revoked_at
          from tenon.keys where $1::uuid is null or tenant_id = $1::uuid
        union all
        select null, id, 'platform', name, hint, null, null, created_at, last_used_at, expires_at, revoked_at
          from tenon.platform_keys where $1::uuid is null) k
  left join tenon.tenants t on t.id = k.tenant_id
 order by t.name nulls first, k.created_at, k.id

-- name: key_revoke   $1 id
select jsonb_build_object('id', $1::uuid, 'revoked', true) where tenon.revoke_key($1::uuid)

-- name: key_get   $1 id; of a key in force
select k.kind from tenon.keys k where k.id = $1::uuid and k.revoked_at is null and coalesce(k.expires_at > now(), true)
union all
select 'platform' from tenon.platform_keys k
 where k.id = $1::uuid and k.revoked_at is null and coalesce(k.expires_at > now(), true)

-- name: key_rotate   $1 id, $2 hash in hexadecimal, $3 hint, $4 for how long the old one still works
with old as (
    update tenon.keys set expires_at = least(expires_at, now() + $4::interval),
                          revoked_at = case when $4::interval <= interval '0' then now() end
     where id = $1::uuid returning *),
-- an agent's key lives as long again as the old one did
new as (
    insert into tenon.keys (tenant_id, kind, name, hash, hint, scopes, user_id, expires_at)
    select o.tenant_id, o.kind, o.name, decode($2::text, 'hex'), $3::text, o.scopes, o.user_id,
           now() + (before.expires_at - before.created_at)
      from old o join tenon.keys before on before.tenant_id = o.tenant_id and before.id = o.id
    returning *)
select jsonb_build_object('id', n.id, 'tenant_id', n.tenant_id, 'kind', n.kind, 'name', n.name, 'scopes', n.scopes,
                          'user_id', n.user_id, 'expires_at', n.expires_at, 'replaces', $1::uuid)
  from new n

-- name: key_rotate_platform   $1 id, $2 hash in hexadecimal, $3 hint, $4 for how long the old one still works
with old as (
    update tenon.platform_keys set expires_at = least(expires_at, now() + $4::interval),
                                   revoked_at = case when $4::interval <= interval '0' then now() end
     where id = $1::uuid returning *),
new as (
    insert into tenon.platform_keys (name, hash, hint, expires_at)
    select o.name, decode($2::text, 'hex'), $3::text, now() + (before.expires_at - before.created_at)
      from old o join tenon.platform_keys before on before.id = o.id
    returning *)
select jsonb_build_object('id', n.id, 'tenant_id', null, 'kind', 'platform', 'name', n.name,
                          'expires_at', n.expires_at, 'replaces', $1::uuid)
  from new n

-- --- signing keys ---

-- name: signing_key_lock
select pg_advisory_xact_lock(hashtextextended('tenon.signing_keys', 0))

-- name: signing_key_is_active
select 1 from tenon.signing_keys where status = 'active'

-- name: signing_key_add   $1 kid, $2 public JWK, $3 sealed private JWK in hexadecimal, $4 status
insert into tenon.signing_keys (kid, alg, public_jwk, private_encrypted, status)
values ($1, 'ES256', $2::jsonb, decode($3, 'hex'), $4) on conflict do nothing

-- name: signing_key_retire_old   $1 seconds that access tokens live
update tenon.signing_keys set status = 'retired', updated_at = now()
 where status = 'previous' and updated_at < now() - make_interval(secs => $1::integer)

-- name: signing_key_step_down
update tenon.signing_keys set status = 'previous', updated_at = now() where status = 'active'

-- name: signing_key_step_up
update tenon.signing_keys set status = 'active', updated_at = now() where status = 'next' returning kid

-- name: signing_key_retire   $1 kid
update tenon.signing_keys set status = 'retired', updated_at = now()
 where kid = $1 and status in ('previous', 'next')
returning jsonb_build_object('kid', kid, 'status', status)

-- name: signing_key_list
select jsonb_build_object('kid', kid, 'alg', alg, 'status', status, 'created_at', created_at, 'updated_at', updated_at)
  from tenon.signing_keys
 order by array_position(array['next', 'active', 'previous', 'retired'], status), updated_at desc

-- --- users ---

-- name: user_find   $1 tenant, $2 id or address
select u.id, u.email from auth.users u
 where u.tenant_id = $1::uuid and u.deleted_at is null and (u.email = lower($2) or u.id::text = lower($2))

-- name: user_list   $1 tenant, $2 how many
select jsonb_build_object('id', u.id, 'email', u.email, 'confirmed_at', u.confirmed_at, 'created_at', u.created_at,
                          'last_sign_in_at', u.last_sign_in_at, 'banned_until', u.banned_until,
                          'state', case when u.banned_until > now() then 'banned'
                                        when u.confirmed_at is null and not u.is_anonymous then 'unconfirmed'
                                        when u.is_anonymous then 'anonymous' else 'active' end)
  from auth.users u
 where u.tenant_id = $1::uuid and u.deleted_at is null
 order by u.created_at desc, u.id desc limit $2::integer

-- name: user_delete   $1 tenant, $2 id; with everything that is theirs
delete from auth.users where tenant_id = $1::uuid and id = $2::uuid
returning jsonb_build_object('id', id, 'email', email, 'deleted', true)

-- name: user_ban   $1 tenant, $2 id, $3 for how long, null: no longer
update auth.users set banned_until = now() + $3::interval, updated_at = now()
 where tenant_id = $1::uuid and id = $2::uuid
returning jsonb_build_object('id', id, 'email', email, 'banned_until', banned_until)

-- name: user_sign_out   $1 tenant, $2 id
delete from auth.sessions where tenant_id = $1::uuid and user_id = $2::uuid

-- --- prices ---

-- name: price_list
select to_jsonb(p) - 'created_at' || jsonb_build_object('in_force', p.valid_from = (
           select max(q.valid_from) from ai.prices q
            where q.provider = p.provider and q.model = p.model and q.valid_from <= now()))
  from ai.prices p order by p.provider, p.model, p.valid_from desc

-- name: price_set   $1 provider, $2 model, $3 and $4 micro-dollars per million tokens in and out
select jsonb_build_object('provider', $1::text, 'model', $2::text, 'input_price', $3::bigint, 'output_price', $4::bigint,
                          'changed', tenon.set_price($1::text, $2::text, $3::bigint, $4::bigint))
