// t/api/storage-download.mjs: who gets a file, with which headers; conditions, ranges, dispositions; info and HEAD
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { uuid, timestamp } from '../lib/expect.mjs';

const s = await stack();
const { alice } = s;
const docs = await makeBucket(s.a, 'docs');
const open = await makeBucket(s.a, 'open', { public: true });
const text = 'The quick brown fox jumps over the lazy dog';
await docs.put('fox.txt', text, { 'cache-control': 'max-age=60', 'x-metadata': Buffer.from('{"snake_case":{"in_it":1}}').toString('base64') });
await open.put('a/fox.txt', text, { 'cache-control': 'max-age=3600' });
await open.put('empty', '');
await open.put('page.html', '<script>1</script>', { 'content-type': 'text/html; charset=utf-8' });
await open.put('image.svg', '<svg/>', { 'content-type': 'image/svg+xml' });
const nobody = s.client();
const publicly = (name, query = '', headers = {}) => nobody.request('GET', `/storage/v1/object/public/open/${name}${query}`, undefined, { headers });

test('headers of a download', async () => {
  const got = await docs.get('fox.txt');
  assert.deepEqual([got.status, got.text], [200, text]);
  const h = got.headers;
  assert.deepEqual([h['content-type'], h['content-length'], h['cache-control'], h['x-robots-tag'], h['x-content-type-options'], h['content-disposition'], h.expires], ['text/plain', '43', 'max-age=60', 'none', 'nosniff', undefined, undefined]);
  assert.match(h.etag, /^"[0-9a-f]{32}"$/);
  assert.ok(Math.abs(new Date(h['last-modified']) - Date.now()) < 600_000);
  assert.match(h['accept-ranges'], /^bytes/);
});

test('a private file is for who may read it, and is not there for others', async () => {
  refused(await bucket(alice, 'docs').get('fox.txt'), 404, 'NoSuchKey', { error: 'not_found', message: 'Object not found' });
  refused(await alice.request('GET', `/storage/v1/object/authenticated/docs/fox.txt`), 404, 'NoSuchKey');
  refused(await nobody.request('GET', `/storage/v1/object/docs/fox.txt`), 404, 'NoSuchBucket', { error: 'Bucket not found', message: 'Bucket not found' });
  refused(await nobody.request('GET', `/storage/v1/object/public/docs/fox.txt`), 404, 'NoSuchBucket');
  refused(await nobody.request('GET', `/storage/v1/object/info/docs/fox.txt`), 404, 'NoSuchBucket');
  refused(await nobody.request('GET', `/storage/v1/object/info/public/docs/fox.txt`), 404, 'NoSuchBucket');
  refused(await alice.request('GET', `/storage/v1/object/public/docs/fox.txt`), 404, 'NoSuchBucket', { message: 'Bucket not found' });
  refused(await nobody.request('GET', `/storage/v1/object/authenticated/docs/fox.txt`), 400, 'InvalidRequest', { error: 'Error', message: "headers must have required property 'authorization'" });
  refused(await docs.get('cat.txt'), 404, 'NoSuchKey');
  refused(await bucket(s.a.service, 'nowhere').get('x'), 404, 'NoSuchBucket');
  await s.sql(accessControl('docs'));
  assert.equal((await bucket(alice, 'docs').get('fox.txt')).text, text);
  assert.equal((await alice.request('GET', `/storage/v1/object/authenticated/docs/fox.txt`)).text, text);
});

test('a public file is for everybody, signed in or not', async () => {
  for (const client of [nobody, alice, s.a.anon, s.client({ authorization: 'Bearer nonsense' }), s.client({ apikey: 'tnp_nonsense' })])
    for (const path of ['object/public/open', 'object/open'])
      assert.equal((await client.request('GET', `/storage/v1/${path}/a/fox.txt`)).text, text, path);
  assert.equal((await alice.request('GET', `/storage/v1/object/authenticated/open/a/fox.txt`)).text, text);
  refused(await publicly('a/cat.txt'), 404, 'NoSuchKey');
  assert.deepEqual(good(await bucket(alice, 'open').list()), [], 'to be public is not to be listed');
});

