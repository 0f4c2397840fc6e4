// t/fault/exhaustion.mjs: all database connections busy: waiting is bounded, then 503 with Retry-After; and nothing is left of it
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';

const s = await stack({ provider: true, settings: { 'api.connections': 1, 'api.threads': 6, 'server.database_wait_ms': 300, 'database.lock_timeout_ms': 20_000, 'database.statement_timeout_ms': 20_000 } });
const { alice } = s;
const { chat } = await alice.post('/api/chats/messages', { content: 'hello' });

/* Holds a table so that every statement on it waits, until release(). */
async function hold(table) {
  const session = spawn('psql', ['-XqAt', '-d', s.admin], { stdio: ['pipe', 'pipe', 'inherit'] });
  session.stdin.write(`begin; lock table ${table} in access exclusive mode; select 'held';\n`);
  await once(session.stdout, 'data');
  return async () => {
    session.stdin.end('rollback;\n');
    await once(session, 'exit');
  };
}

test('the one connection is busy: the others are told to come back', async () => {
  const release = await hold('ai.conversations');
  const first = alice.request('GET', `/api/chats/${chat.id}`);
  await eventually('the first waits in the database', async () => (await s.rows(`select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))[0].n > 0);
  const start = Date.now();
  const others = await Promise.all(Array.from({ length: 4 }, () => alice.request('GET', '/api/chats')));
  assert.ok(Date.now() - start < 5000, 'the wait is bounded');
  for (const answer of others) {
    isOurError(answer, 503, answer.json.code);
    assert.ok(Number(answer.headers['retry-after']) >= 1);
  }
  await release();
  answers(await first, 200);
  answers(await alice.request('GET', '/api/chats'), 200);
});

test('a stream that waits for its provider holds no connection', async () => {
  const streams = await Promise.all(Array.from({ length: 12 }, () => alice.stream('POST', '/api/chats/messages', { content: 'a b c d', stream: true, model: 'stall-middle' })));
  for (const stream of streams) await stream.next('delta');
  const busy = await eventually('no transaction is open', async () => {
    const [row] = await s.rows(`select count(*)::int as n from pg_stat_activity where datname = current_database() and usename = 'tenon_authenticator' and state like '%transaction%'`);
    return row.n === 0;
  });
  assert.ok(busy);
  s.provider.release();
  for (const stream of streams) assert.equal((await stream.finish()).at(-1).event, 'done');
});

test('more streams than threads: 503 with Retry-After for those that find no place, and all places are used', async () => {
  const wanted = 2 * 16 + 24; // of stream.processes * stream.threads there are 32; the last of each process refuses
  const streams = await Promise.all(Array.from({ length: wanted }, () => alice.stream('POST', '/api/chats/messages', { content: 'a b c d', stream: true, model: 'stall-middle' })));
  const began = streams.filter((x) => x.status === 200);
  assert.ok(began.length >= 24 && began.length <= 32, `${began.length} streams run`);
  for (const stream of streams.filter((x) => x.status !== 200)) {
    assert.equal(stream.status, 503, await stream.body);
    assert.ok(Number(stream.headers['retry-after']) >= 1);
  }
  answers(await alice.request('GET', '/api/chats?limit=1'), 200); // api is another pool and does not notice
  for (const stream of began) await stream.next('delta');
  s.provider.release();
  for (const stream of began) assert.equal((await stream.finish()).at(-1).event, 'done');
  await eventually('all are through', async () => (await s.rows(`select count(*)::int as n from ai.runs where status = 'running'`))[0].n === 0);
});

test('a statement that takes too long is ended and said so', async () => {
  s.configure({ 'database.lock_timeout_ms': 200, 'database.statement_timeout_ms': 2000 });
  s.master.kill('SIGHUP');
  await eventually('the new generation', async () => (await s.tenon('status', '--json')).code === 0);
  const release = await hold('ai.conversations');
  const answer = await eventually('a 503 of the lock', async () => {
    const a = await alice.request('GET', `/api/chats/${chat.id}`);
    return [503, 504].includes(a.status) && a;
  });
  isOurError(answer, answer.status, answer.json.code);
  await release();
  answers(await alice.request('GET', `/api/chats/${chat.id}`), 200);
});
