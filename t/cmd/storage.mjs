// t/cmd/storage.mjs: `tenon storage fsck`, `quota` and `usage`, and the sweeper: what differs is told, mended and removed, and nothing else
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const calm = { 'storage.sweep_interval_s': 3600 };

async function bucket(s, name, more = {}) {
  answers(await s.a.service.request('POST', '/storage/v1/bucket', { id: name, name, ...more }), 200);
}

async function put(s, name, content, method = 'POST', headers = {}) {
  return s.a.service.request(method, `/storage/v1/object/${name}`, Buffer.from(content), { headers: { 'content-type': 'text/plain', ...headers } });
}

const get = (s, name) => s.a.service.request('GET', `/storage/v1/object/${name}`);

async function versionOf(s, name) {
  const [row] = await s.rows(`select version, id from storage.objects where bucket_id || '/' || name = '${name}'`);
  return row?.version;
}

function fileOf(s, version) {
  return path.join(s.storageDir, 'objects', s.a.id, version.slice(32, 34), version.slice(34, 36), version);
}

/* As the workers make it. */
function plant(s, file, content) {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o750 });
  fs.writeFileSync(file, content, { mode: 0o640 });
  if (process.getuid() === 0) execFileSync('chown', ['-R', '--reference', s.storageDir, path.join(s.storageDir, path.relative(s.storageDir, file).split(path.sep)[0])]);
}

const plantObject = (s, version = randomUUID(), content = 'nobody') => (plant(s, fileOf(s, version), content), version);

async function fsck(s, ...options) {
  const run = await s.tenon('storage', 'fsck', '--json', ...options);
  assert.ok(run.json, run.stderr + run.stdout);
  return { ...run.json, code: run.code, kinds: run.json.differences.map((d) => d.kind).sort() };
}

