// t/fault/tus.mjs: resumable uploads go on: after a cut connection, a killed worker, a killed nginx, a reload, a second client; memory stays as it is
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { childrenOf, eventually, keepsFreedMemory, stack } from '../lib/stack.mjs';
import { create, head, patch, remove, slowly } from '../lib/tus.mjs';

const s = await stack({ nginxes: 2, settings: { 'server.drain_timeout_s': 60 } });
const { alice, a } = s;
await s.sql(`
insert into storage.buckets (tenant_id, id, name) values ('${a.id}', 'docs', 'docs');
create policy "people write" on storage.objects to authenticated using (owner_id = (select auth.uid())::text) with check (owner_id = (select auth.uid())::text);
`);
const MIB = 1 << 20;
const content = randomBytes(3 * MIB);
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
const sha256 = digest(content);

const stored = async (name) => {
  const [object] = await s.rows(`select version, size, encode(sha256, 'hex') as sha256 from storage.objects where name = '${name}'`);
  if (!object) return undefined;
  const [file] = fs.readdirSync(path.join(s.storageDir, 'objects'), { recursive: true, withFileTypes: true }).filter((f) => f.name === object.version);
  assert.equal(digest(fs.readFileSync(path.join(file.parentPath, file.name))), object.sha256, 'the bytes are those of the row');
  return object;
};
const begin = async (name, options = {}) => {
  const { path } = await create(alice, { name, length: content.length, ...options });
  assert.ok(path);
  return path;
};
/* What tus-js-client does: asks how far it is, sends the rest, and asks again when it was wrong. */
const goOn = async (path, client = alice) => {
  for (let tries = 0; tries < 5; tries++) {
    const at = await head(client, path);
    assert.equal(at.status, 200);
    const answer = await patch(client, path, at.offset, content.subarray(at.offset));
    if (answer.status === 204) return at.offset;
    assert.equal(answer.status, 409, answer.text);
  }
  throw new Error('it does not go on');
};
const offsetOf = async (path) => (await head(alice, path)).offset;

test('a connection that is cut: all that has arrived is kept', async () => {
  const at = await begin('cut');
  const slow = slowly(alice, at, 0, { length: content.length });
  await slow.write(content.subarray(0, MIB));
  await eventually('the first bytes', async () => (await offsetOf(at)) === MIB);
  await slow.write(content.subarray(MIB, 2 * MIB));
  slow.cut();
  assert.ok((await goOn(at)) >= MIB); // nginx may have read the last of it and the end at once
  assert.equal((await stored('cut')).sha256, sha256);
});

test('a connection that is cut during one that says no length', async () => {
  const at = await begin('cut-chunked');
  const slow = slowly(alice, at, 0);
  await slow.write(content.subarray(0, 12_345));
  await eventually('the first bytes', async () => (await offsetOf(at)) === 12_345);
  slow.cut();
  assert.equal(await goOn(at), 12_345);
  assert.equal((await stored('cut-chunked')).sha256, sha256);
});

test('somebody who asks how far it is does not stop it, and moves no byte', async () => {
  const at = await begin('watched');
  const slow = slowly(alice, at, 0, { length: content.length });
  const sizes = Array.from({ length: 14 }, (_, i) => 210_000 + i); // no multiple of any buffer's
  let sent = 0;
  for (const size of sizes) {
    await slow.write(content.subarray(sent, sent + size));
    sent += size;
    await eventually('what was sent', async () => (await offsetOf(at)) === sent);
  }
  slow.end(content.subarray(sent));
  assert.equal((await slow.answer).status, 204);
  assert.equal((await stored('watched')).sha256, sha256);
});

test('a second client takes over, on whichever worker and nginx', async () => {
  for (const origin of s.origins) {
    const name = `taken-over-${s.origins.indexOf(origin)}`;
    const at = await begin(name);
    const slow = slowly(alice, at, 0, { length: content.length });
    await slow.write(content.subarray(0, MIB));
    await eventually('the first bytes', async () => (await offsetOf(at)) === MIB);
    const other = s.client(alice.headers, origin);
    const answer = await patch(other, at, MIB, content.subarray(MIB));
    assert.equal(answer.status, 204, answer.text);
    assert.equal((await slow.answer).status, 400, 'the first is told');
    slow.cut();
    assert.equal((await stored(name)).sha256, sha256);
  }
});

test('giving up what is being written', async () => {
  const at = await begin('given-up');
  const slow = slowly(alice, at, 0, { length: content.length });
  await slow.write(content.subarray(0, MIB));
  await eventually('the first bytes', async () => (await offsetOf(at)) === MIB);
  assert.equal((await remove(alice, at)).status, 204);
  assert.ok([400, 410].includes((await slow.answer).status));
  slow.cut();
  assert.equal((await head(alice, at)).status, 404);
});

