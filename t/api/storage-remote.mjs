// t/api/storage-remote.mjs: files in a store that speaks S3: uploads, ranges, copies, faults of the store, and moving from and to the disk
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { eventually, stack } from '../lib/stack.mjs';
import { s3Store } from '../lib/s3_store.mjs';

const store = await s3Store({ pageSize: 3 });
after(() => store.close());
const remote = {
  'storage.backend_url': store.url, 'storage.backend_region': store.region, 'storage.backend_key_id': store.keyId, 'storage.backend_secret': store.secret,
  'storage.backend_allow_private': 'on',
};
const s = await stack({
  settings: { ...remote, 'storage.master_key': randomBytes(32).toString('hex'), 'storage.trash_grace_s': 0, 'storage.sweep_interval_s': 1, 'storage.object_max': 200_000_000 },
});
const { alice } = s;
await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
await makeBucket(s.a, 'vault');
await s.sql(accessControl('vault'));
const docs = bucket(alice, 'docs');
const vault = bucket(alice, 'vault');

const rowOf = async (name, id = 'docs') =>
  (await s.rows(`select version, size, sealed_key is not null as sealed from storage.objects where bucket_id = '${id}' and name = '${name}'`))[0];
const keyOf = ({ version }) => `${s.a.id}/${version.slice(-4, -2)}/${version.slice(-2)}/${version}`;
const fileOf = (row) => path.join(s.storageDir, 'objects', keyOf(row));
const pattern = (size) => Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255));
const fetched = async (from, name, headers = {}) => {
  const answer = await fetch(`${s.origin}${from.path(name)}`, { headers: { apikey: s.a.publishable, authorization: `Bearer ${alice.session.access_token}`, ...headers } });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()), headers: Object.fromEntries(answer.headers) };
};
const withFault = async (fault, work) => {
  store.fault = fault;
  try {
    return await work();
  } finally {
    store.fault = () => undefined;
  }
};
const migrate = (...args) => s.tenon('storage', 'migrate', '--json', ...args);
const reconfigure = async (changes) => {
  s.configure(changes);
  const reload = await s.tenon('reload');
  assert.equal(reload.code, 0, reload.stderr);
};

test('a file goes to the store and comes back, any range of it', async () => {
  const bytes = pattern(300_000);
  good(await docs.put('a.bin', bytes, { 'content-type': 'application/octet-stream' }));
  const row = await rowOf('a.bin');
  assert.ok(store.objects.get(keyOf(row)).bytes.equals(bytes));
  assert.equal(fs.existsSync(fileOf(row)), false);
  const whole = await fetched(docs, 'a.bin');
  assert.deepEqual([whole.status, whole.headers['content-length'], whole.bytes.equals(bytes)], [200, '300000', true]);
  for (const [first, last] of [[0, 0], [5, 9], [100_000, 299_999], [299_999, 299_999]]) {
    const got = await fetched(docs, 'a.bin', { range: `bytes=${first}-${last}` });
    assert.deepEqual([got.status, got.headers['content-range']], [206, `bytes ${first}-${last}/300000`]);
    assert.ok(got.bytes.equals(bytes.subarray(first, last + 1)));
  }
  good(await docs.put('empty', ''));
  assert.equal((await fetched(docs, 'empty')).bytes.length, 0);
});

test('copies are made there; what is deleted goes there, too', async () => {
  const source = keyOf(await rowOf('a.bin'));
  good(await docs.copy('a.bin', 'b.bin'));
  const row = await rowOf('b.bin');
  assert.ok((await fetched(docs, 'b.bin')).bytes.equals(pattern(300_000)));
  assert.ok(store.requests.some((r) => r.key === keyOf(row) && r.headers['x-amz-copy-source'] === `/bucket/${source}`));
  good(await docs.remove('b.bin'));
  await eventually('the copy to be swept', () => !store.objects.has(keyOf(row)));
});

test('an encrypted bucket there', async () => {
  assert.equal((await s.tenon('storage', 'encrypt-bucket', '--tenant', 'a', 'vault')).code, 0);
  const bytes = pattern(200_000);
  good(await vault.put('x', bytes));
  const stored = store.objects.get(keyOf(await rowOf('x', 'vault'))).bytes;
  assert.equal(stored.length, 200_000 + 4 * 16);
  assert.equal(stored.includes(bytes.subarray(0, 64)), false);
  assert.ok((await fetched(vault, 'x', { range: 'bytes=65000-140000' })).bytes.equals(bytes.subarray(65_000, 140_001)));
});

