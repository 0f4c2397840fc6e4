-- cmd/queries.sql: what the operator's command asks, in the role tenon_platform unless it says otherwise

-- name: act_as_platform
-- It sees all tenants. The login's own default tenant must not come into it.
set role tenon_platform;
set tenon.tenant_id = '';

-- name: act_as_owner
set role tenon_owner

-- name: act_as_login
set role none

-- name: transaction_begin
begin

-- name: transaction_commit
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

-- name: tenant_by_name   $1 name or id
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

-- name: key_create   $1 tenant, $2 kind, $3 name, $4 hash in hexadecimal, $5 hint, $6 scopes, $7 user, $8 lifetime, $9 the key sealed, or null
-- A key of the kind agent makes its agent, which has the scopes.
insert into tenon.keys as k (tenant_id, kind, name, hash, hint, scopes, user_id, expires_at, sealed)
values ($1::uuid, $2::text, $3::text, decode($4::text, 'hex'), $5::text,
        to_jsonb(regexp_split_to_array(btrim($6::text, ' ,'), '[ ,]+')), $7::uuid, now() + $8::interval, $9::bytea)
returning jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'kind', k.kind, 'name', k.name, 'agent_id', k.agent_id,
                             'scopes', to_jsonb(regexp_split_to_array(btrim($6::text, ' ,'), '[ ,]+')),
                             'user_id', k.user_id, 'expires_at', k.expires_at)

-- name: key_create_platform   $1 name, $2 hash in hexadecimal, $3 hint, $4 lifetime
insert into tenon.platform_keys as k (name, hash, hint, expires_at)
values ($1::text, decode($2::text, 'hex'), $3::text, now() + $4::interval)
returning jsonb_build_object('id', k.id, 'tenant_id', null, 'kind', 'platform', 'name', k.name, 'expires_at', k.expires_at)

-- name: key_list   $1 tenant or null for all, with the platform's
select jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'tenant', t.name, 'kind', k.kind, 'name', k.name,
                          'hint', k.hint, 'shown', case k.kind when 'publishable' then 'tnp_' when 'secret' then 'tns_'
                                                               when 'agent' then 'tna_' else 'tnx_' end || '…' || k.hint,
                          'scopes', k.scopes, 'user_id', k.user_id, 'agent_id', k.agent_id, 'created_at', k.created_at,
                          'last_used_at', k.last_used_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at,
                          'state', case when k.revoked_at is not null then 'revoked'
                                        when k.expires_at <= now() then 'expired' else 'in force' end)
  from (select x.tenant_id, x.id, x.kind, x.name, x.hint, coalesce(x.scopes, a.scopes) as scopes, x.user_id, x.agent_id, x.created_at,
               x.last_used_at, x.expires_at, coalesce(x.revoked_at, a.revoked_at) as revoked_at
          from tenon.keys x left join tenon.agents a on a.tenant_id = x.tenant_id and a.id = x.agent_id
         where $1::uuid is null or x.tenant_id = $1::uuid
        union all
        select null, id, 'platform', name, hint, null, null, null, created_at, last_used_at, expires_at, revoked_at
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

-- name: key_rotate   $1 id, $2 hash in hexadecimal, $3 hint, $4 for how long the old one still works, $5 the new one sealed, or null
with old as (
    update tenon.keys set expires_at = least(expires_at, now() + $4::interval),
                          revoked_at = case when $4::interval <= interval '0' then now() end
     where id = $1::uuid returning *),
-- an agent's key lives as long again as the old one did; its agent may end before
new as (
    insert into tenon.keys (tenant_id, kind, name, hash, hint, scopes, user_id, agent_id, expires_at, sealed)
    select o.tenant_id, o.kind, o.name, decode($2::text, 'hex'), $3::text, o.scopes, o.user_id, o.agent_id,
           now() + (before.expires_at - before.created_at), $5::bytea
      from old o join tenon.keys before on before.tenant_id = o.tenant_id and before.id = o.id
    returning *)
select jsonb_build_object('id', n.id, 'tenant_id', n.tenant_id, 'kind', n.kind, 'name', n.name, 'scopes', n.scopes,
                          'user_id', n.user_id, 'agent_id', n.agent_id, 'expires_at', n.expires_at, 'replaces', $1::uuid)
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

-- --- access keys for S3 ---

-- name: s3_key_create   $1 tenant, $2 access key id, $3 sealed secret, $4 kind, $5 user, $6 agent, $7 name, $8 lifetime
insert into storage.s3_keys as k (tenant_id, access_key_id, secret, kind, user_id, agent_id, name, expires_at)
values ($1::uuid, $2::text, $3::bytea, $4::text, $5::uuid, $6::uuid, $7::text, now() + $8::interval)
returning jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'access_key_id', k.access_key_id, 'kind', k.kind, 'user_id', k.user_id,
                             'agent_id', k.agent_id, 'name', k.name, 'created_at', k.created_at, 'expires_at', k.expires_at)

