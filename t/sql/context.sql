-- t/sql/context.sql: who is asking, scopes and identifiers
begin;
select * from no_plan();

-- Nothing set, and set to nothing, are the same: the second is what is left after the transaction that set it.
select is(array[tenon.tenant_id()::text, tenon.key_id()::text, auth.uid()::text, auth.role(), auth.email(), auth.jwt()::text],
          array_fill(null::text, array[6]), 'in a new session nobody is there');
select ok(not tenon.has_scope('chat:read'), 'and has no scope');
select set_config(name, '', true) from unnest(array['tenon.tenant_id', 'tenon.key_id', 'tenon.scopes', 'request.jwt.claims']) as name \g /dev/null
select is(array[tenon.tenant_id()::text, tenon.key_id()::text, auth.uid()::text, auth.role(), auth.email(), auth.jwt()::text],
          array_fill(null::text, array[6]), 'empty strings are nobody too');
select ok(not tenon.has_scope('chat:read'), 'and have no scope');

select t.act_as('authenticated', person => 2) \g /dev/null
select is(auth.uid(), t.person('a', 2), 'auth.uid() is the subject of the token');
select is(auth.role(), 'authenticated', 'auth.role() is its role');
select is(auth.email(), 'a2@example.com', 'auth.email() is its address');
select is(auth.jwt() ->> 'sub', t.person('a', 2)::text, 'auth.jwt() is all of it');
select is(tenon.tenant_id(), t.tenant('a'), 'the tenant comes from the server, not from the token');

select set_config('request.jwt.claims', '{"role": "service_role", "sub": "", "tenant_id": "x"}', true) \g /dev/null
select is(auth.uid(), null, 'a token with an empty subject is nobody''s');
select is(auth.email(), null, 'a token without an address has none');
select set_config('request.jwt.claim.sub', t.person('b', 1)::text, true) \g /dev/null
select is(auth.uid(), null, 'the settings of old PostgREST versions are not believed: nothing clears them');
select set_config('request.jwt.claims', '{"sub": "me"}', true) \g /dev/null
select throws_ok('select auth.uid()', '22P02', null, 'a subject that is no uuid is an error');
select set_config('request.jwt.claims', '{"sub": ', true) \g /dev/null
select throws_ok('select auth.uid()', '22P02', null, 'claims that are no JSON are an error');
select set_config('tenon.tenant_id', 'a', true) \g /dev/null
select throws_ok('select tenon.tenant_id()', '22P02', null, 'a tenant that is no uuid is an error');
reset role;

-- Scopes
select is(
    (select set_config('tenon.scopes', held, true) is not null and tenon.has_scope(wanted)), expected,
    format('%s %s %s', held, case when expected then 'covers' else 'does not cover' end, wanted))
  from (values
    ('["chat:read"]', 'chat:read', true),
    ('["chat:read"]', 'chat:write', false),
    ('["chat:read"]', 'chat:rea', false),
    ('["chat:read"]', 'chat:readers', false),
    ('["ai:chat", "chat:read"]', 'chat:read', true),
    ('["functions:invoke:*"]', 'functions:invoke:mail', true),
    ('["functions:invoke:*"]', 'functions:invoke:', true),
    ('["functions:invoke:*"]', 'functions:invoked', false),
    ('["functions:*"]', 'functions:invoke:mail', true),
    ('["chat:*"]', 'chat:write', true),
    ('["chat:*"]', 'chat', false),
    ('["chat*"]', 'chat:read', false),
    ('["*"]', 'chat:read', false),
    ('["*:read"]', 'chat:read', false),
    ('[":*"]', 'chat:read', false),
    ('["chat_read"]', 'chat:read', false),
    ('["chat%"]', 'chat:read', false),
    ('["Chat:read"]', 'chat:read', false),
    ('[]', 'chat:read', false),
    ('[null]', 'chat:read', false),
    ('[["chat:read"]]', 'chat:read', false),
    ('', 'chat:read', false)) as c (held, wanted, expected);
select is(tenon.has_scope(null), false, 'nobody has no scope in particular');
select set_config('tenon.scopes', 'chat:read', true) \g /dev/null
select throws_ok($$ select tenon.has_scope('chat:read') $$, '22P02', null, 'scopes that are no JSON are an error');
select set_config('tenon.scopes', '{"chat:read": true}', true) \g /dev/null
select throws_ok($$ select tenon.has_scope('chat:read') $$, '22023', null, 'scopes that are no list are an error');

-- Identifiers
create temporary table ids as
    select n, tenon.uuid7() as id from generate_series(1, 2000) as n;
select is(count(*), 2000::bigint, 'no two are alike') from (select distinct id from ids) d;
select is(array_agg(distinct substr(id::text, 15, 1)), array['7'], 'version 7') from ids;
select is(array_agg(distinct substr(id::text, 20, 1) order by substr(id::text, 20, 1)), array['8', '9', 'a', 'b'], 'the variant of RFC 9562') from ids;
select is_empty($$ select 1 from ids a join ids b on b.n = a.n + 1 where left(b.id::text, 18) < left(a.id::text, 18) $$,
    'the part that is the time never goes back');
select cmp_ok(count(distinct left(id::text, 18)), '>', 500::bigint, 'and is finer than a millisecond') from ids;
create function pg_temp.ms(id uuid) returns bigint language sql
    return ('x' || lpad(replace(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint;
select cmp_ok(abs(pg_temp.ms(tenon.uuid7()) - (extract(epoch from clock_timestamp()) * 1000)::bigint), '<', 50::bigint,
    'its first 48 bits are the milliseconds since 1970');
select ok(pg_sleep(0.003) is not null and tenon.uuid7() > (select id from ids order by id desc limit 1), 'a later one sorts later');

select * from finish();
rollback;
