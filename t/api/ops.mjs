// t/api/ops.mjs: what the operator sees: metrics, status, the log
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack();
for (let i = 0; i < 5; i++) await s.alice.get('/auth/v1/user');
await s.alice.request('GET', '/nowhere');

test('metrics are Prometheus text, on a port of their own', async () => {
  const answer = await s.client({}, new URL(s.metrics).origin).request('GET', '/metrics');
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^text\/plain/);
  const samples = answer.text.split('\n').filter((l) => l && !l.startsWith('#'));
  for (const line of samples) assert.match(line, /^[a-z_][a-z0-9_]*(\{([a-z_]+="(\\.|[^"\\])*",?)*\})? [-+0-9.eE]+(Inf|NaN)?( \d+)?$/, line);
  assert.ok(samples.some((l) => l.startsWith('tenon_')));
  const names = new Set(answer.text.split('\n').filter((l) => l.startsWith('# TYPE ')).map((l) => l.split(' ')[2]));
  for (const line of samples) assert.ok([...names].some((n) => line.startsWith(n)), `${line} has a type`);
  const requests = samples.filter((l) => /requests_total/.test(l)).reduce((sum, l) => sum + Number(l.split(' ').at(-1)), 0);
  assert.ok(requests >= 6, `${requests} requests counted`);
});

test('metrics are not to be had where clients are', async () => {
  assert.equal((await s.client().request('GET', '/metrics')).status, 404);
});

test('tenon status: pools, workers, threads, connections', async () => {
  const { code, json, stderr } = await s.tenon('status', '--json');
  assert.equal(code, 0, stderr);
  const text = JSON.stringify(json);
  for (const pool of ['api', 'stream', 'jobs']) assert.ok(text.includes(pool), pool);
  for (const pid of s.workers()) assert.ok(text.includes(String(pid)), `worker ${pid}`);
  const people = await s.tenon('status');
  assert.equal(people.code, 0);
  assert.ok(people.stdout.includes('api'));
});

test('tenon doctor has nothing to say about this stack, or says how to mend it', async () => {
  const { code, json } = await s.tenon('doctor', '--json');
  assert.ok([0, 1].includes(code));
  assert.ok(json, 'as JSON');
});

test('the log has one JSON line for each request', async () => {
  const answer = await s.alice.request('GET', '/api/chats');
  const id = answer.headers['x-request-id'];
  const lines = await eventually('the line', () => {
    const found = s.log().filter((l) => l.request_id === id);
    return found.length && found;
  });
  assert.equal(lines.length, 1);
  assert.deepEqual([lines[0].status, lines[0].method, typeof lines[0].ms], [200, 'GET', 'number']);
  assert.ok(s.log().every((l) => !('text' in l)), 'every line is JSON');
});

test('SIGUSR1 opens the log again, after it was moved away', async () => {
  const file = path.join(s.runDir, 'moved.log');
  s.configure({ 'log.file': file });
  s.master.kill('SIGHUP');
  await eventually('a line in the file', async () => (await s.alice.request('GET', '/api/chats')).status === 200 && fs.existsSync(file) && fs.statSync(file).size > 0);
  fs.renameSync(file, `${file}.1`);
  s.master.kill('SIGUSR1');
  await eventually('a line in a new file', async () => (await s.alice.request('GET', '/api/chats')).status === 200 && fs.existsSync(file) && fs.statSync(file).size > 0);
});
