// t/api/storage-encryption.mjs: encrypted buckets: what is on disk, ranges, copies, keys rotated, tampering, and nothing in the clear
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { eventually, stack } from '../lib/stack.mjs';

const CHUNK = 65536;
const masters = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
const s = await stack({ settings: { 'storage.master_key': masters[0], 'storage.object_max': 40_000_000, 'storage.trash_grace_s': 0, 'storage.sweep_interval_s': 1 } });
const { alice } = s;
await makeBucket(s.a, 'vault');
await makeBucket(s.a, 'plain');
await s.sql(accessControl('vault'));
await s.sql(accessControl('plain'));
const vault = bucket(alice, 'vault');
const plain = bucket(alice, 'plain');

const rowOf = async (name, id = 'vault') =>
  (await s.rows(`select id, version, size, encode(sealed_key, 'hex') as sealed, updated_at, storage.key_generation(sealed_key) as generation
                   from storage.objects where bucket_id = '${id}' and name = '${name}'`))[0];
const fileOf = ({ version }) => path.join(s.storageDir, 'objects', s.a.id, version.slice(-4, -2), version.slice(-2), version);
const pattern = (size) => Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255));
const fetched = async (name, headers = {}, from = vault) => {
  const answer = await fetch(`${s.origin}${from.path(name)}`, { headers: { apikey: s.a.publishable, authorization: `Bearer ${alice.session.access_token}`, ...headers } });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()), headers: Object.fromEntries(answer.headers) };
};
const encrypt = async (...more) => {
  const done = await s.tenon('storage', 'encrypt-bucket', '--tenant', 'a', '--json', ...more);
  assert.equal(done.code, 0, done.stderr);
  return done.json;
};
const masterKeys = async (now, old = '') => {
  s.configure({ 'storage.master_key': now, 'storage.old_master_keys': old });
  const reload = await s.tenon('reload');
  assert.equal(reload.code, 0, reload.stderr);
};

test('what was there is encrypted by the command, and stays the same file', async () => {
  const bytes = pattern(CHUNK + 10);
  good(await vault.put('before.bin', bytes, { 'content-type': 'application/octet-stream' }));
  good(await vault.put('empty', ''));
  const before = await rowOf('before.bin');
  assert.deepEqual(fs.readFileSync(fileOf(before)), bytes);
  const etag = (await fetched('before.bin')).headers.etag;
  assert.deepEqual(await encrypt('vault'), { encrypted: 2, missing: 0, damaged: 0 });
  const after = await rowOf('before.bin');
  assert.deepEqual([after.id, after.version === before.version, after.generation, String(after.updated_at)], [before.id, false, 1, String(before.updated_at)]);
  assert.equal(fs.statSync(fileOf(after)).size, bytes.length + 2 * 16);
  assert.equal(fs.readFileSync(fileOf(after)).includes(bytes.subarray(0, 32)), false);
  const got = await fetched('before.bin');
  assert.deepEqual([got.status, got.bytes.equals(bytes), got.headers.etag], [200, true, etag]);
  assert.equal((await fetched('empty')).bytes.length, 0);
  await eventually('the plain bytes to go', () => !fs.existsSync(fileOf(before)));
  assert.deepEqual(await encrypt('vault'), { encrypted: 0, missing: 0, damaged: 0 });
});

