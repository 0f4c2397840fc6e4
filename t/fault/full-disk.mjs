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

test('no space for messages: a clear error, nothing half done, and it goes on when there is space again', async (t) => {
  const disk = smallDisk('3m', 'postgres');
  if (!disk) return t.skip('no file system can be mounted here');
  const cluster = await startCluster();
  after(() => cluster.remove());
  const s = await stack({ cluster });
  await s.sql(`create tablespace small location '${disk}'`);
  await s.sql('alter table ai.messages set tablespace small');
  const content = Array.from({ length: 3000 }, (_, i) => `w${(i * 7919) % 10007}x${i}`).join(' ');
  const refused = await eventually('no space left', async () => {
    const answer = await s.alice.request('POST', '/api/chats/messages', { content });
    return answer.status !== 200 && answer;
  }, 60_000);
  assert.ok([500, 503, 507].includes(refused.status), refused.text.slice(0, 300));
  isOurError(refused, refused.status, refused.json.code);
  answers(await s.alice.request('GET', '/api/chats?limit=1'), 200);
  execFileSync('mount', ['-o', 'remount,size=64m', disk]);
  await eventually('messages are taken again', async () => (await s.alice.request('POST', '/api/chats/messages', { content })).status === 200);
  await eventually('no run is left running', async () => (await s.rows(`select count(*)::int as n from ai.runs where status = 'running'`))[0].n === 0);
  await s.sql('alter table ai.messages set tablespace pg_default; drop tablespace small');
  await s.stop();
  return undefined;
});
