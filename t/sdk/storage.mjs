// t/sdk/storage.mjs: every method of storage-js inside @supabase/supabase-js, unmodified: bodies of every kind, signed URLs, pages, errors
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { accessControl } from '../lib/storage.mjs';
import { password, stack } from '../lib/stack.mjs';

const s = await stack();
const options = { auth: { autoRefreshToken: false, persistSession: false } };
const admin = createClient(s.origin, s.a.secret, options).storage;
const visitor = createClient(s.origin, s.a.publishable, options).storage;
const alice = createClient(s.origin, s.a.publishable, options);
await alice.auth.signInWithPassword({ email: s.alice.email, password });
const ok = ({ data, error }) => {
  assert.equal(error, null, `${error?.message} ${JSON.stringify(error)}`);
  return data;
};
const fails = ({ data, error }, statusCode, message, code) => {
  assert.equal(data, null);
  assert.deepEqual([error.name, error.status, error.statusCode, error.message], ['StorageApiError', 400, statusCode, message]);
  if (code) assert.equal(error.code, code);
};
const uuid = /^[0-9a-f-]{36}$/;

ok(await admin.createBucket('docs'));
ok(await admin.createBucket('open', { public: true }));
await s.sql(accessControl('docs'));
const docs = alice.storage.from('docs');
const open = admin.from('open');
const textOf = async (name, from = docs) => ok(await from.download(name)).text();

/* --- buckets ---------------------------------------------------------------------------------------------------------------------- */

test('createBucket, getBucket, listBuckets, updateBucket, emptyBucket, deleteBucket', async () => {
  assert.deepEqual(ok(await admin.createBucket('made', { public: false, fileSizeLimit: '1MB', allowedMimeTypes: ['image/*'] })), { name: 'made' });
  const made = ok(await admin.getBucket('made'));
  assert.deepEqual([made.id, made.name, made.public, made.file_size_limit, made.allowed_mime_types], ['made', 'made', false, 1_000_000, ['image/*']]);
  assert.deepEqual(ok(await admin.listBuckets()).map((b) => b.id).sort(), ['docs', 'made', 'open']);
  assert.deepEqual(ok(await admin.listBuckets({ search: 'MA', limit: 5, offset: 0, sortColumn: 'created_at', sortOrder: 'desc' })).map((b) => [b.id, b.type]), [['made', 'STANDARD']]);
  assert.deepEqual(ok(await admin.updateBucket('made', { public: true, fileSizeLimit: null, allowedMimeTypes: null })), { message: 'Successfully updated' });
  ok(await admin.from('made').upload('a/b.txt', 'x'));
  fails(await admin.deleteBucket('made'), '409', 'The bucket you tried to delete is not empty', 'ResourceNotEmpty');
  assert.match(ok(await admin.emptyBucket('made')).message, /^Empty bucket has been queued/);
  assert.deepEqual(ok(await admin.deleteBucket('made')), { message: 'Successfully deleted' });
  fails(await admin.getBucket('made'), '404', 'Bucket not found', 'NoSuchBucket');
  fails(await admin.createBucket('docs'), '409', 'The resource already exists', 'BucketAlreadyExists');
  fails(await alice.storage.createBucket('hers'), '403', 'new row violates row-level security policy', 'AccessDenied');
});

test('purgeCache, purgeBucketCache, and what there is not', async () => {
  assert.deepEqual(ok(await open.purgeCache('a b.txt')), { message: 'success' });
  assert.deepEqual(ok(await admin.purgeBucketCache('open', { transformations: true })), { message: 'success' });
  fails(await admin.getBucketLifecycle('docs'), '409', 'This feature is not available here', 'FeatureNotEnabled');
});

/* --- uploads ---------------------------------------------------------------------------------------------------------------------- */

const bytes = randomBytes(100_000);
const file = path.join(s.dir, 'upload.bin');
writeFileSync(file, bytes);
const bodies = {
  Blob: () => [new Blob([bytes], { type: 'application/x-blob' }), {}, 'application/x-blob'],
  'Blob without a type': () => [new Blob([bytes]), {}, 'application/octet-stream'],
  File: () => [new File([bytes], 'f.bin', { type: 'application/x-file' }), { contentType: 'ignored/here' }, 'application/x-file'],
  FormData: () => {
    const form = new FormData();
    form.append('cacheControl', '60');
    form.append('file', new Blob([bytes], { type: 'application/x-form' }), 'name.bin');
    return [form, {}, 'application/x-form'];
  },
  Buffer: () => [bytes, { contentType: 'application/x-buffer' }, 'application/x-buffer'],
  Uint8Array: () => [new Uint8Array(bytes), { contentType: 'application/x-array' }, 'application/x-array'],
  ArrayBuffer: () => [new Uint8Array(bytes).buffer, { contentType: 'application/x-ab' }, 'application/x-ab'],
  'Node stream': () => [createReadStream(file), { contentType: 'application/x-node' }, 'application/x-node'],
  ReadableStream: () => [new Blob([bytes]).stream(), { contentType: 'application/x-web' }, 'application/x-web'],
};
for (const [name, make] of Object.entries(bodies))
  test(`upload: ${name}`, async () => {
    const [body, more, type] = make();
    const data = ok(await docs.upload(`kinds/${name}`, body, more));
    assert.deepEqual({ ...data, id: 0 }, { path: `kinds/${name}`, fullPath: `docs/kinds/${name}`, id: 0 });
    assert.match(data.id, uuid);
    const blob = ok(await docs.download(`kinds/${name}`));
    assert.deepEqual([blob.type, blob.size], [type, bytes.length]);
    assert.ok(Buffer.from(await blob.arrayBuffer()).equals(bytes));
  });