test('fsck: nothing differs after uploads, overwrites and deletions; each kind of damage is told, and mended', async () => {
  const s = await stack({ people: false, settings: calm });
  await bucket(s, 'b');
  for (const name of ['whole', 'gone', 'short', 'other', 'twice', 'removed']) answers(await put(s, `b/${name}`, `content of ${name}`), 200);
  answers(await put(s, 'b/twice', 'a second content', 'PUT'), 200);
  answers(await s.a.service.request('DELETE', '/storage/v1/object/b/removed'), 200);
  const clean = await fsck(s, '--verify');
  assert.deepEqual([clean.code, clean.clean, clean.rows, clean.files, clean.kinds], [0, true, 5, 7, []]);
  assert.deepEqual((await fsck(s, '--verify', '--now')).kinds, [], 'what is in the trash is no difference');

  const gone = await versionOf(s, 'b/gone');
  fs.rmSync(fileOf(s, gone));
  fs.truncateSync(fileOf(s, await versionOf(s, 'b/short')), 3);
  fs.writeFileSync(fileOf(s, await versionOf(s, 'b/other')), 'CONTENT of other');
  const orphan = plantObject(s);
  const foreign = path.join(s.storageDir, 'objects', randomUUID(), 'aa', 'bb', '01234567-89ab-4def-8123-456789abaabb');
  plant(s, foreign, 'of another database');
  plant(s, path.join(s.storageDir, 'objects', s.a.id, 'README'), 'what');
  plant(s, path.join(s.storageDir, 'staging', s.a.id, randomUUID()), 'left');
  plant(s, path.join(s.storageDir, 'spool', '0000000099'), 'left');
  fs.chmodSync(fileOf(s, await versionOf(s, 'b/whole')), 0o644);
  await s.sql(`update storage.usage set bytes = bytes + 7 where tenant_id = '${s.a.id}'; insert into storage.trash (tenant_id, version) values ('${s.a.id}', '${await versionOf(s, 'b/whole')}')`);

  const young = await fsck(s);
  assert.deepEqual(young.kinds, ['missing_bytes', 'named_trash', 'strange_file', 'wrong_access', 'wrong_size', 'wrong_usage'], 'young files without a row are nobody’s business');
  assert.equal(young.code, 1);
  const all = ['foreign_file', 'missing_bytes', 'named_trash', 'orphan_file', 'orphan_spooled', 'orphan_staged', 'strange_file', 'wrong_access', 'wrong_content', 'wrong_size', 'wrong_usage'];
  assert.deepEqual((await fsck(s, '--verify', '--now')).kinds, all);
  assert.deepEqual((await fsck(s, '--verify', '--now')).kinds, all, 'looking changes nothing');
  assert.deepEqual((await fsck(s, '--verify', '--now', '--tenant', 'b')).kinds.filter((k) => k !== 'strange_file' && k !== 'wrong_access'), []);
  const text = await s.tenon('storage', 'fsck');
  assert.match(text.stdout, new RegExp(`missing_bytes +${gone} +b/gone`));

  const repaired = await fsck(s, '--verify', '--now', '--repair');
  assert.deepEqual(repaired.differences.filter((d) => !d.mended).map((d) => d.kind).sort(), ['foreign_file', 'strange_file'], 'what may be somebody’s is only told');
  assert.deepEqual((await fsck(s, '--verify', '--now')).kinds, ['foreign_file', 'strange_file']);
  assert.equal(fs.existsSync(fileOf(s, orphan)), false);
  assert.equal(fs.existsSync(foreign), true);
  assert.deepEqual(await s.rows(`select o.name, l.reason, o.version, o.size::int from storage.lost_objects l join storage.objects o on o.id = l.object_id order by name`), [
    { name: 'gone', reason: 'missing', version: null, size: 0 }, { name: 'other', reason: 'content', version: null, size: 0 }, { name: 'short', reason: 'size', version: null, size: 0 }]);
  assert.equal((await get(s, 'b/gone')).json.statusCode, '404');
  assert.equal((await get(s, 'b/whole')).text, 'content of whole');
  assert.equal((await get(s, 'b/twice')).text, 'a second content');
  const [{ lost }] = await s.rows(`select l.version as lost from storage.lost_objects l join storage.objects o on o.id = l.object_id where o.name = 'short'`);
  assert.equal(fs.readFileSync(fileOf(s, lost), 'utf8'), 'con', 'what is left of damaged bytes stays');
  answers(await put(s, 'b/gone', 'again', 'PUT'), 200);
  assert.equal((await get(s, 'b/gone')).text, 'again');
  assert.equal((await s.rows('select 1 from storage.lost_objects')).length, 2, 'what has new bytes is not lost any more');
});

