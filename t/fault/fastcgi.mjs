// t/fault/fastcgi.mjs: truncated, wrong and random FastCGI records on the workers' sockets: a clear answer or a closed connection, never a dead worker
import assert from 'node:assert/strict';
import path from 'node:path';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { rawExchange } from '../lib/client.mjs';
import { begin, pairs, record, request, response, types } from '../lib/fastcgi.mjs';

const s = await stack({ people: false });
const sockets = ['api', 'stream'].map((pool) => path.join(s.runDir, `${pool}.sock`));
const before = s.workers();

/* The same numbers on every run, so that a failure can be repeated. */
function* randomBytes(seed) {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state >>> 24;
  }
}

const whole = request({}, '');
const cases = {
  'nothing at all': '',
  'one byte': Buffer.from([1]),
  'HTTP instead': 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'another version': record(types.begin, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]), { version: 9 }),
  'an unknown type': record(77, 'x'),
  'a management record': record(types.getValues, pairs([['FCGI_MAX_CONNS', '']]), { id: 0 }),
  'a management record whose name is a NUL': record(types.getValues, pairs([['\0', '']]), { id: 0 }),
  'a management record that asks twenty times': record(types.getValues, pairs(Array(20).fill(['FCGI_MAX_CONNS', ''])), { id: 0 }),
  'a management record in the middle of a body': Buffer.concat([request({ CONTENT_LENGTH: '100', REQUEST_METHOD: 'POST', REQUEST_URI: '/auth/v1/signup' }, '{}').subarray(0, -8), record(types.getValues, pairs([['\0', '']]), { id: 0 })]),
  'the role of an authoriser': Buffer.concat([begin({ role: 2 }), whole.subarray(16)]),
  'a role that is none': Buffer.concat([begin({ role: 99 }), whole.subarray(16)]),
  'a begin that is too short': record(types.begin, Buffer.from([0, 1])),
  'parameters without a begin': record(types.params, pairs([['REQUEST_METHOD', 'GET']])),
  'begin and nothing more': begin(),
  'begin twice': Buffer.concat([begin(), begin(), whole]),
  'another request id in the middle': Buffer.concat([begin(), record(types.params, pairs([['REQUEST_METHOD', 'GET']]), { id: 7 }), record(types.params, '', { id: 7 })]),
  'abort': Buffer.concat([begin(), record(types.abort)]),
  'abort after the parameters': Buffer.concat([whole.subarray(0, whole.length - 8), record(types.abort)]),
  'no parameters': Buffer.concat([begin(), record(types.params), record(types.stdin)]),
  'a content length that lies upward': Buffer.concat([begin(), record(types.params, 'abc', { claimed: 60_000 })]),
  'a name length that lies': Buffer.concat([begin(), record(types.params, pairs([['A', 'b', 127, 1]])), record(types.params), record(types.stdin)]),
  'a value length of 2 GB': Buffer.concat([begin(), record(types.params, pairs([['A', 'b', 1, 0x7fffffff]])), record(types.params), record(types.stdin)]),
  'two lengths that overflow when they are added': Buffer.concat([begin(), record(types.params, pairs([['A', 'b', 0x50000000, 0x50000000]])), record(types.params), record(types.stdin)]),
  'a pair that ends in the middle of its lengths': Buffer.concat([begin(), record(types.params, Buffer.from([0x80, 0])), record(types.params), record(types.stdin)]),
  'ten thousand parameters': request(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`HTTP_X${i}`, 'y'.repeat(20)]))),
  'no method': request({ REQUEST_METHOD: undefined }),
  'no address': request({ REQUEST_URI: undefined }),
  'an address with a NUL': request({ REQUEST_URI: '/auth/v1/\0health' }),
  'an address that is no UTF-8': Buffer.concat([begin(), record(types.params, pairs([['REQUEST_METHOD', 'GET'], ['REQUEST_URI', Buffer.from([47, 0xff, 0xfe])]])), record(types.params), record(types.stdin)]),
  'an address of 100 kB': request({ REQUEST_URI: `/${'a'.repeat(100_000)}` }),
  'a method of 10 kB': request({ REQUEST_METHOD: 'G'.repeat(10_000) }),
  'a length that is no number': request({ CONTENT_LENGTH: 'many', REQUEST_METHOD: 'POST', REQUEST_URI: '/auth/v1/signup' }, '{}'),
  'a negative length': request({ CONTENT_LENGTH: '-1', REQUEST_METHOD: 'POST', REQUEST_URI: '/auth/v1/signup' }, '{}'),
  'a length beyond 64 bits': request({ CONTENT_LENGTH: '99999999999999999999', REQUEST_METHOD: 'POST', REQUEST_URI: '/auth/v1/signup' }, '{}'),
  'a body shorter than its length': request({ CONTENT_LENGTH: '100', REQUEST_METHOD: 'POST', REQUEST_URI: '/auth/v1/signup' }, '{}'),
  'a body longer than its length': request({ CONTENT_LENGTH: '1', REQUEST_METHOD: 'POST', REQUEST_URI: '/auth/v1/signup' }, '{"email": "x"}'),
  'a request id with line ends': request({ TENON_REQUEST_ID: 'a\r\nSet-Cookie: b=c' }),
  'no request id': request({ TENON_REQUEST_ID: undefined }),
};
for (const socket of sockets)
  for (const [name, bytes] of Object.entries(cases))
    test(`${path.basename(socket)}: ${name}`, async () => {
      const answer = response(await rawExchange(socket, bytes));
      assert.ok(answer.status < 500 || answer.status === 503, `${answer.status}: ${answer.text.slice(0, 300)}`);
      assert.doesNotMatch(answer.text.split('\r\n\r\n')[0], /^Set-Cookie/im);
    });

