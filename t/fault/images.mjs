// t/fault/images.mjs: images that crash, take too long or too much, and tenon-image killed: one request pays, if any
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { childrenOf, eventually, keepsFreedMemory, stack } from '../lib/stack.mjs';
import { good, makeBucket, refused } from '../lib/storage.mjs';
import { bomb, look, png } from '../lib/picture.mjs';

const run = promisify(execFile);
const program = path.join(path.dirname(fs.realpathSync(process.env.TENON_BIN)), 'tenon-image');

const s = await stack({
  settings: { 'stream.processes': 1, 'stream.threads': 64, 'storage.image_pixels_max': 400_000_000, 'storage.image_memory_mib': 256, 'storage.image_timeout_s': 30, 'storage.image_processes': 2 },
});
const { a } = s;
const anybody = a.anon.with({ apikey: null, authorization: null });
const pics = await makeBucket(a, 'pics', { public: true });
const put = async (name, bytes) => good(await pics.put(name, bytes, { 'content-type': 'image/png', 'x-upsert': 'true' }));
const render = (name, query) => anybody.request('GET', `/storage/v1/render/image/public/pics/${name}${query}`);
let width = 10;
const small = async () => {
  const answer = await render('small.png', `?width=${++width}`); // each time another one: none comes from the folder
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  assert.deepEqual(look(answer.bytes), { format: 'png', width, height: width });
};
const comm = (pid) => fs.readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
const status = (pid, field) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
const pool = () => {
  const [pid] = childrenOf(s.master.pid).filter((child) => comm(child) === 'tenon-image');
  assert.ok(pid, 'tenon-image runs');
  return pid;
};
/* A picture that takes some seconds: many pixels to read, and a slow format. */
const slow = bomb(11_000, 11_000);
const working = (count = 1) => eventually('a picture being made', () => {
  const children = childrenOf(pool());
  return children.length >= count && children;
});

await put('small.png', png(400, 400));
await put('slow.png', slow);

test('the sandbox holds, and pictures can be made in it', async (t) => {
  const { stdout } = await run(program, ['--check']).catch((error) => error);
  const lines = stdout.trim().split('\n');
  assert.equal(lines.length, 19);
  for (const line of lines) await t.test(line.replace(/^(not )?ok - /, ''), () => assert.match(line, /^ok - /));
});

test('what it has', async (t) => {
  await small();
  const pid = pool();
  await t.test('no secret in its environment', () => assert.deepEqual(fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').filter((v) => /TENON|PG|SECRET|postgres/i.test(v)), []));
  await t.test('no descriptor but its own', () => {
    const targets = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`));
    assert.deepEqual(targets.filter((x) => x.startsWith('socket:')).length, 1, targets.join(' '));
    assert.deepEqual(targets.filter((x) => x.startsWith('/') && x !== '/dev/null' && !x.includes('stderr') && !x.endsWith('.log')), []);
  });
  await t.test('no privileges to gain', () => assert.equal(status(pid, 'NoNewPrivs'), '1'));
  await t.test('the workers\' user', { skip: process.getuid() !== 0 }, () => assert.notEqual(status(pid, 'Uid').split('\t')[0], '0'));
  await t.test('and whoever makes a picture has a filter, and limits', async () => {
    const answer = render('slow.png', '?width=500');
    const [child] = await working();
    await eventually('the filter', () => status(child, 'Seccomp') === '2');
    const limits = fs.readFileSync(`/proc/${child}/limits`, 'latin1');
    assert.match(limits, /Max cpu time +30 /);
    assert.match(limits, /Max open files +16 /);
    assert.match(limits, /Max core file size +0 /);
    assert.equal((await answer).status, 200);
  });
});

test('kill -9 of the process that makes a picture costs one request', async () => {
  const answer = render('slow.png', '?width=501');
  const [child] = await working();
  const other = render('slow.png', '?width=502');
  process.kill(child, 'SIGKILL');
  refused(await answer, 400, 'InvalidRequest');
  assert.equal((await other).status, 200);
  await small();
});

test('kill -9 of tenon-image while it works costs nobody anything', async () => {
  const before = pool();
  const answers = [render('slow.png', '?width=503'), render('slow.png', '?width=504')];
  const children = await working(2);
  process.kill(before, 'SIGKILL');
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200, answer.text.slice(0, 300));
  assert.notEqual(pool(), before);
  await eventually('the end of its processes', () => children.every((pid) => !fs.existsSync(`/proc/${pid}`)));
});

test('kill -9 of tenon-image while it does nothing, again and again', async () => {
  for (let i = 0; i < 3; i++) {
    process.kill(await eventually('tenon-image', pool), 'SIGKILL');
    await small();
  }
});

test('no more at once than storage.image_processes', async () => {
  const answers = Array.from({ length: 5 }, (_, i) => render('slow.png', `?width=${600 + i}`));
  let most = 0, waiting = true;
  const all = Promise.all(answers).finally(() => (waiting = false));
  while (waiting) {
    most = Math.max(most, childrenOf(pool()).length);
    await new Promise(setImmediate);
  }
  for (const answer of await all) assert.equal(answer.status, 200);
  assert.equal(most, 2);
});

test('too much memory', { skip: keepsFreedMemory() && 'there is no such limit' }, async () => {
  await put('whole.png', bomb(19_000, 19_000, true));
  refused(await render('whole.png', '?width=10'), 400, 'InvalidRequest');
  await small();
});

test('too much time', async () => {
  s.configure({ 'storage.image_timeout_s': 1 });
  process.kill(s.master.pid, 'SIGHUP');
  await put('endless.png', bomb(19_000, 19_000));
  await eventually('the new setting', async () => {
    const answer = await render('endless.png', `?width=2000&height=2000&format=avif&quality=${20 + (width++ % 80)}`);
    return answer.status === 400 && refused(answer, 400, 'InvalidRequest', { message: /memory or time/ });
  });
  await small();
});

test('a worker does not grow with pictures', { skip: keepsFreedMemory() && 'freed memory is kept' }, async () => {
  const resident = () => {
    const [worker] = childrenOf(s.master.pid).filter((child) => comm(child) === 'tenon-stream');
    return Number(status(worker, 'VmRSS').split(' ')[0]);
  };
  for (let i = 0; i < 20; i++) await small();
  const before = resident();
  for (let i = 0; i < 150; i++) await small();
  assert.ok(resident() - before < 4096, `from ${before} to ${resident()} KiB`);
});

test('with the server it ends', async () => {
  const pid = pool();
  await s.stop();
  assert.ok(!fs.existsSync(`/proc/${pid}`));
});