test('fsck: bytes that are gone take nothing along, and a row has them again when they are back', async () => {
  const s = await stack({ people: false, settings: calm });
  await bucket(s, 'b');
  for (const name of ['cover', 'late', 'deleted', 'replaced', 'damaged']) answers(await put(s, `b/${name}`, `content of ${name}`), 200);
  await s.sql(`create table public.pages (id bigint generated always as identity primary key, tenant_id uuid not null, cover uuid references storage.objects (id) on delete cascade);
    alter table public.pages owner to tenon_owner;
    insert into public.pages (tenant_id, cover) select tenant_id, id from storage.objects where name = 'cover';
    insert into storage.attachments (tenant_id, object_id, target, row_key) select o.tenant_id, o.id, 'public.pages', '1' from storage.objects o where name = 'late'`);
  const before = await s.rows('select id, name, version, size::int, updated_at::text from storage.objects order by name');
  const files = Object.fromEntries(before.map((o) => [o.name, fileOf(s, o.version)]));
  const used = async () => (await s.rows(`select sum(bytes)::int as bytes, sum(objects)::int as objects from storage.usage where tenant_id = '${s.a.id}'`))[0];
  const all = await used();
  for (const file of Object.values(files)) fs.renameSync(file, `${file}.away`);

  const repaired = await fsck(s, '--repair');
  assert.deepEqual([repaired.code, repaired.counts.missing_bytes, repaired.lost_objects], [1, 5, 5], 'strange files are left');
  assert.deepEqual(await s.rows('select id, name, version, size::int from storage.objects order by name'), before.map(({ id, name }) => ({ id, name, version: null, size: 0 })));
  assert.deepEqual((await s.rows('select (select count(*)::int from public.pages) as pages, (select count(*)::int from storage.attachments) as attachments, (select count(*)::int from storage.trash) as trash'))[0],
    { pages: 1, attachments: 1, trash: 0 });
  assert.deepEqual(await used(), { bytes: 0, objects: 5 });
  assert.equal((await get(s, 'b/cover')).json.statusCode, '404');
  assert.equal((await fsck(s, '--repair')).counts.missing_bytes, undefined, 'they are told once');

  answers(await put(s, 'b/replaced', 'another', 'PUT'), 200);
  answers(await s.a.service.request('DELETE', '/storage/v1/object/b/deleted'), 200);
  for (const file of Object.values(files)) fs.renameSync(`${file}.away`, file);
  fs.writeFileSync(files.damaged, 'CONTENT of damaged');
  assert.deepEqual((await fsck(s)).kinds, ['found_bytes', 'found_bytes'], 'the others wait in the trash, or are not whole');
  const restored = await fsck(s, '--repair');
  assert.deepEqual([restored.code, restored.clean, restored.lost_objects], [0, true, 1]);
  assert.equal((await get(s, 'b/cover')).text, 'content of cover');
  assert.equal((await get(s, 'b/late')).text, 'content of late');
  assert.equal((await get(s, 'b/replaced')).text, 'another');
  const whole = ({ name }) => name === 'cover' || name === 'late';
  assert.deepEqual((await s.rows('select id, name, version, size::int, updated_at::text from storage.objects order by name')).filter(whole), before.filter(whole));
  assert.deepEqual((await s.rows('select version from storage.trash order by version')).map((t) => t.version),
    before.filter((o) => ['deleted', 'replaced'].includes(o.name)).map((o) => o.version).sort());
  assert.deepEqual(await used(), { bytes: all.bytes - 'content of deletedcontent of replacedcontent of damaged'.length + 'another'.length, objects: 4 });
});

test('fsck mends nothing where the bytes seem to be elsewhere, unless it is told to', async () => {
  const s = await stack({ people: false, settings: calm });
  await bucket(s, 'b');
  answers(await put(s, 'b/one', 'one'), 200);
  const marker = path.join(s.storageDir, 'tenon.id');
  await eventually('the folder has its id', async () => fs.existsSync(marker) && (await s.rows('select 1 from storage.folder where marked_at is not null')).length === 1, 30_000);
  assert.equal(fs.readFileSync(marker, 'utf8'), (await s.rows('select id::text from storage.folder'))[0].id);
  const empty = fs.mkdtempSync(path.join(path.dirname(s.storageDir), 'empty-'));
  fs.chmodSync(empty, 0o755);
  const elsewhere = async (...options) => {
    const { env } = s.options;
    s.options.env = { ...env, TENON_STORAGE_DIR: empty }; // goes before the file
    try {
      return await s.tenon('storage', 'fsck', ...options);
    } finally {
      s.options.env = env;
    }
  };
  const version = await versionOf(s, 'b/one');

  const refused = await elsewhere('--repair');
  assert.equal(refused.code, 2, refused.stdout + refused.stderr);
  assert.match(refused.stderr, /nothing is mended: .*tenon\.id is not in it[^]*Is the disk mounted/);
  assert.equal(await versionOf(s, 'b/one'), version);
  const looked = await elsewhere('--json');
  assert.deepEqual([looked.code, looked.json.differences.map((d) => d.kind)], [1, ['wrong_folder', 'missing_bytes']]);
  fs.writeFileSync(path.join(empty, 'tenon.id'), randomUUID());
  assert.match((await elsewhere('--repair')).stderr, /another database/);
  const forced = await elsewhere('--repair', '--force', '--json');
  assert.deepEqual([forced.code, forced.json.lost_objects, await versionOf(s, 'b/one')], [1, 1, null]);
  const back = await fsck(s, '--repair');
  assert.deepEqual([back.code, back.kinds, await versionOf(s, 'b/one')], [0, ['found_bytes'], version]);
  assert.equal((await get(s, 'b/one')).text, 'one');

  await s.sql(`set tenon.tenant_id = '${s.a.id}'; insert into storage.objects (tenant_id, bucket_id, name, version, size) select '${s.a.id}', 'b', 'n' || n, gen_random_uuid(), 1 from generate_series(1, 101) n`);
  const many = await s.tenon('storage', 'fsck', '--repair');
  assert.equal(many.code, 2, many.stdout + many.stderr);
  assert.match(many.stderr, /nothing is mended: the bytes of 101 of 102 rows are missing/);
  assert.equal((await s.rows('select 1 from storage.lost_objects')).length, 0);
  assert.equal((await fsck(s, '--repair', '--force')).code, 0);
  assert.equal((await s.rows('select 1 from storage.lost_objects')).length, 101);
});