-- name: s3_key_agent   $1 tenant, $2 id
select a.id from tenon.agents a where a.tenant_id = $1::uuid and a.id = $2::uuid and a.revoked_at is null

-- name: s3_key_list   $1 tenant or null for all
select jsonb_build_object('id', k.id, 'tenant_id', k.tenant_id, 'tenant', t.name, 'access_key_id', k.access_key_id, 'kind', k.kind,
                          'user_id', k.user_id, 'agent_id', k.agent_id, 'name', k.name, 'created_at', k.created_at,
                          'last_used_at', k.last_used_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at,
                          'acts_as', coalesce(u.email, k.user_id::text, a.name, 'the tenant'),
                          'state', case when k.revoked_at is not null or a.revoked_at is not null then 'revoked'
                                        when least(k.expires_at, a.expires_at) <= now() then 'expired' else 'in force' end)
  from storage.s3_keys k
  join tenon.tenants t on t.id = k.tenant_id
  left join auth.users u on u.tenant_id = k.tenant_id and u.id = k.user_id
  left join tenon.agents a on a.tenant_id = k.tenant_id and a.id = k.agent_id
 where $1::uuid is null or k.tenant_id = $1::uuid
 order by t.name, k.created_at, k.id

-- name: s3_key_revoke   $1 id or access key id, $2 tenant or null for any
update storage.s3_keys k set revoked_at = now()
 where (k.id::text = lower($1::text) or k.access_key_id = $1::text) and ($2::uuid is null or k.tenant_id = $2::uuid) and k.revoked_at is null
returning jsonb_build_object('id', k.id, 'access_key_id', k.access_key_id, 'revoked', true)

-- --- agents ---

-- name: agent_problem   $1 scopes as a list
select tenon.malformed_scope(to_jsonb(regexp_split_to_array(btrim($1::text, ' ,'), '[ ,]+')))

-- name: agent_add   $1 tenant, $2 name, $3 scopes, $4 user, $5 lifetime, $6 requests per minute
insert into tenon.agents as a (tenant_id, name, scopes, user_id, expires_at, rate_per_minute)
values ($1::uuid, $2::text, to_jsonb(regexp_split_to_array(btrim($3::text, ' ,'), '[ ,]+')), $4::uuid, now() + $5::interval, $6::integer)
returning a.id, a.tenant_id

-- name: agent_key_add   $1 tenant, $2 agent, $3 name, $4 hash in hexadecimal, $5 hint
insert into tenon.keys (tenant_id, kind, agent_id, name, hash, hint)
values ($1::uuid, 'agent', $2::uuid, $3::text, decode($4::text, 'hex'), $5::text)

-- name: agent_budget_set   $1 tenant, $2 agent, $3 period, $4 micro-dollars
select tenon.set_budget($1::uuid, 'agent', $2::uuid, $3::text, $4::bigint)

-- name: agent_audit   $1 tenant, $2 agent, $3 action; with it come the tenant of what follows
select set_config('tenon.tenant_id', $1::text, true),
       auth.audit($3::text, null, (select jsonb_build_object('agent_id', a.id, 'agent_name', a.name, 'scopes', a.scopes, 'by', 'operator')
                                     from tenon.agents a where a.tenant_id = $1::uuid and a.id = $2::uuid))

