// t/api/tus.mjs: resumable uploads: what tus 1.0.0 and its extensions ask for, who may, and how much
//
// At /storage/v1/upload/resumable, /storage/v1/upload/resumable/{id}, and /storage/v1/upload/resumable/sign with what is below it
// (/storage/v1/upload/resumable/sign/{id}), for which t/sdk/tus.mjs has the tokens.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { base, create, encode, head, patch, remove, slowly } from '../lib/tus.mjs';

const s = await stack({ settings: { 'storage.object_max': 1_000_000 } });
const { alice, bob, stranger, a, b } = s;
await s.sql(`
insert into storage.buckets (tenant_id, id, name, public, file_size_limit, allowed_mime_types)
select t.id, x.* from (values ('${a.id}'::uuid), ('${b.id}'::uuid)) as t (id),
  (values ('docs', 'docs', false, null::bigint, null::text[]), ('small', 'small', false, 100, null), ('images', 'images', false, null, '{image/*}'::text[]),
          ('closed', 'closed', false, null, null)) as x (id, name, public, size, types);
create policy "people write" on storage.objects to authenticated
  using (bucket_id <> 'closed' and owner_id = (select auth.uid())::text) with check (bucket_id <> 'closed' and owner_id = (select auth.uid())::text);
`);

const row = async (name, bucket = 'docs', tenant = a) =>
  (await s.rows(`select id, name, owner_id, size, version, metadata, user_metadata, encode(sha256, 'hex') as sha256 from storage.objects
                  where tenant_id = '${tenant.id}' and bucket_id = '${bucket}' and name = '${name}'`))[0];
const bytesOf = ({ version }) => fs.readFileSync(fs.readdirSync(path.join(s.storageDir, 'objects'), { recursive: true, withFileTypes: true })
  .filter((f) => f.name === version).map((f) => path.join(f.parentPath, f.name))[0]);
const staged = () => fs.readdirSync(path.join(s.storageDir, 'staging'), { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).length;
const uploads = async () => Number((await s.rows('select count(*) as n from storage.uploads where finished_at is null'))[0].n);

test('OPTIONS says what is offered, to anybody', async () => {
  for (const path of [base, `${base}/`, `${base}/x`, `${base}/sign`, `${base}/sign/x`]) {
    const answer = await s.client().request('OPTIONS', path);
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['tus-resumable'], '1.0.0');
    assert.equal(answer.headers['tus-version'], '1.0.0');
    assert.deepEqual(answer.headers['tus-extension'].split(',').sort(),
      ['checksum', 'creation', 'creation-defer-length', 'creation-with-upload', 'expiration', 'termination']);
    assert.equal(answer.headers['tus-max-size'], '1000000');
    assert.deepEqual(answer.headers['tus-checksum-algorithm'].split(',').sort(), ['crc32', 'md5', 'sha1', 'sha256']);
  }
});

test('a browser may send and read every field', async () => {
  const asked = ['authorization', 'apikey', 'x-upsert', 'tus-resumable', 'upload-length', 'upload-metadata', 'upload-offset', 'upload-checksum',
    'upload-defer-length', 'content-type', 'x-http-method-override', 'x-signature'];
  const preflight = await s.client({ origin: 'https://app.example', 'access-control-request-method': 'PATCH', 'access-control-request-headers': asked.join(',') })
    .request('OPTIONS', base);
  assert.equal(preflight.status, 204);
  const allowed = preflight.headers['access-control-allow-headers'].split(', ');
  for (const field of asked) assert.ok(allowed.includes(field), field);
  for (const method of ['POST', 'HEAD', 'PATCH', 'DELETE']) assert.ok(preflight.headers['access-control-allow-methods'].includes(method), method);
  const { answer } = await create(alice, { name: 'browser', length: 3 });
  const exposed = answer.headers['access-control-expose-headers'].split(', ');
  for (const field of ['location', 'upload-offset', 'upload-length', 'upload-expires', 'tus-resumable', 'tus-version', 'tus-extension', 'tus-max-size'])
    assert.ok(exposed.includes(field), field);
});

