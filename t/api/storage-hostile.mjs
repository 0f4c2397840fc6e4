// t/api/storage-hostile.mjs: names that want out, two tenants against each other on every route, requests that nobody sends by mistake
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { accessControl, base, bucket, escaped, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';

const s = await stack();
const { alice } = s;
const docs = await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
const filesOf = (folder) => fs.readdirSync(path.join(s.storageDir, folder), { recursive: true }).filter((n) => fs.statSync(path.join(s.storageDir, folder, n)).isFile()).map(String);
const raw = (method, target, body = '', client = s.a.service, headers = {}) => client.request(method, target, method === 'GET' ? undefined : body, { headers: { 'content-type': 'text/plain', ...headers } });

/* Paths as they are on the wire, behind /object/docs/. */
const names = [
  '..', '../x', 'a/../b', 'a/..', './x', 'a/./b', '%2e%2e/x', '%2e%2e%2fx', 'a%2f..%2fb', '..%2f..%2f..%2fetc%2fpasswd', '%2e', 'a/%2e%2E/b', '..%5cx', 'a%5cb', 'a%00b', '%00', 'a%0ab', 'a%0d%0ab', 'a%7fb',
  'a%22b', 'a%3cb', 'a%7cb', 'a%60b', 'a%5eb', 'a%7bb%7d', 'a%5bb%5d', 'a~b', 'a%23b', 'a%25b', '%c3%bc', '%e2%80%ae', '%ef%bc%8e%ef%bc%8e/x', '%c0%ae%c0%ae/x', '%c0%af', '%ed%a0%80', '%ff', '%e0%80%ae', '%f8%88%80%80%80',
  '%d0%b0', 'a%c2%a0b', 'a%e2%80%8bb', 'x'.repeat(1025), 'a/'.repeat(512) + 'b', '%', '%2', '%zz', '%u002e',
];
for (const name of names)
  test(`the name ${name.slice(0, 40)} is refused`, async () => {
    for (const method of ['POST', 'PUT']) {
      const answer = await raw(method, `/storage/v1/object/docs/${name}`, 'x');
      assert.ok(answer.status >= 400 && answer.status < 500, `${method}: ${answer.status} ${answer.text}`);
      if (answer.json?.statusCode && answer.json.code !== 'NoSuchBucket' && answer.json.code !== 'method_not_allowed') assert.equal(answer.json.code, 'InvalidKey', answer.text);
    }
    const got = await raw('GET', `/storage/v1/object/docs/${name}`);
    assert.ok(got.status >= 400 && got.status < 500, got.text);
  });

test('what is taken is below the folder of the objects, under names of ours', async () => {
  const kept = ['x'.repeat(1024), 'a%20b', 'a+b', 'a%2Bb', 'a%3Fb', "a!*'()&$@=;:,b", '...', 'a..b', '.hidden', 'a//b', 'trailing/', 'CON', '%2e%2e%2e%2e'];
  for (const name of kept) {
    const answer = await raw('POST', `/storage/v1/object/docs/${name}`, `content of ${name}`);
    if (name === 'a//b' || name === 'trailing/') {
      assert.ok([200, 400].includes(answer.status), answer.text);
      continue;
    }
    if (name === 'a%2Bb') refused(answer, 409, 'KeyAlreadyExists'); // a plus is a plus
    else good(answer);
    if (name !== 'a%2Bb') assert.equal((await raw('GET', `/storage/v1/object/docs/${name}`)).text, `content of ${name}`);
  }
  for (const file of filesOf('objects')) assert.match(file, /^[0-9a-f-]{36}\/[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f-]{36}$/);
  assert.deepEqual(filesOf('staging'), []);
});

test('names in JSON bodies are names too', async () => {
  good(await docs.put('plain', 'x'));
  for (const name of ['../x', 'a/../b', 'ü', 'a\\b', 'x'.repeat(1025), 'a\nb']) {
    refused(await docs.move('plain', name), 400, 'InvalidKey', { error: 'InvalidKey' });
    refused(await docs.copy('plain', name), 400, 'InvalidKey');
    assert.deepEqual(good(await docs.remove(name)), []);
  }
  assert.ok((await docs.move('../plain', 'y')).status === 400);
  assert.ok((await docs.remove('a\u0000b')).status === 400);
});

test('SQL in names is text', async () => {
  for (const name of ["x'; drop table storage.objects; --", "' or '1'='1", '$1', '(select 1)']) {
    good(await docs.put(name, name));
    assert.equal((await docs.get(name)).text, name);
    assert.equal(good(await docs.remove(name)).length, 1);
  }
  assert.deepEqual(good(await docs.list("' or true --")), []);
  assert.deepEqual(good(await docs.list('', { search: "' or true --" })), []);
});

test('headers that a client cannot be believed', async () => {
  good(await docs.put('victim', 'private'));
  for (const header of ['tenon-phase', 'tenon_phase', 'x-accel-redirect', 'tenon-body-file', 'x-forwarded-host'])
    for (const value of ['send', 'admitted', '/etc/passwd', '/_tenon/objects/x'])
      assert.ok((await raw('GET', `/storage/v1/object/docs/victim`, '', s.client(), { [header]: value })).status === 400);
  for (const target of ['/_tenon/objects/', '/_tenon/send', '/_tenon/admit', `/_tenon/objects/${filesOf('objects')[0]}`]) assert.ok((await raw('GET', target)).status >= 404);
  const smuggled = await raw('POST', `/storage/v1/object/docs/smuggled`, 'x', s.a.service, { 'tenon-body-file': '/etc/passwd', TENON_BODY_FILE: '/etc/passwd' });
  good(smuggled);
  assert.equal((await docs.get('smuggled')).text, 'x');
});

test('content types that would be headers', async () => {
  const socket = net.connect(new URL(s.origin).port, '127.0.0.1');
  socket.write(`POST /storage/v1/object/docs/odd-type HTTP/1.1\r\nHost: x\r\nConnection: close\r\napikey: ${s.a.secret}\r\nContent-Type: text/plain\tx\x01\r\nContent-Length: 1\r\n\r\nx`);
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1\.1 400/);
  refused(await docs.get('odd-type'), 404, 'NoSuchKey');
});

