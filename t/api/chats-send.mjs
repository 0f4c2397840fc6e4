// t/api/chats-send.mjs: POST /api/chats/messages and /api/chats/{id}/messages, answered whole
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers, isOurError, timestamp, uuid } from '../lib/expect.mjs';
import { contentText } from '../lib/provider.mjs';

const s = await stack({ provider: true });
const { alice, bob, provider } = s;
const unknown = '00000000-0000-7000-8000-000000000000';

test('the first message makes a chat, and the answer has chat, message, reply and run', async () => {
  provider.next({ text: 'Good day.', usage: { input: 12, output: 3 } });
  const answer = await alice.request('POST', '/api/chats/messages', { content: 'hello there', metadata: { from: 'test' } });
  answers(answer, 200);
  const { chat, message, reply, run } = answer.json;
  for (const { id } of [chat, message, reply, run]) assert.match(id, uuid);
  assert.equal(chat.head_id, reply.id, 'the reply is the head of the chat');
  assert.ok(chat.title.length > 0, 'a chat has a title from its first message');
  assert.match(chat.created_at, timestamp);
  assert.deepEqual([message.role, contentText(message.content), message.parent_id, message.metadata], ['user', 'hello there', null, { from: 'test' }]);
  assert.deepEqual([reply.role, contentText(reply.content), reply.parent_id], ['assistant', 'Good day.', message.id]);
  assert.deepEqual([run.status, run.provider, run.model, run.finish_reason], ['completed', 'mock', 'mock-large', 'stop']);
  assert.deepEqual([run.usage.input_tokens, run.usage.output_tokens, run.usage.estimated], [12, 3, false]);
  for (const hidden of ['tenant_id', 'idempotency_key', 'request_hash', 'worker_id']) assert.ok(!(hidden in run) && !(hidden in chat) && !(hidden in message), hidden);
});

test('what reached the provider: the key, the model, the messages, and nobody knows who asked', async () => {
  provider.reset();
  await alice.post('/api/chats/messages', { content: 'what reaches you?', system: 'Be brief.' });
  assert.equal(provider.calls.length, 1);
  const [call] = provider.calls;
  assert.equal(call.headers.authorization, 'Bearer sk-mock-0123456789');
  assert.equal(call.body.model, 'mock-large');
  assert.deepEqual(call.body.messages.map((m) => [m.role, contentText(m.content)]), [['system', 'Be brief.'], ['user', 'what reaches you?']]);
  assert.ok(!call.raw.toString().includes(alice.email) && !JSON.stringify(call.headers).includes(s.a.publishable));
  assert.deepEqual(provider.complaints, []);
});

test('the second message goes to the same chat, with what was said before', async () => {
  const { chat, reply } = await alice.post('/api/chats/messages', { content: 'first' });
  provider.reset();
  const second = await alice.post(`/api/chats/${chat.id}/messages`, { content: 'second' });
  assert.equal(second.chat.id, chat.id);
  assert.equal(second.message.parent_id, reply.id);
  assert.deepEqual(provider.calls[0].body.messages.map((m) => [m.role, contentText(m.content)]), [['user', 'first'], ['assistant', 'You said: first'], ['user', 'second']]);
  const third = await alice.post('/api/chats/messages', { chat_id: chat.id, content: 'third' });
  assert.deepEqual([third.chat.id, third.message.parent_id], [chat.id, second.reply.id], 'chat_id in the body is as good');
});

test('model and system prompt belong to the chat, or to one message', async () => {
  const { chat } = await alice.post('/api/chats/messages', { content: 'x', model: 'mock-small', system: 'Always rhyme.' });
  assert.deepEqual([chat.model, chat.system], ['mock-small', 'Always rhyme.']);
  provider.reset();
  await alice.post(`/api/chats/${chat.id}/messages`, { content: 'y' });
  assert.deepEqual([provider.calls[0].body.model, provider.calls[0].body.messages[0].content], ['mock-small', 'Always rhyme.']);
});

test('parts: text and an image by address, to OpenAI', async () => {
  provider.reset();
  const content = [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url: 'https://example.com/cat.png' } }];
  const { message, chat } = await alice.post('/api/chats/messages', { content });
  assert.equal(message.content, 'What is this?', 'the text of all parts');
  const [sent] = provider.calls[0].body.messages;
  assert.deepEqual(sent.content.map((p) => p.text ?? p.image_url.url), ['What is this?', 'https://example.com/cat.png']);
  const read = await alice.get(`/api/chats/${chat.id}`);
  assert.deepEqual(read.messages[0].parts, message.parts, 'and they are kept');
  assert.equal(message.parts.length, 2);
  assert.deepEqual(provider.complaints, []);
});

