// t/api/data-closed.mjs: closed by default: what was never opened is not there, and the answer says why and how
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { psql } from '../lib/postgres.mjs';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack({
  people: false,
  prepare: async ({ owner }) => psql(owner, `set tenon.auto_protect = off; create table before_all (id bigint primary key, secret text); insert into before_all values (1, 'old secret'); grant select on before_all to anon, authenticated, service_role;`),
});
const alice = await s.a.person('alice');
await psql(s.owner, `
create table typed (id bigint generated always as identity primary key, body text);
set tenon.tenant_id = '${s.a.id}';
insert into typed (body) values ('of the first tenant');
create view typed_invoker with (security_invoker = true) as select * from typed;
create view typed_owner as select id, body from typed;
create view open_owner as select * from before_all;
create view open_invoker with (security_invoker = true) as select * from before_all;
create view joined as select t.id, b.secret from typed t, before_all b;
create view asking with (security_barrier = true) as select id, secret, tenon.tenant_id() as mine from before_all where tenon.tenant_id() is not null;
create materialized view kept as select * from typed;
create materialized view kept_open as select * from before_all;
create view over_kept as select * from kept;
set tenon.auto_protect = off;
create table unwalled (id bigint primary key, secret text);
alter table unwalled enable row level security, force row level security;
create policy everybody on unwalled using (true);
create table by_supabase (id bigint primary key, owner uuid, secret text);
alter table by_supabase enable row level security;
create policy own on by_supabase using (auth.uid() = owner);
set tenon.auto_protect = on;
grant select, insert, update, delete on all tables in schema public to anon, authenticated, service_role;
insert into by_supabase values (1, null, 'theirs');
create function reads_open() returns setof before_all language sql stable as 'select * from before_all';
create function withheld() returns int language sql as 'select 1';
revoke execute on function withheld() from public, anon, authenticated, service_role;
create procedure proceed() language sql as 'select 1';
create function triggered() returns trigger language plpgsql as 'begin return new; end';
`);
await eventually('the catalog', async () => (await s.a.service.request('GET', '/rest/v1/typed')).status === 200);
const clients = { anon: s.a.anon, person: alice, service: s.a.service, other: s.b.service };

const closed = {
  before_all: [/row security/, /tenon\.protect/], unwalled: [/tenants apart/, /tenon\.protect/], by_supabase: [/tenants apart/, /tenon\.protect/], open_owner: [/before_all/, /security_invoker/], open_invoker: [/before_all/, /./],
  joined: [/before_all/, /./], kept: [/materialized view/, /tenon\.protect/], kept_open: [/materialized view/, /tenon\.protect/], asking: [/before_all/, /security_invoker/], over_kept: [/kept/, /./],
};
for (const [name, [details, hint]] of Object.entries(closed))
  test(`${name} is closed, and says why and how to open it`, async () => {
    for (const [who, client] of Object.entries(clients))
      for (const [method, path, body] of [['GET', `/${name}`], ['GET', `/${name}?select=secret`], ['HEAD', `/${name}`], ['OPTIONS', `/${name}`], ['POST', `/${name}`, { id: 5 }], ['PATCH', `/${name}?id=eq.1`, { id: 5 }], ['PUT', `/${name}?id=eq.1`, { id: 1 }], ['DELETE', `/${name}?id=eq.1`]]) {
        const answer = await client.request(method, `/rest/v1${path}`, body);
        assert.equal(answer.status, 404, `${who} ${method} ${path}: ${answer.text}`);
        if (method === 'HEAD') continue;
        assert.equal(answer.json.code, 'PGRST205');
        assert.match(answer.json.details, details);
        assert.match(answer.json.hint, hint);
        assert.ok(!/old secret|theirs|first tenant/.test(answer.text));
      }
    const plain = await s.a.service.request('GET', `/api/db/${name}`);
    assert.deepEqual([plain.status, plain.json.code], [404, 'PGRST205']);
  });

test('what is closed is closed as part of something else as well', async () => {
  await psql(s.owner, 'set tenon.auto_protect = off; alter table before_all add column typed_id bigint references typed (id); create function near(typed) returns setof before_all language sql stable as $$ select * from before_all $$; create function far(typed) returns setof unwalled language sql stable as $$ select * from unwalled $$');
  for (const embed of ['before_all(secret)', 'before_all!inner(secret)', 'before_all(count)', 'near(secret)', 'far(secret)']) {
    const answer = await s.a.service.request('GET', `/rest/v1/typed?select=id,${embed}`);
    assert.ok(answer.status >= 400 && !answer.text.includes('old secret'), `${embed}: ${answer.status} ${answer.text}`);
  }
});

