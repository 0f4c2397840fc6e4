// t/fault/tus-disk.mjs: a resumable upload and a full disk: what is there is kept, and it goes on when there is space again; only as root
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { create, head, patch } from '../lib/tus.mjs';

/* A file system of 2 MiB in memory; undefined where we may not mount one. */
function smallDisk() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir], { stdio: 'pipe' });
  } catch {
    fs.rmdirSync(dir);
    return undefined;
  }
  execFileSync('chown', ['www-data', dir]);
  after(() => {
    execFileSync('umount', ['-l', dir]);
    fs.rmdirSync(dir);
  });
  return dir;
}

test('a full disk', async (t) => {
  const disk = smallDisk();
  if (!disk) return t.skip('no file system can be mounted here');
  const s = await stack({ people: false, settings: { 'storage.dir': disk } });
  await s.sql(`insert into storage.buckets (tenant_id, id, name) values ('${s.a.id}', 'docs', 'docs')`);
  const { service } = s.a;
  const content = randomBytes(3 << 20);
  const { path: at } = await create(service, { name: 'full', length: content.length });
  const answer = await patch(service, at, 0, content);
  assert.equal(answer.status, 507, answer.text);
  const { offset } = await head(service, at);
  assert.ok(offset > 1 << 20 && offset <= 2 << 20, `${offset} bytes are there`);
  assert.equal((await patch(service, at, offset, content.subarray(offset))).status, 507);
  execFileSync('mount', ['-o', 'remount,size=64m', disk]);
  const again = await head(service, at);
  assert.ok(again.offset >= offset);
  assert.equal((await patch(service, at, again.offset, content.subarray(again.offset))).status, 204);
  const [object] = await s.rows(`select encode(sha256, 'hex') as sha256 from storage.objects where name = 'full'`);
  assert.equal(object.sha256, createHash('sha256').update(content).digest('hex'));
  return undefined;
});