test('parts: the same to Anthropic, in either spelling', async () => {
  for (const image of [{ type: 'image_url', image_url: { url: 'https://example.com/cat.png' } }, { type: 'image', source: { type: 'url', url: 'https://example.com/cat.png' } }]) {
    provider.reset();
    answers(await alice.request('POST', '/api/chats/messages', { content: [{ type: 'text', text: 'And this?' }, image], model: 'claude/claude-large' }), 200);
    const [call] = provider.calls;
    assert.deepEqual([call.dialect, call.body.model, call.headers['x-api-key']], ['anthropic', 'claude-large', 'sk-ant-mock-0123456789']);
    assert.ok(call.headers['anthropic-version'] && !call.headers.authorization);
    assert.deepEqual(call.body.messages[0].content.find((p) => p.type === 'image').source, { type: 'url', url: 'https://example.com/cat.png' });
    assert.deepEqual(provider.complaints, []);
  }
});

test('the system prompt travels where Anthropic wants it', async () => {
  provider.reset();
  await alice.post('/api/chats/messages', { content: 'x', system: 'Be kind.', model: 'claude/claude-large' });
  const { body } = provider.calls[0];
  assert.ok(contentText(body.system) === 'Be kind.' && body.messages.every((m) => m.role !== 'system'));
});

test('text is kept as it is', async () => {
  for (const content of ['ünïcödé → 日本語 🎉', '  spaces around  ', 'line\nbreak\ttab', '"quotes" \\ and \'more\'; -- $1 %s {}', '\u2028\u2029\u0085', 'a'.repeat(100_000)]) {
    const { message, reply, chat } = await alice.post('/api/chats/messages', { content });
    assert.equal(contentText(message.content), content);
    assert.equal(contentText(reply.content), `You said: ${content}`);
    const { messages } = await alice.get(`/api/chats/${chat.id}`);
    assert.equal(contentText(messages[0].content), content);
  }
});

const refused = [
  { name: 'no chat of that id', path: `/api/chats/${unknown}/messages`, body: { content: 'x' }, status: 404, code: 'chat_not_found' },
  { name: 'no chat of that id, in the body', path: '/api/chats/messages', body: { content: 'x', chat_id: unknown }, status: 404, code: 'chat_not_found' },
  { name: 'no provider of that name', path: '/api/chats/messages', body: { content: 'x', model: 'nobody/model' }, status: [400, 404, 422, 200] },
];
for (const c of refused)
  test(`refused: ${c.name}`, async () => {
    const answer = await alice.request('POST', c.path, c.body);
    if (Array.isArray(c.status)) assert.ok(c.status.includes(answer.status), answer.text);
    else isOurError(answer, c.status, c.code);
  });

test("another's chat is not there", async () => {
  const { chat } = await alice.post('/api/chats/messages', { content: 'mine' });
  provider.reset();
  isOurError(await bob.request('POST', `/api/chats/${chat.id}/messages`, { content: 'yours' }), 404, 'chat_not_found');
  isOurError(await s.stranger.request('POST', `/api/chats/${chat.id}/messages`, { content: 'yours' }), 404, 'chat_not_found');
  assert.equal(provider.calls.length, 0, 'and the provider was not asked');
});

test('who may not send at all', async () => {
  const nobody = await s.client().request('POST', '/api/chats/messages', { content: 'x' });
  isOurError(nobody, 401, nobody.json.code);
  const anon = await s.a.anon.request('POST', '/api/chats/messages', { content: 'x' });
  assert.ok([401, 403].includes(anon.status), anon.text);
});

test('a run can be read', async () => {
  const { run } = await alice.post('/api/chats/messages', { content: 'hello' });
  const read = await alice.get(`/api/chats/runs/${run.id}`);
  assert.deepEqual([(read.run ?? read).id, (read.run ?? read).status], [run.id, 'completed']);
  isOurError(await bob.request('GET', `/api/chats/runs/${run.id}`), 404, 'run_not_found');
  isOurError(await s.stranger.request('GET', `/api/chats/runs/${run.id}`), 404, 'run_not_found');
});

test('echo is deterministic and needs no provider', async () => {
  provider.reset();
  const [one, two] = await Promise.all([1, 2].map(() => alice.post('/api/chats/messages', { content: 'say it', model: 'echo' })));
  assert.equal(contentText(one.reply.content), contentText(two.reply.content));
  assert.ok(contentText(one.reply.content).includes('say it'));
  assert.equal(one.run.provider, 'echo');
  assert.deepEqual(one.run.usage, two.run.usage);
  assert.equal(provider.calls.length, 0);
});

test('each call of the provider is a row with its figures', async () => {
  provider.next({ text: 'a b c', usage: { input: 21, output: 4 } });
  const { run } = await alice.post('/api/chats/messages', { content: 'count me' });
  const [row] = await s.rows(`select * from ai.model_calls where run_id = '${run.id}'`);
  const values = Object.values(row);
  assert.ok(values.includes(21) && values.includes(4) && values.includes('mock') && values.includes('mock-large'), JSON.stringify(row));
});
