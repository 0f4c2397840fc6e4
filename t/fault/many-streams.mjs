// t/fault/many-streams.mjs: 2,000 open streams at once in the stream pool, while the api pool answers as if alone
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const wanted = Number(process.env.TENON_TEST_STREAMS ?? 2000);
const s = await stack({
  provider: { first_byte_timeout_ms: 120_000, silence_timeout_ms: 120_000, total_timeout_ms: 600_000 },
  settings: { 'stream.processes': 2, 'stream.threads': Math.ceil(wanted / 2) + 100, 'stream.connections': 8, 'server.database_wait_ms': 60_000 },
});
const { alice } = s;

async function median(times) {
  const all = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    answers(await alice.request('GET', '/auth/v1/user'), 200);
    all.push(performance.now() - start);
  }
  return all.sort((a, b) => a - b)[times >> 1];
}

test(`${wanted} open streams`, async (t) => {
  const alone = await median(100);
  const streams = [];
  const waiting = Array.from({ length: wanted }, (_, i) => i);
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (waiting.pop() !== undefined) {
      const stream = await alice.stream('POST', '/api/chats/messages', { content: 'one two three four', stream: true, model: 'stall-middle' });
      assert.equal(stream.status, 200, await stream.body);
      await stream.next('delta');
      streams.push(stream);
    }
  }));
  assert.equal(streams.filter((x) => !x.ended && !x.broken).length, wanted, 'all are open at once');
  const beside = await median(100);
  t.diagnostic(`GET /auth/v1/user: ${alone.toFixed(2)} ms alone, ${beside.toFixed(2)} ms beside ${wanted} streams`);
  assert.ok(beside < alone * 3 + 10, `${alone} ms alone, ${beside} ms beside`);

  s.provider.release();
  const ends = await Promise.all(streams.map((x) => x.finish()));
  assert.ok(ends.every((events) => events.at(-1).event === 'done'));
  assert.ok(streams.every((x) => x.text === 'You said: one two three four'));
  await eventually('all are stored', async () => (await s.rows(`select count(*)::int as n from ai.runs where status = 'completed'`))[0].n === wanted, 60_000);
});