test('?tenant= says whose public file is meant', async () => {
  const theirs = await makeBucket(s.b, 'open', { public: true });
  await theirs.put('a/fox.txt', 'of b');
  assert.equal((await publicly('a/fox.txt', '?tenant=b')).text, 'of b');
  assert.equal((await publicly('a/fox.txt', `?tenant=${s.b.id}`)).text, 'of b');
  assert.equal((await publicly('a/fox.txt', '?tenant=a')).text, text);
  assert.equal((await publicly('a/fox.txt')).text, text, 'data.default_tenant');
  assert.equal((await s.b.anon.request('GET', `/storage/v1/object/public/open/a/fox.txt`)).text, 'of b', 'a key');
  assert.equal((await s.b.anon.request('GET', `/storage/v1/object/open/a/fox.txt?tenant=a`)).text, 'of b', 'a key decides');
  refused(await publicly('a/fox.txt', '?tenant=nobodys'), 400, 'InvalidRequest', { error: 'Error' });
  refused(await nobody.request('GET', `/storage/v1/object/docs/fox.txt?tenant=a`), 404, 'NoSuchBucket');
  assert.equal((await nobody.request('GET', `/storage/v1/object/info/public/open/a/fox.txt?tenant=b`)).json.size, 4);
});

test('scripts are not served as such', async () => {
  const html = await publicly('page.html');
  assert.match(html.headers['content-type'], /^text\/plain/);
  const svg = await publicly('image.svg');
  assert.equal(svg.headers['content-type'], 'image/svg+xml');
  assert.match(svg.headers['content-security-policy'], /sandbox|default-src 'none'/);
});

test('an empty file', async () => {
  const got = await publicly('empty');
  assert.deepEqual([got.status, got.headers['content-length'], got.text], [200, '0', '']);
  refused(await publicly('empty', '', { range: 'bytes=0-' }), 416, 'InvalidRange', { status: 416, error: 'invalid_range' });
});

const dispositions = [['?download', 'attachment;'], ['?download=', 'attachment;'], ['?download=fox.txt', "attachment; filename=fox.txt; filename*=UTF-8''fox.txt"], ['?download=a%20%C3%BC%22%0D%0Ab', "attachment; filename=a%20%C3%BC%22%0D%0Ab; filename*=UTF-8''a%20%C3%BC%22%0D%0Ab"], ['?cacheNonce=7&other', undefined]];
for (const [query, wanted] of dispositions) test(`Content-Disposition of ${query}`, async () => assert.equal((await publicly('a/fox.txt', query)).headers['content-disposition'], wanted));

const ranges = [['bytes=0-3', 206, 'bytes 0-3/43', 'The '], ['bytes=40-', 206, 'bytes 40-42/43', 'dog'], ['bytes=-3', 206, 'bytes 40-42/43', 'dog'], ['bytes=40-999', 206, 'bytes 40-42/43', 'dog'], ['bytes=-999', 206, 'bytes 0-42/43', text], ['bytes=0-18446744073709551615', 206, 'bytes 0-42/43', text], ['bytes=-99999999999999999999', 206, 'bytes 0-42/43', text], ['bytes=43-', 416], ['bytes=5-2', 416], ['bytes=0-1,3-4', 416], ['bytes=x', 416], ['lines=1-2', 200, undefined, text]];
for (const [range, status, contentRange, body] of ranges)
  test(`Range: ${range}`, async () => {
    const got = await publicly('a/fox.txt', '', { range });
    if (status === 416) {
      refused(got, 416, 'InvalidRange', { status: 416, error: 'invalid_range' });
      return assert.equal(got.headers['content-range'], 'bytes */43');
    }
    assert.deepEqual([got.status, got.headers['content-range'], got.text, got.headers['content-length']], [status, contentRange, body, String(body.length)]);
  });

