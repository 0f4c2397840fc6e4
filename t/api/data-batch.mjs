// t/api/data-batch.mjs: POST /api/db/batch: several operations in one transaction, or none of them
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { garden } from '../lib/garden.mjs';

const s = await garden({ settings: { 'data.batch_max': 50, 'data.tx_end': 'commit-allow-override', 'data.batch_result_max': 100_000 } });
const alice = await s.a.person('alice');
const bob = await s.a.person('bob');
const { anon, service } = s.a;
await s.sql(`
  create table public.pairs (id bigint primary key, other bigint references public.pairs (id) deferrable initially deferred, doc json, tags text[]);
  create policy everybody on public.pairs to anon, authenticated using (true) with check (true);
  create function public.shout(words text) returns text language sql as $$ select set_config('response.status', '202', true), set_config('response.headers', '[{"x-shout": "yes"}]', true); select upper(words) $$;
  create function public.become(claims text) returns text language sql as $$ select set_config('request.jwt.claims', claims, true) $$;
  create function public.no_key(id bigint) returns bigint language sql immutable as 'select id';`);

const batch = (operations, client = anon, headers = {}) => client.request('POST', '/api/db/batch', operations, { headers });
const stock = async () => (await service.get('/rest/v1/stock?select=id,sku,qty,note&order=id'));
const unchanged = async (work) => {
  const before = await stock();
  const answer = await work();
  assert.deepEqual(await stock(), before);
  return answer;
};

test('all of it happens, and later operations know what earlier ones gave', async () => {
  const answer = await batch([
    { id: 'saw', method: 'POST', path: '/stock', body: { id: 20, sku: 'saw', qty: 1 } },
    { method: 'POST', path: 'beds?select=stock_id,code', body: [{ stock_id: { $ref: 'saw/0/id' }, code: 'S1' }, { stock_id: { $ref: 'saw/0/id' }, code: { $ref: 'saw/0/sku' } }] },
    { id: 'look', method: 'GET', path: '/api/db/beds?select=code&stock_id=eq.{saw/0/id}&order=code', prefer: 'count=exact' },
    { method: 'PATCH', path: '/rest/v1/stock?id=eq.{saw/0/id}&select=qty', body: { qty: 7 } },
    { method: 'DELETE', path: '/beds?stock_id=eq.{saw/0/id}', prefer: 'return=minimal' },
    { method: 'POST', path: 'rpc/add', body: { a: { $ref: '3/0/qty' } } },
    { method: 'GET', path: 'rpc/add?a={5/}', references: false },
  ].slice(0, 6));
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  const [saw, beds, look, patch, gone, add] = answer.json.results;
  assert.deepEqual([saw.id, saw.status, saw.body], ['saw', 201, [{ id: 20, sku: 'saw', qty: 1, note: null }]]);
  assert.deepEqual([beds.id, beds.status, beds.body], ['1', 201, [{ stock_id: 20, code: 'S1' }, { stock_id: 20, code: 'saw' }]]);
  assert.deepEqual([look.body, look.headers['content-range']], [[{ code: 'S1' }, { code: 'saw' }], '0-1/2']);
  assert.deepEqual(patch.body, [{ qty: 7 }]);
  assert.deepEqual([gone.status, gone.body], [204, null]);
  assert.deepEqual([add.status, add.body], [200, 17]);
  assert.deepEqual((await stock()).find((row) => row.id === 20), { id: 20, sku: 'saw', qty: 7, note: null });
});

test('an object with the list, and an empty list', async () => {
  assert.deepEqual((await batch({ operations: [{ method: 'GET', path: '/stock?id=eq.1&select=id' }] })).json.results[0].body, [{ id: 1 }]);
  const empty = await batch([]);
  assert.deepEqual([empty.status, empty.json], [200, { results: [] }]);
});

test('one that fails takes all with it', async () => {
  const answer = await unchanged(() => batch([
    { id: 'one', method: 'POST', path: '/stock', body: { id: 30 } },
    { id: 'two', method: 'POST', path: '/stock', body: { id: 1 } },
    { id: 'three', method: 'POST', path: '/stock', body: { id: 31 } },
  ]));
  assert.deepEqual([answer.status, answer.json.code, answer.json.operation], [409, '23505', 'two'], answer.text);
  assert.equal(typeof answer.json.message, 'string');
  const [one, two, three] = answer.json.results;
  assert.deepEqual([one.id, one.status, one.rolled_back, one.body[0].id], ['one', 201, true, 30]);
  assert.deepEqual([two.id, two.status, two.error.code, Object.keys(two.error).sort()], ['two', 409, '23505', ['code', 'details', 'hint', 'message']]);
  assert.deepEqual(three, { id: 'three', not_run: true });
});

