// t/api/storage-buckets.mjs: /storage/v1/bucket: buckets, their rules, and who may make them
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { timestamp } from '../lib/expect.mjs';

const s = await stack({ settings: { 'storage.object_max': 100_000_000 } });
const { alice } = s;
const { service, anon } = s.a;
const create = (body, client = service) => client.request('POST', `/storage/v1/bucket`, body);
const get = (id, client = service) => client.request('GET', `/storage/v1/bucket/${encodeURIComponent(id)}`);
const update = (id, body, client = service) => client.request('PUT', `/storage/v1/bucket/${id}`, body);
const drop = (id, client = service, body = {}) => client.request('DELETE', `/storage/v1/bucket/${id}`, body);

test('a bucket is made, read, listed, changed and deleted', async () => {
  assert.deepEqual(good(await create({ id: 'one', name: 'one', public: true, file_size_limit: 1000, allowed_mime_types: ['image/png', 'text/*'] })), { name: 'one' });
  const one = good(await get('one'));
  assert.deepEqual({ ...one, created_at: 0, updated_at: 0 }, { id: 'one', name: 'one', owner: '', owner_id: null, public: true, file_size_limit: 1000, allowed_mime_types: ['image/png', 'text/*'], created_at: 0, updated_at: 0 });
  assert.match(one.created_at, timestamp);
  assert.equal('type' in one, false);
  const listed = good(await service.request('GET', `/storage/v1/bucket`)).find((b) => b.id === 'one');
  assert.equal(listed.type, 'STANDARD');
  assert.deepEqual(good(await update('one', { public: false })), { message: 'Successfully updated' });
  assert.deepEqual([good(await get('one')).public, good(await get('one')).file_size_limit], [false, 1000], 'what is absent stays');
  good(await update('one', { file_size_limit: null, allowed_mime_types: null }));
  const changed = good(await get('one'));
  assert.deepEqual([changed.file_size_limit, changed.allowed_mime_types], [null, null], 'null clears');
  assert.ok(changed.updated_at > one.updated_at);
  assert.deepEqual(good(await drop('one')), { message: 'Successfully deleted' });
  refused(await get('one'), 404, 'NoSuchBucket', { error: 'Bucket not found', message: 'Bucket not found' });
});

test('an id defaults to the name; duplicates are told', async () => {
  good(await create({ name: 'twice' }));
  assert.deepEqual([good(await get('twice')).id, good(await get('twice')).public], ['twice', false]);
  refused(await create({ name: 'twice' }), 409, 'BucketAlreadyExists', { error: 'Duplicate', message: 'The resource already exists' });
  refused(await create({ id: 'other id', name: 'twice' }), 409, 'BucketAlreadyExists');
  good(await s.b.service.request('POST', `/storage/v1/bucket`, { name: 'twice' }));
});

const names = [
  ['a', true], ['A_b!.*\'() &$@=;:+,?-9', true], ['x'.repeat(100), true], ['a..b', true],
  ['', false], ['x'.repeat(101), false], [' a', false], ['a ', false], ['a/b', false], ['a\\b', false], ['ü', false], ['a\nb', false], ['a#b', false], ['a%b', false], ['x--table-s3', false], ['a\u0000b', false],
];
for (const [name, fine] of names)
  test(`the name ${JSON.stringify(name.slice(0, 24))} is ${fine ? 'taken' : 'refused'}`, async () => {
    const answer = await create({ id: name, name });
    if (fine) return good(answer);
    if (name.includes('\0')) return assert.equal(answer.status, 400);
    refused(answer, 400, 'InvalidBucketName', { error: 'Invalid Input', message: 'Bucket name invalid' });
  });

const limits = [[0, 0], [1, 1], ['20B', 20], ['20kb', 20_000], ['20Mb', 20_000_000], ['77', 77], ['0.1GB', undefined], ['20TB', undefined], ['MB', undefined], ['-1', undefined], ['1 MB', undefined], ['9'.repeat(30), undefined]];
for (const [given, bytes] of limits)
  test(`a limit of ${JSON.stringify(given)}`, async () => {
    const name = `limit ${given}`.slice(0, 40);
    const answer = await create({ name, file_size_limit: given });
    if (bytes === undefined) return refused(answer, 400, 'InvalidRequest');
    good(answer);
    assert.equal(good(await get(name)).file_size_limit, bytes);
  });