test('new files are encrypted; any range of them comes back', async () => {
  const bytes = pattern(3 * CHUNK + 77);
  good(await vault.put('new.bin', bytes, { 'content-type': 'application/octet-stream' }));
  const row = await rowOf('new.bin');
  assert.equal(Number(row.size), bytes.length);
  assert.equal(fs.statSync(fileOf(row)).size, bytes.length + 4 * 16);
  const ranges = [[0, 0], [0, CHUNK - 1], [CHUNK - 1, CHUNK], [CHUNK, 2 * CHUNK - 1], [5, 3 * CHUNK + 5], [3 * CHUNK, 3 * CHUNK + 76], [3 * CHUNK + 76, 3 * CHUNK + 76]];
  for (const [first, last] of ranges) {
    const got = await fetched('new.bin', { range: `bytes=${first}-${last}` });
    assert.deepEqual([got.status, got.headers['content-range'], got.headers['content-length']], [206, `bytes ${first}-${last}/${bytes.length}`, `${last - first + 1}`]);
    assert.ok(got.bytes.equals(bytes.subarray(first, last + 1)), `bytes ${first}-${last}`);
  }
  const tail = await fetched('new.bin', { range: 'bytes=-100' });
  assert.ok(tail.bytes.equals(bytes.subarray(-100)));
  assert.equal((await fetched('new.bin', { range: `bytes=${bytes.length}-` })).status, 416);
  assert.equal((await fetched('new.bin', { 'if-none-match': (await fetched('new.bin')).headers.etag })).status, 304);
});

test('exact multiples of a chunk', async () => {
  for (const size of [CHUNK, 2 * CHUNK]) {
    good(await vault.put(`exact-${size}`, pattern(size)));
    assert.ok((await fetched(`exact-${size}`)).bytes.equals(pattern(size)));
  }
});

test('copies and moves between buckets take the encryption of where they go', async () => {
  const bytes = pattern(CHUNK + 1);
  good(await plain.put('a.bin', bytes));
  good(await alice.request('POST', '/storage/v1/object/copy', { bucketId: 'plain', sourceKey: 'a.bin', destinationBucket: 'vault', destinationKey: 'copied.bin' }));
  const copied = await rowOf('copied.bin');
  assert.ok(copied.sealed);
  assert.equal(fs.readFileSync(fileOf(copied)).includes(bytes.subarray(0, 32)), false);
  assert.ok((await fetched('copied.bin')).bytes.equals(bytes));
  good(await alice.request('POST', '/storage/v1/object/move', { bucketId: 'plain', sourceKey: 'a.bin', destinationBucket: 'vault', destinationKey: 'moved.bin' }));
  assert.ok((await rowOf('moved.bin')).sealed);
  assert.ok((await fetched('moved.bin')).bytes.equals(bytes));
  good(await alice.request('POST', '/storage/v1/object/copy', { bucketId: 'vault', sourceKey: 'copied.bin', destinationKey: 'again.bin' }));
  assert.ok((await fetched('again.bin')).bytes.equals(bytes));
  good(await alice.request('POST', '/storage/v1/object/copy', { bucketId: 'vault', sourceKey: 'copied.bin', destinationBucket: 'plain', destinationKey: 'out.bin' }));
  assert.ok((await fetched('out.bin', {}, plain)).bytes.equals(bytes));
});

test('fsck reads what is encrypted', async () => {
  const found = await s.tenon('storage', 'fsck', '--verify', '--json');
  assert.deepEqual([found.code, found.json.clean], [0, true], found.stdout + found.stderr);
});

test('a tenant gets a new key: keys of files are sealed under it, bytes stay', async () => {
  const before = await rowOf('new.bin');
  const done = await s.tenon('storage', 'rotate-tenant-key', 'a', '--json');
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual([done.json.generation, done.json.dropped], [2, 1]);
  const after = await rowOf('new.bin');
  assert.deepEqual([after.version, after.generation, String(after.updated_at)], [before.version, 2, String(before.updated_at)]);
  assert.notEqual(after.sealed, before.sealed);
  assert.ok((await fetched('new.bin')).bytes.equals(pattern(3 * CHUNK + 77)));
  assert.deepEqual((await s.rows('select generation from storage.tenant_keys')).map((r) => r.generation), [2]);
  good(await vault.put('later.txt', 'later'));
  assert.equal((await rowOf('later.txt')).generation, 2);
});