-- name: agent_get   $1 id
select auth.agent_object(a)
       || jsonb_build_object('tenant_id', a.tenant_id,
              'keys', (select coalesce(jsonb_agg(auth.agent_key_object(k) order by k.created_at, k.id), '[]')
                         from tenon.keys k where k.tenant_id = a.tenant_id and k.agent_id = a.id),
              'usage', (select jsonb_build_object('runs', count(*), 'cost_micros', coalesce(sum(r.cost_micros), 0))
                          from ai.runs r where r.tenant_id = a.tenant_id and r.agent_id = a.id))
  from tenon.agents a where a.id = $1::uuid

-- name: agent_rows   $1 tenant or null for all
select auth.agent_object(a) || jsonb_build_object('tenant', t.name, 'user', coalesce(u.email, a.user_id::text),
                                                  'scope', (select string_agg(s, ',') from jsonb_array_elements_text(a.scopes) as s))
  from tenon.agents a
  join tenon.tenants t on t.id = a.tenant_id
  left join auth.users u on u.tenant_id = a.tenant_id and u.id = a.user_id
 where $1::uuid is null or a.tenant_id = $1::uuid
 order by t.name, a.created_at, a.id

-- name: agent_end   $1 id
update tenon.agents a set revoked_at = now(), updated_at = now()
 where a.id = $1::uuid and a.revoked_at is null
returning jsonb_build_object('id', a.id, 'revoked', true), a.tenant_id

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

-- --- doctor ---
-- The audits give one row per finding: its name, and what is said of it. All look at the catalog, so nothing can
-- be forgotten in a list. Objects of extensions are left out, and so is what no request can reach.

-- name: doctor_login
select session_user::text, current_user::text, current_database()::text, pg_is_in_recovery(),
       (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = session_user)

-- name: doctor_clock
select (extract(epoch from clock_timestamp()) * 1000)::bigint

-- name: doctor_connections
select current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer

-- name: doctor_has_schema
select to_regclass('tenon.tenants') is not null and to_regclass('tenon.signing_keys') is not null

-- name: doctor_tenants
select count(*), count(*) filter (where status = 'active') from tenon.tenants

-- name: doctor_unpriced   $1 provider, $2 model
select 1 where not exists (select from tenon.price($1::text, $2::text))

-- name: doctor_roles
with wanted (name, login, bypass, kind) as (
    values ('tenon_owner', false, false, 'owner'), ('tenon_admin', true, false, 'login'),
           ('tenon_authenticator', true, false, 'login'), ('tenon_worker', false, false, 'request'),
           ('tenon_platform', false, true, 'platform'), ('anon', false, false, 'request'),
           ('authenticated', false, false, 'request'), ('agent', false, false, 'request'),
           ('service_role', false, false, 'request'))
select w.name,
       case when r.rolname is null then 'does not exist'
            when r.rolsuper then 'is a superuser, so no policy binds it'
            when r.rolbypassrls and not w.bypass then 'bypasses row security'
            when not r.rolbypassrls and w.bypass then 'does not bypass row security, so it cannot see all tenants'
            when r.rolcanlogin <> w.login then case when w.login then 'may not log in' else 'may log in by itself' end
            when r.rolcreaterole or r.rolcreatedb or r.rolreplication then 'may create roles or databases, or replicate'
            when r.rolinherit and w.kind = 'login' then 'inherits the rights of all its roles' end
  from wanted w left join pg_catalog.pg_roles r on r.rolname = w.name
 where r.rolname is null or r.rolsuper or r.rolbypassrls <> w.bypass or r.rolcanlogin <> w.login
    or r.rolcreaterole or r.rolcreatedb or r.rolreplication or (r.rolinherit and w.kind = 'login')

-- name: doctor_memberships
select m.name, 'is a member of ' || r.rolname
  from unnest(array['anon', 'authenticated', 'agent', 'service_role', 'tenon_worker']::name[]) as m (name)
  join pg_catalog.pg_roles a on a.rolname = m.name
  join pg_catalog.pg_roles r on r.oid <> a.oid and pg_has_role(a.oid, r.oid, 'member')
 where r.rolsuper or r.rolbypassrls or r.rolname in ('tenon_owner', 'tenon_admin', 'tenon_authenticator')
    or r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
                     'pg_execute_server_program', 'pg_signal_backend')