test('limits that cannot be', async () => {
  refused(await create({ name: 'large', file_size_limit: '20GB' }), 413, 'EntityTooLarge', { error: 'Payload too large', message: 'The object exceeded the maximum allowed size' });
  refused(await create({ name: 'large', file_size_limit: -1 }), 400, 'InvalidRequest', { error: 'Error', message: 'body/file_size_limit must be >= 0' });
  refused(await create({ name: 'large', file_size_limit: 1.5 }), 400, 'InvalidRequest', { error: 'Error', message: 'body/file_size_limit must be integer' });
  refused(await get('large'), 404, 'NoSuchBucket');
});

const types = [['image/png', true], ['image/*', true], ['*/*', true], ['*', true], ['text/plain; charset=utf-8', true], ['application/vnd.api+json', true], ['png', false], ['image/', false], ['image/p*', false], ['image/png;x=y', false], ['a b/c', false], [`text/${'x'.repeat(1000)}`, false]];
for (const [type, fine] of types)
  test(`the type ${type.slice(0, 30)} is ${fine ? 'taken' : 'refused'}`, async () => {
    const answer = await create({ name: `t ${type.length} ${types.findIndex((t) => t[0] === type)}`, allowed_mime_types: ['', type] });
    if (fine) good(answer);
    else refused(answer, 415, 'InvalidMimeType', { error: 'invalid_mime_type', message: /^mime type .* is not supported$/ });
  });

const shapes = [
  [{}, "body must have required property 'name'"], [{ name: 5 }, 'body/name must be string'], [{ name: 'x', id: {} }, 'body/id must be string'],
  [{ name: 'x', public: 'yes' }, 'body/public must be boolean'], [{ name: 'x', allowed_mime_types: 'a/b' }, 'body/allowed_mime_types must be array'],
  [{ name: 'x', allowed_mime_types: ['a/b', 7] }, 'body/allowed_mime_types/1 must be string'], [{ name: 'x', type: 'ODD' }, /body\/type must be equal/], [[], 'body must be object'],
];
for (const [body, message] of shapes) test(`${JSON.stringify(body)} is refused`, async () => refused(await create(body), 400, 'InvalidRequest', { error: 'Error', message }));

test('what is not there is said so', async () => {
  refused(await create({ name: 'analytics', type: 'ANALYTICS' }), 409, 'FeatureNotEnabled', { error: 'FeatureNotEnabled' });
  refused(await create({ name: 'versions', versioning_status: 'ENABLED' }), 409, 'FeatureNotEnabled');
  refused(await create({ name: 'secretive', encrypted: true }), 409, 'FeatureNotEnabled');
  refused(await service.request('GET', `/storage/v1/bucket/twice/lifecycle`), 409, 'FeatureNotEnabled');
  refused(await service.request('PUT', `/storage/v1/bucket/twice/lifecycle`, {}), 409, 'FeatureNotEnabled');
  refused(await service.request('DELETE', `/storage/v1/bucket/twice/lifecycle`), 409, 'FeatureNotEnabled');
  refused(await service.request('POST', `/storage/v1/bucket`, '{"name": ', { headers: { 'content-type': 'application/json' } }), 400, 'InvalidRequest', { error: 'Error' });
  refused(await update('twice', {}), 400, 'InvalidRequest');
  refused(await update('nowhere', { public: true }), 404, 'NoSuchBucket');
});

test('lists: limit, offset, sorting, search', async () => {
  const list = async (query, client = s.b.service) => good(await client.request('GET', `/storage/v1/bucket${query}`)).map((b) => b.name);
  for (const name of ['pears', 'Apples', 'apricots_50']) good(await s.b.service.request('POST', `/storage/v1/bucket/`, { name }));
  good(await s.b.service.request('DELETE', `/storage/v1/bucket/twice`));
  assert.deepEqual((await list('?sortColumn=created_at&sortOrder=desc')), ['apricots_50', 'Apples', 'pears']);
  assert.deepEqual(await list('?sortColumn=name&limit=1&offset=1'), (await list('/')).slice(1, 2));
  assert.deepEqual((await list('?search=AP')).sort(), ['Apples', 'apricots_50']);
  assert.deepEqual(await list('?search=_'), ['apricots_50'], 'wildcards mean nothing');
  refused(await service.request('GET', `/storage/v1/bucket?limit=x`), 400, 'InvalidRequest', { message: 'querystring/limit must be integer' });
  refused(await service.request('GET', `/storage/v1/bucket?sortColumn=secret`), 400, 'InvalidRequest');
  refused(await service.request('GET', `/storage/v1/bucket?sortOrder=up`), 400, 'InvalidRequest');
});

