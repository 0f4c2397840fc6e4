// t/api/storage-remote-tenon.mjs: the files of one Tenon in another: our client of S3 against our server of S3
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { accessKey } from '../lib/s3.mjs';
import { accessControl, bucket, good, makeBucket } from '../lib/storage.mjs';
import { eventually, stack } from '../lib/stack.mjs';

const far = await stack({ people: false });
await makeBucket(far.a, 'store');
const key = await accessKey(far, '--tenant', 'a');
const s = await stack({
  settings: {
    'storage.backend_url': `${far.origin}/storage/v1/s3/store`, 'storage.backend_region': 'us-east-1', 'storage.backend_key_id': key.id, 'storage.backend_secret': key.secret,
    'storage.backend_allow_private': 'on', 'storage.master_key': randomBytes(32).toString('hex'), 'storage.trash_grace_s': 0, 'storage.sweep_interval_s': 1,
  },
});
const { alice } = s;
await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
const docs = bucket(alice, 'docs');
const fetched = async (name, headers = {}) => {
  const answer = await fetch(`${s.origin}${docs.path(name)}`, { headers: { apikey: s.a.publishable, authorization: `Bearer ${alice.session.access_token}`, ...headers } });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) };
};
const there = () => far.rows(`select name, size from storage.objects where bucket_id = 'store' order by name`);

test('files of all sizes go there and come back', async () => {
  for (const size of [0, 1, 65_536, 1_048_577, 20_000_000]) {
    const bytes = randomBytes(size);
    good(await docs.put(`${size}`, bytes, { 'content-type': 'application/octet-stream' }));
    assert.ok((await fetched(`${size}`)).bytes.equals(bytes));
  }
  assert.deepEqual((await there()).map((row) => Number(row.size)).sort((a, b) => a - b), [0, 1, 65_536, 1_048_577, 20_000_000]);
  const part = await fetched('1048577', { range: 'bytes=1048570-' });
  assert.deepEqual([part.status, part.bytes.length], [206, 7]);
});

test('copies, deletions, lists of more than one page', async () => {
  good(await docs.copy('65536', 'copied'));
  assert.ok((await fetched('copied')).bytes.equals((await fetched('65536')).bytes));
  const before = (await there()).length;
  good(await docs.remove('copied'));
  await eventually('the copy to be swept', async () => (await there()).length === before - 1);
  // 1,001 in one bucket, most of them rows that only the far side knows.
  await far.sql(`insert into storage.objects (tenant_id, bucket_id, name) select '${far.a.id}', 'store', 'other/' || n from generate_series(1, 1500) n`);
  const found = await s.tenon('storage', 'fsck', '--verify', '--json');
  assert.deepEqual([found.code, found.json?.clean], [0, true], JSON.stringify(found));
});

test('encrypted here, and nothing to be read there', async () => {
  assert.equal((await s.tenon('storage', 'encrypt-bucket', '--tenant', 'a', 'docs')).code, 0);
  const words = 'words that nobody else shall read '.repeat(5000);
  good(await docs.put('secret', words));
  assert.equal((await fetched('secret')).bytes.toString(), words);
  const [{ version }] = await s.rows(`select version from storage.objects where name = 'secret'`);
  const answer = await far.a.service.request('GET', `/storage/v1/object/store/${s.a.id}/${version.slice(-4, -2)}/${version.slice(-2)}/${version}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.text.includes('nobody'), false);
});

test('moved to the disk, and back', async () => {
  const rows = Number((await s.rows('select count(*) as n from storage.objects where version is not null'))[0].n);
  s.configure({ 'storage.backend_writes': 'off' });
  assert.equal((await s.tenon('reload')).code, 0);
  const out = await s.tenon('storage', 'migrate', '--to', 'disk', '--prune', '--json');
  assert.deepEqual([out.code, out.json?.copied, out.json?.pruned], [0, rows, rows], JSON.stringify(out));
  await eventually('the far side to be empty', async () => (await there()).every((row) => row.name.startsWith('other/')));
  assert.equal((await fetched('20000000')).bytes.length, 20_000_000);
  s.configure({ 'storage.backend_writes': 'on' });
  assert.equal((await s.tenon('reload')).code, 0);
  const back = await s.tenon('storage', 'migrate', '--to', 'remote', '--prune', '--json');
  assert.deepEqual([back.code, back.json?.copied, back.json?.pruned], [0, rows, rows], JSON.stringify(back));
  assert.equal((await fetched('20000000')).bytes.length, 20_000_000);
});