union all
select r.rolname, 'can be taken by requests, and no policy binds it'
  from tenon.request_roles() q join pg_catalog.pg_roles r on r.oid = q.oid
 where (r.rolsuper or r.rolbypassrls) and r.rolname not in ('anon', 'authenticated', 'agent', 'service_role')
union all
select r.rolname, 'cannot become ' || m.name
  from pg_catalog.pg_roles r
  cross join unnest(array['anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'tenon_platform']::name[]) as m (name)
  join pg_catalog.pg_roles b on b.rolname = m.name
 where r.rolname = 'tenon_authenticator' and not pg_has_role(r.oid, b.oid, 'member')
union all
select r.rolname, 'does not have what authenticated has, so agents do not see what their people do'
  from pg_catalog.pg_roles r join pg_catalog.pg_roles p on p.rolname = 'authenticated'
 where r.rolname = 'agent' and not pg_has_role(r.oid, p.oid, 'usage')

-- name: doctor_agents
-- Tables that agents reach, since they have what people have, and of which no scope says whether they may; and policies by which an
-- agent that acts for a person has more than that person.
select format('%I.%I', n.nspname, c.relname), 'lets agents ' || w.command || ' without a scope'
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  cross join (values ('select', 'r'), ('insert', 'a'), ('update', 'w'), ('delete', 'd')) as w (command, letter)
 where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and exists (select from pg_catalog.pg_policy t where t.polrelid = c.oid and t.polname = 'tenon_tenant')
   and has_table_privilege('agent', c.oid, w.command)
   and not exists (select from pg_catalog.pg_policy p
                    where p.polrelid = c.oid and not p.polpermissive and p.polcmd in ('*', w.letter)
                      and (0::oid = any (p.polroles) or (select oid from pg_catalog.pg_roles where rolname = 'agent') = any (p.polroles))
                      and concat(pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)) ~ 'has_scope|scoped_buckets|auth\.role|false')
union all
select format('%I.%I', n.nspname, c.relname), format('gives agents more than people, by the policy %I', p.polname)
  from pg_catalog.pg_policy p
  join pg_catalog.pg_class c on c.oid = p.polrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where p.polpermissive and n.nspname not in ('tenon', 'auth', 'ai', 'storage')
   and (select oid from pg_catalog.pg_roles where rolname = 'agent') = any (p.polroles)
   and not p.polroles && array(select oid from pg_catalog.pg_roles where rolname = 'authenticated' union all select 0::oid)

-- name: doctor_event_trigger
select w.name,
       case when e.evtname is null then 'is missing'
            when e.evtenabled not in ('O', 'A') then 'is disabled'
            else 'is of an older release' end
  from unnest(array['tenon_auto_protect', 'tenon_keep_walls', 'tenon_notify_catalog', 'tenon_notify_catalog_drop']) as w (name)
  left join pg_catalog.pg_event_trigger e on e.evtname = w.name
 where e.evtname is null or e.evtenabled not in ('O', 'A')
    or (e.evtname = 'tenon_auto_protect' and not e.evttags @> array['CREATE INDEX', 'ALTER POLICY'])
 order by 1

-- name: doctor_signing_keys
select count(*) filter (where status = 'active'), count(*) filter (where status = 'next') from tenon.signing_keys

-- name: doctor_tables_open
select c.oid::regclass::text,
       case when not c.relrowsecurity then 'has no row security' else 'does not force row security on its owner' end
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
   and not (c.relrowsecurity and c.relforcerowsecurity)
   and (exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
        or exists (select from tenon.request_roles() r
                    where has_schema_privilege(r.oid, n.oid, 'usage')
                      and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
                           or has_any_column_privilege(r.oid, c.oid, 'select, insert, update'))))
 order by 1

-- name: doctor_tables_without_wall
-- The wall: a restrictive policy for all commands and all roles that asks for the tenant.
select c.oid::regclass::text, 'has a tenant_id, and no restrictive policy that asks for it'
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
 where c.relkind in ('r', 'p') and c.relpersistence <> 't' and c.relrowsecurity
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and not exists (select from pg_catalog.pg_policy p
                    where p.polrelid = c.oid and not p.polpermissive and p.polcmd = '*' and p.polroles = array[0::oid]
                      and pg_get_expr(p.polqual, c.oid) ~ 'tenant_id = .*tenon\.tenant_id\(\)')
 order by 1