test('a large file in little memory', async () => {
  const size = 100_000_000;
  const bytes = Buffer.alloc(size, 'tenon');
  good(await docs.put('large', bytes, { 'content-type': 'application/octet-stream' }));
  const got = await fetched(docs, 'large');
  assert.ok(got.bytes.equals(bytes));
  good(await docs.remove('large'));
  await eventually('the large one to be swept', () => ![...store.objects.values()].some((o) => o.bytes.length === size));
});

test('fsck compares rows with the store', async () => {
  const found = await s.tenon('storage', 'fsck', '--verify', '--json');
  assert.deepEqual([found.code, found.json?.clean], [0, true], JSON.stringify(found));
});

test('a store that is busy for a moment is asked again', async () => {
  let left = 2;
  await withFault(() => (left-- > 0 ? 'slow_down' : undefined), async () => good(await docs.put('busy', 'busy')));
  left = 2;
  await withFault(() => (left-- > 0 ? 'slow_down' : undefined), async () => assert.equal((await docs.get('busy')).text, 'busy'));
});

for (const fault of ['slow_down', 'denied', 'forget', 'short', 'cut'])
  test(`an upload that the store does not take (${fault}) has not happened`, async () => {
    const put = (request) => (request.method === 'PUT' ? fault : undefined);
    refused(await withFault(put, () => docs.put('never', pattern(100_000))), 503, 'storage_unavailable', { status: 503 });
    assert.equal(await rowOf('never'), undefined);
    refused(await docs.get('never'), 404, 'NoSuchKey');
  });

test('a download that breaks off is broken off', async () => {
  good(await docs.put('half', pattern(1_000_000)));
  await withFault((r) => (r.method === 'GET' ? 'cut' : undefined), () => assert.rejects(fetched(docs, 'half')));
  refused(await withFault((r) => (r.method === 'GET' ? 'denied' : undefined), () => docs.get('half')), 503, 'storage_unavailable', { status: 503 });
  // A store that knows no ranges would give other bytes than those asked for.
  const got = await withFault((r) => (r.method === 'GET' ? 'no_ranges' : undefined), () => docs.get('half', '', { range: 'bytes=10-19' }));
  assert.equal(got.status, 503);
  assert.ok((await fetched(docs, 'half')).bytes.equals(pattern(1_000_000)));
});

test('a copy that fails late has not happened', async () => {
  const answer = await withFault((r) => (r.headers['x-amz-copy-source'] ? 'late_error' : undefined), () => docs.copy('half', 'half2'));
  refused(answer, 503, 'storage_unavailable', { status: 503 });
  assert.equal(await rowOf('half2'), undefined);
});

test('a store that is away, or at a private address that is not allowed', async () => {
  await reconfigure({ 'storage.backend_url': 'http://127.0.0.1:9/bucket' });
  refused(await docs.get('half'), 503, 'storage_unavailable', { status: 503 });
  await reconfigure({ ...remote, 'storage.backend_allow_private': 'off' });
  refused(await docs.get('half'), 503, 'storage_unavailable', { status: 503 });
  await reconfigure(remote);
  assert.equal((await docs.get('half')).status, 200);
});

