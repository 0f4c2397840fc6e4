// t/fault/worker-killed.mjs: kill -9 of a worker in the middle of a stream: the others go on, the run is marked failed with its partial text
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const s = await stack({ provider: true });
const { alice } = s;
const open = async () => {
  const stream = await alice.stream('POST', '/api/chats/messages', { content: 'one two three four five six', stream: true, model: 'stall-middle' });
  const { data } = await stream.next('run');
  stream.run = data.run?.id ?? data.id;
  await stream.next('delta');
  const [row] = await s.rows(`select w.pid from ai.runs r join tenon.workers w on w.id = r.worker_id where r.id = '${stream.run}'`);
  stream.pid = row.pid;
  return stream;
};

test('kill -9 in the middle of streams', async (t) => {
  const streams = [];
  while (new Set(streams.map((x) => x.pid)).size < 2 && streams.length < 32) streams.push(await open());
  assert.equal(new Set(streams.map((x) => x.pid)).size, 2, 'both stream workers are at work');
  const victim = streams[0].pid;
  const [dead, alive] = [streams.filter((x) => x.pid === victim), streams.filter((x) => x.pid !== victim)];
  const partial = await eventually('the text so far in the database', async () => {
    const [row] = await s.rows(`select string_agg(content, '' order by position) as text from ai.run_chunks where run_id = '${dead[0].run}'`);
    return row.text?.startsWith('You said: one') && row.text;
  });
  const killed = Date.now();
  process.kill(victim, 'SIGKILL');

  await t.test('its streams break off, those of the other worker do not', async () => {
    for (const stream of dead) {
      await stream.finish();
      assert.ok(!stream.all.some((e) => e.event === 'done'));
    }
    for (const stream of alive) assert.ok(!stream.ended && !stream.broken);
  });

  await t.test('its runs are failed, soon, and keep what they had', async () => {
    for (const { run } of dead) {
      const answer = await eventually('the end of the run', async () => {
        const a = await alice.request('GET', `/api/chats/runs/${run}`);
        return (a.json.run ?? a.json).status === 'failed' && a;
      });
      answers(answer, 200);
    }
    t.diagnostic(`marked failed after ${Date.now() - killed} ms`);
    const [row] = await s.rows(`select c.id from ai.conversations c join ai.runs r on r.conversation_id = c.id where r.id = '${dead[0].run}'`);
    const { messages } = await alice.get(`/api/chats/${row.id}`);
    assert.equal(messages.at(-1).role, 'assistant');
    assert.ok(JSON.stringify(messages.at(-1)).includes(partial.trim()), 'the partial text is there');
  });

  await t.test('a client that comes back gets the rest of what there is, and the error', async () => {
    const again = await alice.stream('GET', `/api/chats/runs/${dead[0].run}/events`, undefined, { lastEventId: dead[0].all.filter((e) => e.event === 'delta').at(-1).id });
    const events = await again.finish();
    assert.ok(events.some((e) => e.event === 'error'));
    assert.equal(events.at(-1).event, 'done');
  });

  await t.test('nothing is left reserved and the conversation is free again', async () => {
    const [row] = await s.rows(`select conversation_id as id from ai.runs where id = '${dead[0].run}'`);
    answers(await alice.request('POST', `/api/chats/${row.id}/messages`, { content: 'and again', model: 'mock/fine' }), 200);
  });

  await t.test('the worker is back', async () => {
    await eventually('as many workers as before', () => s.workers().length >= 4 && !s.workers().includes(victim));
    for (let i = 0; i < 8; i++) answers(await alice.request('POST', '/api/chats/messages', { content: 'hello' }), 200);
  });

  await t.test('the streams of the other worker end well', async () => {
    s.provider.release();
    for (const stream of alive) {
      const events = await stream.finish();
      assert.equal(events.at(-1).event, 'done');
      assert.equal(stream.text, 'You said: one two three four five six');
    }
  });
});

test('kill -9 of an api worker under load: at most the requests it held are lost', async () => {
  let running = true;
  const seen = [];
  const load = Promise.all(Array.from({ length: 8 }, async () => {
    while (running) seen.push(await alice.request('GET', '/auth/v1/user').then((a) => a.status, (e) => e.code));
  }));
  await eventually('some answers', () => seen.length > 200);
  const [api] = await s.rows(`select pid from tenon.workers where pool = 'api' order by started_at desc limit 1`);
  process.kill(api.pid, 'SIGKILL');
  const mark = seen.length;
  await eventually('many answers after it', () => seen.length > mark + 500 && seen.slice(-200).every((x) => x === 200));
  running = false;
  await load;
  const bad = seen.filter((x) => x !== 200);
  assert.ok(bad.every((x) => x === 502 || x === 503), String(bad));
  assert.ok(bad.length < 200, `${bad.length} requests failed`);
});

test('kill -9 of the jobs worker: it is back', async () => {
  const [jobs] = await s.rows(`select pid from tenon.workers where pool = 'jobs' order by started_at desc limit 1`);
  process.kill(jobs.pid, 'SIGKILL');
  await eventually('another one', async () => {
    const rows = await s.rows(`select pid from tenon.workers where pool = 'jobs' and heartbeat_at > now() - interval '10 seconds' and pid <> ${jobs.pid}`);
    return rows.some((r) => s.workers().includes(r.pid));
  });
});