test('an upload in three pieces', async () => {
  const bytes = randomBytes(30_000);
  const made = await create(alice, { name: 'folder/three.bin', length: bytes.length, metadata: { contentType: 'application/x-own', cacheControl: '60', metadata: '{"a":1}' } });
  assert.equal(made.status, 201, made.answer.text);
  assert.ok(made.answer.headers.location.startsWith(`${s.origin}${base}/`), 'Location is absolute');
  assert.equal(made.answer.headers['tus-resumable'], '1.0.0');
  assert.ok(Date.parse(made.answer.headers['upload-expires']) > Date.now());
  assert.equal(await row('folder/three.bin'), undefined);

  for (const [from, to] of [[0, 10_000], [10_000, 29_999]]) {
    const { status, offset, answer } = await patch(alice, made.path, from, bytes.subarray(from, to));
    assert.deepEqual([status, offset], [204, to]);
    assert.ok(answer.headers['upload-expires']);
    assert.equal(await row('folder/three.bin'), undefined, 'there is no row before all is there');
    const at = await head(alice, made.path);
    assert.deepEqual([at.status, at.offset, at.answer.headers['upload-length']], [200, to, '30000']);
    assert.equal(at.answer.headers['cache-control'], 'no-store');
    assert.match(at.answer.headers['upload-metadata'], /^bucketName ZG9jcw==,/);
  }
  const last = await patch(alice, made.path, 29_999, bytes.subarray(29_999));
  assert.deepEqual([last.status, last.offset], [204, 30_000], last.text);

  const object = await row('folder/three.bin');
  assert.equal(object.sha256, createHash('sha256').update(bytes).digest('hex'));
  assert.deepEqual(bytesOf(object), bytes);
  assert.equal(object.owner_id, alice.user.id);
  assert.equal(object.metadata.cacheControl, 'max-age=60');
  assert.equal(object.metadata.mimetype, 'application/x-own');
  assert.deepEqual(object.user_metadata, { a: 1 });

  const after = await head(alice, made.path);
  assert.deepEqual([after.status, after.offset], [200, 30_000], 'a finished one still says how far it is');
  const again = await patch(alice, made.path, 30_000, Buffer.alloc(0));
  assert.deepEqual([again.status, again.offset], [204, 30_000], 'who has missed the last answer gets it');
  assert.equal((await patch(alice, made.path, 29_999, bytes.subarray(29_999))).status, 409);
  assert.equal((await patch(alice, made.path, 30_000, Buffer.from('x'))).status, 413, 'and nothing can be added');
  assert.equal((await remove(alice, made.path)).status, 400, 'nor can it be given up');
  assert.equal((await row('folder/three.bin')).version, object.version);
});

