// t/fault/drain.mjs: SIGTERM finishes what is open and takes nothing new; past the time limit it ends anyway
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';

test('SIGTERM lets an open stream end, stores it, and then the server is gone', async () => {
  const s = await stack({ provider: true, settings: { 'server.drain_timeout_s': 60 } });
  const stream = await s.alice.stream('POST', '/api/chats/messages', { content: 'to the end', stream: true, model: 'stall-middle' });
  const { data } = await stream.next('run');
  await stream.next('delta');
  s.master.kill('SIGTERM');
  await eventually('nothing new is taken', async () => (await s.client().request('GET', '/auth/v1/health')).status === 502);
  assert.ok(!s.master.gone);
  s.provider.release();
  const events = await stream.finish();
  assert.equal(events.at(-1).event, 'done');
  const [code, signal] = await s.master.left;
  assert.deepEqual([code, signal], [0, null]);
  const [run] = await s.rows(`select status, error_code, error_message from ai.runs where id = '${data.run?.id ?? data.id}'`);
  assert.deepEqual(run, { status: 'completed', error_code: null, error_message: null });
  await s.stop();
});

test('past server.drain_timeout_s it ends all the same, and the run is not left running', async () => {
  const s = await stack({ provider: true, settings: { 'server.drain_timeout_s': 1 } });
  const stream = await s.alice.stream('POST', '/api/chats/messages', { content: 'never', stream: true, model: 'stall-middle' });
  const { data } = await stream.next('run');
  await stream.next('delta');
  s.master.kill('SIGTERM');
  const [code] = await s.master.left;
  assert.equal(code, 0);
  await stream.finish();
  await s.serve();
  await s.ready();
  await eventually('the run is marked failed', async () => ['failed', 'cancelled'].includes((await s.rows(`select status from ai.runs where id = '${data.run?.id ?? data.id}'`))[0].status), 40_000);
  await s.stop();
});

test('tenon stop is the same, and a stopped server can be started again', async () => {
  const s = await stack();
  const { code, stderr } = await s.tenon('stop');
  assert.equal(code, 0, stderr);
  await s.master.left;
  await s.serve();
  await s.ready();
  assert.equal((await s.alice.request('GET', '/auth/v1/user')).status, 200);
  await s.stop();
});
