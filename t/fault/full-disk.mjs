// t/fault/full-disk.mjs: no space left for the log, and none for the tables: played with small file systems in memory, so only as root
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { startCluster } from '../lib/postgres.mjs';

/* A file system of `size` in memory; undefined where we may not mount one. */
function smallDisk(size, owner) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir], { stdio: 'pipe' });
  } catch {
    fs.rmdirSync(dir);
    return undefined;
  }
  execFileSync('chown', [owner, dir]);
  const remove = () => {
    execFileSync('umount', ['-l', dir]);
    fs.rmdirSync(dir);
  };
  after(remove);
  return dir;
}

test('no space for the log: requests are served, and the log goes on when there is space again', async (t) => {
  const disk = smallDisk('32k', 'www-data');
  if (!disk) return t.skip('no file system can be mounted here');
  const file = path.join(disk, 'tenon.log');
  const s = await stack({ settings: { 'log.file': file } });
  const filler = path.join(disk, 'filler');
  try {
    fs.writeFileSync(filler, Buffer.alloc(1 << 20));
  } catch (error) {
    assert.equal(error.code, 'ENOSPC');
  }
  for (let i = 0; i < 200; i++) answers(await s.alice.request('GET', '/auth/v1/user'), 200);
  answers(await s.alice.request('POST', '/api/chats/messages', { content: 'hello' }), 200);
  fs.rmSync(filler);
  fs.truncateSync(file);
  const answer = await s.alice.request('GET', '/auth/v1/user');
  await eventually('its line in the log', () => fs.readFileSync(file, 'utf8').includes(answer.headers['x-request-id']));
  await s.stop();
  return undefined;
});

test('no space for messages: a clear error or a wait, nothing half done, and it goes on when there is space again', async (t) => {
  const disk = smallDisk('3m', 'postgres');
  if (!disk) return t.skip('no file system can be mounted here');
  const cluster = await startCluster();
  after(() => cluster.remove());
  const s = await stack({ cluster });
  await s.sql(`create tablespace small location '${disk}'`);
  await s.sql('alter table ai.messages set tablespace small');
  const content = Array.from({ length: 3000 }, (_, i) => `w${(i * 7919) % 10007}x${i}`).join(' ');

  // A message that finds no space is refused. A reply that finds none is kept and tried again, and its client waits.
  const sent = [];
  const isFull = () => sent.some((x) => x.status >= 500) || s.log().some((line) => /53100|No space left/.test(JSON.stringify(line)));
  const full = new AbortController();
  const writer = (async () => {
    while (!full.signal.aborted) {
      const answer = await s.alice.request('POST', '/api/chats/messages', { content });
      sent.push(answer);
    }
  })();
  await eventually('no space left', () => isFull() || fs.readFileSync(path.join(cluster.dir, 'log'), 'utf8').includes('No space left on device'), 60_000);
  answers(await s.alice.request('GET', '/api/chats?limit=1'), 200);

  execFileSync('mount', ['-o', 'remount,size=64m', disk]);
  const mark = sent.length;
  await eventually('messages are taken again', () => sent.slice(mark).some((x) => x.status === 200));
  full.abort();
  await writer;
  for (const answer of sent)
    if (answer.status !== 200) isOurError(answer, 503, 'database_unavailable');
  await eventually('no run is left running', async () => (await s.rows(`select count(*)::int as n from ai.runs where status = 'running'`))[0].n === 0);
  const [{ n }] = await s.rows(`select count(*)::int as n from ai.messages m where role = 'user' and not exists (select from ai.messages r where r.parent_id = m.id)`);
  assert.equal(n, 0, 'every message that was taken has its reply');
  await s.sql('alter table ai.messages set tablespace pg_default; drop tablespace small');
  await s.stop();
  return undefined;
});