test('what is refused, and that it changes nothing', async (t) => {
  const made = await create(alice, { name: 'refused', length: 10 });
  await patch(alice, made.path, 0, Buffer.from('01234'));
  const requests = [
    ['no version', () => patch(alice, made.path, 5, 'x', { 'tus-resumable': null }), 412],
    ['another version', () => patch(alice, made.path, 5, 'x', { 'tus-resumable': '0.2.2' }), 412],
    ['HEAD without version', () => head(alice, made.path, { 'tus-resumable': null }), 412],
    ['DELETE without version', () => remove(alice, made.path, { 'tus-resumable': null }), 412],
    ['another type', () => patch(alice, made.path, 5, 'x', { 'content-type': 'application/octet-stream' }), 415],
    ['no type', () => patch(alice, made.path, 5, 'x', { 'content-type': null }), 415],
    ['no offset', () => patch(alice, made.path, 5, 'x', { 'upload-offset': null }), 400],
    ['an offset that is no number', () => patch(alice, made.path, '-5', 'x'), 400],
    ['an offset that is too small', () => patch(alice, made.path, 4, 'x'), 409],
    ['an offset that is too large', () => patch(alice, made.path, 6, 'x'), 409],
    ['more than the length', () => patch(alice, made.path, 5, '567890'), 413],
    ['another length', () => patch(alice, made.path, 5, 'x', { 'upload-length': '11' }), 400],
    ['a checksum of a kind that we do not know', () => patch(alice, made.path, 5, 'x', { 'upload-checksum': 'sha9 eA==' }), 400],
    ['a checksum of the wrong size', () => patch(alice, made.path, 5, 'x', { 'upload-checksum': 'sha1 eA==' }), 400],
    ['an upload that is not there', () => patch(alice, `${base}/018f0000-0000-4000-8000-000000000000`, 0, 'x'), 404],
    ['an id that is none', () => patch(alice, `${base}/..%2f..%2fetc`, 0, 'x'), 404],
    ['nobody', () => patch(s.client(), made.path, 5, 'x'), 401],
    ['another person', () => patch(bob, made.path, 5, 'x'), 404],
    ['another person looks', () => head(bob, made.path), 404],
    ['another person gives it up', () => remove(bob, made.path), 404],
    ['another tenant', () => patch(stranger, made.path, 5, 'x'), 404],
    ['another tenant\'s secret key', () => patch(b.service, made.path, 5, 'x'), 404],
    ['the publishable key', () => patch(a.anon, made.path, 5, 'x'), 404],
    ['GET', async () => alice.request('GET', made.path, undefined, { headers: { 'tus-resumable': '1.0.0' } }), 405],
  ];
  for (const [name, send, status] of requests)
    await t.test(name, async () => {
      const answer = await send();
      assert.equal(answer.status, status, answer.text);
      const headers = answer.headers ?? answer.answer.headers;
      assert.equal(headers['tus-resumable'], '1.0.0');
      if (status === 412) assert.equal(headers['tus-version'], '1.0.0');
    });
  const at = await head(alice, made.path);
  assert.equal(at.offset, 5);
  assert.equal((await patch(alice, made.path, 5, '56789')).status, 204);
  assert.equal(bytesOf(await row('refused')).toString(), '0123456789');
});

test('creations that are refused', async (t) => {
  const before = await uploads();
  const files = staged();
  const cases = [
    ['no length', { name: 'x' }, 400],
    ['both lengths', { name: 'x', length: 1, defer: true }, 400],
    ['a negative length', { name: 'x', length: -1 }, 400],
    ['a deferred length of 2', { name: 'x', headers: { 'upload-defer-length': '2' } }, 400],
    ['no metadata', { name: 'x', length: 1, headers: { 'upload-metadata': null } }, 400],
    ['no name', { length: 1, headers: { 'upload-metadata': encode({ bucketName: 'docs' }) } }, 400],
    ['no bucket', { length: 1, headers: { 'upload-metadata': encode({ objectName: 'x' }) } }, 400],
    ['metadata that is not base64', { length: 1, headers: { 'upload-metadata': 'bucketName ***,objectName eA==' } }, 400],
    ['a name twice', { length: 1, headers: { 'upload-metadata': `${encode({ bucketName: 'docs', objectName: 'x' })},objectName eA==` } }, 400],
    ['a name with ..', { name: '../x', length: 1 }, 400],
    ['a name with %', { name: 'a%b', length: 1 }, 400],
    ['metadata that is no JSON', { name: 'x', length: 1, metadata: { metadata: '{' } }, 400],
    ['metadata that is no object', { name: 'x', length: 1, metadata: { metadata: '[1]' } }, 400],
    ['a type with a line end', { name: 'x', length: 1, metadata: { contentType: 'a/b\r\nx: y' } }, 400],
    ['concatenation', { name: 'x', length: 1, headers: { 'upload-concat': 'partial' } }, 400],
    ['a bucket that is not there', { bucket: 'nowhere', name: 'x', length: 1 }, 404],
    ['a bucket that a policy closes', { bucket: 'closed', name: 'x', length: 1 }, 403],
    ['more than a file may have', { name: 'x', length: 1_000_001 }, 413],
    ['more than the bucket takes', { bucket: 'small', name: 'x', length: 101 }, 413],
    ['a type that the bucket does not take', { bucket: 'images', name: 'x', length: 1, metadata: { contentType: 'text/plain' } }, 415],
    ['a body of another type', { name: 'x', length: 1, body: 'x', headers: { 'content-type': 'text/plain' } }, 415],
    ['a body that is longer', { name: 'x', length: 1, body: 'xx' }, 413],
    ['another version', { name: 'x', length: 1, headers: { 'tus-resumable': '2.0.0' } }, 412],
  ];
  for (const [name, options, status] of cases)
    await t.test(name, async () => {
      const { answer } = await create(alice, options);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.headers['content-type'], /^text\/plain/);
      assert.equal(answer.headers['tus-resumable'], '1.0.0');
    });
  await t.test('nobody', async () => assert.equal((await create(s.client(), { name: 'x', length: 1 })).status, 401));
  await t.test('a publishable key without a policy', async () => assert.equal((await create(a.anon, { name: 'x', length: 1 })).status, 403));
  assert.equal(await uploads(), before);
  assert.equal(staged(), files);
});

