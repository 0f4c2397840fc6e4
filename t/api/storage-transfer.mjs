// t/api/storage-transfer.mjs: moving, copying and removing files
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { uuid } from '../lib/expect.mjs';

const s = await stack();
const { alice, bob } = s;
const docs = await makeBucket(s.a, 'docs');
await makeBucket(s.a, 'other');
await s.sql(accessControl('docs') + accessControl('other'));
const hers = bucket(alice, 'docs');
const row = async (id, name) => (await s.rows(`select * from storage.objects where bucket_id = '${id}' and name = '${name}'`))[0];

test('move: the row keeps its id', async () => {
  good(await hers.put('m/one', 'one', { 'x-metadata': Buffer.from('{"k":1}').toString('base64'), 'cache-control': 'max-age=3' }));
  const before = await row('docs', 'm/one');
  assert.equal(good(await hers.move('m/one', 'm/two')).message, 'Successfully moved');
  refused(await hers.get('m/one'), 404, 'NoSuchKey');
  const got = await hers.get('m/two');
  assert.deepEqual([got.text, got.headers['cache-control']], ['one', 'max-age=3']);
  const after = await row('docs', 'm/two');
  assert.deepEqual([after.id, after.user_metadata], [before.id, { k: 1 }]);
  assert.equal(good(await hers.move('m/two', 'm/one', { destinationBucket: 'other' })).message, 'Successfully moved');
  assert.equal((await bucket(alice, 'other').get('m/one')).text, 'one');
  assert.equal((await row('other', 'm/one')).id, before.id);
});

test('move: what is in the way, missing, or the same', async () => {
  good(await hers.put('a', 'A'));
  good(await hers.put('b', 'B'));
  refused(await hers.move('a', 'b'), 409, 'KeyAlreadyExists', { error: 'Duplicate', message: 'The resource already exists' });
  refused(await hers.move('nothing', 'x'), 404, 'NoSuchKey', { error: 'not_found' });
  assert.equal(good(await hers.move('a', 'a')).message, 'Successfully moved');
  assert.equal((await hers.get('a')).text, 'A');
  refused(await hers.move('a', 'x/../y'), 400, 'InvalidKey');
  refused(await hers.move('a', ''), 400, 'InvalidKey');
  refused(await hers.move('a', 'x', { destinationBucket: 'nowhere' }), 404, 'NoSuchBucket');
  refused(await hers.move('a', 'x', { sourceVersionId: 'v' }), 409, 'FeatureNotEnabled');
});

test('copy: a row of its own', async () => {
  good(await hers.put('c/one', 'copy me', { 'content-type': 'text/css', 'x-metadata': Buffer.from('{"k":1}').toString('base64'), 'cache-control': 'max-age=3' }));
  const source = await row('docs', 'c/one');
  const answer = good(await hers.copy('c/one', 'c/two'));
  assert.deepEqual(Object.keys(answer), ['Id', 'Key', 'name', 'bucket_id', 'owner', 'owner_id', 'version', 'id', 'created_at', 'updated_at', 'last_accessed_at', 'metadata', 'user_metadata']);
  assert.match(answer.Id, uuid);
  assert.deepEqual([answer.Key, answer.name, answer.bucket_id, answer.owner, answer.owner_id, answer.id === answer.Id, answer.id === source.id], ['docs/c/two', 'c/two', 'docs', alice.user.id, alice.user.id, true, false]);
  assert.deepEqual([answer.user_metadata, answer.metadata.mimetype, answer.metadata.cacheControl], [{ k: 1 }, 'text/css', 'max-age=3']);
  good(await hers.remove('c/one'));
  assert.equal((await hers.get('c/two')).text, 'copy me');
});

test('copy: over another, into another bucket, with other metadata', async () => {
  good(await hers.put('d/one', 'new'));
  good(await hers.put('d/two', 'old'));
  refused(await hers.copy('d/one', 'd/two'), 409, 'KeyAlreadyExists', { error: 'Duplicate' });
  good(await hers.copy('d/one', 'd/two', {}, { 'x-upsert': 'true' }));
  assert.equal((await hers.get('d/two')).text, 'new');
  good(await hers.copy('d/one', 'd/one', { destinationBucket: 'other' }));
  assert.equal((await bucket(alice, 'other').get('d/one')).text, 'new');
  good(await hers.copy('d/one', 'd/three', { copyMetadata: false, metadata: { mimetype: 'text/css', cacheControl: 'max-age=9' } }, { 'x-metadata': Buffer.from('{"n":2}').toString('base64') }));
  const three = await row('docs', 'd/three');
  assert.deepEqual([three.metadata.mimetype, three.metadata.cacheControl, three.user_metadata], ['text/css', 'max-age=9', { n: 2 }]);
  good(await hers.copy('d/one', 'd/four', { copyMetadata: false }));
  assert.deepEqual((await row('docs', 'd/four')).user_metadata, {});
  refused(await hers.copy('nothing', 'x'), 404, 'NoSuchKey');
  refused(await hers.copy('d/one', 'x', { destinationBucket: 'nowhere' }), 404, 'NoSuchBucket');
  refused(await hers.copy('d/one', 'x\\y'), 400, 'InvalidKey');
});