test('the master key is replaced; the old one opens until everything is sealed anew', async () => {
  await masterKeys(masters[1], masters[0]);
  assert.equal((await fetched('later.txt')).bytes.toString(), 'later');
  const done = await s.tenon('storage', 'rotate-master', '--json');
  assert.deepEqual([done.code, done.json], [0, { resealed: 1 }], done.stderr);
  assert.deepEqual((await s.tenon('storage', 'rotate-master', '--json')).json, { resealed: 0 });
  await masterKeys(masters[1]);
  assert.equal((await fetched('later.txt')).bytes.toString(), 'later');
});

test('without the right master key nothing is opened, and nothing stored in the clear', async () => {
  await masterKeys(masters[0]);
  const got = await vault.get('later.txt');
  assert.equal(got.text.includes('later'), false);
  refused(got, 503, 'encryption_unavailable', { status: 503 });
  refused(await vault.put('now.txt', 'secret words'), 503, 'encryption_unavailable', { status: 503 });
  await masterKeys('');
  refused(await vault.put('now.txt', 'secret words'), 503, 'encryption_unavailable', { status: 503 });
  assert.equal(await rowOf('now.txt'), undefined);
  const staging = path.join(s.storageDir, 'staging');
  const left = fs.readdirSync(staging, { recursive: true }).filter((name) => fs.statSync(path.join(staging, name)).isFile());
  assert.deepEqual(left, []);
  assert.equal((await s.tenon('storage', 'encrypt-bucket', '--tenant', 'a', 'plain')).code, 6);
  good(await plain.put('still.txt', 'works'));
  await masterKeys(masters[1]);
  good(await vault.put('now.txt', 'secret words'));
});

test('the database takes no plain bytes in an encrypted bucket, whatever the server believes', async () => {
  await assert.rejects(
    s.sql(`select set_config('tenon.tenant_id', '${s.a.id}', true); insert into storage.objects (tenant_id, bucket_id, name, version)
           values ('${s.a.id}', 'vault', 'x', gen_random_uuid()::text)`),
    /encryption of this bucket has just been changed/,
  );
  await assert.rejects(
    s.sql(`select set_config('tenon.tenant_id', '${s.a.id}', true); insert into storage.objects (tenant_id, bucket_id, name, version, sealed_key)
           values ('${s.a.id}', 'vault', 'x', gen_random_uuid()::text, '\\x0100000063aa')`),
    /encryption of this bucket has just been changed/,
  );
});

test('what was tampered with on disk does not come out', async () => {
  good(await vault.put('t.bin', pattern(3 * CHUNK)));
  const file = fileOf(await rowOf('t.bin'));
  const whole = fs.readFileSync(file);
  const flipped = Buffer.from(whole);
  flipped[10] ^= 1;
  fs.writeFileSync(file, flipped);
  const answer = await vault.get('t.bin');
  assert.equal(answer.status >= 400, true);
  // Further behind, the head of the answer has gone: the connection is cut, and nothing false comes.
  const late = Buffer.from(whole);
  late[2 * (CHUNK + 16) + 5] ^= 1;
  fs.writeFileSync(file, late);
  await assert.rejects(fetched('t.bin'));
  fs.writeFileSync(file, whole.subarray(0, 2 * (CHUNK + 16)));
  await assert.rejects(fetched('t.bin'));
  // The bytes of one file under the name of another.
  good(await vault.put('u.bin', pattern(3 * CHUNK)));
  fs.writeFileSync(file, fs.readFileSync(fileOf(await rowOf('u.bin'))));
  assert.equal((await vault.get('t.bin')).status >= 400, true);
  const found = await s.tenon('storage', 'fsck', '--verify', '--json');
  assert.deepEqual([found.code, found.json.differences.map((d) => d.kind)], [1, ['wrong_content']], found.stdout);
  fs.writeFileSync(file, whole);
  assert.ok((await fetched('t.bin')).bytes.equals(pattern(3 * CHUNK)));
});

