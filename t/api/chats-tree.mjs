// t/api/chats-tree.mjs: messages are a tree: regenerating and editing make branches and lose nothing
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { contentText } from '../lib/provider.mjs';

const s = await stack({ provider: true });
const { alice, provider } = s;
const send = (chat, body) => alice.post(`/api/chats/${chat.id}/messages`, body);
const texts = (messages) => messages.map((m) => contentText(m.content));
const sent = () => provider.calls.at(-1).body.messages.map((m) => contentText(m.content));

const first = await alice.post('/api/chats/messages', { content: 'question' });
const { chat } = first;

test('regenerating: no content, the user message as parent', async () => {
  provider.next({ text: 'another answer' });
  const again = await send(chat, { parent_id: first.message.id });
  assert.equal(again.reply.parent_id, first.message.id);
  assert.equal(contentText(again.reply.content), 'another answer');
  assert.equal(again.message?.id ?? first.message.id, first.message.id, 'no new user message');
  const { messages } = await alice.get(`/api/chats/${chat.id}`);
  assert.deepEqual(texts(messages), ['question', 'another answer'], 'the active branch');
});

test('all branches are there when asked for', async () => {
  const { messages } = await alice.get(`/api/chats/${chat.id}?branch=all`);
  assert.deepEqual(texts(messages).sort(), ['You said: question', 'another answer', 'question'].sort());
});

test('going on continues the active branch', async () => {
  await send(chat, { content: 'next' });
  assert.deepEqual(sent(), ['question', 'another answer', 'next']);
});

test('going on at another message makes that branch the active one', async () => {
  await send(chat, { content: 'elsewhere', parent_id: first.reply.id });
  assert.deepEqual(sent(), ['question', 'You said: question', 'elsewhere']);
  const { messages } = await alice.get(`/api/chats/${chat.id}`);
  assert.deepEqual(texts(messages), ['question', 'You said: question', 'elsewhere', 'You said: elsewhere']);
});

test('editing the first question: parent_id null starts at the root', async () => {
  const edited = await send(chat, { content: 'better question', parent_id: null });
  assert.equal(edited.message.parent_id, null);
  assert.deepEqual(sent(), ['better question']);
  const { messages } = await alice.get(`/api/chats/${chat.id}`);
  assert.deepEqual(texts(messages), ['better question', 'You said: better question']);
  const all = (await alice.get(`/api/chats/${chat.id}?branch=all`)).messages;
  assert.equal(all.length, 9, 'nothing was lost');
  for (const text of ['question', 'another answer', 'next', 'elsewhere', 'better question']) assert.ok(texts(all).includes(text), text);
});

test('head_id chooses the branch', async () => {
  const all = (await alice.get(`/api/chats/${chat.id}?branch=all`)).messages;
  const head = all.find((m) => contentText(m.content) === 'another answer');
  answers(await alice.request('PATCH', `/api/chats/${chat.id}`, { head_id: head.id }), 200);
  const { messages } = await alice.get(`/api/chats/${chat.id}`);
  assert.deepEqual(texts(messages), ['question', 'another answer']);
});

test('parents that cannot be', async () => {
  const other = await alice.post('/api/chats/messages', { content: 'other chat' });
  const strangers = await s.stranger.post('/api/chats/messages', { content: 'other tenant' });
  for (const parent of [other.message.id, strangers.message.id, '00000000-0000-7000-8000-000000000000']) {
    const answer = await alice.request('POST', `/api/chats/${chat.id}/messages`, { content: 'x', parent_id: parent });
    assert.ok([400, 404, 422].includes(answer.status), answer.text);
    isOurError(answer, answer.status, answer.json.code);
    const head = await alice.request('PATCH', `/api/chats/${chat.id}`, { head_id: parent });
    assert.ok([400, 404, 422].includes(head.status), head.text);
  }
  const regenerateAnswer = await alice.request('POST', `/api/chats/${chat.id}/messages`, { parent_id: first.reply.id });
  assert.ok([400, 422].includes(regenerateAnswer.status), 'a reply cannot be answered by another reply');
  isOurError(await alice.request('POST', `/api/chats/${chat.id}/messages`, {}), 400, 'validation_failed');
});

test('a parent needs its chat', async () => {
  const answer = await alice.request('POST', '/api/chats/messages', { content: 'x', parent_id: first.message.id });
  assert.ok([400, 404, 422].includes(answer.status), answer.text);
});
