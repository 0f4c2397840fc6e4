// t/api/data-reload.mjs: DDL in a loop while people of two tenants work: no request fails, and what is new is there
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { psql } from '../lib/postgres.mjs';
import { eventually } from '../lib/stack.mjs';
import { garden } from '../lib/garden.mjs';

const s = await garden({ settings: { 'api.processes': 2, 'api.connections': 3 } });
await psql(s.owner, `set tenon.tenant_id = '${s.b.id}'; insert into stock (id, sku, qty) values (501, 'net', 4); insert into beds (stock_id, code) values (501, 'Z1')`);

const work = [
  [() => ['GET', '/rest/v1/stock?select=id,sku,beds(code)&order=id&limit=2'], 200],
  [() => ['GET', '/rest/v1/stock?qty=gt.1&order=qty', undefined, { prefer: 'count=exact' }], 200],
  [() => ['GET', '/rest/v1/beds?select=code,stock!inner(sku)&stock.qty=gte.0'], 200],
  [() => ['POST', '/rest/v1/beds?select=code', { code: 'new' }, { prefer: 'return=representation' }], 201],
  [() => ['PATCH', '/rest/v1/beds?code=eq.new', { code: 'old' }], 204],
  [() => ['DELETE', '/rest/v1/beds?code=eq.old'], 204],
  [() => ['POST', '/rest/v1/rpc/numbers', { n: 3 }], 200],
  [() => ['GET', '/rest/v1/rpc/add?a=1'], 200],
  [() => ['GET', '/api/db/stock?qty=gte.0&select=*', undefined, { accept: 'text/csv' }], 200],
];

test('no request fails, and none sees the other tenant, while tables, columns and functions come and go', async () => {
  let busy = true;
  const wrong = [];
  let asked = 0;
  const person = async (client, others, start) => {
    for (let i = start; busy; i++) {
      const [build, status] = work[i % work.length];
      const [method, path, body, headers] = build();
      const answer = await client.request(method, path, body, { headers });
      asked++;
      if (answer.status !== status || others.test(answer.text)) wrong.push(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
    }
  };
  const people = [0, 1, 2, 3, 4, 5].map((i) => (i % 2 ? person(s.a.service, /net|Z1/, i) : person(s.b.service, /rope|spade|A1/, i)));
  for (let i = 0; i < 6; i++) {
    await s.sql(`
      create table passing_${i} (id bigint primary key, stock_id bigint references stock (id), word text unique);
      create policy everybody on passing_${i} using (true) with check (true);
      alter table stock add column extra_${i} int default ${i};
      create function given_${i}() returns int language sql immutable as 'select ${i}';
      create or replace view listed with (security_invoker = true) as select id, sku from stock;
      grant select on listed to anon;`);
    await eventually(`the table, the column, the function and the view of turn ${i}`, async () => {
      const [table, column, given, listed, embed] = await Promise.all([
        s.a.anon.request('GET', `/rest/v1/passing_${i}`), s.a.anon.request('PATCH', '/rest/v1/stock?id=eq.1&select=id', { [`extra_${i}`]: 7 }, { headers: { prefer: 'return=representation' } }), s.a.anon.request('GET', `/rest/v1/rpc/given_${i}`), s.a.anon.request('GET', '/rest/v1/listed?limit=1'),
        s.a.anon.request('GET', `/rest/v1/stock?select=id,passing_${i}(word)&limit=1`)]);
      return table.status === 200 && column.status === 200 && given.text === String(i) && listed.status === 200 && embed.status === 200;
    }, 5000);
    await s.sql(i % 2 ? `drop table passing_${i}; alter table stock alter column extra_${i} type bigint; drop function given_${i}()` : `alter table stock drop column extra_${i}; alter table passing_${i} rename to renamed_${i}; notify pgrst, 'reload schema'; notify tenon, 'catalog'`);
    await eventually(`the end of turn ${i}`, async () => (await s.a.anon.request('GET', `/rest/v1/passing_${i}`)).status === 404, 5000);
  }
  busy = false;
  await Promise.all(people);
  assert.deepEqual(wrong, []);
  assert.ok(asked > 100, `${asked} requests`);
});

test('policies and grants hold from the next request on', async () => {
  await psql(s.owner, `create table flips (id bigint primary key); create policy everybody on flips to anon using (true); set tenon.tenant_id = '${s.a.id}'; insert into flips values (1)`);
  await eventually('the table', async () => (await s.a.anon.request('GET', '/rest/v1/flips')).status === 200);
  for (let i = 0; i < 5; i++) {
    assert.equal((await s.a.anon.request('GET', '/rest/v1/flips')).text, '[{"id":1}]');
    await psql(s.owner, 'drop policy everybody on flips');
    assert.equal((await s.a.anon.request('GET', '/rest/v1/flips')).text, '[]');
    await psql(s.owner, 'revoke select on flips from anon');
    assert.equal((await s.a.anon.request('GET', '/rest/v1/flips')).status, 401);
    await psql(s.owner, 'grant select on flips to anon; create policy everybody on flips to anon using (true)');
  }
});

test('connections that were cut: the catalog is read again', async () => {
  await s.sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`);
  await psql(s.owner, 'create table after_all (id bigint primary key)');
  await eventually('the table', async () => (await s.a.service.request('GET', '/rest/v1/after_all')).status === 200, 15_000);
  assert.deepEqual(await s.b.service.get('/rest/v1/after_all'), []);
});
