// S3: what breaks others: XML bombs, endless nesting, ranges that are none, names that climb, header fields that lie, huge numbers.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { stack } from '../lib/stack.mjs';
import { accessKey, send, sign, signed } from '../lib/s3.mjs';

const s = await stack({ people: false });
const key = await accessKey(s, '--tenant', 'a');
const ask = (method, target, options) => signed(s, key, method, target, options);
assert.equal((await ask('PUT', '/box')).status, 200);
assert.equal((await ask('PUT', '/box/k', { body: '0123456789' })).status, 200);

describe('XML', () => {
  const bombs = {
    'a billion laughs': `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">${'bcdefghij'.split('').map((n, i) => `<!ENTITY ${n} "${`&${'abcdefghi'[i]};`.repeat(10)}">`).join('')}]><Delete><Object><Key>&j;</Key></Object></Delete>`,
    'a file from outside': '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
    'a host from outside': `<!DOCTYPE d SYSTEM "http://127.0.0.1:${new URL(s.origin).port}/x"><Delete><Object><Key>k</Key></Object></Delete>`,
    'a parameter entity': '<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><Delete/>',
    'an entity that nobody has declared': '<Delete><Object><Key>&nobody;</Key></Object></Delete>',
    'endless nesting': '<Delete>'.repeat(100_000),
    'nesting that ends': `${'<Delete>'.repeat(50)}${'</Delete>'.repeat(50)}`,
    'another encoding': Buffer.from('﻿<Delete><Object><Key>k</Key></Object></Delete>', 'utf16le'),
    'a NUL': '<Delete><Object><Key>k\0</Key></Object></Delete>',
    'bytes that are no UTF-8': Buffer.concat([Buffer.from('<Delete><Object><Key>'), Buffer.from([0xff, 0xfe]), Buffer.from('</Key></Object></Delete>')]),
    'two roots': '<Delete><Object><Key>x</Key></Object></Delete><Delete/>',
    'another root': '<Remove><Object><Key>k</Key></Object></Remove>',
    'no key': '<Delete><Object/></Delete>',
    'nothing at all': '',
    'an attribute a thousand times': `<Delete ${Array.from({ length: 1000 }, (_, i) => `a${i}="${'x'.repeat(100)}"`).join(' ')}><Object/></Delete>`,
  };
  for (const [name, body] of Object.entries(bombs))
    test(name, async () => {
      const answer = await ask('POST', '/box?delete', { body });
      assert.deepEqual([answer.status, answer.code], [400, 'MalformedXML'], answer.text);
      assert.ok(!answer.text.includes('root:'));
    });

  test('more than 2 MiB of it', async () => {
    const answer = await ask('POST', '/box?delete', { body: `<Delete>${' '.repeat(3 << 20)}<Object><Key>k</Key></Object></Delete>` });
    assert.deepEqual([answer.status, answer.code], [413, 'EntityTooLarge']);
  });

  test('elements without end', async () => {
    assert.equal((await ask('POST', '/box?delete', { body: `<Delete>${'<a/>'.repeat(300_000)}</Delete>` })).code, 'MalformedXML');
  });

  test('names in answers are escaped', async () => {
    const answer = await ask('GET', '/box?list-type=2&prefix=%3C%26%22%3E%01');
    assert.match(answer.text, /<Prefix>&lt;&amp;&quot;&gt;/);
    const error = await ask('GET', '/box/%3Cscript%3E');
    assert.ok(!error.text.includes('<script>'), error.text);
    assert.equal((await ask('GET', '/box/k')).text, '0123456789', 'and nothing was removed by any of it');
  });
});

describe('ranges', () => {
  for (const range of ['bytes=a-b', 'bytes=5-2', 'bytes=10-', 'bytes=-0', 'bytes=0-1,3-4', 'bytes=99999999999999999999-', 'bytes=', 'bytes=--1'])
    test(range, async () => {
      const answer = await ask('GET', '/box/k', { headers: { range } });
      assert.ok([200, 416].includes(answer.status), `${answer.status}`);
      if (answer.status === 416) assert.equal(answer.code, 'InvalidRange');
      else assert.equal(answer.text, '0123456789');
    });
  test('of copies', async () => {
    const begun = await ask('POST', '/box/c?uploads');
    const id = /<UploadId>(.*?)</.exec(begun.text)[1];
    for (const range of ['bytes=0-10', 'bytes=5-2', 'bytes=0-', 'bytes=-1', 'x', 'bytes=0-99999999999999999999', 'bytes=99999999999999999999-99999999999999999999']) {
      const answer = await ask('PUT', `/box/c?partNumber=1&uploadId=${id}`, { headers: { 'x-amz-copy-source': '/box/k', 'x-amz-copy-source-range': range } });
      assert.deepEqual([answer.status, answer.code], [400, 'InvalidArgument'], range);
    }
  });
});

