// t/api/data-answers.mjs: what SQL of the app makes of an answer, which status an error of PostgreSQL has, and the bounds
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { garden } from '../lib/garden.mjs';
import { eventually } from '../lib/stack.mjs';

const s = await garden({
  settings: {
    'data.max_rows': 2, 'data.body_max': 8192, 'data.max_filters': 3, 'data.max_embed_depth': 1, 'data.max_logic_depth': 2, 'data.max_items': 5, 'data.json_depth': 3,
    'data.anon_timeout_ms': 150, 'data.tx_end': 'rollback', 'data.pre_request': 'public.before', 'data.plan': 'on',
  },
});
await s.sql(`create function public.before() returns void language plpgsql as $$ begin
  if current_setting('request.headers')::json ->> 'x-refuse' is not null then raise sqlstate 'PT402' using message = 'pay first', detail = 'd', hint = 'h'; end if; end $$`);
const { anon, service } = s.a;
const call = (name, body, options) => service.request('POST', `/rest/v1/rpc/${name}`, body, options);

test('a function sets status and header fields', async () => {
  const answer = await call('answer', { status: '418', headers: '[{"X-Tea":"green"},{"Cache-Control":"no-store"},{"Content-Type":"text/tea"}]' });
  assert.deepEqual([answer.status, answer.headers['x-tea'], answer.headers['cache-control'], answer.headers['content-type'], answer.text], [418, 'green', 'no-store', 'text/tea', '"made"']);
});

const bad = [
  ['PGRST112', 'nonsense', '[]'], ['PGRST112', '99', '[]'], ['PGRST111', '200', '{}'], ['PGRST111', '200', 'nonsense'], ['PGRST111', '200', '[{"A":"1","B":"2"}]'], ['PGRST111', '200', '[{"A":1}]'],
  ['PGRST111', '200', '[{"A":"1\\r\\nB: 2"}]'], ['PGRST111', '200', '[{"A b":"1"}]'], ['PGRST111', '200', '[{"X-Accel-Redirect":"/etc/passwd"}]'], ['PGRST111', '200', '[{"Status":"200 OK"}]'],
  ['PGRST111', '200', `[{"A":"${'x'.repeat(5000)}"}]`],
];
for (const [code, status, headers] of bad)
  test(`a function sets ${status} and ${headers.slice(0, 40)}`, async () => {
    const answer = await call('answer', { status, headers });
    assert.deepEqual([answer.status, answer.json?.code], [500, code], answer.text);
    assert.equal(answer.headers['x-accel-redirect'], undefined);
  });

test('raised by number, with its words as the phrase', async () => {
  const answer = await service.send('POST', '/rest/v1/rpc/raise', { state: 'PT402', message: 'Payment Required', detail: 'quota', hint: 'upgrade' });
  assert.deepEqual([answer.statusCode, answer.statusMessage], [402, 'Payment Required']);
  assert.deepEqual((await call('raise', { state: 'PT402', message: 'm', detail: 'd', hint: 'h' })).json, { code: 'PT402', message: 'm', details: 'd', hint: 'h' });
});

test('raised as JSON', async () => {
  const message = JSON.stringify({ code: '123', message: 'm', details: 'd', hint: 'h' });
  const detail = JSON.stringify({ status: 499, status_text: 'Weird', headers: { 'X-Powered-By': 'Nerds' } });
  const answer = await service.send('POST', '/rest/v1/rpc/raise', { state: 'PGRST', message, detail });
  assert.deepEqual([answer.statusCode, answer.statusMessage, answer.headers['x-powered-by']], [499, 'Weird', 'Nerds']);
  for (const [m, d] of [['nonsense', detail], [message, 'nonsense'], [message, '{"status":404}'], ['{"code":"1"}', detail], [message, '{"status":404,"headers":{"A":"\\n"}}']])
    assert.deepEqual([(await call('raise', { state: 'PGRST', message: m, detail: d })).json.code], ['PGRST121']);
});

const states = { P0001: 400, P0002: 500, 23505: 409, 23503: 409, 42501: 403, 42883: 404, '42P01': 404, 22012: 400, '0LP01': 403, 28000: 403, 54000: 413, 53000: 503, 57014: 500, XX000: 500, 25006: 405, ZZ999: 400, PT200: 200 };
for (const [state, status] of Object.entries(states))
  test(`raised with ${state}`, async () => {
    const answer = await call('raise', { state, message: 'words', detail: 'd', hint: 'h' });
    assert.equal(answer.status, status, answer.text);
    assert.deepEqual(answer.json, { code: state, message: 'words', details: 'd', hint: 'h' });
    if (status === 503) assert.equal(answer.headers['retry-after'], '1');
  });