test('in a folder that is not the one of before no upload is taken', async () => {
  const s = await stack({ people: false, settings: { 'storage.sweep_interval_s': 1 } });
  await bucket(s, 'b');
  answers(await put(s, 'b/one', 'one'), 200);
  const marker = path.join(s.storageDir, 'tenon.id');
  await eventually('the folder has its id', async () => fs.existsSync(marker) && (await s.rows('select 1 from storage.folder where marked_at is not null')).length === 1, 30_000);
  fs.renameSync(marker, `${marker}.away`);
  await eventually('it is noticed', () => s.log().some((line) => line.event === 'storage.folder.wrong'), 30_000);
  const refused = await put(s, 'b/two', 'two');
  assert.equal(refused.status, 503, refused.text);
  assert.equal((await get(s, 'b/one')).text, 'one');
  assert.match(await (await fetch(s.metrics)).text(), /tenon_storage_wrong_folder 1/);
  assert.equal(fs.existsSync(marker), false, 'no second id is made');
});

test('fsck passes over what is no plain file or cannot be read, and looks at the rest', async () => {
  const s = await stack({ people: false, settings: calm });
  await bucket(s, 'b');
  for (const name of ['link', 'folder', 'above', 'gone', 'whole']) answers(await put(s, `b/${name}`, `content of ${name}`), 200);
  const files = {};
  const high = (file) => path.dirname(path.dirname(file));
  for (const name of ['link', 'folder', 'gone', 'whole', 'above']) files[name] = fileOf(s, await versionOf(s, `b/${name}`));
  while (path.basename(high(files.above)) === 'ff' || ['link', 'folder', 'gone', 'whole'].some((name) => high(files[name]) === high(files.above))) {
    answers(await put(s, 'b/above', 'content of above', 'PUT'), 200); // nothing else is to lie in its folder
    files.above = fileOf(s, await versionOf(s, 'b/above'));
  }
  fs.rmSync(files.link);
  fs.symlinkSync(files.whole, files.link);
  fs.rmSync(files.folder);
  fs.mkdirSync(files.folder);
  fs.rmSync(high(files.above), { recursive: true });
  fs.symlinkSync(s.storageDir, high(files.above));
  fs.rmSync(files.gone, { force: true });
  const orphan = plantObject(s, '01234567-89ab-4def-8123-456789abfffe');
  for (const options of [['--verify', '--now'], ['--verify', '--now', '--repair']]) {
    const found = await fsck(s, ...options);
    assert.equal(found.code, 1, JSON.stringify(found.differences));
    assert.deepEqual(found.differences.filter((d) => d.kind === 'strange_file' && d.name !== null).map((d) => [d.name, d.mended]).sort(), [['above', false], ['folder', false], ['link', false]]);
    assert.ok(found.kinds.includes('missing_bytes') && found.kinds.includes('orphan_file'), found.kinds.join());
  }
  assert.equal(fs.existsSync(fileOf(s, orphan)), false);
  assert.equal((await get(s, 'b/whole')).text, 'content of whole');
});