test('one that fails in a later round trip takes the earlier ones with it', async () => {
  const answer = await unchanged(() => batch([
    { id: 'one', method: 'POST', path: '/stock', body: { id: 30 } },
    { id: 'two', method: 'PATCH', path: '/stock?id=eq.{one/0/id}', body: { qty: -1 } },
  ]));
  assert.deepEqual([answer.status, answer.json.code, answer.json.operation], [400, '23514', 'two'], answer.text);
});

test('a constraint that is checked at COMMIT', async () => {
  const answer = await batch([{ method: 'POST', path: '/pairs', body: { id: 1, other: 99 } }, { method: 'POST', path: '/pairs', body: { id: 2, other: 1 } }]);
  assert.deepEqual([answer.status, answer.json.code, answer.json.operation], [409, '23503', null], answer.text);
  assert.deepEqual(answer.json.results.map((r) => r.rolled_back), [true, true]);
  assert.deepEqual(await service.get('/rest/v1/pairs'), []);
  const good = await batch([{ method: 'POST', path: '/pairs', body: { id: 1, other: 2 } }, { method: 'POST', path: '/pairs', body: { id: 2, other: 1 } }]);
  assert.equal(good.status, 200, good.text);
});

const wrong = [
  { name: 'no list', body: { a: 1 }, code: 'unknown_field' },
  { name: 'a text', body: '"x"', code: 'validation_failed' },
  { name: 'no JSON', body: '[{', code: 'PGRST102' },
  { name: 'no body', body: '', code: 'PGRST102' },
  { name: 'very deep', body: '['.repeat(2000), code: 'json_too_deep' },
  { name: 'an operation that is no object', body: [1], code: 'validation_failed' },
  { name: 'an unknown member', body: [{ method: 'GET', path: '/stock', url: 'x' }], code: 'unknown_field' },
  { name: 'no method', body: [{ path: '/stock' }], code: 'validation_failed' },
  { name: 'another method', body: [{ method: 'TRACE', path: '/stock' }], code: 'validation_failed' },
  { name: 'a path that is a number', body: [{ method: 'GET', path: 7 }], code: 'validation_failed' },
  { name: 'a path with a line end', body: [{ method: 'GET', path: '/stock\r\nx: y' }], code: 'validation_failed' },
  { name: 'a path with NUL', body: [{ method: 'GET', path: '/stock?id=eq.%00' }], code: 'bad_request', operation: '0' },
  { name: 'a long path', body: [{ method: 'GET', path: `/stock?note=eq.${'x'.repeat(70_000)}` }], status: 414, code: 'target_too_long' },
  { name: 'an id twice', body: [{ id: 'a', method: 'GET', path: '/stock' }, { id: 'a', method: 'GET', path: '/stock' }], code: 'validation_failed' },
  { name: 'an id that is another one\'s place', body: [{ method: 'GET', path: '/stock' }, { id: '0', method: 'GET', path: '/stock' }], code: 'validation_failed' },
  { name: 'an id with a slash', body: [{ id: 'a/b', method: 'GET', path: '/stock' }], code: 'validation_failed' },
  { name: 'too many', body: Array.from({ length: 51 }, () => ({ method: 'GET', path: '/stock' })), status: 413, code: 'batch_too_long' },
  { name: 'a header that is the batch\'s', body: [{ method: 'GET', path: '/stock', headers: { authorization: 'Bearer x' } }], code: 'validation_failed' },
  { name: 'a header with a line end', body: [{ method: 'GET', path: '/stock', headers: { accept: 'a\r\nb' } }], code: 'validation_failed' },
  { name: 'a batch in a batch', body: [{ method: 'POST', path: '/batch', body: [] }], code: 'validation_failed', operation: '0' },
  { name: 'no such table', body: [{ method: 'GET', path: '/stock' }, { method: 'GET', path: '/nowhere' }], status: 404, code: 'PGRST205', operation: '1' },
  { name: 'no such path', body: [{ method: 'GET', path: '/a/b/c' }], status: 404, code: 'PGRST125', operation: '0' },
  { name: 'a method that functions have not', body: [{ method: 'DELETE', path: '/rpc/add' }], status: 405, code: 'PGRST101', operation: '0' },
  { name: 'a query that is none', body: [{ method: 'GET', path: '/rest/v1/stock?id=1' }], code: 'PGRST100', operation: '0' },
  { name: 'a type that is not JSON', body: [{ method: 'GET', path: '/stock', headers: { accept: 'text/csv' } }], status: 406, code: 'PGRST107', operation: '0' },
  { name: 'a later operation', body: [{ method: 'GET', path: '/stock?id=eq.{1/0/id}' }, { method: 'GET', path: '/stock' }], code: 'reference_not_found' },
  { name: 'itself', body: [{ id: 'me', method: 'POST', path: '/stock', body: { id: { $ref: 'me/0/id' } } }], code: 'reference_not_found' },
  { name: 'nothing there', body: [{ id: 'a', method: 'GET', path: '/stock?id=eq.1' }, { method: 'GET', path: '/stock?id=eq.{a/1/id}' }], code: 'reference_not_found', operation: '1' },
  { name: 'nothing there, in a body', body: [{ id: 'a', method: 'GET', path: '/stock?id=eq.1' }, { method: 'POST', path: '/stock', body: { id: { $ref: 'a/0/nope' } } }], code: 'reference_not_found', operation: '1' },
  { name: 'a reference that is none', body: [{ id: 'a', method: 'GET', path: '/stock' }, { method: 'POST', path: '/stock', body: { id: { $ref: '#/a' } } }], code: 'reference_not_found' },
  { name: 'null in a path', body: [{ id: 'a', method: 'GET', path: '/stock?id=eq.1' }, { method: 'GET', path: '/stock?note=eq.{a/0/note}' }], code: 'reference_not_scalar', operation: '1' },
  { name: 'an object in a path', body: [{ id: 'a', method: 'GET', path: '/stock?id=eq.1' }, { method: 'GET', path: '/stock?note=eq.{a/0}' }], code: 'reference_not_scalar', operation: '1' },
  { name: 'the result of what returns nothing', body: [{ id: 'a', method: 'POST', path: '/stock', body: { id: 40 }, prefer: 'return=minimal' }, { method: 'GET', path: '/stock?id=eq.{a/0/id}' }], code: 'reference_not_found', operation: '1' },
  { name: 'behind the last row', body: [{ method: 'POST', path: '/stock', body: { id: 40 } }, { method: 'GET', path: '/stock?offset=99', prefer: 'count=exact' }], status: 416, code: 'PGRST103', operation: '1' },
  { name: 'headers that are none, of SQL', body: [{ method: 'POST', path: '/stock', body: { id: 40 } }, { method: 'POST', path: '/rpc/answer', body: { status: '200', headers: 'x' } }], status: 500, code: 'PGRST111', operation: '1' },
  { name: 'too much to tell', body: [{ method: 'POST', path: '/stock', body: { id: 40, note: 'x'.repeat(150_000) } }], status: 413, code: 'batch_answer_too_large', operation: '0' },
];
for (const c of wrong)
  test(`refused: ${c.name}`, async () => {
    const answer = await unchanged(() => batch(c.body));
    assert.deepEqual([answer.status, answer.json.code, answer.json.operation], [c.status ?? 400, c.code, c.operation], answer.text);
    for (const member of ['code', 'details', 'hint', 'message']) assert.ok(member in answer.json);
    if (c.operation) assert.equal(answer.json.results.find((r) => r.id === c.operation).error.code, c.code);
  });

