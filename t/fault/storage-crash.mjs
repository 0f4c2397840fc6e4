// t/fault/storage-crash.mjs: killed, or a call that fails, at every step of every operation on files
//
// For each operation: at its first step, its third, … until it gets through (TENON_TEST_CRASH_STRIDE=1: at every one). A worker or nginx is killed (kill -9), or the step fails as on a full or
// broken disk, or with a connection that is gone. Then: what was answered as done is there, whole; what was not is either as before or as after, never in
// between; no row is without its bytes; and `tenon storage fsck` finds nothing but files that nobody names yet, which go when they are old.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { childrenOf, eventually, keepsFreedMemory, stack } from '../lib/stack.mjs';
import { accessKey, signed } from '../lib/s3.mjs';
import { form, makeBucket } from '../lib/storage.mjs';
import { makeTrip } from '../lib/trip.mjs';

const trip = keepsFreedMemory() ? undefined : makeTrip(); // a sanitizer wants to be the first library
const skip = trip === undefined && 'needs a compiler, and a build without sanitizers';
const STEPS_MAX = 400;
const stride = Number(process.env.TENON_TEST_CRASH_STRIDE ?? 2); // 1: no step is left out, which takes twice as long
const parts = process.env.TENON_TEST_CRASH?.split(','); // names of operations, for who looks into one

const settings = { 'api.processes': 1, 'stream.processes': 1, 'storage.sweep_interval_s': 3600, 'api.threads': 4, 'api.connections': 2 };
const s = skip ? undefined : await stack({ people: false, settings, env: trip.env });
const b = skip ? undefined : await makeBucket(s.a, 'b');
const key = skip ? undefined : await accessKey(s, '--tenant', 'a', '--name', 'test');

const sha = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 16);
let number = 0;
const fresh = () => `f${++number}`;
const bytes = (size = 100_000) => randomBytes(size); // more than a buffer of nginx: spooled in pieces

/* Content of a name, as a hash; null when there is none. */
async function content(name) {
  const answer = await b.get(name);
  if (answer.status === 200) return sha(answer.bytes);
  assert.equal(answer.json?.statusCode, '404', `${name}: ${answer.status} ${answer.text?.slice(0, 300)}`);
  return null;
}

/* Each gives {run, from, to}: what is done, and what the names hold before and after it. */
const operations = {
  async upload() {
    const [name, content] = [fresh(), bytes()];
    return { run: () => b.put(name, content), from: { [name]: null }, to: { [name]: sha(content) } };
  },
  async form() {
    const [name, content] = [fresh(), bytes()];
    const { body, headers } = form([{ name: 'cacheControl', body: '60' }, { filename: 'x', type: 'text/plain', body: content }]);
    return { run: () => b.put(name, body, headers), from: { [name]: null }, to: { [name]: sha(content) } };
  },
  async overwrite() {
    const [name, before, after] = [fresh(), bytes(), bytes()];
    assert.equal((await b.put(name, before)).status, 200);
    return { run: () => b.replace(name, after), from: { [name]: sha(before) }, to: { [name]: sha(after) } };
  },
  async move() {
    const [a, z, before] = [fresh(), fresh(), bytes()];
    assert.equal((await b.put(a, before)).status, 200);
    return { run: () => b.move(a, z), from: { [a]: sha(before), [z]: null }, to: { [a]: null, [z]: sha(before) } };
  },
  async copy() {
    const [a, z, before] = [fresh(), fresh(), bytes()];
    assert.equal((await b.put(a, before)).status, 200);
    return { run: () => b.copy(a, z), from: { [a]: sha(before), [z]: null }, to: { [a]: sha(before), [z]: sha(before) } };
  },
  async remove() {
    const names = [fresh(), fresh()], before = bytes();
    for (const name of names) assert.equal((await b.put(name, before)).status, 200);
    return { run: () => b.remove(...names), from: Object.fromEntries(names.map((n) => [n, sha(before)])), to: Object.fromEntries(names.map((n) => [n, null])) };
  },
};

const tusHeaders = { 'tus-resumable': '1.0.0' };
const tusOptions = (headers) => ({ headers: { ...tusHeaders, 'content-type': 'application/offset+octet-stream', ...headers } });