test('what fails within the server is in the log, and nothing of it in the answer', async () => {
  await s.ddl('create function public.broken() returns text language sql stable as $$ select pg_describe_object(1, 2, 3) $$');
  const answer = await anon.request('GET', '/rest/v1/rpc/broken');
  assert.deepEqual([answer.status, answer.json.code], [500, 'XX000'], answer.text);
  assert.doesNotMatch(answer.text, /object class/);
  const line = await eventually('the line in the log', () => s.log().find((l) => l.event === 'db.query.failed' && l.request_id === answer.headers['x-request-id']));
  assert.match(line.cause, /object class/);
});

test('the function that every request calls first', async () => {
  const answer = await service.request('GET', '/rest/v1/stock', undefined, { headers: { 'x-refuse': '1' } });
  assert.deepEqual([answer.status, answer.json], [402, { code: 'PT402', message: 'pay first', details: 'd', hint: 'h' }]);
});

test('with tx_end = rollback nothing stays, and a preference cannot change it', async () => {
  const answer = await service.request('POST', '/rest/v1/stock', { id: 50 }, { headers: { prefer: 'tx=commit, return=representation' } });
  assert.deepEqual([answer.status, answer.json[0].id, answer.headers['preference-applied']], [201, 50, 'return=representation']);
  assert.deepEqual(await service.get('/rest/v1/stock?id=eq.50'), []);
});

test('a plan', async () => {
  const answer = await service.request('GET', '/rest/v1/stock', undefined, { headers: { accept: 'application/vnd.pgrst.plan+text; options=verbose;' } });
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/vnd\.pgrst\.plan\+text; for="application\/json"; options=verbose; charset=utf-8$/);
  assert.match(answer.text, /^Aggregate|cost=/);
});

const bounds = [
  { name: 'rows', path: 'stock?select=id&order=id', status: 200, body: [{ id: 1 }, { id: 2 }] },
  { name: 'rows of a page that asks for more', path: 'stock?select=id&order=id&limit=100&offset=2', status: 200, body: [{ id: 3 }] },
  { name: 'filters', path: 'stock?id=gt.0&id=gt.1&id=gt.2&id=gt.3', status: 400, code: 'too_many_filters' },
  { name: 'depth of embeds', path: 'stock?select=id,beds(id,stock(id))', status: 400, code: 'embeds_too_deep' },
  { name: 'depth of logic', path: 'stock?or=(and(or(id.eq.1,id.eq.2)))', status: 400, code: 'logic_too_deep' },
  { name: 'items', path: 'stock?id=in.(1,2,3,4,5,6)', status: 400, code: 'too_many_items' },
  { name: 'depth of JSON', path: 'stock', body: '{"note":[[[[1]]]]}', method: 'POST', status: 400, code: 'json_too_deep' },
  { name: 'bytes of a body', path: 'stock', body: JSON.stringify({ note: 'x'.repeat(9000) }), method: 'POST', status: 413, code: 'body_too_large' },
  { name: 'a thousand parentheses', path: `stock?and=${'(and'.repeat(1000)}(id.eq.1${')'.repeat(1001)}`, status: 400 },
];
for (const c of bounds)
  test(`bounded: ${c.name}`, async () => {
    const answer = await service.request(c.method ?? 'GET', `/rest/v1/${c.path}`, c.method ? c.body : undefined);
    assert.equal(answer.status, c.status, answer.text);
    if (c.code) assert.equal(answer.json.code, c.code);
    else if (c.body) assert.deepEqual(answer.json, c.body);
  });

test('bounded: 50 MB of a body', async () => {
  const answer = await service.request('POST', '/rest/v1/stock', Buffer.alloc(50 << 20, 32), { headers: { 'content-type': 'application/json' } }).catch((error) => ({ status: error.code }));
  assert.ok([413, 'EPIPE', 'ECONNRESET'].includes(answer.status), String(answer.status));
});

test('bounded: the time of a statement, by role and by function', async () => {
  const slow = await anon.request('GET', '/rest/v1/rpc/sleep?seconds=5');
  assert.deepEqual([slow.status, slow.json.code], [500, '57014'], slow.text);
  assert.equal((await service.request('GET', '/rest/v1/rpc/sleep?seconds=0.3')).status, 204);
  assert.equal((await service.request('GET', '/rest/v1/rpc/slow_by_itself')).json.code, '57014');
});
