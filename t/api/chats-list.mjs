// t/api/chats-list.mjs: GET /api/chats, GET, PATCH and DELETE /api/chats/{id}
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers, isOurError, timestamp } from '../lib/expect.mjs';
import { contentText } from '../lib/provider.mjs';

const s = await stack({ provider: true });
const { alice, bob, stranger } = s;
const list = async (query = '', who = alice) => (await who.get(`/api/chats${query}`)).chats;

const made = [];
for (let i = 1; i <= 7; i++) made.push((await alice.post('/api/chats/messages', { content: `question ${i}` })).chat.id);
await bob.post('/api/chats/messages', { content: "bob's" });

test('the newest first, with what a sidebar shows', async () => {
  const chats = await list();
  assert.deepEqual(chats.map((c) => c.id), [...made].reverse());
  const [newest] = chats;
  assert.equal(newest.title, 'question 7');
  assert.deepEqual([newest.last_message, newest.last_message_role], ['You said: question 7', 'assistant']);
  assert.equal(newest.message_count, 2);
  assert.equal(newest.archived, false);
  assert.match(newest.updated_at, timestamp);
  for (const name of ['model', 'created_at']) assert.ok(name in newest, name);
});

test('a message makes its chat the newest', async () => {
  await alice.post(`/api/chats/${made[0]}/messages`, { content: 'up' });
  made.push(made.shift());
  assert.deepEqual((await list()).map((c) => c.id), [...made].reverse());
});

test('pages: limit and before', async () => {
  const all = (await list()).map((c) => c.id);
  const paged = [];
  for (let before = ''; ;) {
    const answer = await alice.get(`/api/chats?limit=3${before}`);
    paged.push(...answer.chats.map((c) => c.id));
    if (answer.chats.length < 3) break;
    before = `&before=${encodeURIComponent(answer.next ?? answer.chats.at(-1).id)}`;
  }
  assert.deepEqual(paged, all);
  assert.equal((await list('?limit=1')).length, 1);
  assert.equal((await alice.get(`/api/chats?limit=${all.length}`)).next, null, 'a page that is full may be the last');
  const { chats, next } = await alice.get(`/api/chats?limit=${all.length - 1}`);
  assert.equal(chats.length, all.length - 1);
  assert.deepEqual((await list(`?before=${encodeURIComponent(next)}`)).map((c) => c.id), all.slice(-1));
});

test("everyone sees their own", async () => {
  assert.equal((await list('', bob)).length, 1);
  assert.deepEqual(await list('', stranger), []);
  assert.ok((await list('', s.a.service)).length >= 8, "a secret key sees its tenant's");
  assert.deepEqual(await list('', s.b.service), []);
  for (const who of [s.client(), s.a.anon]) {
    const answer = await who.request('GET', '/api/chats');
    assert.ok([401, 403].includes(answer.status));
  }
});

test('one chat with its messages', async () => {
  const { chat, messages } = await alice.get(`/api/chats/${made.at(-1)}`);
  assert.equal(chat.id, made.at(-1));
  assert.deepEqual(messages.map((m) => m.role), ['user', 'assistant', 'user', 'assistant']);
  for (const [i, m] of messages.entries()) assert.equal(m.parent_id, i ? messages[i - 1].id : null);
});

test('messages in pages: limit and after', async () => {
  const id = made.at(-1);
  const all = (await alice.get(`/api/chats/${id}`)).messages.map((m) => m.id);
  const paged = [];
  for (let after = ''; ;) {
    const { messages } = await alice.get(`/api/chats/${id}?limit=3${after}`);
    paged.push(...messages.map((m) => m.id));
    if (messages.length < 3) break;
    after = `&after=${messages.at(-1).id}`;
  }
  assert.deepEqual(paged, all);
  for (const branch of ['active', 'all']) {
    assert.equal((await alice.get(`/api/chats/${id}?branch=${branch}&limit=${all.length}`)).next, null, 'a page that is full may be the last');
    const { messages, next } = await alice.get(`/api/chats/${id}?branch=${branch}&limit=${all.length - 1}`);
    assert.deepEqual([...messages.map((m) => m.id), next], [...all.slice(0, -1), all.at(-2)]);
  }
  const beyond = await alice.request('GET', `/api/chats/${id}?after=00000000-0000-7000-8000-000000000000`);
  assert.ok([200, 400, 404].includes(beyond.status));
});