test('an answer that is too large is not told with the error either', async () => {
  const note = 'x'.repeat(60_000);
  const answer = await unchanged(() => batch([40, 41, 42].map((id) => ({ method: 'POST', path: '/stock', body: { id, note } }))));
  assert.deepEqual([answer.status, answer.json.code, answer.json.operation], [413, 'batch_answer_too_large', '1'], answer.text.slice(0, 500));
  assert.ok(answer.text.length < 2000, `${answer.text.length} bytes`);
  assert.deepEqual([answer.json.results[0].status, answer.json.results[0].rolled_back, answer.json.results[0].body], [201, true, null]);
});

test('numbers stay what they are', async () => {
  const text = '{"n": 12345678901234567890.000000000000000000001, "$ref": "a/0", "x": 1}';
  const answer = await batch(`[{"id":"a","method":"POST","path":"/pairs?select=doc","body":{"id":100,"doc":${text}}}, {"method":"POST","path":"/pairs?select=doc","body":{"id":101,"doc":{"$ref":"a/0/doc/n"}}}]`);
  assert.ok(answer.text.includes(text), answer.text);
  assert.equal(answer.text.split('12345678901234567890.000000000000000000001').length, 3, answer.text);
});

test('what only looks like a reference', async () => {
  const answer = await batch([
    { id: 'a', method: 'POST', path: '/pairs?select=tags,doc', body: { id: 110, tags: ['x/y', 'a/0'], doc: { text: '{"$ref": "a/0"}', deep: [{ $ref: 1 }] } } },
    { method: 'GET', path: '/pairs?select=id&tags=cs.{x/y,a/0}&id=eq.110' },
    { method: 'GET', path: '/pairs?select=id&tags=cs.%7Ba/0%7D&id=eq.110' },
    { method: 'POST', path: '/pairs?select=doc', references: false, body: { id: 111, doc: { $ref: '#/definitions/x' } } },
  ]);
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json.results.map((r) => r.body), [[{ tags: ['x/y', 'a/0'], doc: { text: '{"$ref": "a/0"}', deep: [{ $ref: 1 }] } }], [{ id: 110 }], [{ id: 110 }], [{ doc: { $ref: '#/definitions/x' } }]]);
});