test('a table that was typed in is there for its tenant’s secret key, and for nobody else before there is a policy', async () => {
  assert.deepEqual((await s.a.service.get('/rest/v1/typed?select=body')), [{ body: 'of the first tenant' }]);
  for (const client of [s.a.anon, alice, s.b.service, s.b.anon]) {
    assert.deepEqual(await client.get('/rest/v1/typed'), []);
    assert.deepEqual(await client.get('/rest/v1/typed_invoker'), []);
  }
  for (const [client, status] of [[s.a.anon, 401], [alice, 403]]) {
    const answer = await client.request('POST', '/rest/v1/typed', { body: 'x' });
    assert.deepEqual([answer.status, answer.json.code], [status, '42501']);
  }
  assert.equal((await s.b.service.request('POST', '/rest/v1/typed', { body: 'of b' })).status, 201);
  assert.deepEqual(await s.b.service.get('/rest/v1/typed?select=body'), [{ body: 'of b' }]);
});

test('a view with the rights of its owner shows no other tenant', async () => {
  for (const [client, bodies] of [[s.a.service, ['of the first tenant']], [s.b.service, ['of b']], [s.b.anon, ['of b']]])
    assert.deepEqual((await client.get('/rest/v1/typed_owner?select=body')).map((row) => row.body), bodies);
});

test('functions: procedures and triggers are none, what may not be called is refused', async () => {
  for (const name of ['proceed', 'triggered', 'protect', 'pg_sleep', 'fail', 'set_config', 'lo_import', 'pg_read_file', 'dblink']) {
    const answer = await s.a.service.request('POST', `/rest/v1/rpc/${name}`, {});
    assert.deepEqual([answer.status, answer.json.code], [404, 'PGRST202'], name);
  }
  for (const [client, status] of [[s.a.anon, 401], [alice, 403], [s.a.service, 403]]) {
    const answer = await client.request('POST', '/rest/v1/rpc/withheld', {});
    assert.deepEqual([answer.status, answer.json.code], [status, '42501'], answer.text);
  }
});

test('a table protected afterwards, and one moved in from another schema', async () => {
  await psql(s.owner, `set tenon.tenant_id = '${s.a.id}'; select tenon.protect('unwalled'); create schema side; create table side.moved (id bigint primary key); alter table side.moved set schema public;`);
  await eventually('unwalled', async () => (await s.a.service.request('GET', '/rest/v1/unwalled')).status === 200);
  assert.equal((await s.a.service.request('POST', '/rest/v1/unwalled', { id: 1, secret: 'a' })).status, 201);
  assert.deepEqual(await s.b.anon.get('/rest/v1/unwalled'), [], 'although its policy says using (true)');
  assert.deepEqual((await s.a.anon.get('/rest/v1/unwalled')).length, 1);
  assert.equal((await s.a.service.request('POST', '/rest/v1/moved', { id: 1 })).status, 201);
  assert.deepEqual(await s.b.service.get('/rest/v1/moved'), []);
});

test('a wall that is taken down is seen at once', async () => {
  await psql(s.owner, 'set tenon.auto_protect = off; alter table unwalled disable row level security');
  const answer = await eventually('404', async () => {
    const a = await s.b.service.request('GET', '/rest/v1/unwalled');
    return a.status === 404 && a;
  });
  assert.match(answer.json.details, /no row security/);
});

test('only the schemas that are named, and nothing of the system', async () => {
  for (const schema of ['tenon', 'auth', 'storage', 'pg_catalog', 'information_schema', 'side']) {
    const answer = await s.a.service.request('GET', '/rest/v1/users', undefined, { headers: { 'accept-profile': schema } });
    assert.deepEqual([answer.status, answer.json.code], [406, 'PGRST106']);
  }
  for (const name of ['pg_class', 'pg_user', 'users', 'tenants', 'keys', 'signing_keys', 'pg_stat_activity']) assert.equal((await s.a.service.request('GET', `/rest/v1/${name}`)).status, 404, name);
});

const warned = [
  { sql: 'create table countries (code text primary key, name text unique)', warning: /primary key \(code\) of (public\.)?countries/, hint: /primary key \(tenant_id, code\)/ },
  { sql: 'create table shops (a int, b int); alter table shops add primary key (a, b)', warning: /primary key \(a, b\)/, hint: /tenant_id, a, b/ },
  { sql: 'create table rooms (id uuid primary key, at tstzrange, exclude using gist (at with &&))', warning: /exclusion constraint rooms_at_excl/, hint: /btree_gist/ },
  { sql: 'alter table countries add column size int' },
  { sql: 'create table quiet (id bigint generated always as identity primary key, made uuid unique default gen_random_uuid())' },
  { sql: 'create table within (tenant_id uuid default tenon.tenant_id(), name text, primary key (tenant_id, name))' },
];
for (const { sql, warning, hint } of warned)
  test(`${warning ? 'a warning' : 'no warning'}: ${sql}`, () => {
    const { status, stderr } = spawnSync('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', s.owner, '-c', sql], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    if (!warning) return assert.equal(stderr, '');
    assert.match(stderr, warning);
    assert.match(stderr, /WARNING/);
    assert.match(stderr, hint);
  });