test('conditions', async () => {
  const { etag, 'last-modified': modified } = (await publicly('a/fox.txt')).headers;
  const status = async (headers) => (await publicly('a/fox.txt', '', headers)).status;
  assert.equal(await status({ 'if-none-match': etag }), 304);
  assert.equal(await status({ 'if-none-match': `W/${etag}` }), 304);
  assert.equal(await status({ 'if-none-match': `"x", ${etag}` }), 304);
  assert.equal(await status({ 'if-none-match': '"x"' }), 200);
  assert.equal(await status({ 'if-modified-since': modified }), 304);
  assert.equal(await status({ 'if-modified-since': modified, 'if-none-match': '"x"' }), 200);
  assert.equal(await status({ 'if-modified-since': new Date(0).toUTCString() }), 200);
  assert.equal(await status({ 'if-match': etag }), 200);
  assert.equal(await status({ 'if-match': '"x"' }), 412);
  const not = await publicly('a/fox.txt', '', { 'if-none-match': etag });
  assert.deepEqual([not.text, not.headers.etag, not.headers['cache-control']], ['', etag, 'max-age=3600']);
});

test('HEAD has the headers and no body', async () => {
  for (const path of ['object/open/a/fox.txt', 'object/public/open/a/fox.txt']) {
    const head = await nobody.request('HEAD', `/storage/v1/${path}`);
    assert.deepEqual([head.status, head.text, head.headers['content-length'], head.headers['cache-control']], [200, '', '43', 'max-age=3600']);
  }
  assert.equal((await docs.head('fox.txt')).status, 200);
  assert.equal((await s.a.service.request('HEAD', `/storage/v1/object/authenticated/docs/fox.txt`)).status, 200);
  const missing = await docs.head('cat.txt');
  assert.deepEqual([missing.status, missing.text], [400, '']);
});

test('info', async () => {
  const answer = await docs.info('fox.txt');
  const info = good(answer);
  assert.match(info.id, uuid);
  assert.match(info.version, uuid);
  assert.match(info.last_modified, timestamp);
  assert.match(info.created_at, timestamp);
  const { id: _1, version: _2, last_modified: _3, created_at: _4, ...rest } = info;
  assert.deepEqual(rest, { name: 'fox.txt', bucket_id: 'docs', size: 43, content_type: 'text/plain', cache_control: 'max-age=60', content_encoding: null, etag: answer.headers.etag, metadata: { snake_case: { in_it: 1 } } });
  assert.equal(answer.headers['cache-control'], 'max-age=60');
  assert.ok(answer.headers['last-modified']);
  assert.equal(Number(answer.headers['content-length']), answer.bytes.length);
  assert.equal(good(await s.a.service.request('GET', `/storage/v1/object/info/authenticated/docs/fox.txt`)).name, 'fox.txt');
  assert.equal(good(await nobody.request('GET', `/storage/v1/object/info/public/open/a/fox.txt`)).size, 43);
  assert.equal(good(await nobody.request('GET', `/storage/v1/object/info/open/a/fox.txt`)).size, 43);
  refused(await docs.info('cat.txt'), 404, 'NoSuchKey');
});

test('a row without bytes is said to have none', async () => {
  await s.sql(`insert into storage.objects (tenant_id, bucket_id, name) values ('${s.a.id}', 'docs', 'only a row')`);
  refused(await docs.get('only a row'), 404, 'NoSuchKey');
  assert.equal(good(await docs.info('only a row')).version, null);
});

test('nobody, where there is no tenant at all', async () => {
  s.configure({ 'data.default_tenant': '' });
  await s.tenon('reload');
  const deadline = Date.now() + 20_000;
  let answer;
  do answer = await publicly('a/fox.txt');
  while (answer.status === 200 && Date.now() < deadline);
  refused(answer, 400, 'InvalidRequest', { error: 'Error' });
  assert.equal((await publicly('a/fox.txt', '?tenant=a')).text, text);
});