-- name: doctor_tables_of_nobody   $1 exposed schemas, with commas
select c.oid::regclass::text, 'has no tenant_id: only its own policies keep tenants apart'
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname = any (regexp_split_to_array($1, '\s*,\s*'))
   and n.nspname not in ('tenon', 'auth', 'ai', 'storage')
   and not c.relispartition
   and not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
   and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
   and exists (select from tenon.request_roles() r
                where (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
                       or has_any_column_privilege(r.oid, c.oid, 'select, insert, update')))
 order by 1

-- name: doctor_views
-- An ordinary view reads with its owner's rights, a materialized one has no row security at all.
select c.oid::regclass::text,
       case c.relkind when 'v' then 'shows what its owner ' || pg_get_userbyid(c.relowner) || ' may see'
                      when 'm' then 'is a materialized view: row security does not reach it'
                      else 'is a foreign table: row security does not reach it' end
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('v', 'm', 'f')
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
   and not (c.relkind = 'v' and exists (select from unnest(c.reloptions) o where o in ('security_invoker=true', 'security_invoker=on', 'security_invoker=1', 'security_invoker=yes')))
   and exists (select from tenon.request_roles() r
                where has_schema_privilege(r.oid, n.oid, 'usage')
                  and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
                       or has_any_column_privilege(r.oid, c.oid, 'select, insert, update')))
 order by 1

-- name: doctor_functions
select p.oid::regprocedure::text,
       case when o.rolsuper or o.rolbypassrls then 'runs as ' || o.rolname || ', whom no policy binds'
            else 'runs as ' || o.rolname || ' with the caller''s search_path' end
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_roles o on o.oid = p.proowner
 where p.prosecdef
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
   and exists (select from tenon.request_roles() r
                where has_schema_privilege(r.oid, n.oid, 'usage') and has_function_privilege(r.oid, p.oid, 'execute'))
   and (o.rolsuper or o.rolbypassrls
        or not exists (select from unnest(p.proconfig) s where s like 'search_path=%'))
 order by 1

-- name: doctor_grants
-- TRUNCATE asks no policy, and a trigger runs as whoever writes next.
select c.oid::regclass::text, r.rolname || ' may ' || right_name || ' it'
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  cross join pg_catalog.pg_roles r
  cross join unnest(array['truncate', 'trigger']) as right_name
 where c.relkind in ('r', 'p') and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   and (r.rolname = 'tenon_worker' or r.oid in (select q.oid from tenon.request_roles() q))
   and has_table_privilege(r.oid, c.oid, right_name)
union all
select 'schema ' || n.nspname, r.rolname || ' may create in it'
  from pg_catalog.pg_namespace n cross join tenon.request_roles() r
 where n.nspname !~ '^pg_'
   and has_schema_privilege(r.oid, n.oid, 'create')
 order by 1, 2

-- name: doctor_natural_keys
-- A primary key stays as people write it. One of values that the database makes (identity, default, uuid) never meets another tenant's,
-- nor does one with a key to another protected table in it.
select c.oid::regclass::text, format('has the primary key (%s), which only one tenant can have', k.columns)
  from pg_catalog.pg_class c
  join pg_catalog.pg_policy wall on wall.polrelid = c.oid and wall.polname = 'tenon_tenant'
  join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
  cross join lateral (
       select string_agg(quote_ident(a.attname), ', ' order by n.position) as columns,
              bool_or(a.attname = 'tenant_id' or a.attidentity <> '' or a.atthasdef or a.atttypid = 'uuid'::regtype
                      or exists (select from pg_catalog.pg_constraint f
                                   join pg_catalog.pg_policy p on p.polrelid = f.confrelid and p.polname = 'tenon_tenant'
                                  where f.contype = 'f' and f.conrelid = c.oid and a.attnum = any (f.conkey))) as made
         from unnest(i.indkey::int2[]) with ordinality as n (number, position)
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = n.number
        where n.position <= i.indnkeyatts) as k
 where c.relnamespace::regnamespace::text not in ('tenon', 'auth', 'ai', 'storage') and not c.relispartition and not k.made
 order by 1