test('a copy is checked by the rules of the bucket that it goes to', async () => {
  await makeBucket(s.a, 'tiny', { file_size_limit: 2, allowed_mime_types: ['image/*'] });
  await s.sql(accessControl('tiny'));
  good(await hers.put('e', 'xyz', { 'content-type': 'image/png' }));
  good(await hers.put('f', 'x', { 'content-type': 'text/plain' }));
  refused(await hers.copy('e', 'e', { destinationBucket: 'tiny' }), 413, 'EntityTooLarge');
  refused(await hers.copy('f', 'f', { destinationBucket: 'tiny' }), 415, 'InvalidMimeType');
  refused(await hers.move('e', 'e', { destinationBucket: 'tiny' }), 413, 'EntityTooLarge');
});

const shapes = [['move', { sourceKey: 'a', destinationKey: 'b' }, "body must have required property 'bucketId'"], ['copy', { bucketId: 'docs', destinationKey: 'b' }, "body must have required property 'sourceKey'"], ['move', { bucketId: 'docs', sourceKey: 'a' }, "body must have required property 'destinationKey'"], ['copy', { bucketId: 7, sourceKey: 'a', destinationKey: 'b' }, 'body/bucketId must be string'], ['copy', { bucketId: 'docs', sourceKey: 'a', destinationKey: 'b', copyMetadata: 'so' }, 'body/copyMetadata must be boolean']];
for (const [what, body, message] of shapes) test(`${what}: ${JSON.stringify(body)} is refused`, async () => refused(await alice.request('POST', `/storage/v1/object/${what}`, body), 400, 'InvalidRequest', { error: 'Error', message }));

test('remove: exact names; what is not there is missing from the answer', async () => {
  for (const name of ['r/1', 'r/2', 'r/3', 'r']) good(await hers.put(name, name));
  const gone = good(await hers.remove('r/1', 'r', 'nothing', 'r/2'));
  assert.deepEqual(gone.map((o) => o.name).sort(), ['r', 'r/1', 'r/2']);
  assert.deepEqual(Object.keys(gone[0]), ['name', 'bucket_id', 'owner', 'owner_id', 'version', 'id', 'created_at', 'updated_at', 'last_accessed_at', 'metadata', 'user_metadata']);
  assert.equal((await hers.get('r/3')).text, 'r/3');
  assert.deepEqual(good(await hers.remove('nothing')), []);
  assert.deepEqual(good(await bucket(s.a.anon, 'docs').remove('r/3')), [], 'who may not is not told');
  assert.deepEqual(good(await bucket(s.b.service, 'docs').remove('r/3')), []);
  refused(await hers.remove(), 400, 'InvalidRequest', { message: 'body/prefixes must NOT have fewer than 1 items' });
  refused(await alice.request('DELETE', `/storage/v1/object/docs`, {}), 400, 'InvalidRequest');
  refused(await hers.remove({ path: 'r/3', versionId: 'x' }), 400, 'InvalidRequest', { message: 'body/prefixes/0 must be string' });
  refused(await hers.remove(...Array(1001).fill('x')), 400, 'InvalidRequest');
});

test('remove one', async () => {
  good(await hers.put('one', '1'));
  assert.deepEqual(good(await hers.removeOne('one')), { message: 'Successfully deleted' });
  refused(await hers.removeOne('one'), 404, 'NoSuchKey', { error: 'not_found' });
  await docs.put('kept', 'x');
  await s.sql(`create policy "anon reads" on storage.objects for select to anon using (bucket_id = 'docs')`);
  refused(await bucket(s.a.anon, 'docs').removeOne('kept'), 403, 'AccessDenied', { error: 'Unauthorized' });
});

test('what each takes: policies', async () => {
  await makeBucket(s.a, 'own');
  await s.sql(`create policy "own add" on storage.objects for insert to authenticated with check (bucket_id = 'own' and owner_id = auth.uid()::text);
    create policy "own read" on storage.objects for select to authenticated using (bucket_id = 'own' and (owner_id = auth.uid()::text or name like 'shared/%'))`);
  const his = bucket(bob, 'own');
  good(await his.put('mine', 'x'));
  good(await bucket(s.a.service, 'own').put('shared/x', 'shared'));
  refused(await his.move('mine', 'moved'), 404, 'NoSuchKey');
  refused(await bucket(alice, 'own').copy('mine', 'stolen'), 404, 'NoSuchKey');
  refused(await bucket(alice, 'own').move('mine', 'stolen'), 404, 'NoSuchKey');
  good(await bucket(alice, 'own').copy('shared/x', 'hers'));
  assert.equal((await row('own', 'hers')).owner_id, alice.user.id);
  assert.deepEqual(good(await his.remove('mine')), []);
  await s.sql(`create policy "own edit" on storage.objects for update to authenticated using (bucket_id = 'own' and owner_id = auth.uid()::text) with check (bucket_id = 'own')`);
  good(await his.move('mine', 'moved'));
  await makeBucket(s.a, 'closed');
  refused(await his.move('moved', 'moved', { destinationBucket: 'closed' }), 403, 'AccessDenied', { error: 'Unauthorized' });
  refused(await his.copy('moved', 'moved', { destinationBucket: 'closed' }), 403, 'AccessDenied');
});
