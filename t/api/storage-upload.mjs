// t/api/storage-upload.mjs: files as bodies and in forms, what is checked before and after, and POST /api/storage/{bucket}
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { accessControl, base, bucket, form, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { isOurError, uuid } from '../lib/expect.mjs';

const s = await stack({ settings: { 'storage.object_max': 40_000_000 } });
const { alice } = s;
const docs = await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
const hers = bucket(alice, 'docs');
const meta = async (name, id = 'docs') => (await s.rows(`select metadata, user_metadata, version, owner_id, id from storage.objects where bucket_id = '${id}' and name = '${name}'`))[0];
const postForm = (name, parts, options, client = alice) => {
  const { body, headers } = form(parts, options);
  return client.request('POST', hers.path(name), body, { headers });
};
const staged = () => fs.readdirSync(path.join(s.storageDir, 'staging'), { recursive: true }).filter((n) => fs.statSync(path.join(s.storageDir, 'staging', n)).isFile());

test('a body becomes an object with what its headers say', async () => {
  const bytes = Buffer.from('a story\n');
  const answer = good(await hers.put('a/story.txt', bytes, { 'content-type': 'text/markdown; charset=utf-8', 'cache-control': 'max-age=77', 'x-metadata': Buffer.from('{"mood":"calm","n":[1]}').toString('base64'), 'x-robots-tag': 'noindex, nofollow' }));
  assert.match(answer.Id, uuid);
  assert.deepEqual(answer, { Id: answer.Id, Key: 'docs/a/story.txt' });
  const row = await meta('a/story.txt');
  const { lastModified, ...rest } = row.metadata;
  assert.deepEqual(rest, { eTag: `"${createHash('md5').update(bytes).digest('hex')}"`, size: 8, mimetype: 'text/markdown; charset=utf-8', cacheControl: 'max-age=77', contentLength: 8, httpStatusCode: 200, xRobotsTag: 'noindex, nofollow' });
  assert.match(lastModified, /^\d{4}-.*Z$/);
  assert.deepEqual([row.user_metadata, row.owner_id, row.id], [{ mood: 'calm', n: [1] }, alice.user.id, answer.Id]);
  const got = await hers.get('a/story.txt');
  assert.deepEqual([got.text, got.headers['content-type'], got.headers['cache-control'], got.headers['x-robots-tag']], ['a story\n', 'text/markdown; charset=utf-8', 'max-age=77', 'noindex, nofollow']);
});

test('what is not said has a default; broken metadata counts as none', async () => {
  const response = await alice.request('POST', hers.path('bare'), Buffer.from('\x00\x01'), { headers: { 'content-type': null, 'x-metadata': '!!!' } });
  good(response);
  const row = await meta('bare');
  assert.deepEqual([row.metadata.mimetype, row.metadata.cacheControl, row.user_metadata], ['application/octet-stream', 'no-cache', {}]);
  good(await hers.put('list', '1', { 'x-metadata': Buffer.from('[1]').toString('base64') }));
  assert.deepEqual((await meta('list')).user_metadata, {});
});

test('JSON and forms of another kind are bytes', async () => {
  good(await hers.put('data.json', '{"not": json', { 'content-type': 'application/json' }));
  assert.equal((await hers.get('data.json')).text, '{"not": json');
  good(await hers.put('query', 'a=1&b=2', { 'content-type': 'application/x-www-form-urlencoded' }));
  assert.equal((await hers.get('query')).text, 'a=1&b=2');
});

test('an empty file is a file', async () => {
  good(await hers.put('empty', ''));
  const got = await hers.get('empty');
  assert.deepEqual([got.status, got.text, got.headers['content-length']], [200, '', '0']);
});

test('twice is a duplicate, unless x-upsert; PUT creates and replaces', async () => {
  good(await hers.put('same', '1', { 'x-metadata': Buffer.from('{"a":1}').toString('base64') }));
  const before = await meta('same');
  refused(await hers.put('same', '2'), 409, 'KeyAlreadyExists', { error: 'Duplicate', message: 'The resource already exists' });
  refused(await hers.put('same', '2', { 'x-upsert': 'false' }), 409, 'KeyAlreadyExists');
  assert.equal((await hers.get('same')).text, '1');
  good(await hers.put('same', '22', { 'x-upsert': 'true' }));
  const after = await meta('same');
  assert.deepEqual([after.id, after.version === before.version, after.user_metadata, after.metadata.size], [before.id, false, {}, 2]);
  good(await hers.replace('same', '333'));
  assert.equal((await hers.get('same')).text, '333');
  good(await hers.replace('new by put', 'x'));
});

test('one of many at once wins', async () => {
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => hers.put('race', `writer ${i}`)));
  const winners = answers.filter((a) => a.status === 200);
  assert.equal(winners.length, 1);
  for (const a of answers.filter((x) => x.status !== 200)) refused(a, 409, 'KeyAlreadyExists');
  assert.equal((await hers.get('race')).text, `writer ${answers.indexOf(winners[0])}`);
  await Promise.all(Array.from({ length: 12 }, (_, i) => hers.put('race', `w ${i}`, { 'x-upsert': 'true' }).then(good)));
  assert.match((await hers.get('race')).text, /^w \d+$/);
});