test('fsck: trouble is 2, and is not taken for a difference', { skip: process.getuid() !== 0 && 'only root can make a folder that cannot be read' }, async () => {
  const s = await stack({ people: false, settings: calm });
  await bucket(s, 'b');
  answers(await put(s, 'b/one', 'one'), 200);
  const file = fileOf(s, await versionOf(s, 'b/one'));
  fs.chmodSync(path.dirname(path.dirname(file)), 0);
  answers(await put(s, 'b/two', 'two'), 200);
  const two = fileOf(s, await versionOf(s, 'b/two'));
  if (path.dirname(path.dirname(two)) !== path.dirname(path.dirname(file))) fs.rmSync(two);
  const run = await s.tenon('storage', 'fsck', '--verify', '--repair');
  assert.equal(run.code, 2, run.stdout + run.stderr);
  assert.match(run.stdout, /unreadable .* b\/one/);
  if (!fs.existsSync(two)) assert.match(run.stdout, /missing_bytes .* b\/two .*mended/);
  await s.sql(`set storage.allow_delete_query = 'true'; delete from storage.objects where name = 'two'`);
  fs.chmodSync(path.dirname(path.dirname(file)), 0o750);
  assert.equal((await get(s, 'b/one')).text, 'one');
  assert.equal((await s.rows('select 1 from storage.lost_objects')).length, 0);
  await s.tenon('storage', 'fsck', '--repair');
  const other = await s.tenon('storage', 'fsck', '--tenant', 'nobody');
  assert.equal(other.code, 4);
});

test('fsck of encrypted files decrypts them', async () => {
  const s = await stack({ people: false, settings: { ...calm, 'storage.master_key': 'ab'.repeat(32) } });
  await bucket(s, 'secret');
  await s.sql(`update storage.buckets set encrypted = true where id = 'secret'`);
  const content = 'x'.repeat(200_000);
  answers(await put(s, 'secret/a', content), 200);
  answers(await put(s, 'secret/empty', ''), 200);
  const file = fileOf(s, await versionOf(s, 'secret/a'));
  assert.equal(fs.readFileSync(file).includes('xxxx'), false);
  assert.deepEqual((await fsck(s, '--verify')).kinds, []);
  const bytes = fs.readFileSync(file);
  bytes[100_000] ^= 1;
  fs.writeFileSync(file, bytes);
  assert.deepEqual((await fsck(s, '--verify')).kinds, ['wrong_content']);
});

test('quotas and usage', async () => {
  const s = await stack({ settings: { ...calm, 'storage.tenant_quota': 1000 } });
  await bucket(s, 'b');
  answers(await put(s, 'b/one', 'x'.repeat(600)), 200);
  const refused = await put(s, 'b/two', 'x'.repeat(600));
  assert.deepEqual([refused.status, refused.json.statusCode], [400, '413'], refused.text);
  assert.deepEqual((await s.tenon('storage', 'quota', 'a', '--json')).json, { tenant: 'a', bytes: 1000, user_bytes: null, used_bytes: 600 });
  assert.deepEqual((await s.tenon('storage', 'quota', 'a', '--bytes', '2000', '--user-bytes', '50', '--json')).json, { tenant: 'a', bytes: 2000, user_bytes: 50, used_bytes: 600 });
  answers(await put(s, 'b/two', 'x'.repeat(600)), 200);
  assert.deepEqual((await s.tenon('storage', 'quota', 'a', '--bytes', 'none', '--json')).json, { tenant: 'a', bytes: 1000, user_bytes: 50, used_bytes: 1200 });
  assert.equal((await s.tenon('storage', 'quota', 'a', '--bytes', '-1')).code, 2);
  assert.equal((await s.tenon('storage', 'quota', 'nobody')).code, 4);
  const [usage] = (await s.tenon('storage', 'usage', '--json')).json.filter((u) => u.tenant === 'a');
  assert.deepEqual(usage, { tenant: 'a', bytes: 1200, objects: 2, quota: 1000, trash: 0 });
  assert.deepEqual((await s.tenon('storage', 'usage', 'a', '--json')).json, [{ owner_id: null, bytes: 1200, objects: 2 }]);
});