const changes = [
  { name: 'a title', body: { title: 'plans' }, status: 200, want: { title: 'plans' } },
  { name: 'a title in Japanese', body: { title: '計画 🎉' }, status: 200, want: { title: '計画 🎉' } },
  { name: 'a model', body: { model: 'mock-small' }, status: 200, want: { model: 'mock-small' } },
  { name: 'a system prompt', body: { system: 'Rhyme.' }, status: 200, want: { system: 'Rhyme.' } },
  { name: 'archived', body: { archived: true }, status: 200, want: { archived: true } },
  { name: 'not archived', body: { archived: false }, status: 200, want: { archived: false } },
  { name: 'nothing', body: {}, status: [200, 400] },
  { name: 'an empty title', body: { title: '' }, status: 400, code: 'validation_failed' },
  { name: 'a title of 201 letters', body: { title: 'x'.repeat(201) }, status: 400, code: 'validation_failed' },
  { name: 'a title of 200 letters that are more bytes', body: { title: 'ü'.repeat(200) }, status: 200, want: { title: 'ü'.repeat(200) } },
  { name: 'a title that is a number', body: { title: 5 }, status: 400, code: 'validation_failed' },
  { name: 'archived as a text', body: { archived: 'yes' }, status: 400, code: 'validation_failed' },
  { name: 'a member we do not know', body: { titel: 'x' }, status: 400, code: 'unknown_field' },
  { name: 'another owner', body: { owner_id: bob.user.id }, status: [400, 403] },
  { name: 'another tenant', body: { tenant_id: s.b.id }, status: 400, code: 'unknown_field' },
];
for (const c of changes)
  test(`change: ${c.name}`, async () => {
    const before = (await alice.get(`/api/chats/${made[0]}`)).chat;
    const answer = await alice.request('PATCH', `/api/chats/${made[0]}`, c.body);
    if (Array.isArray(c.status)) return assert.ok(c.status.includes(answer.status), answer.text);
    const after = (await alice.get(`/api/chats/${made[0]}`)).chat;
    if (c.status === 200) {
      answers(answer, 200);
      for (const [name, value] of Object.entries(c.want)) assert.deepEqual([(answer.json.chat ?? answer.json)[name], after[name]], [value, value]);
    } else {
      isOurError(answer, c.status, c.code);
      assert.deepEqual(after, before, 'nothing has changed');
    }
    return undefined;
  });

test('an archived chat is in the list only when asked for, or marked', async () => {
  await alice.patch(`/api/chats/${made[1]}`, { archived: true });
  const found = (await list()).find((c) => c.id === made[1]);
  assert.ok(!found || found.archived === true);
  await alice.patch(`/api/chats/${made[1]}`, { archived: false });
});

test("others' chats cannot be changed or deleted", async () => {
  for (const who of [bob, stranger, s.b.service]) {
    isOurError(await who.request('GET', `/api/chats/${made[2]}`), 404, 'chat_not_found');
    isOurError(await who.request('PATCH', `/api/chats/${made[2]}`, { title: 'mine now' }), 404, 'chat_not_found');
    isOurError(await who.request('DELETE', `/api/chats/${made[2]}`), 404, 'chat_not_found');
  }
  assert.notEqual((await alice.get(`/api/chats/${made[2]}`)).chat.title, 'mine now');
});

test('delete takes messages and runs along, and is final', async () => {
  const answer = await alice.request('DELETE', `/api/chats/${made[2]}`);
  assert.ok([200, 204].includes(answer.status), answer.text);
  isOurError(await alice.request('GET', `/api/chats/${made[2]}`), 404, 'chat_not_found');
  isOurError(await alice.request('DELETE', `/api/chats/${made[2]}`), 404, 'chat_not_found');
  assert.ok(!(await list()).some((c) => c.id === made[2]));
  const [left] = await s.rows(`select (select count(*) from ai.messages where conversation_id = '${made[2]}')::int as messages`);
  assert.deepEqual(left, { messages: 0 });
  const usage = await s.rows('select count(*)::int as n from tenon.usage');
  assert.ok(usage[0].n > 0, 'what it cost stays');
});

test('a long question gives a short title', async () => {
  const { chat } = await alice.post('/api/chats/messages', { content: 'why '.repeat(500) });
  assert.ok(chat.title.length <= 200);
  const parts = await alice.post('/api/chats/messages', { content: [{ type: 'text', text: 'in parts' }] });
  assert.ok(parts.chat.title.includes('in parts'));
  assert.equal(contentText(parts.reply.content), 'You said: in parts');
});