test('upload: a string, options, metadata', async () => {
  ok(await docs.upload('/text//a.txt/', 'some text', { cacheControl: '77', metadata: { snake_case: 'ü', nested: { n: 1 } } }));
  const info = ok(await docs.info('text/a.txt'));
  assert.deepEqual([info.name, info.bucketId, info.size, info.contentType, info.cacheControl, info.metadata], ['text/a.txt', 'docs', 9, 'text/plain;charset=UTF-8', 'max-age=77', { snakeCase: 'ü', nested: { n: 1 } }]);
  assert.match(info.version, uuid);
  for (const time of [info.createdAt, info.lastModified]) assert.ok(Number.isFinite(Date.parse(time)));
  ok(await docs.upload('blob.txt', new Blob(['x'], { type: 'text/css' }), { cacheControl: '5', metadata: { k: 'v' }, headers: { 'x-robots-tag': 'noindex' } }));
  const blob = ok(await docs.info('blob.txt'));
  assert.deepEqual([blob.cacheControl, blob.metadata, blob.contentType], ['max-age=5', { k: 'v' }, 'text/css']);
  ok(await docs.upload('packed.gz', Buffer.from('no gzip'), { contentEncoding: 'identity' }));
  assert.equal(ok(await docs.info('packed.gz')).contentEncoding, 'identity');
  ok(await docs.upload('packed.blob', new Blob(['no gzip']), { contentEncoding: 'identity' }));
  assert.equal(ok(await docs.info('packed.blob')).contentEncoding, 'identity');
  ok(await docs.upload('form', new URLSearchParams({ a: '1 2' })));
  assert.equal(await textOf('form'), 'a=1+2');
});

test('upload again: duplicates, upsert, update', async () => {
  ok(await docs.upload('twice', 'one'));
  fails(await docs.upload('twice', 'two'), '409', 'The resource already exists', 'KeyAlreadyExists');
  fails(await docs.upload('twice', new Blob(['two'])), '409', 'The resource already exists', 'KeyAlreadyExists');
  ok(await docs.upload('twice', 'three', { upsert: true }));
  assert.equal(await textOf('twice'), 'three');
  ok(await docs.update('twice', new Blob(['four'])));
  assert.equal(await textOf('twice'), 'four');
  ok(await docs.update('created by update', 'x'));
});

test('names with blanks and signs', async () => {
  for (const name of ["a b/c+d & e=f@g,h;i:j$k!l'(m)*n.txt", 'a+b', 'a b']) {
    ok(await docs.upload(name, name));
    assert.equal(await textOf(name), name);
    const { signedUrl } = ok(await docs.createSignedUrl(name, 60));
    assert.equal(await (await fetch(signedUrl)).text(), name);
  }
  fails(await docs.upload('ümlaut.txt', 'x'), '400', 'Invalid key: ümlaut.txt', 'InvalidKey');
});

test('what is too large or of the wrong type', async () => {
  ok(await admin.createBucket('strict', { public: false, fileSizeLimit: 10, allowedMimeTypes: ['text/plain'] }));
  const strict = admin.from('strict');
  fails(await strict.upload('x', 'x'.repeat(11)), '413', 'The object exceeded the maximum allowed size', 'EntityTooLarge');
  fails(await strict.upload('x', new Blob(['x'.repeat(11)], { type: 'text/plain' })), '413', 'The object exceeded the maximum allowed size', 'EntityTooLarge');
  fails(await strict.upload('x', new Blob([bytes.subarray(0, 5)], { type: 'image/png' })), '415', 'mime type image/png is not supported', 'InvalidMimeType');
  ok(await strict.upload('x', 'x'));
  fails(await admin.from('nowhere').upload('x', 'x'), '404', 'Bucket not found', 'NoSuchBucket');
});

/* --- downloads -------------------------------------------------------------------------------------------------------------------- */