-- name: doctor_uniques
select c.oid::regclass::text, format('keeps %s unique over all tenants: %s', x.relname,
       case when exists (select from pg_catalog.pg_constraint f where f.contype = 'f' and f.conindid = i.indexrelid)
            then 'a foreign key refers to it'
            when i.indisreplident then 'it is the replica identity'
            when i.indisexclusion and not exists (select from pg_catalog.pg_opclass o
                                                   where o.opcmethod = x.relam and o.opcintype = 'uuid'::regtype and o.opcdefault)
            then 'without the extension btree_gist it cannot be otherwise'
            else 'it is from an older release, or was made while tenon.auto_protect was off' end)
  from pg_catalog.pg_class c
  join pg_catalog.pg_policy wall on wall.polrelid = c.oid and wall.polname = 'tenon_tenant'
  join pg_catalog.pg_index i on i.indrelid = c.oid and (i.indisunique or i.indisexclusion) and not i.indisprimary
  join pg_catalog.pg_class x on x.oid = i.indexrelid and not x.relispartition
 where c.relnamespace::regnamespace::text not in ('tenon', 'auth', 'ai', 'storage')
   and not exists (select from unnest(i.indkey::int2[]) with ordinality as n (number, position)
                     join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = n.number
                    where n.position <= i.indnkeyatts and a.attname = 'tenant_id')
 order by 1, 2

-- name: doctor_conflict_targets
-- In bodies of functions, which PostgreSQL looks at when they are called.
select p.oid::regprocedure::text, format('says on conflict (%s), and nothing is unique in that alone', btrim(target[1]))
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
 cross join regexp_matches(p.prosrc, 'on\s+conflict\s*\(([\w\s,"]+)\)', 'gi') as target
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'tenon', 'auth', 'ai', 'storage')
   and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
   and not exists (
       select from pg_catalog.pg_index i
        where i.indisunique
          and (select array_agg(lower(a.attname) collate "C" order by lower(a.attname) collate "C")
                 from unnest(i.indkey::int2[]) with ordinality as k (number, position)
                 join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
                where k.position <= i.indnkeyatts)
              = (select array_agg(lower(btrim(c, E' "\n\t\r')) collate "C" order by lower(btrim(c, E' "\n\t\r')) collate "C")
                   from regexp_split_to_table(target[1], ',') as c))
 order by 1, 2

-- --- mail ---

-- name: mail_template_list   $1 tenant
select jsonb_build_object('kind', t.kind, 'language', t.language, 'subject', t.subject,
                          'forms', concat_ws(', ', case when t.text is not null then 'text' end, case when t.html is not null then 'html' end),
                          'changed', t.updated_at)
  from auth.mail_templates t where t.tenant_id = $1::uuid order by t.kind, t.language

-- name: mail_template_set   $1 tenant, $2 kind, $3 language, $4 subject, $5 text or null, $6 HTML or null
insert into auth.mail_templates as t (tenant_id, kind, language, subject, text, html)
values ($1::uuid, $2, $3, $4, $5, $6)
    on conflict (tenant_id, kind, language)
    do update set subject = excluded.subject, text = excluded.text, html = excluded.html, updated_at = now()
returning jsonb_build_object('kind', t.kind, 'language', t.language, 'subject', t.subject)

-- name: mail_template_find   $1 tenant, $2 kind, $3 language: in which languages, and the tenant's words in the best of them
select array_to_string(l.languages, ','), t.language, t.subject, t.text, t.html
  from (select tenon.language_chain($3) || array['en'] as languages) as l
  left join lateral (select m.language, m.subject, m.text, m.html
                       from auth.mail_templates m
                      where m.tenant_id = $1::uuid and m.kind = $2 and m.language = any (l.languages)
                      order by array_position(l.languages, m.language) limit 1) as t on true