test('a name that is taken', async () => {
  const first = await create(alice, { name: 'taken', length: 1 });
  const second = await create(alice, { name: 'taken', length: 1 });
  assert.deepEqual([first.status, second.status], [201, 201], 'both may begin');
  assert.equal((await patch(alice, first.path, 0, '1')).status, 204);
  assert.equal((await patch(alice, second.path, 0, '2')).status, 409, 'who comes second finds it taken');
  assert.equal(bytesOf(await row('taken')).toString(), '1');
  assert.equal((await create(alice, { name: 'taken', length: 1 })).status, 409);
  const over = await create(alice, { name: 'taken', length: 1, headers: { 'x-upsert': 'true' } });
  assert.equal((await patch(alice, over.path, 0, '3')).status, 204);
  assert.equal(bytesOf(await row('taken')).toString(), '3');
});

test('uploads of one name at the same time: one wins', async () => {
  const made = await Promise.all(Array.from({ length: 6 }, () => create(alice, { name: 'race', length: 4 })));
  const answers = await Promise.all(made.map(({ path }, i) => patch(alice, path, 0, String(i).repeat(4))));
  const won = answers.findIndex(({ status }) => status === 204);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [204, 409, 409, 409, 409, 409]);
  assert.equal(bytesOf(await row('race')).toString(), String(won).repeat(4));
});

test('creation with upload', async () => {
  assert.equal((await create(alice, { name: 'with/slash', length: 1, body: 'x', path: `${base}/` })).offset, 1);
  const whole = await create(alice, { name: 'with/whole', length: 5, body: 'hello' });
  assert.deepEqual([whole.status, whole.offset], [201, 5], whole.answer.text);
  assert.equal(bytesOf(await row('with/whole')).toString(), 'hello');
  const part = await create(alice, { name: 'with/part', length: 5, body: 'he' });
  assert.deepEqual([part.status, part.offset], [201, 2]);
  assert.deepEqual((({ status, offset }) => [status, offset])(await patch(alice, part.path, 2, 'llo')), [204, 5]);
  assert.equal(bytesOf(await row('with/part')).toString(), 'hello');
});

test('an empty file is there at once', async () => {
  const made = await create(alice, { name: 'empty', length: 0 });
  assert.equal(made.status, 201, made.answer.text);
  assert.equal(Number((await row('empty')).size), 0);
  assert.equal((await head(alice, made.path)).offset, 0);
});

test('a length that is said later', async () => {
  const made = await create(alice, { name: 'deferred', defer: true });
  assert.equal(made.status, 201);
  const first = await head(alice, made.path);
  assert.equal(first.answer.headers['upload-defer-length'], '1');
  assert.equal(first.answer.headers['upload-length'], undefined);
  assert.equal((await patch(alice, made.path, 0, 'abc')).offset, 3);
  assert.equal((await patch(alice, made.path, 3, '', { 'upload-length': '2' })).status, 400, 'less than is there');
  assert.equal((await patch(alice, made.path, 3, 'de', { 'upload-length': '6' })).offset, 5);
  assert.equal((await head(alice, made.path)).answer.headers['upload-length'], '6');
  assert.equal((await patch(alice, made.path, 5, 'f', { 'upload-length': '7' })).status, 400, 'it is said once');
  assert.equal((await patch(alice, made.path, 5, 'f')).offset, 6);
  assert.equal(bytesOf(await row('deferred')).toString(), 'abcdef');

  const exact = await create(alice, { name: 'deferred/exact', defer: true });
  assert.equal((await patch(alice, exact.path, 0, 'abc')).offset, 3);
  assert.deepEqual((({ status, offset }) => [status, offset])(await patch(alice, exact.path, 3, '', { 'upload-length': '3' })), [204, 3]);
  assert.equal(bytesOf(await row('deferred/exact')).toString(), 'abc');

  const large = await create(alice, { bucket: 'small', name: 'large', defer: true });
  assert.equal((await patch(alice, large.path, 0, Buffer.alloc(60))).status, 204);
  assert.equal((await patch(alice, large.path, 60, Buffer.alloc(41))).status, 413, 'the bucket\'s limit holds');
  const slow = slowly(alice, large.path, 60);
  await slow.write(Buffer.alloc(41));
  slow.end();
  assert.equal((await slow.answer).status, 413, 'also where nobody says how much comes');
  assert.equal((await head(alice, large.path)).offset, 60);
});