test('the command goes on where it was interrupted, and beside uploads', async () => {
  await makeBucket(s.a, 'many');
  await s.sql(accessControl('many'));
  const many = bucket(alice, 'many');
  await Promise.all(Array.from({ length: 30 }, (_, i) => many.put(`${i}`, `number ${i}`)));
  const [first] = await Promise.all([encrypt('many'), ...Array.from({ length: 20 }, (_, i) => many.put(`new ${i}`, `new ${i}`))]);
  assert.ok(first.encrypted >= 30);
  const [{ open }] = await s.rows(`select count(*)::int as open from storage.objects where bucket_id = 'many' and sealed_key is null`);
  assert.equal(open, 0);
  for (const name of ['0', '29', ...(await s.rows(`select name from storage.objects where bucket_id = 'many' and name like 'new%'`)).map((r) => r.name)])
    assert.equal((await many.get(name)).text, name.startsWith('new') ? name : `number ${name}`);
});

test('killed in the middle, begun again: every file is there, and none is left in the clear', async () => {
  await makeBucket(s.a, 'killed');
  await s.sql(accessControl('killed'));
  const killed = bucket(alice, 'killed');
  const content = (i) => `number ${i} `.repeat(20_000);
  for (let i = 0; i < 40; i++) good(await killed.put(`${i}`, content(i)));
  const done = async () => (await s.rows(`select count(*)::int as n from storage.objects where bucket_id = 'killed' and sealed_key is not null`))[0].n;
  let last = 0;
  for (let round = 0; round < 3; round++) {
    const command = spawn(process.env.TENON_BIN ?? 'tenon', ['-c', s.conf, 'storage', 'encrypt-bucket', '--tenant', 'a', 'killed'], { stdio: 'ignore' });
    const left = once(command, 'exit');
    await Promise.race([left, eventually('more files to be encrypted', async () => (await done()) > last)]);
    command.kill('SIGKILL');
    await left;
    last = await done();
  }
  await encrypt('killed');
  assert.equal(await done(), 40);
  for (let i = 0; i < 40; i++) assert.equal((await killed.get(`${i}`)).text, content(i));
  const versions = new Set((await s.rows('select version from storage.objects')).map((row) => row.version));
  await eventually('the plain bytes to be swept', async () => (await s.rows('select count(*)::int as n from storage.trash'))[0].n === 0);
  const folder = path.join(s.storageDir, 'objects', s.a.id);
  const clear = fs.readdirSync(folder, { recursive: true }).filter((name) => name.length > 36 && versions.has(path.basename(name)))
    .filter((name) => fs.readFileSync(path.join(folder, name)).includes('number 1 number 1'));
  assert.deepEqual(clear, []);
});

test('a file that is gone is told, and the others are encrypted', async () => {
  await makeBucket(s.a, 'holes');
  await s.sql(accessControl('holes'));
  const holes = bucket(alice, 'holes');
  good(await holes.put('gone', 'gone'));
  good(await holes.put('bad', 'bad'));
  good(await holes.put('fine', 'fine'));
  fs.unlinkSync(fileOf(await rowOf('gone', 'holes')));
  fs.writeFileSync(fileOf(await rowOf('bad', 'holes')), 'xyz');
  const done = await s.tenon('storage', 'encrypt-bucket', '--tenant', 'a', '--json', 'holes');
  assert.deepEqual([done.code, done.json], [1, { encrypted: 1, missing: 1, damaged: 1 }]);
  assert.equal((await holes.get('fine')).text, 'fine');
});

test('another tenant has another key', async () => {
  await makeBucket(s.b, 'vault');
  const done = await s.tenon('storage', 'encrypt-bucket', '--tenant', 'b', '--json', 'vault');
  assert.equal(done.code, 0, done.stderr);
  const theirs = bucket(s.b.service, 'vault');
  good(await theirs.put('x', 'of b'));
  assert.equal((await theirs.get('x')).text, 'of b');
  const keys = await s.rows('select tenant_id, encode(sealed, \'hex\') as sealed from storage.tenant_keys order by 1');
  assert.equal(new Set(keys.map((k) => k.tenant_id)).size, 2);
  assert.equal(createHash('sha256').update(keys[0].sealed).digest('hex') === createHash('sha256').update(keys[1].sealed).digest('hex'), false);
});
