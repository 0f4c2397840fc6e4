// t/api/provider-fallback.mjs: when the first provider cannot answer, the next of the list does; and which addresses a provider may have
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { freePort } from '../lib/postgres.mjs';

const closed = await freePort();
const s = await stack({
  provider: { retries: 0 },
  providers: {
    down: { kind: 'openai', base_url: `http://127.0.0.1:${closed}/v1`, allow_private: 'on', retries: 0, connect_timeout_ms: 500 },
    inside: { kind: 'openai', base_url: `http://127.0.0.1:${closed}/v1`, retries: 0 },
    metadata: { kind: 'openai', base_url: 'http://169.254.169.254/v1', retries: 0 },
  },
  settings: { 'chat.fallback': 'claude, echo', 'chat.provider': 'mock' },
});
const { alice, provider } = s;
const send = (body = {}) => alice.request('POST', '/api/chats/messages', { content: 'hello', ...body });

test('the second provider answers when the first gives 500', async () => {
  provider.reset();
  provider.next({ status: 500 }, { text: 'from the second' });
  const answer = await send();
  answers(answer, 200);
  assert.deepEqual([answer.json.reply.content, provider.calls.map((c) => c.dialect)], ['from the second', ['openai', 'anthropic']]);
  assert.equal(answer.json.run.status, 'completed');
  const calls = await s.rows(`select provider_name, outcome from ai.model_calls where run_id = '${answer.json.run.id}' order by attempt`);
  assert.deepEqual(calls, [{ provider_name: 'mock', outcome: 'failed' }, { provider_name: 'claude', outcome: 'completed' }]);
});

test('and the third when the second fails as well', async () => {
  provider.reset();
  provider.next({ status: 500 }, { status: 529 });
  const answer = await send();
  answers(answer, 200);
  assert.equal(provider.calls.length, 2);
});

test('a provider that is down is passed over', async () => {
  provider.reset();
  const answer = await send({ model: 'down/whatever' });
  answers(answer, 200);
  assert.deepEqual(provider.calls.map((c) => c.dialect), ['anthropic']);
});

test('not after the first word: half an answer is not begun again elsewhere', async () => {
  provider.reset();
  provider.next({ cut: 'middle' });
  const stream = await alice.stream('POST', '/api/chats/messages', { content: 'one two three four five six', stream: true });
  const events = await stream.finish();
  assert.ok(events.some((e) => e.event === 'error'));
  assert.equal(provider.calls.length, 1);
});

test('not for a fault of the request', async () => {
  provider.reset();
  provider.next({ status: 400, message: 'bad request' });
  const answer = await send();
  isOurError(answer, 502, 'provider_error');
  assert.equal(answer.json.provider_status, 400);
  assert.equal(provider.calls.length, 1);
});

test('an address inside is refused unless it is allowed', async () => {
  s.configure({ 'chat.fallback': '' });
  s.master.kill('SIGHUP');
  await eventually('the new setting', async () => (await send({ model: 'down/whatever' })).status === 502);
  for (const model of ['inside/x', 'metadata/x']) {
    const answer = await send({ model });
    assert.equal(answer.status, 502, answer.text);
    assert.ok(!answer.text.includes('169.254') && !answer.text.includes('127.0.0.1'), 'and the address is not told');
  }
});

test('a provider that comes back is used again', async () => {
  await provider.goDown();
  assert.equal((await send()).status, 502);
  await provider.listen(provider.port);
  answers(await send(), 200);
});
