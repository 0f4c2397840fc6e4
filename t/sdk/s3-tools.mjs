// rclone, s3cmd and the AWS CLI, as Debian has them: unmodified, each with its own idea of S3.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { stack } from '../lib/stack.mjs';
import { accessKey, endpoint } from '../lib/s3.mjs';

const FILES = 300;
const s = await stack({ people: false });
const key = await accessKey(s, '--tenant', 'a');
const dir = path.join(s.dir, 'clients');
const home = path.join(dir, 'home');
fs.mkdirSync(home, { recursive: true });

const env = {
  PATH: '/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8',
  AWS_ACCESS_KEY_ID: key.id, AWS_SECRET_ACCESS_KEY: key.secret, AWS_DEFAULT_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true', AWS_PAGER: '',
  RCLONE_CONFIG: path.join(home, 'rclone.conf'), RCLONE_CONFIG_T_TYPE: 's3', RCLONE_CONFIG_T_PROVIDER: 'Other', RCLONE_CONFIG_T_ENDPOINT: endpoint(s),
  RCLONE_CONFIG_T_ACCESS_KEY_ID: key.id, RCLONE_CONFIG_T_SECRET_ACCESS_KEY: key.secret, RCLONE_CONFIG_T_REGION: 'us-east-1',
};
fs.writeFileSync(path.join(home, 'rclone.conf'), '');
// as docs/storage.md has it, at this address
const documented = /```ini\n# \.s3cfg of s3cmd\n([^]*?)```/.exec(fs.readFileSync(new URL('../../docs/storage.md', import.meta.url), 'utf8'))[1];
fs.writeFileSync(path.join(home, '.s3cfg'), documented.replaceAll('example.com', new URL(s.origin).host).replace('use_https = True', 'use_https = False')
  .replace(/^access_key = .*$/m, `access_key = ${key.id}`).replace(/^secret_key = .*$/m, `secret_key = ${key.secret}`));