test('checksums', async () => {
  const bytes = randomBytes(5000);
  const big = Buffer.alloc(4);
  big.writeUInt32BE(crc32(bytes));
  const sums = { sha1: createHash('sha1').update(bytes).digest(), sha256: createHash('sha256').update(bytes).digest(), md5: createHash('md5').update(bytes).digest(), crc32: big };
  for (const [name, sum] of Object.entries(sums)) {
    const made = await create(alice, { name: `sum/${name}`, length: 10_000 });
    const wrong = Buffer.from(sum);
    wrong[0] ^= 1;
    const refused = await patch(alice, made.path, 0, bytes, { 'upload-checksum': `${name} ${wrong.toString('base64')}` });
    assert.equal(refused.status, 460);
    assert.equal((await head(alice, made.path)).offset, 0, 'the piece is dropped');
    assert.equal((await patch(alice, made.path, 0, bytes, { 'upload-checksum': `${name} ${sum.toString('base64')}` })).offset, 5000);
    assert.equal((await patch(alice, made.path, 5000, bytes, { 'upload-checksum': `${name} ${wrong.toString('base64')}` })).status, 460);
    assert.equal((await patch(alice, made.path, 5000, bytes)).offset, 10_000);
    assert.deepEqual(bytesOf(await row(`sum/${name}`)), Buffer.concat([bytes, bytes]));
  }
  const made = await create(alice, { name: 'sum/broken', length: 10_000 });
  const slow = slowly(alice, made.path, 0, { length: 5000, headers: { 'upload-checksum': `md5 ${sums.md5.toString('base64')}` } });
  await slow.write(bytes.subarray(0, 2000));
  slow.cut();
  await eventually('nothing of a piece that broke off', async () => (await head(alice, made.path)).offset === 0);
  assert.equal((await patch(alice, made.path, 0, bytes, { 'upload-checksum': `md5 ${sums.md5.toString('base64')}` })).offset, 5000);
});

test('giving an upload up', async () => {
  const before = staged();
  const made = await create(alice, { name: 'given-up', length: 5 });
  await patch(alice, made.path, 0, 'ab');
  assert.equal(staged(), before + 1);
  const answer = await remove(alice, made.path);
  assert.equal(answer.status, 204);
  assert.equal(answer.headers['tus-resumable'], '1.0.0');
  assert.equal(staged(), before, 'its bytes are gone');
  assert.equal((await head(alice, made.path)).status, 404);
  assert.equal((await patch(alice, made.path, 2, 'cde')).status, 404);
  assert.equal((await remove(alice, made.path)).status, 404);
});

test('the method may be in a field, and PUT is PATCH', async () => {
  const made = await create(alice, { name: 'override', length: 4 });
  assert.equal((await patch(alice, made.path, 0, 'a', { 'x-http-method-override': 'PATCH' }, 'POST')).offset, 1);
  assert.equal((await patch(alice, made.path, 1, 'b', {}, 'PUT')).offset, 2);
  assert.equal((await alice.request('POST', made.path, undefined, { headers: { 'tus-resumable': '1.0.0', 'x-http-method-override': 'HEAD' } })).headers['upload-offset'], '2');
  assert.equal((await alice.request('POST', made.path, undefined, { headers: { 'tus-resumable': '1.0.0' } })).status, 405);
  const gone = await alice.request('POST', made.path, undefined, { headers: { 'tus-resumable': '1.0.0', 'x-http-method-override': 'DELETE' } });
  assert.equal(gone.status, 204);
});

