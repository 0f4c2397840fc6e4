// t/api/data-bypass.mjs: ways around the walls and limits of the data API that were found once, and are closed
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { garden } from '../lib/garden.mjs';

const s = await garden({ settings: { 'data.max_rows': 2, 'data.answer_max': 4_194_304, 'data.aggregates': 'off', 'data.pre_request': 'public.before', 'api.processes': 1, 'stream.processes': 1 } });
await s.sql(`create function public.before() returns void language sql as $$ select set_config('response.headers', current_setting('request.headers')::json ->> 'x-headers', true) $$`);

const ask = (tenant, path, headers) => tenant.anon.request('GET', `/rest/v1/${path}`, undefined, { headers });

/* A view that says tenon.tenant_id() somewhere, as the superuser's: no row security in it. */
const over = (name, query) => `
create view public.${name} with (security_barrier = true) as ${query};
grant select, update on public.${name} to anon, authenticated;`;
await s.sql(`
create function public.long() returns json language sql stable as $$ select json_build_array(repeat('x', 3000000)) $$;
create function public.measure(words text) returns int language sql as 'select length(words)';
create function public.list() returns json language sql stable as $$ select json_agg(i) from generate_series(1, 200000) i $$;
create function public.bulk(n int) returns setof text language sql stable as $$ select repeat('x', 3000000) from generate_series(1, n) $$;
create schema apart;
create table apart.secrets (tenant_id uuid, secret text);
insert into apart.secrets values ('${s.a.id}', 'alpha'), ('${s.b.id}', 'beta');
${over('shows_tenant', 'select secret, tenon.tenant_id() as mine from apart.secrets')}
${over('shows_stock', 'select *, tenon.tenant_id() as mine from public.stock')}
${over('tests_tenant', 'select secret from apart.secrets where tenant_id = tenon.tenant_id() or true')}
${over('picks_tenant', 'select secret from apart.secrets where tenant_id = tenon.tenant_id()')}`);

for (const name of ['shows_tenant', 'shows_stock', 'tests_tenant', 'picks_tenant'])
  test(`${name}: a view that says tenon.tenant_id() has no wall by that`, async () => {
    for (const [method, body] of [['GET'], ['PATCH', { secret: 'hacked' }]]) {
      const answer = await s.b.anon.request(method, `/rest/v1/${name}`, body);
      assert.deepEqual([answer.status, answer.json.code], [404, 'PGRST205'], answer.text);
      assert.match(answer.json.hint, /security_invoker = true/);
    }
  });

for (const name of ['json_agg', 'jsonb_agg', 'array_agg'])
  test(`${name} is no column that collects more rows than an answer may have`, async () => {
    for (const path of [`stock?select=${name}`, `stock?select=x:${name}::text`, `stock?select=id,beds(${name})`, `stock?select=count&order=${name}`, `rpc/numbers?n=5&select=${name}`]) {
      const answer = await ask(s.a, path);
      assert.deepEqual([answer.status, answer.json.code], [400, '42703'], path);
    }
  });

test('a place among the large exports is given back when the answer cannot begin', async () => {
  await s.ddl(`create function public.much() returns table (i int, filler text) language sql stable as $$ select i, repeat('x', 1000) from generate_series(1, 1000) i $$`);
  const bad = { accept: 'text/csv', 'x-headers': 'no list' };
  for (let i = 0; i < 40; i++) {
    const answer = await ask(s.a, 'rpc/much', bad);
    assert.deepEqual([answer.status, answer.json.code], [500, 'PGRST111'], `request ${i}`);
  }
  assert.equal((await ask(s.a, 'rpc/much', { accept: 'text/csv' })).status, 200);
});

const batch = async (operations) => {
  const body = typeof operations === 'string' ? operations : JSON.stringify(operations);
  const { status, json } = await s.a.anon.request('POST', '/api/db/batch', body, { headers: { 'content-type': 'application/json' } });
  return [status, json.code];
};

test('a header of an operation that is there thousands of times', async () => {
  const headers = Array(100_000).fill('"prefer":"a"').join(',');
  assert.deepEqual(await batch(`[{"method":"GET","path":"stock","headers":{${headers}}}]`), [400, 'validation_failed']);
});