test('policies on storage.buckets decide for everybody but the service role', async () => {
  refused(await create({ name: 'hers' }, alice), 403, 'AccessDenied', { error: 'Unauthorized', message: 'new row violates row-level security policy' });
  assert.deepEqual(good(await alice.request('GET', `/storage/v1/bucket`)), []);
  refused(await get('twice', alice), 404, 'NoSuchBucket');
  refused(await update('twice', { public: true }, alice), 404, 'NoSuchBucket');
  refused(await drop('twice', alice), 404, 'NoSuchBucket');
  await s.sql(`create policy "make" on storage.buckets for insert to authenticated with check (owner_id = auth.uid()::text and storage.operation() = 'storage.bucket.create')`);
  assert.deepEqual(good(await create({ name: 'hers' }, alice)), { name: 'hers' }, 'making one takes no right to see it');
  refused(await get('hers', alice), 404, 'NoSuchBucket');
  await s.sql(`create policy "see" on storage.buckets for select to authenticated using (owner_id = auth.uid()::text)`);
  assert.equal(good(await get('hers', alice)).owner, alice.user.id);
  refused(await get('hers', s.bob), 404, 'NoSuchBucket');
  refused(await update('hers', { public: true }, alice), 404, 'NoSuchBucket');
  refused(await drop('hers', alice), 404, 'NoSuchBucket');
  await s.sql(`create policy "change" on storage.buckets for update to authenticated using (owner_id = auth.uid()::text);
    create policy "drop" on storage.buckets for delete to authenticated using (owner_id = auth.uid()::text)`);
  good(await update('hers', { public: true }, alice));
  assert.equal(good(await get('hers', alice)).public, true);
  good(await drop('hers', alice));
  refused(await create({ name: 'anybodys' }, anon), 403, 'AccessDenied');
});

test('emptying and deleting', async () => {
  const full = await makeBucket(s.a, 'full');
  for (const name of ['a', 'b/c', 'b/d/e']) good(await full.put(name, 'x'));
  refused(await drop('full'), 409, 'ResourceNotEmpty', { error: 'ResourceNotEmpty' });
  refused(await alice.request('POST', `/storage/v1/bucket/full/empty`, {}), 403, 'AccessDenied', { status: 403 });
  refused(await anon.request('POST', `/storage/v1/bucket/full/empty`, {}), 403, 'AccessDenied', { status: 403 });
  refused(await service.request('POST', `/storage/v1/bucket/nowhere/empty`, {}), 404, 'NoSuchBucket');
  assert.deepEqual(good(await service.request('POST', `/storage/v1/bucket/full/empty`, '', { headers: { 'content-type': 'application/json' } })), { message: 'Empty bucket has been queued. Completion may take up to an hour.' });
  assert.deepEqual(good(await full.list()), []);
  good(await drop('full', service, ''));
  refused(await drop('full'), 404, 'NoSuchBucket');
});

test('buckets of two tenants are strangers', async () => {
  const mine = await makeBucket(s.a, 'mine');
  good(await mine.put('x', 'of a'));
  refused(await get('mine', s.b.service), 404, 'NoSuchBucket');
  refused(await update('mine', { public: true }, s.b.service), 404, 'NoSuchBucket');
  refused(await drop('mine', s.b.service), 404, 'NoSuchBucket');
  refused(await s.b.service.request('POST', `/storage/v1/bucket/mine/empty`, {}), 404, 'NoSuchBucket');
  const theirs = await makeBucket(s.b, 'mine');
  assert.deepEqual(good(await theirs.list()), []);
  refused(await theirs.get('x'), 404, 'NoSuchKey');
  assert.equal((await mine.get('x')).text, 'of a');
});

test('the service about itself', async () => {
  const nobody = s.client();
  assert.deepEqual(good(await nobody.request('GET', `/storage/v1/health`)), { healthy: true });
  const status = await nobody.request('GET', `/storage/v1/status`);
  assert.deepEqual([status.status, status.text], [200, '']);
  const version = await nobody.request('GET', `/storage/v1/version`);
  assert.equal(version.status, 200);
  assert.match(version.text, /^\d+\.\d+/);
  assert.deepEqual(good(await service.request('DELETE', `/storage/v1/cdn/mine`)), { message: 'success' });
  assert.deepEqual(good(await service.request('DELETE', `/storage/v1/cdn/mine/a/b?transformations=true`, {})), { message: 'success' });
  refused(await alice.request('DELETE', `/storage/v1/cdn/mine`), 403, 'AccessDenied', { status: 403 });
  refused(await alice.request('DELETE', `/storage/v1/cdn/mine/a`), 403, 'AccessDenied', { status: 403 });
});
