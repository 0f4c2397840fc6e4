// t/api/data-hints.mjs: what people are told when they make the usual mistakes
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { garden } from '../lib/garden.mjs';
import { eventually } from '../lib/stack.mjs';

const s = await garden();
await s.sql(`set role tenon_owner;
  create view public.codes with (security_invoker = true) as select code from public.beds;
  create function public.shut() returns int language sql stable as 'select 1'; revoke execute on function public.shut() from public;`);
const alice = await s.a.person('alice');
const agent = s.client({ apikey: (await s.tenon('key', 'create', '--tenant', 'a', '--kind', 'agent', '--scopes', 'data:stock:read', '--expires-in', '1 hour', '--user', alice.user.id, '--json')).json?.key ?? '' });
await eventually('the catalog', async () => (await alice.request('GET', '/rest/v1/codes')).status !== 404);

const mistakes = [
  { name: 'no policy', method: 'POST', path: '/rest/v1/notes', as: s.a.anon, body: { body: 'x', owner: alice.user.id }, status: 401, code: '42501', hint: /^A policy has to let the role anon write such a row: create policy … on "notes" to anon with check/ },
  { name: 'a policy that says no', method: 'POST', path: '/rest/v1/notes', as: alice, body: { owner: '00000000-0000-7000-8000-000000000000' }, status: 403, code: '42501', hint: /the role authenticated/ },
  { name: 'no grant', method: 'GET', path: '/rest/v1/codes', as: alice, status: 403, code: '42501', hint: /^grant select on codes to authenticated;$/ },
  { name: 'no grant, and nobody', method: 'DELETE', path: '/rest/v1/vault?id=eq.1', as: s.a.anon, status: 401, code: '42501', hint: /^Sign in, or: grant delete on vault to anon;$/ },
  { name: 'no right to call', method: 'POST', path: '/rest/v1/rpc/shut', as: alice, body: {}, status: 403, code: '42501', hint: /^grant execute on function shut to authenticated;$/ },
  { name: "a scope that the agent's key lacks", method: 'POST', path: '/rest/v1/stock', as: agent, body: { id: 70 }, status: 403, code: '42501', hint: /data:stock:write/ },
  { name: 'a column of the body', method: 'POST', path: '/rest/v1/stock', body: { id: 70, nots: 'x' }, status: 400, code: 'PGRST204', hint: /'note'/ },
  { name: 'a column of columns', method: 'POST', path: '/rest/v1/stock?columns=id,skuu', body: { id: 70 }, status: 400, code: 'PGRST204', hint: /'sku'/ },
  { name: 'a column like no other', method: 'POST', path: '/rest/v1/stock', body: { id: 70, zzzzzz: 'x' }, status: 400, code: 'PGRST204', hint: null },
  { name: 'curl -d without a type', method: 'POST', path: '/api/db/stock', body: '{"id":70}', headers: { 'content-type': 'application/x-www-form-urlencoded' }, status: 400, code: 'PGRST204', hint: /Content-Type: application\/json/ },
  { name: 'JSON in the quotes of a shell', method: 'POST', path: '/rest/v1/stock', body: "{'id':70}", headers: { 'content-type': 'application/json' }, status: 400, code: 'PGRST102', hint: /double quotes/ },
  { name: 'objects with different keys', method: 'POST', path: '/rest/v1/stock', body: [{ id: 70 }, { sku: 'x' }], status: 400, code: 'PGRST102', hint: /columns=/ },
  { name: 'a table', method: 'GET', path: '/rest/v1/stok', status: 404, code: 'PGRST205', hint: /'public\.stock'/ },
  { name: 'a schema in the path', method: 'GET', path: '/rest/v1/annex.stock', status: 404, code: 'PGRST205', hint: /Accept-Profile/ },
  { name: 'a schema that is not shown', method: 'GET', path: '/rest/v1/users', headers: { 'accept-profile': 'auth' }, status: 406, code: 'PGRST106', hint: /data\.schemas/ },
  { name: 'a filter without an operator', method: 'GET', path: '/rest/v1/stock?sku=rope', status: 400, code: 'PGRST100', hint: /column=operator\.value/ },
  { name: 'an operator that is none', method: 'GET', path: '/rest/v1/stock?sku=equals.rope', status: 400, code: 'PGRST100', hint: /column=operator\.value/ },
  { name: 'an operand without its parentheses', method: 'GET', path: '/rest/v1/stock?id=in.1,2', status: 400, code: 'PGRST100', hint: null },
  { name: 'a function as a table', method: 'GET', path: '/rest/v1/numbers', status: 404, code: 'PGRST205', hint: /rpc\/numbers/ },
  { name: 'an owner that nobody is', method: 'POST', path: '/rest/v1/notes', body: { body: 'x' }, status: 400, code: '23502', hint: /auth\.uid\(\)/ },
  { name: 'a version of before', method: 'PATCH', path: '/rest/v1/stock?id=eq.1', body: { qty: 3 }, headers: { 'if-match': '"1"' }, status: 412, code: 'precondition_failed', hint: /Read it again/ },
  { name: 'tables that nothing connects', method: 'GET', path: '/rest/v1/stock?select=id,notes(id)', status: 400, code: 'PGRST200', hint: /foreign key/ },
  { name: 'aggregates where they are off', method: 'GET', path: '/rest/v1/stock?select=count()', status: 400, code: 'PGRST123', hint: /data\.aggregates/ },
  { name: 'a function that writes, by GET', method: 'GET', path: '/rest/v1/rpc/remember?label=x', status: 405, code: '25006', hint: /POST/ },
  { name: 'on_conflict without a constraint', method: 'POST', path: '/rest/v1/stock?on_conflict=qty', body: { id: 70 }, headers: { prefer: 'resolution=merge-duplicates' }, status: 400, code: '42P10', hint: /unique constraint/ },
];

const ask = (c) => (c.as ?? s.a.service).request(c.method, c.path, c.body, { headers: c.headers });
for (const c of mistakes)
  test(c.name, async () => {
    const answer = await ask(c);
    assert.deepEqual([answer.status, answer.json.code], [c.status, c.code], answer.text);
    if (c.hint === null) assert.equal(answer.json.hint, null, answer.text);
    else assert.match(String(answer.json.hint), c.hint, answer.text);
  });

test('operations of a batch get the same', async () => {
  const answer = await s.a.service.request('POST', '/api/db/batch', [{ method: 'POST', path: '/stock', body: { id: 70, nots: 'x' } }]);
  assert.deepEqual([answer.status, answer.json.code], [400, 'PGRST204'], answer.text);
  assert.match(answer.json.hint, /'note'/);
});

test('a bare PostgREST says what PostgREST says', async () => {
  s.configure({ 'data.require_rls': 'off' });
  assert.equal((await s.tenon('reload')).code, 0);
  const hints = await Promise.all(mistakes.filter((c) => !['PGRST205', 'PGRST200', 'PGRST202'].includes(c.code)).map(async (c) => (await ask(c)).json.hint));
  assert.deepEqual(hints.filter((hint) => hint !== null), []);
});