test('a text that is referred to is a value, whatever is in it', async () => {
  for (const sku of ['a"),id.gt.0,(sku.eq."', 'x,y', 'b&id=gt.0', 'c\\', 'd%22', '(', 'é ü/?#']) {
    const answer = await batch([
      { id: 'a', method: 'POST', path: '/stock?select=sku', body: { id: 50, sku } },
      { method: 'GET', path: '/stock?select=id&sku=eq.{a/0/sku}' },
      { method: 'GET', path: '/stock?select=id&sku=in.({a/0/sku},nobody)' },
      { method: 'GET', path: '/stock?select=id&sku=in.("{a/0/sku}","nobody")' },
      { method: 'GET', path: '/stock?select=id&or=(sku.eq.{a/0/sku},sku.eq.nobody)' },
    ], anon, { prefer: 'tx=rollback' });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json.results.slice(1).map((r) => r.body), Array(4).fill([{ id: 50 }]), sku);
  }
});

test('tx=rollback holds for all of it, a time zone too', async () => {
  const answer = await unchanged(() => batch([
    { method: 'POST', path: '/stock', body: { id: 60 } },
    { method: 'GET', path: '/rpc/setting?name=TimeZone', prefer: 'timezone=Asia/Tokyo' },
  ], anon, { prefer: 'tx=rollback, timezone=Europe/Lisbon' }));
  assert.deepEqual([answer.status, answer.headers['preference-applied'], answer.json.results[1].body], [200, 'tx=rollback, timezone=Europe/Lisbon', 'Europe/Lisbon'], answer.text);
});

test('what SQL says of one response is not said of the next, and neither is who asks', async () => {
  const answer = await batch([
    { method: 'POST', path: '/rpc/shout', body: { words: 'a' } },
    { method: 'POST', path: '/rpc/add', body: { a: 1 } },
    { method: 'POST', path: '/rpc/become', body: { claims: JSON.stringify({ role: 'service_role', sub: bob.user.id }) } },
    { method: 'GET', path: '/rpc/whoami' },
    { method: 'GET', path: '/rpc/setting?name=request.path' },
    { method: 'GET', path: '/stock?select=id', headers: { 'accept-profile': 'annex' } },
    { method: 'GET', path: '/rpc/setting?name=search_path' },
    { method: 'POST', path: '/rpc/shout', body: { words: 'b' } },
    { method: 'POST', path: '/rpc/become', body: { claims: '{}' } },
    { method: 'POST', path: '/stock?select=id', body: { id: 71 } },
  ], alice);
  assert.equal(answer.status, 200, answer.text);
  const [shout, add, , whoami, path, annex, searchPath, , quiet, insert] = answer.json.results;
  for (const [result, status] of [[quiet, 200], [insert, 201]]) assert.deepEqual([result.status, result.headers?.['x-shout']], [status, undefined]);
  assert.deepEqual([shout.status, shout.body, shout.headers['x-shout']], [202, 'A', 'yes']);
  assert.deepEqual([add.status, add.headers?.['x-shout']], [200, undefined]);
  assert.deepEqual([whoami.body.role, whoami.body.claims.sub], ['authenticated', alice.user.id]);
  assert.deepEqual([path.body, annex.body, searchPath.body], ['/rpc/setting', [], '"public", "extensions"']);
});