test('an upload expires', async () => {
  const made = await create(alice, { name: 'expires', length: 5 });
  await s.sql(`update storage.uploads set expires_at = now() + interval '5 seconds' where name = 'expires'`);
  const { answer } = await patch(alice, made.path, 0, 'ab');
  assert.ok(Date.parse(answer.headers['upload-expires']) > Date.now() + 3_600_000, 'each piece gives it more time');
  await s.sql(`update storage.uploads set expires_at = now() where name = 'expires'`);
  for (const answer of [await head(alice, made.path), await patch(alice, made.path, 2, 'cde'), await remove(alice, made.path)])
    assert.equal(answer.status, 410);
  const [{ staging_id }] = await s.rows(`select staging_id from storage.uploads where name = 'expires'`);
  const ended = await s.rows(`select * from storage.expire_uploads(10)`);
  assert.ok(ended.some((e) => e.staging_id === staging_id && e.tenant_id === a.id));
  assert.equal((await head(alice, made.path)).status, 404);
});

test('policies are asked again for each piece', async () => {
  const made = await create(alice, { name: 'policy/x', length: 4 });
  assert.equal((await patch(alice, made.path, 0, 'ab')).status, 204);
  await s.sql(`create policy "not now" on storage.objects as restrictive for insert to authenticated with check (name not like 'policy/%')`);
  assert.equal((await patch(alice, made.path, 2, 'cd')).status, 403);
  assert.equal((await create(alice, { name: 'policy/y', length: 4 })).status, 403);
  await s.sql(`drop policy "not now" on storage.objects`);
  assert.equal((await patch(alice, made.path, 2, 'cd')).status, 204, 'what was refused has changed nothing');
  assert.equal(bytesOf(await row('policy/x')).toString(), 'abcd');
});

test('policies can tell what is done', async () => {
  await s.sql(`create policy "no parts" on storage.objects as restrictive for insert to authenticated
    with check (name not like 'operation/%' or storage.operation() <> 'storage.tus.upload.part')`);
  const made = await create(alice, { name: 'operation/x', length: 4 });
  assert.equal(made.status, 201, made.answer.text);
  assert.equal((await patch(alice, made.path, 0, 'abcd')).status, 403);
  await s.sql(`drop policy "no parts" on storage.objects`);
});

test('the secret key goes on with anybody\'s', async () => {
  const made = await create(alice, { name: 'helped', length: 2 });
  assert.equal((await patch(a.service, made.path, 0, 'a')).offset, 1);
  assert.equal((await head(a.service, made.path)).offset, 1);
});

test('two tenants may have the same names', async () => {
  const [mine, theirs] = [await create(alice, { name: 'same', length: 1 }), await create(stranger, { name: 'same', length: 1 })];
  assert.equal((await patch(alice, mine.path, 0, '1')).status, 204);
  assert.equal((await patch(stranger, theirs.path, 0, '2')).status, 204);
  assert.equal(bytesOf(await row('same')).toString(), '1');
  assert.equal(bytesOf(await row('same', 'docs', b)).toString(), '2');
  assert.equal((await head(stranger, mine.path)).status, 404);
});

test('what is announced counts towards the quota', async () => {
  await s.sql(`insert into storage.quotas (tenant_id, user_bytes) values ('${b.id}', 1000)`);
  const first = await create(stranger, { name: 'quota/1', length: 600 });
  assert.equal(first.status, 201, first.answer.text);
  assert.equal((await create(stranger, { name: 'quota/2', length: 600 })).status, 413, 'two of them would not fit');
  assert.equal((await remove(stranger, first.path)).status, 204);
  const second = await create(stranger, { name: 'quota/2', length: 600 });
  assert.equal(second.status, 201);
  assert.equal((await patch(stranger, second.path, 0, Buffer.alloc(600))).status, 204);
  assert.equal((await create(stranger, { name: 'quota/3', length: 600 })).status, 413);
  await s.sql(`delete from storage.quotas`);
});

