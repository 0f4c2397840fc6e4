// t/api/storage-scan.mjs: uploads scanned by clamd, the quarantine, and a scanner that does not answer
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { eicar, faultyClamd, ours, startClamd } from '../lib/clamd.mjs';

const clamd = await startClamd();
const faulty = await faultyClamd();
const s = await stack({ settings: { 'storage.master_key': randomBytes(32).toString('hex'), 'storage.clamd': clamd?.address ?? '', 'storage.clamd_max': 2_000_000, 'storage.clamd_timeout_s': 30 } });
const { alice } = s;
await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
await makeBucket(s.a, 'vault');
await s.sql(accessControl('vault'));
const docs = bucket(alice, 'docs');
const skip = clamd === undefined && 'clamd is not installed';

const count = async (name) => (await s.rows(`select count(*)::int as n from storage.objects where name = '${name}'`))[0].n;
const quarantined = () => s.rows(`select id, bucket_id, name, owner_id, signature, size, encode(sha256, 'hex') as sha256, sealed_key is not null as sealed from storage.quarantine order by created_at desc`);
const fileOf = (row) => path.join(s.storageDir, 'quarantine', s.a.id, row.id);
const reconfigure = async (changes) => {
  s.configure(changes);
  const reload = await s.tenon('reload');
  assert.equal(reload.code, 0, reload.stderr);
};

test('what is clean is stored', { skip }, async () => {
  good(await docs.put('clean.txt', 'nothing in here'));
  assert.equal((await docs.get('clean.txt')).text, 'nothing in here');
  good(await docs.put('empty', ''));
});

test('what is infected is refused and put aside', { skip }, async () => {
  for (const [name, virus, signature] of [['eicar.com', eicar, 'Eicar-Test.UNOFFICIAL'], ['deep/ours.txt', `${'x'.repeat(100_000)}${ours} and more`, 'Tenon-Test.UNOFFICIAL']]) {
    refused(await docs.put(name, virus), 422, 'InfectedFile', { message: new RegExp(signature) });
    assert.equal(await count(name), 0);
    const [row] = await quarantined();
    assert.deepEqual(
      [row.bucket_id, row.name, row.owner_id, row.signature, Number(row.size), row.sha256, row.sealed],
      ['docs', name, alice.user.id, signature, virus.length, createHash('sha256').update(virus).digest('hex'), false],
    );
    assert.equal(fs.readFileSync(fileOf(row), 'utf8'), virus);
  }
  refused(await docs.get('eicar.com'), 404, 'NoSuchKey');
  assert.ok(s.log().some((line) => line.event === 'storage.infected' && line.signature === 'Eicar-Test.UNOFFICIAL'));
});

test('a file that was there stays when its successor is infected', { skip }, async () => {
  good(await docs.put('kept.txt', 'good'));
  refused(await docs.put('kept.txt', ours, { 'x-upsert': 'true' }), 422, 'InfectedFile');
  assert.equal((await docs.get('kept.txt')).text, 'good');
});

test('nothing of an encrypted bucket lies in the clear, in quarantine neither', { skip }, async () => {
  assert.equal((await s.tenon('storage', 'encrypt-bucket', '--tenant', 'a', 'vault')).code, 0);
  refused(await bucket(alice, 'vault').put('bad.txt', ours), 422, 'InfectedFile');
  const [row] = await quarantined();
  assert.deepEqual([row.bucket_id, row.sealed], ['vault', true]);
  assert.equal(fs.readFileSync(fileOf(row), 'utf8').includes('tenon test virus'), false);
});

test('the operator lists, releases and deletes', { skip }, async () => {
  const listed = await s.tenon('storage', 'quarantine', 'list', '--json');
  assert.equal(listed.code, 0, listed.stderr);
  assert.equal(listed.json.length, (await quarantined()).length);
  const wanted = listed.json.find((row) => row.name === 'deep/ours.txt');
  const released = await s.tenon('storage', 'quarantine', 'release', wanted.id, '--json');
  assert.equal(released.code, 0, released.stderr);
  const got = await docs.get('deep/ours.txt');
  assert.ok(got.text.endsWith(`${ours} and more`));
  const [object] = await s.rows(`select owner_id, size, metadata from storage.objects where name = 'deep/ours.txt'`);
  assert.deepEqual([object.owner_id, Number(object.size), object.metadata.eTag], [alice.user.id, got.text.length, `"${createHash('md5').update(got.text).digest('hex')}"`]);
  assert.equal(fs.existsSync(fileOf(wanted)), false);

  const sealed = listed.json.find((row) => row.bucket === 'vault');
  assert.equal((await s.tenon('storage', 'quarantine', 'release', sealed.id)).code, 0);
  assert.equal((await bucket(alice, 'vault').get('bad.txt')).text, ours);

  const taken = listed.json.find((row) => row.name === 'kept.txt');
  const refusal = await s.tenon('storage', 'quarantine', 'release', taken.id);
  assert.equal(refusal.code, 1);
  assert.equal((await docs.get('kept.txt')).text, 'good');
  for (const row of await quarantined()) {
    assert.equal((await s.tenon('storage', 'quarantine', 'delete', row.id)).code, 0);
    assert.equal(fs.existsSync(fileOf(row)), false);
  }
  assert.deepEqual(await quarantined(), []);
  assert.equal((await s.tenon('storage', 'quarantine', 'delete', taken.id)).code, 4);
});

test('files that are too large for the scanner, by the setting', { skip }, async () => {
  good(await docs.put('large', Buffer.alloc(2_000_001)));
  await reconfigure({ 'storage.clamd_oversize': 'off' });
  refused(await docs.put('larger', Buffer.alloc(2_000_001)), 413, 'EntityTooLarge');
  good(await docs.put('fits', Buffer.alloc(2_000_000)));
  await reconfigure({ 'storage.clamd_oversize': 'on' });
});

test('a scanner that is away: nothing is taken, and it is told apart from a virus', { skip }, async () => {
  await clamd.stop();
  refused(await docs.put('away', 'x'), 503, 'scanner_unavailable', { status: 503 });
  assert.equal(await count('away'), 0);
});

test('a scanner that says something else, nothing, or hangs up', async () => {
  await reconfigure({ 'storage.clamd': faulty.address, 'storage.clamd_timeout_s': 2 });
  for (const say of ['stream: OK but', 'INSTREAM size limit exceeded. ERROR', '', 'hang up', 'early', null]) {
    faulty.say = say;
    refused(await docs.put('never', Buffer.alloc(1_500_000, 'x')), 503, 'scanner_unavailable', { status: 503 });
    assert.equal(await count('never'), 0);
  }
  faulty.say = 'stream: OK';
  faulty.received.length = 0;
  good(await docs.put('sent', 'these bytes'));
  assert.equal(faulty.received[0].toString('latin1'), 'zINSTREAM\0\0\0\0\x0bthese bytes\0\0\0\0');
  faulty.say = 'stream: Some.Thing FOUND';
  refused(await docs.put('found', 'x'), 422, 'InfectedFile', { message: /Some\.Thing/ });
  await reconfigure({ 'storage.clamd': 'unix:/nowhere/clamd.sock' });
  refused(await docs.put('nowhere', 'x'), 503, 'scanner_unavailable', { status: 503 });
});