test('download as a stream, and what is not there', async () => {
  const stream = ok(await docs.download('kinds/Blob').asStream());
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.ok(Buffer.concat(chunks).equals(bytes));
  fails(await docs.download('nothing'), '404', 'Object not found', 'NoSuchKey');
  fails(await docs.download('nothing').asStream(), '404', 'Object not found', 'NoSuchKey');
  fails(await visitor.from('docs').download('kinds/Blob'), '404', 'Object not found', 'NoSuchKey');
  fails(await docs.info('nothing'), '404', 'Object not found', 'NoSuchKey');
  await assert.rejects(async () => await alice.storage.from('docs').throwOnError().download('nothing'), /Object not found/);
});

test('exists', async () => {
  assert.equal(ok(await docs.exists('kinds/Blob')), true);
  assert.equal((await docs.exists('nothing')).data, false);
});

test('getPublicUrl', async () => {
  ok(await open.upload('a folder/pub lic.txt', 'public'));
  const { publicUrl } = visitor.from('open').getPublicUrl('a folder/pub lic.txt').data;
  assert.equal(await (await fetch(publicUrl)).text(), 'public');
  const named = await fetch(visitor.from('open').getPublicUrl('a folder/pub lic.txt', { download: 'a b.txt' }).data.publicUrl);
  assert.equal(named.headers.get('content-disposition'), "attachment; filename=a%20b.txt; filename*=UTF-8''a%20b.txt");
  assert.equal((await fetch(visitor.from('open').getPublicUrl('a folder/pub lic.txt', { download: true }).data.publicUrl)).headers.get('content-disposition'), 'attachment;');
  const answer = await fetch(visitor.from('docs').getPublicUrl('kinds/Blob').data.publicUrl);
  assert.deepEqual([answer.status, (await answer.json()).code], [400, 'NoSuchBucket']);
});

/* --- signed URLs ------------------------------------------------------------------------------------------------------------------ */

test('createSignedUrl, createSignedUrls', async () => {
  const { signedUrl } = ok(await docs.createSignedUrl('kinds/Blob', 60, { download: 'x y.bin' }));
  const got = await fetch(signedUrl);
  assert.equal(got.headers.get('content-disposition'), "attachment; filename=x%20y.bin; filename*=UTF-8''x%20y.bin");
  assert.ok(Buffer.from(await got.arrayBuffer()).equals(bytes));
  const list = ok(await docs.createSignedUrls(['twice', 'nothing', 'kinds/File'], 60, { download: true }));
  assert.deepEqual(list.map((e) => [e.path, e.error, e.signedUrl === null]), [['twice', null, false], ['nothing', 'Either the object does not exist or you do not have access to it', true], ['kinds/File', null, false]]);
  assert.equal((await fetch(list[0].signedUrl)).headers.get('content-disposition'), 'attachment;');
  fails(await docs.createSignedUrl('nothing', 60), '404', 'Object not found', 'NoSuchKey');
  fails(await docs.createSignedUrl('twice', 0), '400', 'body/expiresIn must be >= 1');
  fails(await visitor.from('docs').createSignedUrl('twice', 60), '404', 'Object not found');
});

test('createSignedUploadUrl, uploadToSignedUrl', async () => {
  const made = ok(await docs.createSignedUploadUrl('by link.txt'));
  assert.deepEqual([made.path, new URL(made.signedUrl).searchParams.get('token')], ['by link.txt', made.token]);
  assert.deepEqual(ok(await visitor.from('docs').uploadToSignedUrl('by link.txt', made.token, new Blob(['linked'], { type: 'text/css' }), { cacheControl: '9' })), { path: 'by link.txt', fullPath: 'docs/by link.txt' });
  assert.equal(await textOf('by link.txt'), 'linked');
  fails(await visitor.from('docs').uploadToSignedUrl('by link.txt', made.token, 'again', { upsert: true }), '409', 'The resource already exists', 'KeyAlreadyExists');
  fails(await visitor.from('docs').uploadToSignedUrl('other.txt', made.token, 'x'), '400', 'Invalid signature', 'InvalidSignature');
  fails(await visitor.from('docs').uploadToSignedUrl('other.txt', 'nonsense', 'x'), '400', 'Invalid Compact JWS', 'InvalidJWT');
  const again = ok(await docs.createSignedUploadUrl('by link.txt', { upsert: true }));
  ok(await visitor.from('docs').uploadToSignedUrl('by link.txt', again.token, Buffer.from('newer'), { contentType: 'text/plain' }));
  assert.equal(await textOf('by link.txt'), 'newer');
  fails(await docs.createSignedUploadUrl('by link.txt'), '409', 'The resource already exists');
});

/* --- lists ------------------------------------------------------------------------------------------------------------------------ */