test('references that fill in more than a batch may have', async () => {
  const literal = { method: 'POST', path: 'rpc/long', id: 'x', body: {} };
  const operations = Array.from({ length: 5 }, () => ({ method: 'POST', path: 'rpc/measure', body: { words: { $ref: 'x/0' } } }));
  assert.deepEqual(await batch([literal, ...operations.slice(0, 3)]), [200, undefined]);
  assert.deepEqual(await batch([literal, ...operations]), [413, 'body_too_large']);
});

test('references that search a large result again and again', async () => {
  const body = { words: Array.from({ length: 2000 }, () => ({ $ref: 'x/199999' })) };
  assert.deepEqual(await batch([{ method: 'POST', path: 'rpc/list', id: 'x', body: {} }, { method: 'POST', path: 'rpc/measure', body }]), [413, 'too_many_items']);
});

test('what is deferred to the end runs as the caller, not as the worker who keeps the answer', async () => {
  await s.sql(`
    create function public.note_who() returns trigger language plpgsql as $$ begin perform set_config('my.who', current_user, true); if current_user <> 'anon' then raise 'deferred as %', current_user; end if; return null; end $$;
    create constraint trigger who after insert on public.stock deferrable initially deferred for each row execute function public.note_who()`);
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'deferred-1' };
  const answer = await s.a.anon.request('POST', '/rest/v1/stock', '{"id": 501}', { headers });
  assert.deepEqual([answer.status, answer.text], [201, '']);
  const again = await s.a.anon.request('POST', '/api/db/batch', '[{"method": "POST", "path": "stock", "body": {"id": 502}}]', { headers: { ...headers, 'idempotency-key': 'deferred-2' } });
  assert.equal(again.status, 200, again.text);
});

test('an answer with too many bytes stops in PostgreSQL, and an export does not', async () => {
  assert.equal((await ask(s.a, 'rpc/bulk?n=1')).status, 200);
  const answer = await ask(s.a, 'rpc/bulk?n=2');
  assert.deepEqual([answer.status, answer.json.code], [413, 'answer_too_large']);
  assert.match(answer.json.hint, /limit.*text\/csv/);
  assert.equal((await ask(s.a, 'rpc/bulk?n=2', { accept: 'text/csv' })).text.length, 'pgrst_scalar\n'.length + 2 * 3_000_001 - 1);
  const rows = JSON.stringify([601, 602].map((id) => ({ id, note: 'x'.repeat(3_000_000) })));
  const headers = { 'content-type': 'application/json', prefer: 'return=representation' };
  const write = await s.a.anon.request('POST', '/rest/v1/stock', rows, { headers });
  assert.deepEqual([write.status, write.json.code], [413, 'answer_too_large']);
  assert.deepEqual((await ask(s.a, 'stock?select=id&id=gt.600')).json, []);
  const csv = await s.a.anon.request('POST', '/rest/v1/stock', rows, { headers: { ...headers, accept: 'text/csv' } });
  assert.equal(csv.status, 413, 'what a write returns is no export');
});

test('casts that turn numbers into names of any table, role or function', async () => {
  for (const path of ['stock?select=id::regclass', 'stock?select=a:id::RegRole', 'stock?select=beds(id::regproc)', 'rpc/numbers?n=1&select=i::regtype']) {
    const answer = await s.a.service.request('GET', `/rest/v1/${path}`);
    assert.deepEqual([answer.status, answer.json.code], [403, '42501'], path);
  }
});

test('names out of a body are quoted in messages as far as somebody would read them', async () => {
  const body = { ['x'.repeat(1_000_000)]: 1 };
  for (const [path, code] of [['stock', 'PGRST204'], ['rpc/measure', 'PGRST202']]) {
    const answer = await s.a.anon.request('POST', `/rest/v1/${path}`, body);
    assert.equal(answer.json.code, code);
    assert.ok(answer.text.length < 2000, `${answer.text.length} bytes`);
    assert.match(answer.json.message, /x{200}…/);
  }
});