/* A body whose length nobody has said, as one piece. */
async function untold(client, path, offset, bytes, { method, headers } = {}) {
  const slow = slowly(client, path, offset, { method, headers: { 'transfer-encoding': 'chunked', ...headers } });
  slow.end(bytes);
  return slow.answer;
}
async function bytesStaged(name) {
  const [{ tenant_id, staging_id }] = await s.rows(`select tenant_id, staging_id from storage.uploads where name = '${name}'`);
  return fs.statSync(path.join(s.storageDir, 'staging', tenant_id, staging_id)).size;
}

test('what has come counts towards the quota where no length was said', async () => {
  await s.sql(`insert into storage.quotas (tenant_id, user_bytes) values ('${b.id}',
    (select coalesce(sum(bytes), 0) + 1000 from storage.usage where tenant_id = '${b.id}' and owner_id = '${stranger.user.id}'))`);
  await s.sql(`delete from storage.uploads`);
  const [first, second] = [await create(stranger, { name: 'untold/1', defer: true }), await create(stranger, { name: 'untold/2', defer: true })];
  assert.deepEqual([first.status, second.status], [201, 201], 'nothing has come yet');
  assert.equal((await patch(stranger, first.path, 0, Buffer.alloc(1001))).status, 413, 'what a piece announces counts before it comes');
  assert.equal((await head(stranger, first.path)).offset, 0);
  const over = await untold(stranger, first.path, 0, Buffer.alloc(500_000));
  assert.equal(over.status, 413, over.text);
  assert.match(over.text, /quota/);
  assert.equal((await head(stranger, first.path)).offset, 0);
  assert.equal(await bytesStaged('untold/1'), 0, 'what does not count is not kept either');
  const summed = { 'upload-checksum': `sha256 ${createHash('sha256').update(Buffer.alloc(2000)).digest('base64')}` };
  assert.equal((await untold(stranger, first.path, 0, Buffer.alloc(2000), { headers: summed })).status, 413, 'nor with a checksum');
  assert.equal(await bytesStaged('untold/1'), 0);
  assert.equal((await untold(stranger, first.path, 0, Buffer.alloc(600))).status, 204);
  assert.equal((await patch(stranger, second.path, 0, Buffer.alloc(600))).status, 413, 'both would not fit');
  assert.equal((await untold(stranger, second.path, 0, Buffer.alloc(600))).status, 413);
  assert.equal((await create(stranger, { name: 'untold/3', length: 600 })).status, 413);
  assert.equal((await patch(stranger, first.path, 600, '', { 'upload-length': '1001' })).status, 413, 'a length that is said later');
  assert.equal((await untold(stranger, base, 0, Buffer.alloc(600), { method: 'POST', headers: {
    'upload-defer-length': '1', 'upload-metadata': encode({ bucketName: 'docs', objectName: 'untold/4' }) } })).status, 413, 'creation with upload');
  assert.equal((await s.rows(`select count(*)::int as n from storage.uploads where name = 'untold/4'`))[0].n, 0);
  assert.equal((await patch(stranger, first.path, 600, Buffer.alloc(400), { 'upload-length': '1000' })).status, 204, 'what fits is taken');
  assert.equal((await patch(stranger, second.path, 0, '', { 'upload-length': '0' })).status, 204);
  await s.sql(`delete from storage.quotas`);
});

test('agents go on with uploads of their person in the buckets of their scopes', async () => {
  const agent = async (...scopes) => {
    const { id } = await bob.post('/auth/v1/agents', { name: scopes.join(' '), scopes });
    return s.client({ apikey: (await bob.post(`/auth/v1/agents/${id}/keys`, {})).key });
  };
  const made = await create(bob, { name: 'of-bob', length: 4 });
  for (const scopes of [['data:x:read'], ['storage:docs:read'], ['storage:small:write'], ['storage:buckets:write']]) {
    const other = await agent(...scopes);
    for (const send of [() => head(other, made.path), () => patch(other, made.path, 0, 'x'), () => remove(other, made.path)])
      assert.equal((await send()).status, 404, scopes[0]);
  }
  assert.equal((await head(bob, made.path)).offset, 0);
  const helper = await agent('storage:docs:write');
  assert.equal((await head(helper, made.path)).offset, 0);
  assert.equal((await remove(helper, made.path)).status, 204);
});