test('list', async () => {
  const list = admin.from('open');
  for (const name of ['l/b.txt', 'l/A.txt', 'l/c/x', 'l/d.txt']) ok(await list.upload(name, 'x'));
  const names = async (...args) => ok(await list.list(...args)).map((o) => o.name);
  assert.deepEqual(await names('l'), ['A.txt', 'b.txt', 'c', 'd.txt']);
  assert.deepEqual(await names(), ['a folder', 'l']);
  assert.deepEqual(await names('l', { limit: 2, offset: 1 }), ['b.txt', 'c']);
  assert.deepEqual(await names('l', { sortBy: { column: 'name', order: 'desc' } }), ['d.txt', 'c', 'b.txt', 'A.txt']);
  assert.deepEqual(await names('l', { sortBy: { column: 'created_at' } }), ['c', 'b.txt', 'A.txt', 'd.txt']);
  assert.deepEqual(await names('l', { search: 'a' }), ['A.txt']);
  assert.equal(ok(await list.list('l')).find((o) => o.name === 'c').id, null);
  assert.deepEqual(ok(await visitor.from('open').list()), []);
  assert.deepEqual(ok(await admin.from('nowhere').list()), []);
});

test('listV2', async () => {
  const list = admin.from('open');
  const first = ok(await list.listV2({ prefix: 'l/', with_delimiter: true, limit: 2 }));
  assert.deepEqual([first.hasNext, first.folders.map((f) => f.name), first.objects.map((o) => [o.name, o.key])], [true, [], [['l/A.txt', 'A.txt'], ['l/b.txt', 'b.txt']]]);
  const second = ok(await list.listV2({ prefix: 'l/', with_delimiter: true, limit: 2, cursor: first.nextCursor }));
  assert.deepEqual([second.hasNext, second.folders.map((f) => f.name), second.objects.map((o) => o.name)], [false, ['l/c/'], ['l/d.txt']]);
  const seen = [];
  for (let cursor; ;) {
    const page = ok(await list.listV2({ limit: 1, sortBy: { column: 'created_at', order: 'desc' }, ...(cursor && { cursor }) }));
    seen.push(...page.objects.map((o) => o.name));
    if (!page.hasNext) break;
    cursor = page.nextCursor;
  }
  assert.deepEqual(seen, ['l/d.txt', 'l/c/x', 'l/A.txt', 'l/b.txt', 'a folder/pub lic.txt']);
});

/* --- moving, copying, removing ---------------------------------------------------------------------------------------------------- */

test('move, copy, remove', async () => {
  ok(await docs.upload('t/one', '1', { metadata: { k: 1 } }));
  assert.equal(ok(await docs.move('t/one', 't/two')).message, 'Successfully moved');
  assert.deepEqual(ok(await docs.copy('t/two', 't/three')), { path: 'docs/t/three' });
  assert.deepEqual(ok(await docs.info('t/three')).metadata, { k: 1 });
  assert.deepEqual(ok(await admin.from('docs').copy('t/two', 't/two', { destinationBucket: 'open' })), { path: 'open/t/two' });
  ok(await docs.copy('t/two', 't/four', { copyMetadata: false, metadata: { mimetype: 'text/css', cacheControl: 'max-age=1' } }));
  const four = ok(await docs.info('t/four'));
  assert.deepEqual([four.contentType, four.cacheControl, four.metadata], ['text/css', 'max-age=1', {}]);
  ok(await admin.from('docs').move('t/four', 't/four', { destinationBucket: 'open' }));
  assert.equal(await textOf('t/four', open), '1');
  fails(await docs.move('nothing', 'x'), '404', 'Object not found', 'NoSuchKey');
  fails(await docs.copy('t/two', 't/three'), '409', 'The resource already exists', 'KeyAlreadyExists');
  assert.deepEqual(ok(await docs.remove(['t/two', 't/three', 'nothing'])).map((o) => o.name).sort(), ['t/three', 't/two']);
  assert.deepEqual(ok(await docs.remove(['nothing'])), []);
  assert.deepEqual(ok(await visitor.from('docs').remove(['twice'])), []);
  assert.equal(await textOf('twice'), 'four');
});

/* --- who -------------------------------------------------------------------------------------------------------------------------- */

test('the other tenant sees nothing; bad tokens and keys are told', async () => {
  const other = createClient(s.origin, s.b.secret, options).storage;
  fails(await other.from('docs').download('twice'), '404', 'Bucket not found', 'NoSuchBucket');
  assert.deepEqual(ok(await other.listBuckets()), []);
  const forged = createClient(s.origin, 'tnp_nonsense', options).storage;
  const { error } = await forged.from('docs').list();
  assert.deepEqual([error.status, error.statusCode, error.code], [400, '403', 'AccessDenied']);
});