/* A resumable upload whose second half comes while things break: however it ends, it can be finished, and is whole then. */
operations.tus = async () => {
  const [name, all] = [fresh(), bytes()], half = 40_000;
  const begun = await s.a.service.request('POST', '/storage/v1/upload/resumable', all.subarray(0, half),
    tusOptions({ 'upload-length': String(all.length), 'upload-metadata': `bucketName ${btoa('b')},objectName ${btoa(name)}` }));
  assert.equal(begun.status, 201, begun.text);
  const url = new URL(begun.headers.location).pathname;
  const resume = () => eventually('its end', async () => {
    const head = await s.a.service.request('HEAD', url, undefined, { headers: tusHeaders });
    if ([404, 410].includes(head.status)) return true; // finished and forgotten
    const offset = Number(head.headers['upload-offset']);
    assert.ok(offset >= half && offset <= all.length, `offset ${offset}: nothing that was acknowledged is lost`);
    if (offset === all.length) return true;
    const patched = await s.a.service.request('PATCH', url, all.subarray(offset), tusOptions({ 'upload-offset': String(offset) }));
    assert.ok([204, 409].includes(patched.status), patched.text); // 409: the worker had more of the broken request than it had told
    return patched.status === 204;
  });
  return {
    pool: 'stream',
    run: () => s.a.service.request('PATCH', url, all.subarray(half), tusOptions({ 'upload-offset': String(half) })),
    from: { [name]: null }, to: { [name]: sha(all) }, resume,
  };
};

operations.s3 = async () => {
  const [name, content] = [fresh(), bytes()];
  return { run: () => signed(s, key, 'PUT', `/b/${name}`, { body: content }), from: { [name]: null }, to: { [name]: sha(content) } };
};

/* An upload of S3 in two parts that is completed while things break: afterwards it is complete, or can be completed. */
operations.multipart = async () => {
  const [name, all] = [fresh(), bytes(5 * 2 ** 20 + 1000)], half = 5 * 2 ** 20;
  const begun = await signed(s, key, 'POST', `/b/${name}?uploads`);
  assert.equal(begun.status, 200, begun.text);
  const id = /<UploadId>(.*)<\/UploadId>/.exec(begun.text)[1];
  const etags = [];
  for (const [i, part] of [all.subarray(0, half), all.subarray(half)].entries()) {
    const answer = await signed(s, key, 'PUT', `/b/${name}?partNumber=${i + 1}&uploadId=${id}`, { body: part });
    assert.equal(answer.status, 200, answer.text);
    etags.push(answer.headers.etag);
  }
  const body = `<CompleteMultipartUpload>${etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join('')}</CompleteMultipartUpload>`;
  const complete = () => signed(s, key, 'POST', `/b/${name}?uploadId=${id}`, { body });
  return {
    run: async () => {
      const answer = await complete();
      return answer.code ? { status: 500, text: answer.text } : answer; // an error that came after the 200
    },
    from: { [name]: null }, to: { [name]: sha(all) },
    resume: async () => {
      if ((await content(name)) !== null) return;
      // who was killed while completing it holds on to it for a while
      await s.sql(`update storage.s3_multipart_uploads set completing_at = null where id = '${id}'`);
      const answer = await complete();
      assert.ok(answer.status === 200 && !answer.code, answer.text);
    },
  };
};

/* --- how it is broken --------------------------------------------------------------------------------------------------------------- */

async function restart() {
  const pids = [s.master.pid, ...childrenOf(s.master.pid)];
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has gone by itself
    }
  await s.master.left;
  await s.serve();
  await s.ready();
}

const workers = (pool) => eventually(`a worker of ${pool}`, () => s.workers(pool).length === 1 && s.workers(pool));
const nginxes = () => eventually('the workers of nginx', () => childrenOf(s.nginx.pid).length >= 2 && childrenOf(s.nginx.pid));

async function nginxReplaced(pids) {
  await eventually('nginx has replaced it', () => childrenOf(s.nginx.pid).length >= 2 && childrenOf(s.nginx.pid).some((pid) => !pids.includes(pid)));
  s.a.service.agent.destroy(); // connections that were kept have gone with it
}

/* Answered with success? */
async function attempt(operation) {
  try {
    const answer = await operation.run();
    if (answer.status < 300) return true;
    assert.ok(answer.status >= 500 || answer.json?.statusCode >= 500, `${answer.status} ${answer.text?.slice(0, 300)}`);
    return false;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return false; // the connection broke
  }
}

async function judge(operation, succeeded, where) {
  const names = Object.keys(operation.to);
  const now = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await content(name)])));
  const isAfter = names.every((name) => now[name] === operation.to[name]), isBefore = names.every((name) => now[name] === operation.from[name]);
  if (succeeded) assert.ok(isAfter, `${where}: answered as done, and is not: ${JSON.stringify({ now, ...operation })}`);
  assert.ok(isAfter || isBefore, `${where}: neither as before nor as after: ${JSON.stringify({ now, ...operation })}`);
  if (!operation.resume) return;
  await operation.resume();
  for (const name of names) assert.equal(await content(name), operation.to[name], `${where}: whole when it is finished`);
}