describe('fields of the answer that the query chooses', () => {
  for (const type of ['text/plain,text/html', 'text/plain;a=b,text/html', 'text/html, text/plain', 'text', 'text/', '/html', 'text/html/x', 'te xt/plain', 'text/plain; a="b, text/html; c="', 'text/html\u0001', 'text/pläin'])
    test(`not ${JSON.stringify(type)} as a type`, async () => {
      const answer = await ask('GET', `/box/k?response-content-type=${encodeURIComponent(type)}`);
      assert.deepEqual([answer.status, answer.code], [400, 'InvalidArgument'], answer.headers['content-type']);
    });
  test('one media type, within the sandbox that is its own', async () => {
    assert.equal((await ask('GET', `/box/k?response-content-type=${encodeURIComponent('text/plain; charset=utf-8')}`)).headers['content-type'], 'text/plain; charset=utf-8');
    const page = await ask('GET', `/box/k?response-content-type=${encodeURIComponent('Text/HTML ;charset="utf-8"')}&response-content-disposition=inline`);
    assert.deepEqual([page.status, page.headers['content-disposition']], [200, 'attachment']);
    assert.match(page.headers['content-security-policy'], /^sandbox;/);
  });
  for (const name of ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires'])
    test(`no control characters in ${name}`, async () => {
      for (const odd of ['%0D%0Ax:y', '%01', '%7F']) assert.equal((await ask('GET', `/box/k?response-${name}=a${odd}`)).code, 'InvalidArgument');
    });
});

describe('names', () => {
  for (const name of ['..%2f..%2fetc%2fpasswd', '%2e%2e', 'a/%2e%2e/b', 'a/./b', 'a%00b', 'a%0d%0ab', 'a%5cb', 'x'.repeat(1025), '%ff%fe'])
    test(name.slice(0, 40), async () => {
      const answer = await ask('PUT', `/box/${name}`, { body: 'x' });
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
    });
  test('in the source of a copy', async () => {
    for (const source of ['/box/../../etc/passwd', '/../k', '/box/', '/', '', '%', '/box/%00', '/box/k?versionId=9', '//box/k'])
      assert.ok((await ask('PUT', '/box/copy', { headers: { 'x-amz-copy-source': source } })).status >= 400, source);
  });
});

describe('lies', () => {
  test('about the length', async () => {
    const made = sign(s, key, 'PUT', '/box/short', { payload: 'UNSIGNED-PAYLOAD' });
    const { port, hostname } = new URL(s.origin);
    const socket = net.connect(Number(port), hostname);
    socket.write(`PUT ${made.path} HTTP/1.1\r\n${Object.entries(made.headers).map(([n, v]) => `${n}: ${v}`).join('\r\n')}\r\ncontent-length: 100\r\n\r\nhello`);
    socket.end();
    for await (const bytes of socket) void bytes;
    assert.equal((await ask('HEAD', '/box/short')).status, 404);
  });

  test('about what comes decoded', async () => {
    for (const length of ['-1', 'x', '99999999999999999999', '1000000000000'])
      assert.ok((await ask('PUT', '/box/decoded', { payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', headers: { 'x-amz-decoded-content-length': length, 'x-amz-trailer': 'x-amz-checksum-crc32' }, send: { body: '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n' } })).status >= 400 || length !== '1000000000000');
  });

  test('about numbers', async () => {
    for (const query of ['max-keys=-1', 'max-keys=99999999999999999999', 'max-keys=1e3', 'list-type=3', 'encoding-type=x', 'list-type=2&continuation-token=AAAA%00'])
      assert.equal((await ask('GET', `/box?${query}`)).status, 400, query);
    assert.equal((await ask('GET', '/box?max-keys=2147483647')).status, 200);
  });

  test('a body that is refused is not read', async () => {
    const wrong = { id: key.id, secret: 'wrong' };
    const made = sign(s, wrong, 'PUT', '/box/large', { payload: 'UNSIGNED-PAYLOAD' });
    const { port, hostname } = new URL(s.origin);
    const socket = net.connect(Number(port), hostname);
    socket.write(`PUT ${made.path} HTTP/1.1\r\n${Object.entries(made.headers).map(([n, v]) => `${n}: ${v}`).join('\r\n')}\r\ncontent-length: 1000000000\r\nexpect: 100-continue\r\n\r\n`);
    let text = '';
    for await (const bytes of socket) {
      text += bytes;
      if (text.includes('</Error>')) break;
    }
    assert.match(text, /^HTTP\/1\.1 403 /);
    assert.match(text, /SignatureDoesNotMatch/);
    socket.destroy();
  });

  test('methods that S3 has not', async () => {
    for (const method of ['PATCH', 'OPTIONS', 'TRACE'])
      assert.ok((await send(s, method, '/storage/v1/s3/box/k', {})).status >= 204);
    assert.equal((await ask('PATCH', '/box/k')).status, 405);
    assert.equal((await ask('POST', '/box/k')).status, 405);
  });
});
