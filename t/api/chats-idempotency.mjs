// t/api/chats-idempotency.mjs: one run at a time in a chat; the same Idempotency-Key never calls the provider twice
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers, isOurError } from '../lib/expect.mjs';

const s = await stack({ provider: true });
const { alice, bob, provider } = s;
const send = (key, body, who = alice, path = '/api/chats/messages') => who.request('POST', path, body, { headers: { 'idempotency-key': key } });
const open = (key, body) => alice.stream('POST', '/api/chats/messages', { stream: true, ...body }, { headers: { 'idempotency-key': key } });
const same = (one, two) => assert.deepEqual([two.json.chat.id, two.json.message.id, two.json.reply, two.json.run.id], [one.json.chat.id, one.json.message.id, one.json.reply, one.json.run.id]);

test('the same key again gives the same answer and calls nobody', async () => {
  provider.reset();
  const key = randomUUID();
  const one = await send(key, { content: 'once' });
  const two = await send(key, { content: 'once' });
  answers(one, 200);
  answers(two, 200);
  same(one, two);
  assert.equal(provider.calls.length, 1);
});

test('even while the first is still running, many times over', async () => {
  provider.reset();
  provider.next({ hold: 'request' });
  const key = randomUUID();
  const first = send(key, { content: 'slow' });
  const call = await provider.nth(1);
  const others = Array.from({ length: 6 }, () => send(key, { content: 'slow' }));
  await eventually('the others wait', async () => (await s.rows(`select count(*)::int as n from ai.runs where idempotency_key = '${key}'`))[0].n === 1);
  call.release();
  const one = await first;
  answers(one, 200);
  for (const other of await Promise.all(others)) {
    answers(other, 200);
    same(one, other);
  }
  assert.equal(provider.calls.length, 1);
});

test('two at the very same moment', async () => {
  for (let round = 0; round < 10; round++) {
    provider.reset();
    const key = randomUUID();
    const both = await Promise.all([1, 2, 3].map(() => send(key, { content: 'race' })));
    for (const one of both) {
      answers(one, 200);
      same(both[0], one);
    }
    assert.equal(provider.calls.length, 1);
  }
});

test('a stream again is the same stream, running or finished', async () => {
  provider.reset();
  provider.next({ hold: 'middle' });
  const key = randomUUID();
  const first = await open(key, { content: 'one two three four' });
  const run = await first.next('run');
  await first.next('delta');
  const second = await open(key, { content: 'one two three four' });
  provider.release();
  await Promise.all([first.finish(), second.finish()]);
  const third = await open(key, { content: 'one two three four' });
  await third.finish();
  for (const stream of [first, second, third]) {
    assert.equal(stream.text, 'You said: one two three four');
    assert.equal(stream.all.at(-1).event, 'done');
    assert.deepEqual(stream.all[0].data.run?.id ?? stream.all[0].data.id, run.data.run?.id ?? run.data.id);
  }
  assert.equal(provider.calls.length, 1);
});

test('begun whole, asked for again as a stream: the same run or a clear no', async () => {
  provider.reset();
  const key = randomUUID();
  const whole = await send(key, { content: 'either way' });
  const stream = await open(key, { content: 'either way' });
  if (stream.status === 200) {
    await stream.finish();
    assert.equal(stream.all[0].data.run?.id ?? stream.all[0].data.id, whole.json.run.id);
  } else assert.equal(stream.status, 422, await stream.body);
  assert.equal(provider.calls.length, 1);
});

test('the same key with another request', async () => {
  const key = randomUUID();
  answers(await send(key, { content: 'this' }), 200);
  provider.reset();
  isOurError(await send(key, { content: 'that' }), 422, 'idempotency_key_reused');
  const { chat } = await alice.post('/api/chats/messages', { content: 'x' });
  provider.reset();
  isOurError(await send(key, { content: 'this' }, alice, `/api/chats/${chat.id}/messages`), 422, 'idempotency_key_reused');
  assert.equal(provider.calls.length, 0);
});

test("everyone's keys are their own", async () => {
  const key = randomUUID();
  const one = await send(key, { content: 'shared' });
  const two = await send(key, { content: 'shared' }, bob);
  const three = await send(key, { content: 'other content' }, s.stranger);
  for (const answer of [one, two, three]) answers(answer, 200);
  assert.equal(new Set([one, two, three].map((a) => a.json.run.id)).size, 3);
});

test('an error is repeated as well, the provider is not asked again', async () => {
  provider.reset();
  provider.next({ status: 400, message: 'no' });
  const key = randomUUID();
  const one = await send(key, { content: 'fails' });
  const two = await send(key, { content: 'fails' });
  assert.equal(one.status, 502, one.text);
  assert.deepEqual([two.status, two.json.code, two.json.message], [one.status, one.json.code, one.json.message]);
  assert.equal(provider.calls.length, 1);
});

test('a request that was refused before it began may be sent again', async () => {
  const key = randomUUID();
  isOurError(await send(key, { content: '' }), 400, 'validation_failed');
  answers(await send(key, { content: 'now' }), 200);
});

for (const [name, key] of [['empty', ''], ['of 256 letters', 'k'.repeat(256)]])
  test(`a key that is ${name}`, async () => {
    const answer = await send(key, { content: 'x' });
    if (key === '' && answer.status === 200) return; // an empty header is none
    isOurError(answer, 400, answer.json.code);
  });

test('a second message meanwhile is 409 with the id of the run', async () => {
  const { chat } = await alice.post('/api/chats/messages', { content: 'x' });
  provider.reset();
  provider.next({ hold: 'request' });
  const first = alice.request('POST', `/api/chats/${chat.id}/messages`, { content: 'first' });
  const call = await provider.nth(1);
  const second = await alice.request('POST', `/api/chats/${chat.id}/messages`, { content: 'second' });
  isOurError(second, 409, 'run_in_progress');
  const count = (await alice.get(`/api/chats/${chat.id}?branch=all`)).messages.length;
  assert.equal(count, 3, 'the second message was not stored');
  call.release();
  const done = await first;
  answers(done, 200);
  assert.equal(second.json.run_id, done.json.run.id);
  assert.equal(provider.calls.length, 1);
  answers(await alice.request('POST', `/api/chats/${chat.id}/messages`, { content: 'second' }), 200);
});

test('a double click: two messages at the same moment', async () => {
  const { chat } = await alice.post('/api/chats/messages', { content: 'x' });
  for (let round = 0; round < 5; round++) {
    provider.reset();
    provider.next({ hold: 'request' });
    const both = [1, 2].map(() => alice.request('POST', `/api/chats/${chat.id}/messages`, { content: `click ${round}` }));
    const loser = await Promise.race(both);
    isOurError(loser, 409, 'run_in_progress');
    (await provider.nth(1)).release();
    assert.deepEqual((await Promise.all(both)).map((a) => a.status).sort(), [200, 409]);
    assert.equal(provider.calls.length, 1);
  }
});

test('a chat that is deleted while it is answered', async () => {
  const { chat } = await alice.post('/api/chats/messages', { content: 'x' });
  provider.reset();
  provider.next({ hold: 'request' });
  const sent = alice.request('POST', `/api/chats/${chat.id}/messages`, { content: 'too late' });
  const call = await provider.nth(1);
  const gone = await alice.request('DELETE', `/api/chats/${chat.id}`);
  assert.ok([200, 204].includes(gone.status), gone.text);
  call.release();
  const answer = await sent;
  assert.ok(answer.status < 500 || answer.status === 502, answer.text);
  await eventually('no run is left running', async () => (await s.rows(`select count(*)::int as n from ai.runs where status = 'running'`))[0].n === 0);
});