test('the sweeper removes what has lost its row, and what never had one; and nothing else', async () => {
  const s = await stack({ people: false, settings: { 'storage.sweep_interval_s': 1, 'storage.trash_grace_s': 1, 'storage.orphan_age_s': 3, 'storage.upload_ttl_s': 60 } });
  await bucket(s, 'b');
  const wholes = {};
  for (let i = 0; i < 20; i++) {
    wholes[`b/${i}`] = createHash('sha256').update(`content ${i}`).digest('hex');
    answers(await put(s, `b/${i}`, `content ${i}`), 200);
  }
  const before = fileOf(s, await versionOf(s, 'b/3'));
  answers(await put(s, 'b/3', 'content 3', 'PUT'), 200);
  const deleted = fileOf(s, await versionOf(s, 'b/4'));
  answers(await s.a.service.request('DELETE', '/storage/v1/object/b', { prefixes: ['4', '5'] }), 200);
  delete wholes['b/4'];
  delete wholes['b/5'];
  const bySql = fileOf(s, await versionOf(s, 'b/6'));
  await s.sql(`set storage.allow_delete_query = 'true'; delete from storage.objects where name = '6'`);
  delete wholes['b/6'];
  const orphan = fileOf(s, plantObject(s));
  const foreign = path.join(s.storageDir, 'objects', randomUUID(), 'aa', 'bb', '01234567-89ab-4def-8123-456789abaabb');
  plant(s, foreign, 'of another database');
  const staged = path.join(s.storageDir, 'staging', s.a.id, randomUUID());
  plant(s, staged, 'left');
  const spooled = path.join(s.storageDir, 'spool', '0000000099');
  plant(s, spooled, 'left');
  await s.sql(`insert into storage.trash (tenant_id, version) values ('${s.a.id}', 'made up "by" \\ SQL'), ('${s.a.id}', '${await versionOf(s, 'b/7')}')`);

  await eventually('all that is nobody’s is gone', () => [before, deleted, bySql, orphan, staged, spooled].every((file) => !fs.existsSync(file)), 30_000);
  await eventually('the trash is empty', async () => (await s.rows('select count(*)::int as n from storage.trash'))[0].n === 0, 30_000);
  assert.equal(fs.existsSync(foreign), true, 'a tenant that the database does not know may be another database’s');
  for (const [name, hash] of Object.entries(wholes)) assert.equal(createHash('sha256').update((await get(s, name)).bytes).digest('hex'), hash, name);
  assert.deepEqual((await fsck(s, '--verify', '--now')).kinds, ['foreign_file']);
  assert.match(await (await fetch(s.metrics)).text(), /tenon_storage_swept_total [1-9]/);
});

test('an upload that has stood still for too long is given up, and one that goes on is not', async () => {
  const s = await stack({ people: false, settings: { 'storage.sweep_interval_s': 1, 'storage.orphan_age_s': 2 } });
  await bucket(s, 'b');
  const begin = async (name) => {
    const metadata = `bucketName ${btoa('b')},objectName ${btoa(name)}`;
    const answer = await s.a.service.request('POST', '/storage/v1/upload/resumable', Buffer.from('half'), {
      headers: { 'tus-resumable': '1.0.0', 'upload-length': '8', 'upload-metadata': metadata, 'content-type': 'application/offset+octet-stream' } });
    answers(answer, 201);
    return new URL(answer.headers.location).pathname;
  };
  const [late, live] = [await begin('late'), await begin('live')];
  const staging = () => fs.readdirSync(path.join(s.storageDir, 'staging', s.a.id));
  assert.equal(staging().length, 2);
  await s.sql(`update storage.uploads set expires_at = now() - interval '1 second' where name = 'late'`);
  await eventually('its bytes are gone', () => staging().length === 1, 30_000);
  plant(s, path.join(s.storageDir, 'staging', s.a.id, randomUUID()), 'left');
  await eventually('staging has been swept', () => s.log().some((line) => line.event === 'storage.staging.swept'), 30_000);
  const head = (url) => s.a.service.request('HEAD', url, undefined, { headers: { 'tus-resumable': '1.0.0' } });
  assert.ok([404, 410].includes((await head(late)).status));
  assert.equal((await head(live)).headers['upload-offset'], '4');
  answers(await s.a.service.request('PATCH', live, Buffer.from('half'), { headers: { 'tus-resumable': '1.0.0', 'upload-offset': '4', 'content-type': 'application/offset+octet-stream' } }), 204);
  assert.equal((await get(s, 'b/live')).text, 'halfhalf');
});