-- name: mail_template_remove   $1 tenant, $2 kind, $3 language
delete from auth.mail_templates where tenant_id = $1::uuid and kind = $2 and language = $3
returning jsonb_build_object('kind', kind, 'language', language, 'removed', true)

-- name: mail_language_set   $1 tenant, $2 language
update tenon.tenants set settings = settings || jsonb_build_object('language', (tenon.language_chain($2))[1]), updated_at = now()
 where id = $1::uuid and tenon.language_chain($2) <> '{}' returning id

-- name: mail_language   $1 tenant
select jsonb_build_object('language', coalesce(settings ->> 'language', 'en')), coalesce(settings ->> 'language', 'en')
  from tenon.tenants where id = $1::uuid

-- name: mail_queue
select jsonb_build_object('id', m.id, 'tenant', t.name, 'channel', m.channel, 'kind', m.kind,
                          'domain', case m.channel when 'email' then split_part(m.recipient, '@', 2) end, 'attempts', m.attempts,
                          'due_at', m.due_at, 'expires_at', m.expires_at)
  from tenon.outbox m join tenon.tenants t on t.id = m.tenant_id order by m.due_at limit 1000

-- --- storage ---

-- name: doctor_storage_folder
select id, marked_at is not null from storage.folder

-- name: storage_quota_set   $1 tenant, $2 whether the tenant's changes, $3 to what, $4 whether each person's does, $5 to what
insert into storage.quotas as q (tenant_id, tenant_bytes, user_bytes) values ($1::uuid, $3::bigint, $5::bigint)
    on conflict (tenant_id) do update
   set tenant_bytes = case when $2::boolean then excluded.tenant_bytes else q.tenant_bytes end,
       user_bytes = case when $4::boolean then excluded.user_bytes else q.user_bytes end

-- name: storage_quota   $1 tenant, $2 storage.tenant_quota, $3 storage.user_quota
with found as (
    select t.name, coalesce(q.tenant_bytes, nullif($2::bigint, 0)) as bytes, coalesce(q.user_bytes, nullif($3::bigint, 0)) as user_bytes,
           coalesce((select sum(u.bytes) from storage.usage u where u.tenant_id = t.id), 0) as used
      from tenon.tenants t left join storage.quotas q on q.tenant_id = t.id where t.id = $1::uuid)
select jsonb_build_object('tenant', f.name, 'bytes', f.bytes, 'user_bytes', f.user_bytes, 'used_bytes', f.used),
       format('%s: %s bytes of %s; each person %s', f.name, f.used, coalesce(f.bytes::text, 'any number'), coalesce(f.user_bytes::text, 'any number'))
  from found f

-- name: storage_usage   $1 storage.tenant_quota
select jsonb_build_object('tenant', t.name, 'bytes', coalesce(u.bytes, 0), 'objects', coalesce(u.objects, 0),
                          'quota', coalesce(q.tenant_bytes, nullif($1::bigint, 0)),
                          'trash', (select count(*) from storage.trash x where x.tenant_id = t.id))
  from tenon.tenants t
  left join (select s.tenant_id, sum(s.bytes) as bytes, sum(s.objects) as objects from storage.usage s group by 1) u on u.tenant_id = t.id
  left join storage.quotas q on q.tenant_id = t.id
 order by t.name

-- name: storage_usage_of_owners   $1 tenant
select jsonb_build_object('owner_id', nullif(u.owner_id, ''), 'bytes', sum(u.bytes), 'objects', sum(u.objects))
  from storage.usage u where u.tenant_id = $1::uuid
 group by u.owner_id having sum(u.objects) <> 0 or sum(u.bytes) <> 0
 order by sum(u.bytes) desc, u.owner_id limit 1000

-- --- keys of encrypted files --------------------------------------------------------------------------------------------------------

-- name: storage_work_in   $1 tenant: triggers look at it, and what is done here is no change of a file
select set_config('tenon.tenant_id', $1, false), set_config('tenon.keep_updated_at', 'on', false)

-- name: storage_keys_of_other_masters   $1 name of the master key
select tenant_id, generation, sealed from storage.tenant_keys where master <> $1 order by tenant_id, generation