test('a large body arrives whole, with a length and without one', async () => {
  const bytes = randomBytes(9_000_001);
  good(await hers.put('large', bytes, { 'content-type': 'application/x-thing' }));
  assert.ok((await hers.get('large')).bytes.equals(bytes));
  const request = http.request(`${s.origin}${hers.path('chunked')}`, { method: 'POST', headers: { ...alice.headers, 'content-type': 'application/x-thing', 'transfer-encoding': 'chunked' } });
  for (let at = 0; at < bytes.length; at += 1_000_000) request.write(bytes.subarray(at, at + 1_000_000));
  request.end();
  const [response] = await once(request, 'response');
  assert.equal(response.statusCode, 200);
  response.resume();
  assert.ok((await hers.get('chunked')).bytes.equals(bytes));
});

test('limits: by the header before the body, by counting behind it', async () => {
  await makeBucket(s.a, 'small', { file_size_limit: 100 });
  await s.sql(accessControl('small'));
  const small = bucket(alice, 'small');
  good(await small.put('fits', 'x'.repeat(100)));
  refused(await small.put('too', 'x'.repeat(101)), 413, 'EntityTooLarge', { error: 'Payload too large', message: 'The object exceeded the maximum allowed size' });
  for (const where of [small.path('never'), hers.path('never')]) {
    const socket = net.connect(new URL(s.origin).port, '127.0.0.1');
    socket.write(`POST ${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50000000\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n${Object.entries(alice.headers).map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n`);
    let text = '';
    for await (const chunk of socket) text += chunk; // refused without a byte of the body
    assert.match(text, /^HTTP\/1\.1 400 [^]*EntityTooLarge/);
  }
  const request = http.request(`${s.origin}${small.path('counted')}`, { method: 'POST', headers: { ...alice.headers, 'transfer-encoding': 'chunked', 'content-type': 'text/plain' } });
  request.end('x'.repeat(5000));
  const [response] = await once(request, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  assert.deepEqual([response.statusCode, JSON.parse(body).code], [400, 'EntityTooLarge']);
  const { body: multi, headers } = form([{ name: '', filename: 'x', type: 'text/plain', body: 'x'.repeat(101) }]);
  refused(await alice.request('POST', small.path('form'), multi, { headers }), 413, 'EntityTooLarge');
  assert.deepEqual(good(await small.list()).map((o) => o.name), ['fits']);
  assert.deepEqual(staged(), []);
});

test('types: said, in a form, and what is exempt', async () => {
  await makeBucket(s.a, 'images', { allowed_mime_types: ['image/*', 'text/plain'] });
  await s.sql(accessControl('images'));
  const images = bucket(alice, 'images');
  good(await images.put('a.txt', 'x', { 'content-type': 'text/plain;charset=UTF-8' }));
  good(await images.put('a.png', 'x', { 'content-type': 'IMAGE/png' }));
  refused(await images.put('a.html', 'x', { 'content-type': 'text/html' }), 415, 'InvalidMimeType', { error: 'invalid_mime_type', message: 'mime type text/html is not supported' });
  const { body, headers } = form([{ name: '', filename: 'x', type: 'text/html', body: 'x' }]);
  refused(await alice.request('POST', images.path('b.html'), body, { headers }), 415, 'InvalidMimeType');
  const said = form([{ name: 'contentType', body: 'image/webp' }, { name: '', filename: 'x', type: 'text/html', body: 'x' }]);
  good(await alice.request('POST', images.path('c'), said.body, { headers: said.headers }));
  assert.equal((await meta('c', 'images')).metadata.mimetype, 'image/webp');
  good(await images.put('folder/.emptyFolderPlaceholder', '', { 'content-type': 'application/x-nothing' }));
});

test('robots tags', async () => {
  for (const tag of ['none', 'googlebot: noindex, nofollow', 'max-snippet:5, max-image-preview:large', 'unavailable_after: Fri, 25 Jun 2027 15:00:00 GMT', 'NOINDEX']) {
    good(await hers.replace('robots', 'x', { 'x-robots-tag': tag }));
    assert.equal((await hers.get('robots')).headers['x-robots-tag'], tag);
  }
  for (const tag of ['nonsense', 'noindex; x', 'noindex,,nofollow', 'googlebot: nonsense', 'ü'])
    refused(await hers.replace('robots', 'x', { 'x-robots-tag': Buffer.from(tag).toString('latin1') }), 400, 'InvalidXRobotsTag', { error: 'invalid_x_robots_tag' });
});

test('an encoding of the content is kept and sent', async () => {
  good(await hers.put('packed', 'not really gzip', { 'content-encoding': 'gzip' }));
  assert.equal((await hers.get('packed')).headers['content-encoding'], 'gzip');
  assert.equal(good(await hers.info('packed')).content_encoding, 'gzip');
});

test('a bucket with the name of a route: nginx does not know that it is an upload, and the worker takes it as it comes', async () => {
  await makeBucket(s.a, 'info', { file_size_limit: 1_000_000 });
  await s.sql(accessControl('info'));
  const info = bucket(alice, 'info');
  const bytes = randomBytes(900_000);
  good(await info.put('by stream', bytes, { 'content-type': 'application/x-thing' }));
  const copy = await alice.request('GET', '/storage/v1/object/authenticated/info/by%20stream');
  assert.ok(copy.bytes.equals(bytes));
  const { body, headers } = form([{ name: 'cacheControl', body: '5' }, { name: '', filename: 'f', type: 'text/css', body: bytes }]);
  good(await alice.request('POST', info.path('form'), body, { headers }));
  assert.equal((await meta('form', 'info')).metadata.cacheControl, 'max-age=5');
  refused(await info.put('too large', randomBytes(1_000_001)), 413, 'EntityTooLarge');
  refused(await bucket(s.a.anon, 'info').put('denied', 'x'), 403, 'AccessDenied');
  assert.deepEqual(staged(), []);
});

/* --- forms ---------------------------------------------------------------------------------------------------------------------- */

test('a form as storage-js sends it', async () => {
  const bytes = randomBytes(200_000);
  const answer = good(await postForm('form/one', [{ name: 'cacheControl', body: '3600' }, { name: 'metadata', body: '{"k":"ü"}' }, { name: '', filename: 'blob', type: 'image/x-thing', body: bytes }]));
  assert.equal(answer.Key, 'docs/form/one');
  const row = await meta('form/one');
  assert.deepEqual([row.metadata.cacheControl, row.metadata.mimetype, row.metadata.size, row.user_metadata], ['max-age=3600', 'image/x-thing', bytes.length, { k: 'ü' }]);
  assert.ok((await hers.get('form/one')).bytes.equals(bytes));
});

const forms = [
  ['any name, no type', [{ name: 'upload', filename: 'x', body: 'abc' }], {}, 'abc'],
  ['without a filename the empty name is enough', [{ name: '', body: 'abc' }], {}, 'abc'],
  ['without any name', [{ head: 'Content-Disposition: form-data', body: 'abc' }], {}, 'abc'],
  ['an empty file', [{ name: '', filename: 'x', body: '' }], {}, ''],
  ['a preamble and an epilogue', [{ name: '', filename: 'x', body: 'abc' }], { preamble: 'hello\r\n', epilogue: 'bye\r\n--xYzZY\r\n' }, 'abc'],
  ['without a line end at the end', [{ name: '', filename: 'x', body: 'abc' }], { end: '--xYzZY--' }, 'abc'],
  ['content that looks like a boundary', [{ name: '', filename: 'x', body: 'a\r\n--xYzZ\r\n--xYzZYnot\r\n--\r\n\r\n' }], {}, 'a\r\n--xYzZ\r\n--xYzZYnot\r\n--\r\n\r\n'],
  ['fields that nobody knows', [{ name: 'x', body: '1' }, { name: 'y', body: '2' }, { name: '', filename: 'f', body: 'abc' }], {}, 'abc'],
  ['ten fields', [...Array.from({ length: 10 }, (_, i) => ({ name: `f${i}`, body: 'x' })), { name: '', filename: 'f', body: 'abc' }], {}, 'abc'],
  ['a boundary with blanks behind it', [{ name: '', filename: 'f', body: 'abc' }], { end: '--xYzZY-- \t' }, 'abc'],
];
for (const [index, [name, parts, options, wanted]] of forms.entries())
  test(`form: ${name}`, async () => {
    good(await postForm(`forms/${index}`, parts, options));
    assert.equal((await hers.get(`forms/${index}`)).text, wanted);
  });

test('form: a quoted boundary', async () => {
  const { body } = form([{ name: '', filename: 'x', body: 'abc' }], { boundary: "it's a (boundary)" });
  good(await alice.request('POST', hers.path('quoted'), body, { headers: { 'content-type': 'Multipart/Form-Data; charset=x; boundary="it\'s a (boundary)"' } }));
  assert.equal((await hers.get('quoted')).text, 'abc');
});

test('form: the boundary wherever the windows end', async () => {
  for (const length of [65_300, 65_400, 65_430, 65_450, 65_470, 65_500, 65_536, 131_000]) {
    const bytes = Buffer.alloc(length, '\r\n-');
    good(await postForm('window', [{ name: '', filename: 'x', body: bytes }], {}, alice.with({ 'x-upsert': 'true' })));
    assert.ok((await hers.get('window')).bytes.equals(bytes), `${length} bytes`);
  }
});

const malformed = [
  ['no boundary in the type', { body: '--x\r\n\r\n\r\n--x--', type: 'multipart/form-data' }],
  ['a boundary that never comes', { body: 'nothing at all', type: 'multipart/form-data; boundary=x' }],
  ['nothing', { body: '', type: 'multipart/form-data; boundary=x' }],
  ['no end', { body: '--x\r\nContent-Disposition: form-data; name=""; filename="f"\r\n\r\nabc\r\n', type: 'multipart/form-data; boundary=x' }],
  ['headers that do not end', { body: `--x\r\n${'A: b\r\n'.repeat(3000)}\r\nabc\r\n--x--`, type: 'multipart/form-data; boundary=x' }],
  ['one endless header', { body: `--x\r\nA: ${'b'.repeat(100_000)}`, type: 'multipart/form-data; boundary=x' }],
  ['cut within the headers', { body: '--x\r\nContent-Dispo', type: 'multipart/form-data; boundary=x' }],
  ['bare line feeds', { body: '--x\nContent-Disposition: form-data; name="f"; filename="f"\n\nabc\n--x--\n', type: 'multipart/form-data; boundary=x' }],
  ['only the end', { body: '--x--\r\n', type: 'multipart/form-data; boundary=x' }],
  ['only fields', { parts: [{ name: 'metadata', body: '{}' }] }],
  ['eleven fields', { parts: [...Array.from({ length: 11 }, (_, i) => ({ name: `f${i}`, body: 'x' })), { name: '', filename: 'f', body: 'abc' }] }],
  ['a thousand parts', { parts: Array.from({ length: 1000 }, (_, i) => ({ name: `f${i}`, body: 'x' })) }],
  ['two files', { parts: [{ name: '', filename: 'a', body: '1' }, { name: '', filename: 'b', body: '2' }] }],
  ['a field that is no UTF-8', { parts: [{ name: 'cacheControl', body: Buffer.from([0xff]) }, { name: '', filename: 'a', body: '1' }] }],
  ['NUL in a header', { parts: [{ head: 'Content-Disposition: form-data; name="\0"; filename="x"', body: '1' }] }],
  ['a boundary without end', { body: '--x', type: `multipart/form-data; boundary=${'x'.repeat(300)}` }],
];
for (const [name, { body, type, parts }] of malformed)
  test(`malformed: ${name}`, async () => {
    const made = parts ? form(parts) : { body: Buffer.from(body), headers: { 'content-type': type } };
    refused(await alice.request('POST', hers.path('malformed'), made.body, { headers: made.headers }), 400, 'InvalidRequest', { error: 'InvalidRequest' });
  });

test('metadata of more than a MiB', async () => {
  refused(await postForm('meta', [{ name: 'metadata', body: `{"x":"${'y'.repeat(1024 * 1024)}"}` }, { name: '', filename: 'a', body: '1' }]), 413, 'EntityTooLarge');
  good(await postForm('meta', [{ name: 'userMetadata', body: `{"x":"${'y'.repeat(1000 * 1000)}"}` }, { name: '', filename: 'a', body: '1' }]));
  assert.equal((await meta('meta')).user_metadata.x.length, 1_000_000);
});

test('nothing is left behind by what was refused', async () => {
  refused(await hers.get('malformed'), 404, 'NoSuchKey');
  assert.deepEqual(staged(), []);
  assert.deepEqual(fs.readdirSync(path.join(s.storageDir, 'spool'), { recursive: true }).filter((n) => fs.statSync(path.join(s.storageDir, 'spool', n)).isFile()), []);
});

/* --- signed uploads --------------------------------------------------------------------------------------------------------------- */

test('a signed upload: body and form, whose it is, once', async () => {
  const { url, token } = good(await hers.signUpload('signed/one'));
  assert.equal(url, `/object/upload/sign/docs/signed/one?token=${token}`);
  const nobody = s.client();
  assert.deepEqual(good(await nobody.request('PUT', base + url, 'by nobody', { headers: { 'content-type': 'text/plain', 'cache-control': 'max-age=5' } })), { Key: 'docs/signed/one' });
  const row = await meta('signed/one');
  assert.deepEqual([row.owner_id, row.metadata.cacheControl], [alice.user.id, 'max-age=5']);
  refused(await nobody.request('PUT', base + url, 'again', { headers: { 'content-type': 'text/plain', 'x-upsert': 'true' } }), 409, 'KeyAlreadyExists');
  const again = good(await hers.signUpload('signed/one', { 'x-upsert': 'true' }));
  const { body, headers } = form([{ name: 'cacheControl', body: '9' }, { name: '', filename: 'x', type: 'text/css', body: 'again' }]);
  good(await nobody.request('PUT', base + again.url, body, { headers }));
  assert.equal((await hers.get('signed/one')).text, 'again');
});

test('signing an upload takes the right to upload', async () => {
  refused(await bucket(s.a.anon, 'docs').signUpload('x'), 403, 'AccessDenied');
  refused(await bucket(alice, 'nowhere').signUpload('x'), 404, 'NoSuchBucket');
  refused(await hers.signUpload('signed/one'), 409, 'KeyAlreadyExists');
  refused(await hers.signUpload('a/../b'), 400, 'InvalidKey');
  await s.sql(`create policy "with words" on storage.objects for insert to anon with check (bucket_id = 'docs' and user_metadata ->> 'word' = 'please')`);
  refused(await bucket(s.a.anon, 'docs').signUpload('x'), 403, 'AccessDenied');
  good(await bucket(s.a.anon, 'docs').signUpload('x', { 'x-metadata': Buffer.from('{"word":"please"}').toString('base64') }));
});

/* --- /api/storage/{bucket} -------------------------------------------------------------------------------------------------------- */

const bucketless = s.client();
const plain = (query, body, options, client = alice) => client.request('POST', `/api/storage/docs${query}`, body, options);

test('curl: a body', async () => {
  const answer = await plain('?name=curl/a%20b.txt', 'hello', { headers: { 'content-type': 'text/plain' } });
  assert.equal(answer.status, 201, answer.text);
  const { id, etag, ...rest } = answer.json;
  assert.deepEqual(rest, { bucket: 'docs', name: 'curl/a b.txt', size: 5, content_type: 'text/plain', url: `${s.settings['server.public_url']}/storage/v1/object/authenticated/docs/curl/a%20b.txt` });
  assert.equal(etag, '"5d41402abc4b2a76b9719d911017c592"');
  assert.equal((await alice.request('GET', new URL(rest.url).pathname)).text, 'hello');
  isOurError(await plain('?name=curl/a%20b.txt', 'hello', { headers: { 'content-type': 'text/plain' } }), 409, 'KeyAlreadyExists');
  assert.equal((await plain('?name=curl/a%20b.txt&upsert', 'hello 2', { headers: { 'content-type': 'text/plain' } })).status, 201);
  assert.match((await plain('', 'x', { headers: { 'content-type': 'text/plain' } })).json.name, uuid);
  assert.match((await plain('?name=in/', 'x', { headers: { 'content-type': 'text/plain' } })).json.name, /^in\/[0-9a-f-]{36}$/);
});

test('curl: forms with one file and with several', async () => {
  const one = form([{ name: 'file', filename: '../../C:\\temp\\phöto (1).jpg', type: 'image/jpeg', body: 'jpeg' }]);
  const answer = await plain('', one.body, { headers: one.headers });
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual([answer.json.name, answer.json.content_type], ['ph_to (1).jpg', 'image/jpeg']);
  const two = form([{ name: 'a', filename: 'a.txt', body: 'A' }, { name: 'b', filename: 'b.txt', body: 'B' }, { name: 'c', filename: '..', body: 'C' }]);
  const files = (await plain('?name=two/', two.body, { headers: two.headers })).json.files;
  assert.deepEqual(files.slice(0, 2).map((f) => [f.name, f.size]), [['two/a.txt', 1], ['two/b.txt', 1]]);
  assert.match(files[2].name, /^two\/[0-9a-f-]{36}$/);
  assert.equal((await hers.get('two/b.txt')).text, 'B');
});

test('curl: what is refused, in our own dialect', async () => {
  isOurError(await plain('?name=a/../b', 'x'), 400, 'InvalidKey');
  isOurError(await alice.request('POST', '/api/storage/nowhere?name=x', 'x'), 404, 'NoSuchBucket');
  isOurError(await plain('?name=x', 'x', {}, bucketless), 401, 'no_api_key');
  isOurError(await plain('?name=denied', 'x', {}, s.a.anon), 403, 'AccessDenied');
  isOurError(await plain('?name=denied', 'x', {}, s.b.service), 404, 'NoSuchBucket');
  const { body, headers } = form([{ name: 'metadata', body: '{}' }]);
  isOurError(await plain('', body, { headers }), 400, 'InvalidRequest');
});