/* --- two tenants, every route ----------------------------------------------------------------------------------------------------- */

test('nothing of a is seen, changed or removed with anything of b', async () => {
  good(await docs.put('of a', 'private'));
  await s.sql(`create policy "b too" on storage.buckets to authenticated using (true) with check (true); create policy "b objects" on storage.objects to authenticated, anon using (true) with check (true)`);
  const { signedURL } = good(await docs.sign('of a'));
  const upload = good(await docs.signUpload('from outside')).url;
  for (const client of [s.b.service, s.stranger, s.b.anon]) {
    const theirs = bucket(client, 'docs');
    for (const answer of [await theirs.get('of a'), await theirs.info('of a'), await theirs.put('x', 'x'), await theirs.replace('of a', 'x'), await theirs.sign('of a'), await theirs.signUpload('y'), await theirs.move('of a', 'z'), await theirs.copy('of a', 'z'), await theirs.removeOne('of a'),
      await client.request('GET', `/storage/v1/object/authenticated/docs/of%20a`), await client.request('GET', `/storage/v1/object/info/authenticated/docs/of%20a`), await client.request('GET', `/storage/v1/bucket/docs`), await client.request('PUT', `/storage/v1/bucket/docs`, { public: true }), await client.request('DELETE', `/storage/v1/bucket/docs`, {}),
      await client.request('GET', `/storage/v1/object/public/docs/of%20a`), await client.request('GET', `/storage/v1/object/info/public/docs/of%20a`)]) {
      assert.equal(answer.status, 400, answer.text);
      assert.ok(['404', '403'].includes(answer.json.statusCode), answer.text);
    }
    assert.equal((await theirs.head('of a')).status, 400);
    assert.deepEqual(good(await theirs.list()), []);
    assert.deepEqual(good(await theirs.list2()).objects, []);
    assert.deepEqual(good(await theirs.remove('of a')), []);
    assert.notEqual(good(await theirs.signMany({ expiresIn: 9, paths: ['of a'] }))[0].error, null);
    assert.ok((await client.request('POST', `/storage/v1/bucket/docs/empty`, {})).status >= 400);
    assert.equal((await client.request('GET', base + encodeURI(signedURL))).text, 'private', 'the token decides, not the key beside it');
    assert.equal((await client.request('POST', '/api/storage/docs?name=x', 'x')).status, 404);
  }
  good(await s.b.service.request('PUT', base + encodeURI(upload), 'by b'));
  assert.equal((await docs.get('from outside')).text, 'by b');
  assert.deepEqual([(await docs.get('of a')).text, good(await s.a.service.request('GET', `/storage/v1/bucket/docs`)).public], ['private', false]);
  assert.deepEqual((await s.rows(`select tenant_id::text from storage.objects group by 1`)).map((r) => r.tenant_id), [s.a.id]);
});

test('the same names in two tenants are two files', async () => {
  const theirs = await makeBucket(s.b, 'docs');
  good(await theirs.put('of a', 'of b'));
  assert.deepEqual([(await docs.get('of a')).text, (await theirs.get('of a')).text], ['private', 'of b']);
  good(await theirs.remove('of a'));
  assert.equal((await docs.get('of a')).text, 'private');
});

test('a body that does not come, or not whole', async () => {
  const send = (text) => new Promise((resolve) => {
    const socket = net.connect(new URL(s.origin).port, '127.0.0.1', () => socket.write(text, () => socket.destroy()));
    socket.on('close', resolve).on('error', resolve);
  });
  const head = `Host: x\r\napikey: ${s.a.secret}\r\nContent-Type: text/plain\r\n`;
  await send(`POST /storage/v1/object/docs/cut HTTP/1.1\r\n${head}Content-Length: 100000\r\n\r\nonly a little`);
  await send(`POST /storage/v1/object/docs/cut HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
  refused(await docs.get('cut'), 404, 'NoSuchKey');
  assert.deepEqual(filesOf('staging'), []);
});

test('JSON that is too deep, too large, or something else', async () => {
  const list = `/storage/v1/object/list/docs`;
  refused(await raw('POST', list, `{"prefix":${'['.repeat(100)}${']'.repeat(100)}}`), 400, 'InvalidRequest');
  refused(await raw('POST', list, '{"prefix":"\\u0000"}').then((a) => a), 400, 'InvalidRequest');
  assert.ok((await raw('POST', list, `{"prefix":"${'x'.repeat(5_000_000)}"}`)).status >= 200);
  assert.ok((await raw('POST', list, Buffer.from([0xff, 0xfe]))).status === 400);
  refused(await alice.request('POST', `/storage/v1/object/${escaped('docs')}`, {}), 405, 'method_not_allowed', { status: 405 });
});
