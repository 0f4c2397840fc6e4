// t/fault/postgres-away.mjs: PostgreSQL stopped and started under load: 503 with Retry-After meanwhile, recovery by itself, nothing lost or doubled
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { startCluster } from '../lib/postgres.mjs';

const cluster = await startCluster();
after(() => cluster.remove());
const s = await stack({ cluster, provider: true, settings: { 'chat.provider': 'echo', 'chat.model': '', 'server.database_wait_ms': 1000 } });
const { alice } = s;

/* Writers that send each message until it is taken, with one Idempotency-Key, and readers beside them. */
function startLoad() {
  const load = { running: true, taken: [], statuses: new Map(), bad: [] };
  const note = (answer) => {
    load.statuses.set(answer.status, (load.statuses.get(answer.status) ?? 0) + 1);
    if (![200, 502, 503].includes(answer.status)) load.bad.push(`${answer.status} ${answer.text.slice(0, 200)}`);
    if (answer.status === 503 && !answer.headers['retry-after']) load.bad.push('503 without Retry-After');
    return answer;
  };
  const writer = async () => {
    while (load.running) {
      const key = randomUUID();
      for (;;) {
        const answer = note(await alice.request('POST', '/api/chats/messages', { content: key }, { headers: { 'idempotency-key': key } }));
        if (answer.status === 200) {
          load.taken.push({ key, message: answer.json.message.id, reply: answer.json.reply.id });
          break;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  };
  const reader = async () => {
    while (load.running) note(await alice.request('GET', '/api/chats?limit=1'));
  };
  load.done = Promise.all([writer(), writer(), writer(), reader(), reader()]);
  return load;
}

for (const mode of ['fast', 'immediate'])
  test(`stopped (${mode}) and started under load`, async () => {
    const load = startLoad();
    await eventually('a few answers', () => load.taken.length > 20);
    cluster.stop(mode);
    await eventually('503', () => (load.statuses.get(503) ?? 0) > 10);
    const away = await alice.request('GET', '/api/chats');
    isOurError(away, 503, away.json.code);
    assert.ok(Number(away.headers['retry-after']) >= 1);
    const health = await s.client().request('GET', '/auth/v1/health');
    assert.ok([200, 503].includes(health.status));
    const workers = s.workers();

    cluster.start();
    const mark = load.taken.length;
    await eventually('messages are taken again', () => load.taken.length > mark + 20);
    load.running = false;
    await load.done;
    assert.deepEqual(load.bad, []);
    assert.deepEqual(s.workers(), workers, 'no worker had to be restarted');

    // What was taken is there once, with one reply.
    const counted = await s.rows(`select m.id as message, (select count(*)::int from ai.messages x where x.parent_id = m.id) as replies from ai.messages m where m.role = 'user'`);
    const replies = new Map(counted.map((row) => [row.message, row.replies]));
    for (const { message } of load.taken) assert.equal(replies.get(message), 1, `message ${message} has one reply`);
    const keys = await s.rows('select idempotency_key as key, count(*)::int as n from ai.runs group by 1 having count(*) > 1');
    assert.deepEqual(keys, [], 'no key made two runs');
    const open = await eventually('no run is left running', async () => (await s.rows(`select count(*)::int as n from ai.runs where status = 'running'`))[0].n === 0);
    assert.ok(open);
  });

test('a reply that ends while the database is away is stored when it is back', async () => {
  const stream = await alice.stream('POST', '/api/chats/messages', { content: 'wait for it', stream: true, model: 'mock/stall-end' });
  const { data } = await stream.next('run');
  await stream.next('delta');
  cluster.stop('fast');
  s.provider.release();
  await eventually('the provider has said all', () => s.provider.calls.every((c) => c.outcome));
  cluster.start();
  const id = data.run?.id ?? data.id;
  await eventually('the run is finished', async () => (await s.rows(`select status from ai.runs where id = '${id}'`))[0].status === 'completed');
  const events = await stream.finish();
  assert.equal(events.at(-1).event, 'done');
  const [row] = await s.rows(`select c.id from ai.runs r join ai.conversations c on c.id = r.conversation_id where r.id = '${id}'`);
  const { messages } = await alice.get(`/api/chats/${row.id}`);
  assert.ok(JSON.stringify(messages.at(-1)).includes('You said: wait for it'));
  answers(await alice.request('GET', '/auth/v1/user'), 200);
});