test('to the disk, while the server runs: read from both, interrupted, gone on, pruned', async () => {
  for (let i = 0; i < 12; i++) good(await docs.put(`m${i}`, `file ${i}`));
  await reconfigure({ 'storage.backend_writes': 'off' });
  good(await docs.put('on disk', 'on disk'));
  assert.ok(fs.existsSync(fileOf(await rowOf('on disk'))));
  assert.equal((await docs.get('m3')).text, 'file 3');

  // Interrupted: the command is killed when it has asked for a few files.
  let asked = 0;
  const command = spawn(process.env.TENON_BIN ?? 'tenon', ['-c', s.conf, 'storage', 'migrate', '--to', 'disk'], { stdio: 'ignore' });
  await withFault((r) => {
    if (r.method === 'GET' && ++asked === 5) command.kill('SIGKILL');
    return asked >= 5 ? 'hang' : undefined;
  }, () => once(command, 'exit'));
  const before = fs.readdirSync(path.join(s.storageDir, 'objects', s.a.id), { recursive: true }).filter((n) => n.length > 36).length;
  assert.ok(before >= 2);
  assert.equal((await docs.get('m3')).text, 'file 3');

  const done = await migrate('--to', 'disk');
  assert.equal(done.code, 0, done.stderr);
  assert.ok(done.json.there >= before - 1 && done.json.copied > 0 && done.json.missing === 0, done.stdout);
  const pruned = await migrate('--to', 'disk', '--prune');
  assert.equal(pruned.code, 0, pruned.stderr);
  assert.ok(pruned.json.pruned >= 12);
  const rows = await s.rows('select version from storage.objects where version is not null');
  for (const row of rows) assert.ok(fs.existsSync(fileOf(row)) && !store.objects.has(keyOf(row)));

  await reconfigure({ 'storage.backend_url': '', 'storage.backend_writes': 'on' });
  for (let i = 0; i < 12; i++) assert.equal((await docs.get(`m${i}`)).text, `file ${i}`);
  assert.ok((await fetched(vault, 'x')).bytes.equals(pattern(200_000)));
});

test('to the store, while people read and write', async () => {
  await reconfigure(remote);
  let running = true;
  const worked = (async () => {
    for (let i = 0; running; i++) {
      good(await docs.put(`during ${i % 5}`, `round ${i}`, { 'x-upsert': 'true' }));
      assert.equal((await docs.get(`during ${i % 5}`)).text, `round ${i}`);
      assert.equal((await docs.get(`m${i % 12}`)).text, `file ${i % 12}`);
    }
  })();
  const done = await migrate('--to', 'remote', '--prune');
  running = false;
  await worked;
  assert.equal(done.code, 0, done.stderr);
  const last = await migrate('--to', 'remote', '--prune');
  assert.deepEqual([last.code, last.json.missing, last.json.damaged], [0, 0, 0], last.stderr);
  for (const row of await s.rows('select version from storage.objects where version is not null')) {
    assert.ok(store.objects.has(keyOf(row)), row.version);
    assert.equal(fs.existsSync(fileOf(row)), false);
  }
  const found = await s.tenon('storage', 'fsck', '--verify', '--json');
  assert.equal(found.json?.clean, true, found.stdout + found.stderr);
});

test('what is damaged or gone is not carried on, and nothing is pruned for it', async () => {
  await reconfigure({ 'storage.backend_writes': 'off' });
  good(await docs.put('rotten', 'rotten'));
  good(await docs.put('fresh', 'fresh'));
  const rotten = await rowOf('rotten');
  const fresh = await rowOf('fresh');
  fs.writeFileSync(fileOf(rotten), 'rotteN');
  await reconfigure({ 'storage.backend_writes': 'on' });
  const done = await migrate('--to', 'remote', '--prune');
  assert.deepEqual([done.code, done.json.damaged], [1, 1], done.stdout + done.stderr);
  assert.match(done.stderr, /not what the row says {2}docs\/rotten/);
  assert.ok(fs.existsSync(fileOf(rotten)) && !store.objects.has(keyOf(rotten)));
  assert.ok(!fs.existsSync(fileOf(fresh)) && store.objects.has(keyOf(fresh)));
  fs.writeFileSync(fileOf(rotten), 'rotten');

  // The store loses a byte, and says that all is well: it is read back before anything is removed.
  const wrong = await withFault((r) => (r.method === 'PUT' ? 'wrong' : undefined), () => migrate('--to', 'remote', '--prune'));
  assert.deepEqual([wrong.code, wrong.json.damaged, wrong.json.pruned], [1, 1, 0], wrong.stdout + wrong.stderr);
  assert.ok(fs.existsSync(fileOf(rotten)));
});

test('what is asked wrongly', async () => {
  assert.equal((await migrate()).code, 2);
  assert.equal((await migrate('--to', 'moon')).code, 2);
  const denied = await withFault(() => 'denied', () => migrate('--to', 'remote'));
  assert.equal(denied.code, 5, denied.stderr);
  assert.match(denied.stderr, /storage_unavailable/);
  await reconfigure({ 'storage.backend_url': '' });
  assert.equal((await migrate('--to', 'disk')).code, 6);
});