test('kill -9 of the workers in the middle', async () => {
  const at = await begin('worker-killed');
  const slow = slowly(alice, at, 0, { length: content.length });
  await slow.write(content.subarray(0, 2 * MIB));
  await eventually('the first bytes', async () => (await offsetOf(at)) === 2 * MIB);
  await slow.write(content.subarray(2 * MIB, 2 * MIB + 10)); // these may be lost
  for (const pid of s.workers('stream')) process.kill(pid, 'SIGKILL');
  slow.cut();
  const from = await eventually('the rest', () => goOn(at));
  assert.ok(from >= 2 * MIB, 'what was written down is there');
  assert.equal((await stored('worker-killed')).sha256, sha256);
});

test('kill -9 of nginx in the middle', async () => {
  const at = await begin('nginx-killed');
  const slow = slowly(alice, at, 0, { length: content.length });
  await slow.write(content.subarray(0, MIB));
  await eventually('the first bytes', async () => (await offsetOf(at)) === MIB);
  for (const pid of childrenOf(s.nginx.pid)) process.kill(pid, 'SIGKILL');
  await slow.answer;
  const from = await eventually('the rest', () => goOn(at));
  assert.equal(from, MIB);
  assert.equal((await stored('nginx-killed')).sha256, sha256);
});

test('a reload in the middle: the upload ends with the worker that began it', async () => {
  const at = await begin('reloaded');
  const slow = slowly(alice, at, 0, { length: content.length });
  await slow.write(content.subarray(0, MIB));
  await eventually('the first bytes', async () => (await offsetOf(at)) === MIB);
  const before = s.workers('stream');
  s.master.kill('SIGHUP');
  await eventually('new workers', () => s.workers('stream').some((pid) => !before.includes(pid)));
  await eventually('more bytes', async () => {
    await slow.write(content.subarray(MIB, 2 * MIB));
    return true;
  });
  slow.end(content.subarray(2 * MIB));
  assert.equal((await slow.answer).status, 204);
  assert.equal((await stored('reloaded')).sha256, sha256);
});

test('a restart in the middle', async () => {
  const at = await begin('restarted');
  assert.equal((await patch(alice, at, 0, content.subarray(0, MIB))).status, 204);
  s.master.kill('SIGTERM');
  await s.master.left;
  await s.serve();
  await s.ready();
  assert.equal(await goOn(at), MIB);
  assert.equal((await stored('restarted')).sha256, sha256);
});

test('bytes that are gone are not waited for', async () => {
  const at = await begin('gone');
  assert.equal((await patch(alice, at, 0, content.subarray(0, MIB))).status, 204);
  const [{ staging_id }] = await s.rows(`select staging_id from storage.uploads where name = 'gone'`);
  fs.unlinkSync(path.join(s.storageDir, 'staging', a.id, staging_id));
  assert.equal((await head(alice, at)).status, 410);
  assert.equal((await head(alice, at)).status, 404);
});

test('a body without an end is stopped where the quota is', async () => {
  await s.sql(`insert into storage.quotas (tenant_id, user_bytes) values ('${a.id}',
    (select coalesce(sum(bytes), 0) + ${4 * MIB} from storage.usage where tenant_id = '${a.id}' and owner_id = '${alice.user.id}'));
    delete from storage.uploads`);
  const { path: at } = await create(alice, { name: 'endless', defer: true });
  const slow = slowly(alice, at, 0);
  const piece = Buffer.alloc(MIB);
  let answer, sent = 0;
  void slow.answer.then((got) => { answer = got; });
  for (; sent < 1024 && answer === undefined; sent++) await Promise.race([slow.write(piece), slow.answer]);
  assert.equal((await slow.answer).status, 413, `after ${sent} MiB, while more was coming`);
  slow.cut();
  assert.ok((await head(alice, at)).offset <= 4 * MIB);
  const [{ staging_id }] = await s.rows(`select staging_id from storage.uploads where name = 'endless'`);
  assert.ok(fs.statSync(path.join(s.storageDir, 'staging', a.id, staging_id)).size <= 4 * MIB);
  await remove(alice, at);
  await s.sql(`delete from storage.quotas`);
});

test('constant memory', async (t) => {
  const size = 1024 * MIB;
  const piece = randomBytes(MIB);
  const resident = () => s.workers('stream').reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]), 0);
  const send = async (name, bytes) => {
    const { path } = await create(alice, { name, length: bytes });
    const url = new URL(s.origin);
    const request = http.request({ host: url.hostname, port: url.port, method: 'PATCH', path, agent: new http.Agent(),
      headers: { ...alice.headers, 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream', 'upload-offset': '0', 'content-length': bytes } });
    const answer = once(request, 'response');
    for (let sent = 0; sent < bytes; sent += MIB) if (!request.write(piece)) await once(request, 'drain');
    request.end();
    const [response] = await answer;
    response.resume();
    assert.equal(response.statusCode, 204);
  };
  await Promise.all(Array.from({ length: 4 }, (_, i) => send(`warm/${i}`, 4 * MIB)));
  const before = resident();
  await send('large', size);
  const more = resident() - before;
  t.diagnostic(`${more} KiB more after ${size / MIB} MiB`);
  if (!keepsFreedMemory()) assert.ok(more < 32 * 1024, `${more} KiB more`);
  const [object] = await s.rows(`select size from storage.objects where name = 'large'`);
  assert.equal(Number(object.size), size);
});