test('the whole request, cut off after every single byte', async () => {
  for (let length = 0; length < whole.length; length++) await rawExchange(sockets[0], whole.subarray(0, length));
  assert.equal(response(await rawExchange(sockets[0], whole, { end: false, enough: (t) => response(Buffer.from(t, 'latin1')).ended })).status, 200);
});

test('the whole request, one byte at a time', async () => {
  const socket = net.connect({ path: sockets[0] });
  await once(socket, 'connect');
  const chunks = [];
  socket.on('data', (c) => chunks.push(c));
  for (const byte of whole) {
    socket.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  await once(socket, 'close');
  assert.equal(response(Buffer.concat(chunks)).status, 200);
});

test('every byte of a request changed, one at a time', async () => {
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole);
    bytes[at] ^= 0xff;
    const answer = response(await rawExchange(sockets[0], bytes));
    assert.ok(answer.status < 500, `byte ${at}: ${answer.status} ${answer.text.slice(0, 300)}`);
  }
});

test('three hundred random texts', async () => {
  const random = randomBytes(20261121);
  for (let i = 0; i < 300; i++) {
    const bytes = Buffer.from(Array.from({ length: 1 + random.next().value * 4 }, () => random.next().value));
    if (i % 2) bytes[0] = 1; // the right version, so that the rest is looked at
    await rawExchange(sockets[i % 2], i % 4 > 1 ? Buffer.concat([begin(), bytes]) : bytes);
  }
});

test('connections that say half a word and then nothing hold up one thread each, and the others serve on', async () => {
  const idle = await Promise.all(Array.from({ length: 6 }, async () => { // of api.threads there are 8
    const socket = net.connect({ path: sockets[0] });
    await once(socket, 'connect');
    socket.write(whole.subarray(0, 5));
    return socket;
  }));
  try {
    for (let i = 0; i < 20; i++) assert.equal((await s.client().request('GET', '/auth/v1/health')).status, 200);
  } finally {
    for (const socket of idle) socket.destroy();
  }
});

test('five hundred connections that say nothing at all hold up nobody', async () => {
  const idle = await Promise.all(Array.from({ length: 500 }, async () => {
    const socket = net.connect({ path: sockets[0] });
    await once(socket, 'connect');
    return socket;
  }));
  try {
    assert.equal((await s.client().request('GET', '/auth/v1/health')).status, 200);
  } finally {
    for (const socket of idle) socket.destroy();
  }
});

test('the workers are the same as before, and well', async () => {
  assert.deepEqual(s.workers(), before);
  assert.equal((await s.client().request('GET', '/auth/v1/health')).status, 200);
});