test('the same permissions as one by one', async () => {
  const secretNote = (await alice.request('POST', '/rest/v1/notes', { body: 'alice only' }, { headers: { prefer: 'return=representation' } })).json[0];
  const seen = await batch([{ id: 'n', method: 'GET', path: '/notes' }, { method: 'POST', path: '/stock', body: { id: 70, note: { $ref: 'n/0/body' } } }], bob);
  assert.deepEqual([seen.status, seen.json.code, seen.json.operation], [400, 'reference_not_found', '1'], seen.text);
  assert.deepEqual(seen.json.results[0].body, []);
  const taken = await batch([{ method: 'PATCH', path: `/notes?id=eq.${secretNote.id}`, body: { body: 'x' } }], bob);
  assert.deepEqual([taken.status, taken.json.results[0].body], [200, []]);
  const vault = await batch([{ method: 'POST', path: '/stock', body: { id: 70 } }, { method: 'GET', path: '/vault' }], bob);
  assert.deepEqual([vault.status, vault.json.code], [403, '42501']);
  const nobody = await batch([{ method: 'GET', path: '/vault' }], s.client());
  assert.deepEqual([nobody.status, nobody.json.code, nobody.headers['www-authenticate']], [401, '42501', 'Bearer'], nobody.text);
  const elsewhere = await batch([{ id: 's', method: 'GET', path: '/stock' }, { method: 'PATCH', path: '/stock?id=eq.1', body: { note: 'of b' } }], s.b.service);
  assert.deepEqual([elsewhere.status, elsewhere.json.results.map((r) => r.body)], [200, [[], []]], elsewhere.text);
  assert.equal((await stock()).find((row) => row.id === 1).note, null);
});

test('an agent calls in a batch what its key names', async () => {
  const { json } = await s.tenon('key', 'create', '--kind', 'agent', '--tenant', 'a', '--expires-in', '1 hour', '--scopes', 'data:add:call', '--user', alice.user.id, '--json');
  const agent = s.client({ apikey: json.key });
  assert.equal((await batch([{ method: 'POST', path: '/rpc/add', body: { a: 1 } }], agent)).json.results[0].body, 11);
  const other = await batch([{ method: 'POST', path: '/rpc/add', body: { a: 1 } }, { method: 'POST', path: '/rpc/whoami', body: {} }], agent);
  assert.deepEqual([other.status, other.json.code, other.json.operation], [403, 'scope_missing', '1'], other.text);
});

test('many operations, more than go into one round trip', async () => {
  const operations = Array.from({ length: 50 }, (_, i) => ({ method: 'POST', path: '/stock?select=id', body: { id: 1000 + i } }));
  const answer = await batch(operations);
  assert.deepEqual([answer.status, answer.json.results.map((r) => r.body[0].id)], [200, operations.map((o) => o.body.id)]);
  const again = await unchanged(() => batch([...operations.slice(0, 40).map((o) => ({ ...o, body: { id: o.body.id + 1000 } })), operations[0]]));
  assert.deepEqual([again.status, again.json.operation], [409, '40']);
});

test('a table of that name is still there', async () => {
  await s.ddl('create table public.batch (id bigint primary key); create policy everybody on public.batch to anon using (true) with check (true);');
  assert.equal((await anon.request('POST', '/rest/v1/batch', { id: 1 })).status, 201);
  assert.deepEqual(await anon.get('/api/db/batch'), [{ id: 1 }]);
  assert.deepEqual((await batch([{ method: 'POST', path: '/rest/v1/batch', body: { id: 2 } }])).json.results[0].body, [{ id: 2 }]);
});
