-- t/sql/keys.sql: the logins, tenants and keys
begin;
select * from no_plan();
create function t.create_tenant(name text) returns uuid language sql as $$
    insert into tenon.tenants (name) values (create_tenant.name) returning id
$$;
create function t.create_key(tenant uuid, kind text, name text, hash bytea, hint text, scopes jsonb default null, user_id uuid default null,
                             expires_at timestamptz default null) returns uuid language sql as $$
    insert into tenon.keys (tenant_id, kind, name, hash, hint, scopes, user_id, expires_at)
    values (tenant, kind, name, hash, hint, scopes, user_id, expires_at) returning id
$$;
create function t.create_platform_key(name text, hash bytea, hint text) returns uuid language sql as $$
    insert into tenon.platform_keys (name, hash, hint) values (name, hash, hint) returning id
$$;
grant execute on all functions in schema t to public;

-- The logins
select is((select setconfig from pg_db_role_setting where setrole = 'tenon_admin'::regrole and setdatabase = 0), array['role=tenon_owner'],
    'the owner''s login becomes tenon_owner as it connects');
select ok(not rolinherit, rolname || ' is nobody until it says who') from pg_roles where rolname in ('tenon_admin', 'tenon_authenticator') order by 1;
set session authorization tenon_authenticator;
select is((select count(*) from unnest(array['anon', 'authenticated', 'agent', 'service_role', 'tenon_worker', 'tenon_platform']) r
            where pg_has_role(r, 'set')), 6::bigint, 'the workers'' login may become any of these') where current_setting('server_version_num')::int >= 160000;
select throws_ok('set role tenon_owner', '42501', null, 'and not the owner');
select throws_ok('select from tenon.keys', '42501', null, 'and reads no table itself');
set session authorization tenon_admin;
set role tenon_owner;
select isnt(crypt('secret', gen_salt('bf', 4)), null, 'pgcrypto is found by plain names');
select isnt(gen_random_bytes(4), null, 'all of it');
select isnt(extensions.crypt('secret', extensions.gen_salt('bf', 4)), null, 'and where Supabase has it');
set role authenticated;
select isnt(crypt('secret', gen_salt('bf', 4)), null, 'also by the role of a request');
set session authorization default;
set session authorization tenon_admin;
select format('alter role tenon_admin in database %I set tenon.tenant_id = %L', current_database(), t.tenant('b')) \gexec
set session authorization default;
select is((select setconfig from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
            where setrole = 'tenon_admin'::regrole and d.datname = current_database()),
          array['tenon.tenant_id=' || t.tenant('b')], 'the owner''s login can be given a tenant in which it acts, by itself');

-- Tenants
select t.act_as('tenon_platform', tenant => null);
create temporary table made as select t.create_tenant('Acme Corp. 2') as id;
grant select on made to public;
select results_eq($$ select t.id = m.id, t.name, t.status from made m, tenon.find_tenant('Acme Corp. 2') t $$, $$ values (true, 'Acme Corp. 2', 'active') $$,
    'a tenant is made and found by its name');
select results_eq($$ select t.name from made m, tenon.find_tenant(upper(m.id::text)) t $$, $$ values ('Acme Corp. 2') $$, 'and by its id');
select is_empty($$ select * from tenon.find_tenant('nobody') $$, 'one that is not there is not found');
select is_empty($$ select * from tenon.find_tenant(null) $$, 'nor is null');
select throws_ok($$ select t.create_tenant('Acme Corp. 2') $$, '23505', null, 'names are taken once');
select throws_ok(format('select t.create_tenant(%L)', name), '23514', null, format('%s is no name', to_json(name)))
  from unnest(array['', ' a', 'a ', E'a\nb', repeat('a', 101), 'a/b', '00000000-0000-7000-8000-00000000000a']) name;
select t.act_as('service_role');
select results_eq('select name from tenon.tenants', $$ values ('a') $$, 'a secret key sees its own tenant and no other');
select throws_ok($$ update tenon.tenants set name = 'x' $$, '42501', null, 'and does not change it');
select throws_ok($$ select t.create_tenant('x') $$, '42501', null, 'nor makes one');
select t.act_as('tenon_owner', tenant => 'b');
select throws_ok($$ insert into tenon.tenants (name) values ('x') $$, '42501', null, 'nor does the owner: that is the platform''s');

-- Keys
select t.act_as('tenon_platform', tenant => null);
create temporary table keys (name text, id uuid);
grant all on keys to public;
insert into keys values
    ('publishable', t.create_key(t.tenant('a'), 'publishable', 'web', sha256('p'), 'pppp')),
    ('secret', t.create_key(t.tenant('a'), 'secret', 'server', sha256('s'), 'ssss', expires_at => '2020-01-01')),
    ('agent', t.create_key(t.tenant('b'), 'agent', 'bot', sha256('a'), 'aaaa', '["chat:read"]', t.person('b', 1), 'infinity')),
    ('platform', t.create_platform_key('ops', sha256('x'), 'xxxx'));
