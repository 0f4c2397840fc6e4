// t/api/bad-input.mjs: whatever is sent, the answer is a clear 4xx of ours and the server goes on
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { isOurError } from '../lib/expect.mjs';
import { rawExchange } from '../lib/client.mjs';

const s = await stack();
const { alice } = s;
const { chat } = await alice.post('/api/chats/messages', { content: 'hello' });
const before = s.workers();
const count = async () => (await s.rows('select (select count(*) from ai.messages)::int as messages, (select count(*) from ai.conversations)::int as chats'))[0];
const nothingWritten = await count();
const send = (body, options) => alice.request('POST', '/api/chats/messages', body, options);
const depth = 200_000;

const bodies = [
  { name: 'nothing', body: undefined, code: undefined },
  { name: 'an empty text', body: '', code: undefined },
  { name: 'half an object', body: '{"content": "x"', code: 'bad_json' },
  { name: 'an object and more', body: '{"content": "x"} {"content": "y"}', code: 'bad_json' },
  { name: 'a trailing comma', body: '{"content": "x",}', code: 'bad_json' },
  { name: 'single quotes', body: "{'content': 'x'}", code: 'bad_json' },
  { name: 'a comment', body: '{"content": "x" /* y */}', code: 'bad_json' },
  { name: 'NaN', body: '{"content": "x", "metadata": {"a": NaN}}', code: 'bad_json' },
  { name: 'a control character in a string', body: '{"content": "a\u0001b"}', code: 'bad_json' },
  { name: 'a text in UTF-16', body: Buffer.from('\ufeff{"content": "x"}', 'utf16le'), code: 'bad_json' },
  { name: 'bytes that are no UTF-8', body: Buffer.from([...Buffer.from('{"content": "'), 0xff, 0xc0, 0x80, ...Buffer.from('"}')]), code: undefined },
  { name: 'an overlong NUL', body: Buffer.from([...Buffer.from('{"content": "a'), 0xc0, 0x80, ...Buffer.from('b"}')]), code: undefined },
  { name: 'a surrogate as UTF-8', body: Buffer.from([...Buffer.from('{"content": "a'), 0xed, 0xa0, 0x80, ...Buffer.from('b"}')]), code: undefined },
  { name: 'half of a surrogate pair, escaped', body: '{"content": "a\\ud800b"}', code: undefined, fine: true },
  { name: 'a NUL byte in the middle', body: Buffer.from('{"content": "a\0b"}'), code: undefined },
  { name: 'a NUL, escaped', body: '{"content": "a\\u0000b"}', code: undefined },
  { name: 'a NUL in a name', body: '{"content": "x", "metadata": {"a\\u0000b": 1}}', code: undefined },
  { name: 'a NUL in the metadata', body: '{"content": "x", "metadata": {"a": "\\u0000"}}', code: undefined },
  { name: 'a list', body: [], code: 'validation_failed' },
  { name: 'null', body: null, code: 'validation_failed' },
  { name: 'a number', body: 5, code: 'validation_failed' },
  { name: 'no content', body: {}, code: 'validation_failed' },
  { name: 'an empty content', body: { content: '' }, code: 'validation_failed' },
  { name: 'content that is a number', body: { content: 1 }, code: 'validation_failed' },
  { name: 'content that is an object', body: { content: { text: 'x' } }, code: 'validation_failed' },
  { name: 'an empty list of parts', body: { content: [] }, code: 'validation_failed' },
  { name: 'a part that is a string', body: { content: ['x'] }, code: 'validation_failed' },
  { name: 'a part of an unknown type', body: { content: [{ type: 'smell', smell: 'x' }] }, code: 'validation_failed' },
  { name: 'a text part without text', body: { content: [{ type: 'text' }] }, code: 'validation_failed' },
  { name: 'an image without address', body: { content: [{ type: 'image_url', image_url: {} }] }, code: 'validation_failed' },
  { name: 'a member we do not know', body: { content: 'x', contents: 'y' }, code: 'unknown_field' },
  { name: 'a model that is a number', body: { content: 'x', model: 5 }, code: 'validation_failed' },
  { name: 'a model of 1,000 letters', body: { content: 'x', model: 'm'.repeat(1000) }, code: 'validation_failed' },
  { name: 'metadata that is a list', body: { content: 'x', metadata: [] }, code: 'validation_failed' },
  { name: 'stream that is a text', body: { content: 'x', stream: 'yes' }, code: 'validation_failed' },
  { name: 'a chat_id that is no UUID', body: { content: 'x', chat_id: 'nope' }, code: undefined },
  { name: 'a parent_id that is no UUID', body: { content: 'x', parent_id: 'nope' }, code: undefined },
  { name: 'metadata nested very deep', body: `{"content": "x", "metadata": ${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`, code: undefined },
  { name: 'lists nested very deep', body: `${'['.repeat(depth)}${']'.repeat(depth)}`, code: undefined },
  { name: 'brackets that never close', body: '['.repeat(depth), code: undefined },
  { name: 'a number of 100,000 digits', body: `{"content": "x", "metadata": {"a": ${'9'.repeat(100_000)}}}`, code: undefined, fine: true },
];
for (const c of bodies)
  test(`body: ${c.name}`, async () => {
    const unchanged = await count();
    const answer = await send(c.body);
    if (c.fine && answer.status < 300) return; // may be taken, if it is taken whole
    assert.ok([400, 404, 413, 422].includes(answer.status), `${answer.status} ${answer.text.slice(0, 300)}`);
    isOurError(answer, answer.status, c.code ?? answer.json.code);
    assert.deepEqual(await count(), unchanged, 'nothing was written');
  });