-- name: storage_key_reseal   $1 tenant, $2 generation, $3 sealed as it was, $4 sealed anew, $5 name of the master key
update storage.tenant_keys set sealed = $4::bytea, master = $5 where tenant_id = $1::uuid and generation = $2::integer and sealed = $3::bytea

-- name: storage_keys   $1 tenant
select generation, sealed from storage.tenant_keys where tenant_id = $1::uuid order by generation desc

-- name: storage_key_add   $1 tenant, $2 generation, $3 sealed, $4 name of the master key
insert into storage.tenant_keys (tenant_id, generation, sealed, master) values ($1::uuid, $2::integer, $3::bytea, $4)
    on conflict do nothing returning generation

-- name: storage_keys_drop   $1 tenant
select storage.drop_unused_keys($1::uuid)

-- name: storage_sealed_objects   $1 tenant, $2 generation: under older ones, $3 behind this id, $4 how many
select id, sealed_key from storage.objects
 where tenant_id = $1::uuid and sealed_key is not null and storage.key_generation(sealed_key) < $2::integer and id > $3::uuid
 order by id limit $4::integer

-- name: storage_sealed_quarantine   $1 tenant, $2 generation: under older ones, $3 behind this id, $4 how many
select id, sealed_key from storage.quarantine
 where tenant_id = $1::uuid and sealed_key is not null and storage.key_generation(sealed_key) < $2::integer and id > $3::uuid
 order by id limit $4::integer

-- name: storage_reseal_object   $1 tenant, $2 id, $3 sealed key as it was, $4 and is
update storage.objects set sealed_key = $4::bytea where tenant_id = $1::uuid and id = $2::uuid and sealed_key = $3::bytea

-- name: storage_reseal_quarantine   $1 tenant, $2 id, $3 sealed key as it was, $4 and is
update storage.quarantine set sealed_key = $4::bytea where tenant_id = $1::uuid and id = $2::uuid and sealed_key = $3::bytea

-- name: storage_bucket_encrypt   $1 tenant, $2 bucket
update storage.buckets set encrypted = true where tenant_id = $1::uuid and id = $2 returning id

-- name: storage_plain_objects   $1 tenant, $2 bucket, $3 behind this id, $4 how many
select id, version, size, encode(sha256, 'hex'), name from storage.objects
 where tenant_id = $1::uuid and bucket_id = $2 and version is not null and sealed_key is null and id > $3::uuid
 order by id limit $4::integer

-- name: storage_object_encrypted   $1 tenant, $2 id, $3 version as it was, $4 and is, $5 sealed key
update storage.objects set version = $4, sealed_key = $5::bytea
 where tenant_id = $1::uuid and id = $2::uuid and version = $3 and sealed_key is null

-- --- quarantine ---------------------------------------------------------------------------------------------------------------------

-- name: storage_quarantine_list   $1 tenant or null
select jsonb_build_object('id', q.id, 'tenant', t.name, 'bucket', q.bucket_id, 'name', q.name, 'owner_id', q.owner_id, 'signature', q.signature,
                          'size', q.size, 'sha256', encode(q.sha256, 'hex'), 'created_at', q.created_at)
  from storage.quarantine q join tenon.tenants t on t.id = q.tenant_id
 where $1::uuid is null or q.tenant_id = $1::uuid
 order by q.created_at desc

-- name: storage_quarantine_find   $1 id
select tenant_id, bucket_id, name, owner_id, size, sha256, sealed_key from storage.quarantine where id::text = lower($1)

-- name: storage_quarantine_delete   $1 tenant, $2 id
delete from storage.quarantine where tenant_id = $1::uuid and id = $2::uuid

-- name: storage_quarantine_release   $1 tenant, $2 id, $3 version, $4 metadata: the row becomes that of a file
with taken as (delete from storage.quarantine where tenant_id = $1::uuid and id = $2::uuid returning *)
insert into storage.objects (tenant_id, bucket_id, name, owner, owner_id, version, size, sha256, sealed_key, metadata, user_metadata)
select t.tenant_id, t.bucket_id, t.name,
       case when t.owner_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then t.owner_id::uuid end,
       t.owner_id, $3, t.size, t.sha256, t.sealed_key, $4::jsonb, '{}'
  from taken t
returning id