test('an upload of nobody is the secret key\'s', async () => {
  const made = await create(a.service, { name: 'of-nobody', length: 4 });
  assert.equal(made.status, 201, made.answer.text);
  for (const client of [a.anon, alice, b.service])
    for (const send of [() => head(client, made.path), () => patch(client, made.path, 0, 'abcd'), () => remove(client, made.path)])
      assert.equal((await send()).status, 404);
  assert.equal((await patch(a.service, made.path, 0, 'abcd')).status, 204);
  assert.equal((await row('of-nobody')).owner_id, null);

  await s.sql(`create policy "all may bring" on storage.objects for insert to anon with check (name like 'dropped/%')`);
  for (const options of [{ length: 4 }, { length: 4, body: 'ab' }, { defer: true }, { defer: true, body: 'ab' }])
    assert.equal((await create(a.anon, { name: 'dropped/part', ...options })).status, 403, 'who has no name cannot go on');
  const whole = await create(a.anon, { name: 'dropped/whole', length: 4, body: 'abcd' });
  assert.equal(whole.status, 201, whole.answer.text);
  assert.equal(bytesOf(await row('dropped/whole')).toString(), 'abcd');
  await s.sql(`drop policy "all may bring" on storage.objects`);
});

test('a signed token is for its tenant, wherever another one is given as well', async () => {
  const signed = async (tenant, name) =>
    (await tenant.service.request('POST', `/storage/v1/object/upload/sign/docs/${name}`, {}, { headers: { 'x-upsert': 'true' } })).json.token;
  await a.service.request('POST', '/storage/v1/object/docs/shared', 'of a', { headers: { 'content-type': 'text/plain' } });
  const read = (await a.service.request('POST', '/storage/v1/object/sign/docs/shared', { expiresIn: 600 })).json.signedURL.split('token=')[1];
  const [mine, theirs, anybody] = [await signed(a, 'shared'), await signed(b, 'shared'), s.client()];
  const by = (token) => ({ 'x-signature': token });

  const own = await create(anybody, { name: 'shared', length: 4, headers: by(mine), path: `${base}/sign` });
  assert.equal(own.status, 201, own.answer.text);
  const where = new URL(own.answer.headers.location).pathname;
  for (const token of [read, mine]) {
    const to = `?token=${token}`;
    const made = await create(anybody, { name: 'shared', length: 4, body: 'of b', headers: by(theirs), path: `${base}/sign${to}` });
    assert.equal(made.status, 201, 'the address does not count: it is in the tenant of the header');
    assert.equal((await create(anybody, { name: 'shared', length: 4, path: `${base}/sign${to}` })).status, 400, 'nor is it a signature');
    for (const send of [() => head(anybody, where + to, by(theirs)), () => patch(anybody, where + to, 0, 'of b', by(theirs)), () => remove(anybody, where + to, by(theirs))])
      assert.equal((await send()).status, 404);
  }
  assert.equal(bytesOf(await row('shared')).toString(), 'of a');
  assert.equal(bytesOf(await row('shared', 'docs', b)).toString(), 'of b');
  assert.deepEqual([(await head(anybody, where, by(mine))).status, (await patch(anybody, where, 0, 'OF A', by(mine))).status], [200, 204]);
  assert.equal(bytesOf(await row('shared')).toString(), 'OF A');
});

test('a refused request with a large body is answered at once, and its thread is free', async () => {
  const made = await create(alice, { name: 'refused/large', length: 900_000 });
  for (const [client, path, status] of [[alice, made.path, 409], [s.client(), made.path, 401], [alice, `${base}/018f0000-0000-4000-8000-000000000000`, 404], [alice, `${base}/a/b/c`, 404]]) {
    const slow = slowly(client, path, 7, { length: 800_000_000 });
    void slow.write(Buffer.alloc(3_000_000));
    assert.equal((await slow.answer).status, status, 'while the body is still being sent');
    await eventually('its thread', async () => /^tenon_threads_busy\{[^}]*pool="stream"[^}]*\} 0$/m.test(await (await fetch(s.metrics)).text()));
    slow.cut();
  }
  assert.equal((await head(alice, made.path)).offset, 0);
});