test('a message over the limit is 413 or 422', async () => {
  const answer = await send({ content: 'x'.repeat(Number(s.settings['chat.message_max'] ?? 1_000_000) + 1_000_000) });
  assert.ok([413, 422, 400].includes(answer.status), String(answer.status));
  isOurError(answer, answer.status, answer.json.code);
});

test('a body over what nginx lets through is 413 in our form', async () => {
  const answer = await send('x'.repeat(21 * 1024 * 1024)).catch((error) => ({ broken: error.code }));
  if (answer.broken) return assert.match(answer.broken, /EPIPE|ECONNRESET/); // nginx may close while we still send
  isOurError(answer, 413, 'body_too_large');
  return undefined;
});

const types = [
  { name: 'a form', type: 'application/x-www-form-urlencoded' },
  { name: 'plain text', type: 'text/plain' },
  { name: 'nonsense', type: '\u00e4\u00f6' },
];
for (const c of types)
  test(`content type: ${c.name}`, async () => {
    const answer = await send('content=x', { headers: { 'content-type': c.type } });
    assert.ok([400, 415].includes(answer.status), answer.text);
  });

const paths = [
  '/api/chats/nope', '/api/chats/%00', '/api/chats/%ff', '/api/chats/%', '/api/chats/%zz', '/api/chats/..%2f..%2fetc%2fpasswd', '/api/chats//', `/api/chats/${'a'.repeat(3000)}`,
  '/api/chats/00000000-0000-0000-0000-00000000000g', "/api/chats/'%20or%20true--", '/api/nothing', '/api', '/nothing', '/api/chats/runs/nope', '/api/chats/runs/nope/events', '/api/chats/{id}', '/api/chats/%7Bid%7D',
];
for (const path of paths)
  test(`GET ${path.slice(0, 60)}`, async () => {
    const answer = await alice.request('GET', path);
    assert.ok([400, 404].includes(answer.status), `${answer.status} ${answer.text}`);
    isOurError(answer, answer.status, answer.json.code);
  });

const queries = ['limit=0', 'limit=-1', 'limit=ten', 'limit=99999999999999999999', 'limit=1e3', 'limit=%00', 'limit=', 'before=nope', 'before=%ff', 'before=;drop'];
for (const query of queries)
  test(`GET /api/chats?${query}`, async () => {
    const answer = await alice.request('GET', `/api/chats?${query}`);
    if (query === 'limit=') assert.ok([200, 400].includes(answer.status));
    else isOurError(answer, 400, answer.json.code);
  });