async function fsck(...options) {
  const run = await s.tenon('storage', 'fsck', '--verify', '--json', ...options);
  assert.ok(run.json?.counts, run.stderr + run.stdout);
  return run.json;
}

async function nothingDiffers() {
  assert.deepEqual((await fsck()).counts, {});
  const { counts } = await fsck('--now', '--repair');
  for (const kind of Object.keys(counts)) assert.ok(['orphan_file', 'orphan_staged', 'orphan_spooled'].includes(kind), `${kind}: only files that nobody names may be left`);
  assert.deepEqual((await fsck('--now')).counts, {});
}

/* Breaks the operation at each of its steps. `meant` gives the processes; `mend` brings back what has died. */
async function sweep(t, name, mode, meant, mend) {
  let step = 1 + ((name.length + mode.length) % stride), succeeded = 0, last = []; // not the same ones for all
  for (; step < STEPS_MAX; step += stride) {
    const operation = await operations[name]();
    const pids = await meant(operation);
    trip.arm(mode, step, pids);
    const done = await attempt(operation);
    const { hit, steps } = trip.disarm();
    const where = `${name}, ${mode} at step ${step} (${steps[step - 1] ?? 'none'})`;
    if (hit) await mend?.(pids);
    if (mode === 'fail') assert.deepEqual(await meant(operation), pids, `${where}: nobody dies of it`);
    if (!hit) assert.ok(done, `${where}: it gets through when nothing breaks`);
    await judge(operation, done, where);
    succeeded += done;
    last = steps;
    if (!hit) break;
  }
  t.diagnostic(`${step - 1} steps, ${succeeded - 1} of them answered with success: ${last.join(' ')}`);
  assert.ok(step > 1 && step < STEPS_MAX, `${step} steps`);
  await nothingDiffers();
}

const pool = (operation) => workers(operation.pool ?? 'api');
for (const name of Object.keys(operations)) {
  if (parts && !parts.includes(name)) continue;
  test(`${name}: the worker is killed at each step`, { skip }, (t) => sweep(t, name, 'kill', pool, restart));
  test(`${name}: each step of the worker fails`, { skip }, (t) => sweep(t, name, 'fail', pool));
  if (!['upload', 'tus', 's3'].includes(name)) continue;
  test(`${name}: nginx is killed at each step`, { skip }, (t) => sweep(t, name, 'kill', nginxes, nginxReplaced));
  test(`${name}: each step of nginx fails`, { skip }, (t) => sweep(t, name, 'fail', nginxes, () => s.a.service.agent.destroy()));
}

test('the sweeper is killed at each step: what it should remove goes in the end, and nothing else', { skip }, async (t) => {
  s.configure({ 'storage.sweep_interval_s': 1, 'storage.trash_grace_s': 0 });
  await restart();
  const kept = bytes();
  assert.equal((await b.put('kept', kept)).status, 200);
  let step = 1;
  for (; step < STEPS_MAX; step++) {
    const names = [fresh(), fresh()];
    for (const name of names) assert.equal((await b.put(name, 'gone soon')).status, 200);
    trip.arm('kill', step, await workers('jobs'));
    assert.equal((await b.remove(...names)).status, 200);
    const trash = async () => (await s.rows('select count(*)::int as n from storage.trash where claimed_until < now()'))[0].n;
    await eventually('the end of the sweeper, or of its work', async () => trip.read().hit || (await trash()) === 0);
    const { hit } = trip.disarm();
    if (!hit) break;
    await s.sql(`update storage.trash set claimed_until = '-infinity'`); // as when its lease is over
    await restart();
  }
  t.diagnostic(`${step - 1} steps`);
  assert.ok(step > 3 && step < STEPS_MAX, `${step} steps`);
  await eventually('an empty trash', async () => (await s.rows('select count(*)::int as n from storage.trash'))[0].n === 0);
  assert.equal(await content('kept'), sha(kept));
  await nothingDiffers();
});

test('what is committed has been synced: content, then its name, then the row', { skip }, async () => {
  const operation = await operations.upload();
  trip.arm('count', 0, await workers('api'));
  assert.ok(await attempt(operation));
  const { steps } = trip.disarm();
  const named = Math.max(steps.lastIndexOf('linkat'), steps.lastIndexOf('renameat2'));
  assert.ok(steps.slice(0, named).includes('fsync'), `the content before its name: ${steps.join(' ')}`);
  const folder = steps.indexOf('fsync', named);
  assert.ok(folder > named && steps.slice(folder).includes('send'), `the name before the row: ${steps.join(' ')}`);
});
