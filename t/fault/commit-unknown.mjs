// t/fault/commit-unknown.mjs: the connection breaks between COMMIT and its answer: what nobody knows of is taken back
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { startCluster } from '../lib/postgres.mjs';

const cluster = await startCluster();
after(() => cluster.remove());

/* Stands between the workers and PostgreSQL. Armed with a word, it lets the next message that holds it through to PostgreSQL, waits for
 * the answer, and hangs up instead of passing it on. */
let armed = null;
let cuts = 0;
const upstream = new URL(cluster.url);
const proxy = net.createServer((client) => {
  const server = net.connect(Number(upstream.port), upstream.hostname);
  let doomed = false;
  const end = () => (client.destroy(), server.destroy());
  client.on('data', (bytes) => {
    if (armed !== null && bytes.includes(armed)) {
      armed = null;
      doomed = true;
    }
    server.write(bytes);
  });
  server.on('data', (bytes) => {
    if (doomed) {
      cuts++;
      end();
    } else client.write(bytes);
  });
  for (const socket of [client, server]) socket.on('error', end).on('close', end);
});
proxy.listen(0, '127.0.0.1');
await once(proxy, 'listening');
after(() => proxy.close());

const s = await stack({ cluster, through: proxy.address().port, settings: { 'chat.provider': 'echo', 'chat.model': '' } });
const { alice } = s;

const count = async (table) => Number((await s.sql(`select count(*) from ${table}`)).trim());

for (const [name, path, body] of [
  ['a new chat', () => '/api/chats/messages', { content: 'first words' }],
  ['a chat that goes on', (chat) => `/api/chats/${chat}/messages`, { content: 'more words' }],
])
  test(`${name}: the message is there once, and answered`, async () => {
    const { chat } = await alice.post('/api/chats/messages', { content: 'hello' });
    const before = [await count('ai.conversations'), await count('ai.messages'), await count('ai.runs')];
    const headers = { 'idempotency-key': randomUUID() };

    armed = 'run_begin'; // the prepared statement
    const seen = cuts;
    const first = await alice.request('POST', path(chat.id), body, { headers });
    assert.equal(cuts, seen + 1, 'the connection was cut after COMMIT');
    assert.equal(first.status, 503, first.text);
    assert.equal(first.json.code, 'commit_unknown');
    assert.ok(Number(first.headers['retry-after']) >= 1);
    assert.deepEqual([await count('ai.conversations'), await count('ai.messages'), await count('ai.runs')], before, 'nothing is left of it');

    const second = await eventually('an answer', async () => {
      const answer = await alice.request('POST', path(chat.id), body, { headers });
      return answer.status === 200 && answer;
    });
    assert.equal(second.json.reply.content, `You said: ${body.content}`);
    const { chat: now } = await alice.get(`/api/chats/${second.json.chat.id}`);
    assert.equal(now.message_count, second.json.chat.id === chat.id ? 4 : 2);
  });
