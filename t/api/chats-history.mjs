// t/api/chats-history.mjs: what is sent to the provider is bounded by the model's context window, the oldest turns go first
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { contentText } from '../lib/provider.mjs';

const s = await stack({ provider: { models: 'wide:100000:1000, narrow:600:100' } });
const { alice, provider } = s;
const sent = () => provider.calls.at(-1).body.messages.map((m) => [m.role, contentText(m.content)]);
const words = (n, word) => Array.from({ length: n }, () => word).join(' ');

const { chat } = await alice.post('/api/chats/messages', { content: words(100, 'first'), model: 'mock/wide', system: 'Remember.' });
for (const word of ['second', 'third', 'fourth']) {
  provider.next({ text: words(40, 'reply') });
  await alice.post(`/api/chats/${chat.id}/messages`, { content: words(40, word) });
}

test('a wide window takes it all', async () => {
  provider.reset();
  await alice.post(`/api/chats/${chat.id}/messages`, { content: 'all there?' });
  assert.equal(sent().length, 1 + 8 + 1);
  assert.equal(provider.calls[0].body.max_tokens ?? provider.calls[0].body.max_completion_tokens, 1000);
});

test('a narrow one keeps the system prompt and the newest, and begins with a question', async () => {
  provider.reset();
  await alice.post(`/api/chats/${chat.id}/messages`, { content: 'and now?', model: 'mock/narrow' });
  const messages = sent();
  assert.deepEqual(messages[0], ['system', 'Remember.']);
  assert.deepEqual(messages.at(-1), ['user', 'and now?']);
  assert.ok(messages.length > 3 && messages.length < 11, `${messages.length} messages`);
  assert.equal(messages[1][0], 'user');
  for (let i = 2; i < messages.length; i++) assert.notEqual(messages[i][0], messages[i - 1][0], 'turns alternate');
  assert.ok(!JSON.stringify(messages).includes('first'), 'the oldest is gone');
  const characters = messages.reduce((sum, [, text]) => sum + text.length, 0);
  assert.ok(characters / 4 < 600, `${characters} characters`);
});

test('nothing was lost by that', async () => {
  const { messages } = await alice.get(`/api/chats/${chat.id}?limit=100`);
  assert.ok(messages[0].content.startsWith('first first'));
});

test('a message that alone is longer than the window', async () => {
  provider.reset();
  const answer = await alice.request('POST', `/api/chats/${chat.id}/messages`, { content: words(2000, 'long'), model: 'mock/narrow' });
  isOurError(answer, answer.status, answer.json.code);
  assert.ok([400, 413, 422].includes(answer.status));
  assert.equal(provider.calls.length, 0);
});

test('a reply that failed without a word is not sent as an empty message', async () => {
  const failing = await alice.post('/api/chats/messages', { content: 'start', model: 'mock/wide' });
  provider.next({ status: 400, message: 'no' });
  await alice.request('POST', `/api/chats/${failing.chat.id}/messages`, { content: 'fails' });
  provider.reset();
  answers(await alice.request('POST', `/api/chats/${failing.chat.id}/messages`, { content: 'again' }), 200);
  assert.ok(sent().every(([, text]) => text !== ''));
  assert.deepEqual(provider.complaints, []);
});

test('the same to Anthropic, whose rules are stricter', async () => {
  const start = await alice.post('/api/chats/messages', { content: 'start', model: 'claude/wide' });
  provider.next({ status: 400, message: 'no' });
  await alice.request('POST', `/api/chats/${start.chat.id}/messages`, { content: 'fails' });
  provider.reset();
  answers(await alice.request('POST', `/api/chats/${start.chat.id}/messages`, { content: 'again' }), 200);
  assert.deepEqual(provider.complaints, []);
});

test('no more than chat.history_messages', async () => {
  s.configure({ 'chat.history_messages': 3 });
  s.master.kill('SIGHUP');
  await eventually('a short history', async () => {
    provider.reset();
    await alice.post(`/api/chats/${chat.id}/messages`, { content: 'short', model: 'mock/wide' });
    return sent().length <= 4;
  });
});