for (const [method, path, allow] of [['PUT', '/api/chats', 'GET'], ['POST', '/api/chats', 'GET'], ['PUT', `/api/chats/${chat.id}`, 'PATCH'], ['DELETE', '/api/usage', 'GET'], ['BREW', '/api/chats', undefined]])
  test(`${method} ${path}`, async () => {
    const answer = await alice.request(method, path);
    assert.ok([400, 404, 405, 501].includes(answer.status), `${answer.status} ${answer.text}`);
    if (allow) {
      isOurError(answer, 405, answer.json.code);
      assert.ok(answer.headers.allow.includes(allow));
    }
  });

const raw = (text) => rawExchange(s.ports[0], text, { end: false, enough: (t) => /\r\n\r\n[^]*\}\s*$/.test(t) || /\r\n\r\n.*0\r\n\r\n$/s.test(t) }).then((b) => b.toString('latin1'));
const requests = [
  { name: 'a header of 1 MB', text: `GET /api/chats HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Big: ${'a'.repeat(1 << 20)}\r\n\r\n`, status: /^HTTP\/1\.1 (400|431|494)/ },
  { name: '1 MB in a hundred headers', text: `GET /api/chats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${Array.from({ length: 100 }, (_, i) => `X-Big-${i}: ${'a'.repeat(10_000)}`).join('\r\n')}\r\n\r\n`, status: /^HTTP\/1\.1 (400|431|494)/ },
  ...[60, 70, 100].map((kib) => ({ name: `${kib} KiB in headers of 10`, text: `GET /auth/v1/user HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${Array.from({ length: kib / 10 }, (_, i) => `X-Big-${i}: ${'a'.repeat(10_240)}`).join('\r\n')}\r\n\r\n`, status: /^HTTP\/1\.1 431[^]*"headers_too_large"/ })),
  { name: 'as many headers as fit', text: `GET /auth/v1/user?${'a'.repeat(28_000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${'a'.repeat(28_000)}\r\n\r\n`, status: /^HTTP\/1\.1 401/ },
  { name: 'a path without its end', text: 'GET /api/chats/runs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', status: /^HTTP\/1\.1 401[^]*"code":/ },
  { name: 'an address of 1 MB', text: `GET /${'a'.repeat(1 << 20)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, status: /^HTTP\/1\.1 414/ },
  { name: 'a NUL in a header', text: 'GET /api/chats HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: b\0c\r\n\r\n', status: /^HTTP\/1\.1 400/ },
  { name: 'two lengths', text: 'POST /api/chats/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}', status: /^HTTP\/1\.1 400/ },
  { name: 'length and chunks', text: 'POST /api/chats/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', status: /^HTTP\/1\.1 4\d\d/ },
  { name: 'a method in small letters', text: 'get /api/chats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', status: /^HTTP\/1\.1 400/ },
  { name: 'no HTTP at all', text: 'hello\r\n\r\n', status: /400|^</ },
];
for (const c of requests)
  test(`raw: ${c.name}`, async () => {
    assert.match(await raw(c.text), c.status);
  });

test('header fields that look like ours are only header fields', async () => {
  const answer = await s.client().request('GET', '/api/chats', undefined, {
    headers: { 'tenon-request-id': 'x', 'tenon-body-file': '/etc/passwd', 'x-forwarded-for': '10.0.0.1', 'x-tenon-tenant-id': s.a.id, tenant_id: s.a.id, 'http-host': 'evil', role: 'service_role' },
  });
  assert.equal(answer.status, 401, answer.text);
});

test('a body in chunks is as good as one with a length', async () => {
  const answer = await raw(`POST /auth/v1/token?grant_type=password HTTP/1.1\r\nHost: x\r\nConnection: close\r\napikey: ${s.a.publishable}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 400/);
  assert.match(answer, /validation_failed/);
});

test('nothing of all that was written, no worker has died', async () => {
  const { chats } = await count();
  assert.ok(chats >= nothingWritten.chats);
  assert.deepEqual(s.workers(), before);
  const faults = s.log().filter((line) => line.status >= 500 || line.level === 'error');
  assert.deepEqual(faults, []);
});
