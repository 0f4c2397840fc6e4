// t/api/chats-client-gone.mjs: where chat.finish_without_client is off, a reply that nobody waits for is not paid for
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const s = await stack({ provider: true, settings: { 'chat.finish_without_client': 'off', 'chat.heartbeat_s': 1 } });
const { alice, provider } = s;
const open = (body = {}) => alice.stream('POST', '/api/chats/messages', { content: 'one two three four', stream: true, ...body });
const state = async (run) => (await s.rows(`select status, finish_reason, output_tokens, usage_estimated from ai.runs where id = '${run}'`))[0];

test('a client that goes away in the middle cancels the run; what was said is kept and counted', async () => {
  provider.next({ hold: 'middle' });
  const stream = await open();
  const { data } = await stream.next('run');
  await stream.next('delta');
  const call = await provider.nth(1);
  stream.close();
  await call.ended;
  assert.ok(call.aborted, 'the provider was hung up on');
  const run = await eventually('the end of the run', async () => {
    const found = await state(data.run.id);
    return found.status !== 'running' && found;
  });
  assert.deepEqual([run.status, run.finish_reason, run.usage_estimated], ['cancelled', 'cancelled', true]);
  assert.ok(run.output_tokens > 0);
  const { messages } = await alice.get(`/api/chats/${data.chat.id}`);
  assert.deepEqual([messages.length, messages[1].status], [2, 'cancelled']);
  assert.ok('You said: one two three four'.startsWith(messages[1].content) && messages[1].content.length > 0);
});

test('also before the first word: then there is no reply and nothing was used', async () => {
  provider.reset();
  provider.next({ hold: 'request' });
  const stream = await open();
  const { data } = await stream.next('run');
  const call = await provider.nth(1);
  stream.close();
  await call.ended;
  const run = await eventually('the end of the run', async () => {
    const found = await state(data.run.id);
    return found.status !== 'running' && found;
  });
  assert.deepEqual([run.status, run.output_tokens], ['cancelled', null]);
  const { messages } = await alice.get(`/api/chats/${data.chat.id}`);
  assert.equal(messages.length, 1);
  answers(await alice.request('POST', `/api/chats/${data.chat.id}/messages`, { parent_id: messages[0].id }), 200);
});

test('a client that stays gets all of it', async () => {
  const stream = await open();
  await stream.finish();
  assert.equal(stream.text, 'You said: one two three four');
});