select throws_ok(format($$ select t.create_key(t.tenant('a'), %s) $$, arguments), '23514', null, why)
  from (values ($$'agent', 'x', sha256('1'), 'aaaa', null, null, 'infinity'$$, 'an agent has scopes'),
               ($$'agent', 'x', sha256('1'), 'aaaa', '["x"]'$$, 'and expires'),
               ($$'agent', 'x', sha256('1'), 'aaaa', '{}', null, 'infinity'$$, 'scopes are a list'),
               ($$'secret', 'x', sha256('1'), 'aaaa', '["x"]'$$, 'others have none'),
               ($$'secret', 'x', 'short', 'aaaa'$$, 'a hash is 32 bytes'),
               ($$'secret', 'x', sha256('1'), 'the whole key'$$, 'a hint is four characters'),
               ($$'platform', 'x', sha256('1'), 'aaaa'$$, 'a platform key belongs to no tenant'),
               ($$'secret', '', sha256('1'), 'aaaa'$$, 'a key has a name')) c (arguments, why);
select throws_ok($$ select t.create_key(t.tenant('a'), 'secret', 'again', sha256('p'), 'pppp') $$, '23505', null, 'no two keys are the same');
select throws_ok($$ select t.create_key(t.tenant('a'), 'agent', 'x', sha256('1'), 'aaaa', '[]', t.person('b', 1), 'infinity') $$, '23503', null,
    'an agent of one tenant does not act for a person of another');

select t.act_as('tenon_authenticator', tenant => null);
select results_eq($$ select k.id = keys.id, k.tenant_id, k.kind, k.role, k.scopes, k.user_id, k.expires_at, k.tenant_status
                       from (values ('p'), ('s'), ('a'), ('x')) as v (key), tenon.find_key(sha256(key::bytea)) k left join keys on keys.name = k.kind $$,
    $$ values (true, t.tenant('a'), 'publishable', 'anon', null::jsonb, null::uuid, null::timestamptz, 'active'),
              (true, t.tenant('a'), 'secret', 'service_role', null, null, '2020-01-01', 'active'),
              (true, t.tenant('b'), 'agent', 'agent', '["chat:read"]', t.person('b', 1), 'infinity', 'active'),
              (true, null, 'platform', 'tenon_platform', null, null, null, null) $$,
    'a hash tells tenant, role, scopes, person and expiry; an expired key is found and says so');
select is_empty($$ select * from tenon.find_key(sha256('nobody')) $$, 'a key that was never made is not found');
select is_empty($$ select * from tenon.find_key('') $$, 'nor is an empty one');
select is_empty($$ select * from tenon.find_key(null) $$, 'nor is none');
select t.act_as('service_role');
select throws_ok($$ select * from tenon.find_key(sha256('p')) $$, '42501', null, 'nobody else looks up keys');
select throws_ok($$ select * from tenon.find_tenant('b') $$, '42501', null, 'or tenants');
select throws_ok($$ select hash from tenon.keys $$, '42501', null, 'or reads hashes');

reset role;
select is(count(*), 3::bigint, 'a key that was looked up has its last use written down') from tenon.keys where last_used_at = now();
update tenon.keys set last_used_at = now() - interval '50 seconds' where id = (select id from keys where name = 'publishable');
update tenon.platform_keys set last_used_at = now() - interval '61 seconds';
select from tenon.find_key(sha256('p'));
select from tenon.find_key(sha256('x'));
select is(last_used_at, now() - interval '50 seconds', 'at most once a minute') from tenon.keys where id = (select id from keys where name = 'publishable');
select is(last_used_at, now(), 'and again after that') from tenon.platform_keys;
update tenon.platform_keys set last_used_at = null;
savepoint reading;
set transaction read only;
select is((select kind from tenon.find_key(sha256('x'))), 'platform', 'a transaction that only reads, as on a replica, finds keys too');
rollback to reading;

update tenon.tenants set status = 'suspended' where id = t.tenant('b');
select is((select tenant_status from tenon.find_key(sha256('a'))), 'suspended', 'a key of a suspended tenant is found and says so');

select t.act_as('tenon_platform', tenant => null);
select is(tenon.revoke_key(id), true, 'revoked: ' || name) from keys where name in ('agent', 'platform');
select is(tenon.revoke_key(id), false, 'once: ' || name) from keys where name in ('agent', 'platform');
select is(tenon.revoke_key(gen_random_uuid()), false, 'a key that is not there');
reset role;
select is_empty($$ select * from tenon.find_key(sha256('a')) union all select * from tenon.find_key(sha256('x')) $$, 'revoked keys are not found');

-- Signing keys
delete from tenon.signing_keys; -- those that tenon init has made
insert into tenon.signing_keys (kid, alg, public_jwk, private_encrypted, status) values ('1', 'ES256', '{}', '', 'active');
select throws_ok($$ insert into tenon.signing_keys (kid, alg, public_jwk, private_encrypted, status) values ('2', 'ES256', '{}', '', 'active') $$,
    '23505', null, 'one key signs at a time');
select t.act_as('service_role');
select throws_ok('select from tenon.signing_keys', '42501', null, 'no request reads signing keys');
reset role;
select * from finish();
rollback;