async function run(command, ...args) {
  const { stdout, stderr } = await promisify(execFile)(command, args, { env, cwd: dir, maxBuffer: 1 << 26 }).catch((error) => {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`);
  });
  return { stdout, stderr };
}
const fails = (command, ...args) => run(command, ...args).then(() => assert.fail('it did not fail'), (error) => error.message);

const tree = path.join(dir, 'tree');
for (let i = 0; i < FILES; i++) {
  const file = path.join(tree, `${i % 20}`, `sub ${i % 3}`, `file-${i}.txt`);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${i}\n`.repeat(1 + (i % 7)));
}
const large = path.join(dir, 'large.bin');
fs.writeFileSync(large, randomBytes(17 << 20));
const same = (a, b) => assert.ok(fs.readFileSync(a).equals(fs.readFileSync(b)), `${a} and ${b} differ`);

// Most of their time is spent on starting them.
describe('clients', { concurrency: true }, () => {
  describe('rclone', { concurrency: false }, () => {
    test('copies many files there and back, finds nothing to do, and checks them', async () => {
      await run('rclone', 'mkdir', 't:rclone');
      await run('rclone', 'sync', '--transfers', '8', '--checkers', '8', tree, 't:rclone/tree');
      const pages = await run('rclone', 'lsf', '-R', '--fast-list', '--s3-list-chunk', '70', '--files-only', 't:rclone/tree');
      assert.equal(pages.stdout.trim().split('\n').length, FILES);
      await run('rclone', 'check', '--checkers', '8', tree, 't:rclone/tree');
      const again = await run('rclone', 'sync', '-v', '--checkers', '8', tree, 't:rclone/tree');
      assert.ok(!/Copied|Updated|Deleted/.test(again.stderr), again.stderr.slice(0, 500));
      await run('rclone', 'copy', '--transfers', '8', 't:rclone/tree/3', path.join(dir, 'back'));
      same(path.join(tree, '3/sub 0/file-3.txt'), path.join(dir, 'back/sub 0/file-3.txt'));
      assert.equal(fs.statSync(path.join(tree, '3/sub 0/file-3.txt')).mtimeMs.toFixed(0), fs.statSync(path.join(dir, 'back/sub 0/file-3.txt')).mtimeMs.toFixed(0), 'times survive');
    });

    test('follows changes: contents, times, names, removals', async () => {
      fs.writeFileSync(path.join(tree, '0/sub 0/file-0.txt'), 'changed');
      fs.utimesSync(path.join(tree, '1/sub 1/file-1.txt'), 1e9, 1e9);
      fs.rmSync(path.join(tree, '2/sub 2/file-2.txt'));
      await run('rclone', 'sync', '--checkers', '8', tree, 't:rclone/tree');
      await run('rclone', 'check', '--checkers', '8', tree, 't:rclone/tree');
      assert.match((await run('rclone', 'lsl', 't:rclone/tree/1/sub 1/file-1.txt')).stdout, /2001-09-09/);
      await run('rclone', 'moveto', 't:rclone/tree/4/sub 1/file-4.txt', 't:rclone/moved.txt');
      assert.equal((await run('rclone', 'cat', 't:rclone/moved.txt')).stdout, '4\n'.repeat(5));
      await run('rclone', 'copy', '--transfers', '8', 't:rclone/tree/5', 't:rclone/server-side');
      await run('rclone', 'check', 't:rclone/tree/5', 't:rclone/server-side');
    });

    test('uploads in parts, reads ranges, cleans up', async () => {
      await run('rclone', 'copyto', '--s3-upload-cutoff', '5M', '--s3-chunk-size', '5M', large, 't:rclone/large.bin');
      await run('rclone', 'check', '--download', '--include', 'large.bin', dir, 't:rclone');
      await run('rclone', 'copyto', '--multi-thread-streams', '4', '--multi-thread-cutoff', '1M', 't:rclone/large.bin', path.join(dir, 'large.back'));
      same(large, path.join(dir, 'large.back'));
      await run('rclone', 'copyto', '--s3-copy-cutoff', '6M', 't:rclone/large.bin', 't:rclone/large-2.bin');
      await run('rclone', 'cleanup', 't:rclone');
      await run('rclone', 'purge', 't:rclone');
      assert.ok(!(await run('rclone', 'lsd', 't:')).stdout.includes('rclone'));
    });
  });

  describe('s3cmd', () => {
    test('makes buckets, puts, lists, gets, syncs, moves, removes', async () => {
      await run('s3cmd', 'mb', 's3://s3cmd');
      await run('s3cmd', 'put', path.join(tree, '7/sub 1/file-7.txt'), 's3://s3cmd/a file.txt', '--add-header=x-amz-meta-colour:blue');
      assert.match((await run('s3cmd', 'ls', 's3://s3cmd')).stdout, /s3:\/\/s3cmd\/a file\.txt/);
      await run('s3cmd', 'get', 's3://s3cmd/a file.txt', path.join(dir, 's3cmd.txt'));
      same(path.join(tree, '7/sub 1/file-7.txt'), path.join(dir, 's3cmd.txt'));
      const info = (await run('s3cmd', 'info', 's3://s3cmd/a file.txt')).stdout;
      assert.match(info, /x-amz-meta-colour: blue/);
      await run('s3cmd', 'info', 's3://s3cmd');
      await run('s3cmd', 'sync', `${path.join(tree, '8')}/`, 's3://s3cmd/sync/');
      assert.match((await run('s3cmd', 'sync', `${path.join(tree, '8')}/`, 's3://s3cmd/sync/')).stdout, /^(Done\. Uploaded 0|)/);
      await run('s3cmd', 'cp', 's3://s3cmd/a file.txt', 's3://s3cmd/b.txt');
      await run('s3cmd', 'mv', 's3://s3cmd/b.txt', 's3://s3cmd/c.txt');
      await run('s3cmd', 'put', '--multipart-chunk-size-mb=5', large, 's3://s3cmd/large.bin');
      await run('s3cmd', 'get', '--force', 's3://s3cmd/large.bin', path.join(dir, 's3cmd.large'));
      same(large, path.join(dir, 's3cmd.large'));
      assert.match((await run('s3cmd', 'du', 's3://s3cmd')).stdout, /objects/);
      const url = (await run('s3cmd', 'signurl', 's3://s3cmd/c.txt', '+60')).stdout.trim();
      assert.match(url, /^http/);
      await run('s3cmd', 'del', '--recursive', '--force', 's3://s3cmd');
      await run('s3cmd', 'rb', 's3://s3cmd');
      assert.match(await fails('s3cmd', 'ls', 's3://s3cmd'), /NoSuchBucket/);
    });
  });

  describe('the AWS CLI', () => {
    const aws = (...args) => run('/usr/bin/aws', '--endpoint-url', endpoint(s), ...args);

    test('high-level: mb, cp, sync, ls, presign, rm, rb', async () => {
      await aws('s3', 'mb', 's3://cli');
      await aws('s3', 'cp', '--quiet', large, 's3://cli/large.bin');
      await aws('s3', 'cp', '--quiet', 's3://cli/large.bin', path.join(dir, 'cli.large'));
      same(large, path.join(dir, 'cli.large'));
      await aws('s3', 'cp', '--quiet', 's3://cli/large.bin', 's3://cli/large-2.bin');
      await aws('s3', 'sync', '--quiet', path.join(tree, '9'), 's3://cli/sync');
      assert.equal((await aws('s3', 'sync', path.join(tree, '9'), 's3://cli/sync')).stdout, '');
      assert.match((await aws('s3', 'ls', 's3://cli/')).stdout, /PRE sync\//);
      const url = (await aws('s3', 'presign', 's3://cli/sync/sub 0/file-9.txt', '--expires-in', '60')).stdout.trim();
      const answer = await fetch(url);
      assert.deepEqual([answer.status, await answer.text()], [200, fs.readFileSync(path.join(tree, '9/sub 0/file-9.txt'), 'utf8')]);
      await aws('s3', 'rb', '--force', 's3://cli');
      assert.ok(!(await aws('s3', 'ls')).stdout.includes('cli'));
    });

    test('low-level: s3api', async () => {
      const api = async (...args) => JSON.parse((await aws('s3api', ...args, '--output', 'json')).stdout || '{}');
      await api('create-bucket', '--bucket', 'api');
      fs.writeFileSync(path.join(dir, 'small.txt'), 'small');
      await api('put-object', '--bucket', 'api', '--key', 'k', '--body', path.join(dir, 'small.txt'), '--metadata', 'a=b', '--tagging', 'x=y', '--checksum-algorithm', 'SHA256');
      const head = await api('head-object', '--bucket', 'api', '--key', 'k', '--checksum-mode', 'ENABLED');
      assert.deepEqual([head.ContentLength, head.Metadata, Boolean(head.ChecksumSHA256)], [5, { a: 'b' }, true]);
      assert.deepEqual((await api('get-object-tagging', '--bucket', 'api', '--key', 'k')).TagSet, [{ Key: 'x', Value: 'y' }]);
      assert.match(await fails('/usr/bin/aws', '--endpoint-url', endpoint(s), 's3api', 'get-object', '--bucket', 'api', '--key', 'none', '/dev/null'), /NoSuchKey/);
      await api('delete-objects', '--bucket', 'api', '--delete', 'Objects=[{Key=k}]');
      assert.equal((await api('list-objects-v2', '--bucket', 'api')).KeyCount ?? 0, 0);
      await api('delete-bucket', '--bucket', 'api');
    });
  });
});
