// t/api/chats-stream.mjs: replies as server-sent events: order, ids, resuming, cancelling, clients that go away
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { rawExchange } from '../lib/client.mjs';
import { answers, isOurError } from '../lib/expect.mjs';
import { contentText } from '../lib/provider.mjs';

const s = await stack({ provider: true });
const { alice, bob, stranger, provider } = s;
const words = 'one two three four five six';
const whole = `You said: ${words}`;
const open = (body = {}, options) => alice.stream('POST', '/api/chats/messages', { content: words, stream: true, ...body }, options);
const resume = (run, lastEventId, who = alice) => who.stream('GET', `/api/chats/runs/${run}/events`, undefined, lastEventId === undefined ? {} : { lastEventId });
const runOf = (event) => event.data.run?.id ?? event.data.id;
const status = async (run) => {
  const read = await alice.get(`/api/chats/runs/${run}`);
  return (read.run ?? read).status;
};

test('run, deltas, message, done; each with an id that says how far one is', async () => {
  const stream = await open();
  assert.equal(stream.status, 200);
  assert.match(stream.headers['content-type'], /^text\/event-stream/);
  assert.match(stream.headers['cache-control'], /no-cache|no-store/);
  const events = await stream.finish();
  const names = events.map((e) => e.event);
  assert.equal(names[0], 'run');
  assert.deepEqual(names.slice(-2), ['message', 'done']);
  assert.ok(names.slice(1, -2).length > 0 && names.slice(1, -2).every((n) => n === 'delta'));
  assert.equal(stream.text, whole);

  let bytes = 0;
  for (const event of events.filter((e) => e.event === 'delta')) {
    bytes += Buffer.byteLength(event.data.text);
    assert.equal(event.id, String(bytes), 'the id of a delta is the number of bytes so far');
  }
  assert.deepEqual([events[0].id, events.at(-2).id, events.at(-1).id], ['0', String(bytes + 1), String(bytes + 2)]);
  const message = events.at(-2).data;
  const reply = message.reply ?? message.message ?? message;
  assert.equal(contentText(reply.content), whole);
});

test('the first words arrive while the provider still speaks', async () => {
  provider.next({ hold: 'middle' });
  const stream = await open();
  await stream.next('run');
  await stream.next('delta');
  assert.ok(whole.startsWith(stream.text) && stream.text.length > 0);
  assert.ok(!stream.ended, 'and nothing held it back');
  provider.release();
  await stream.finish();
  assert.equal(stream.text, whole);
});

test('a stream that is silent for long has a sign of life in it', async () => {
  s.configure({ 'chat.heartbeat_s': 1 });
  s.master.kill('SIGHUP');
  await eventually('the new generation', async () => (await alice.request('GET', '/api/chats')).status === 200 && s.log().length > 0);
  const body = JSON.stringify({ content: words, stream: true, model: 'slow-first-byte' });
  const heads = Object.entries(alice.headers).map(([k, v]) => `${k}: ${v}\r\n`).join('');
  const text = await rawExchange(s.ports[0], `POST /api/chats/messages HTTP/1.1\r\nHost: x\r\n${heads}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`, { end: false, enough: (t) => /\n:/.test(t) });
  assert.match(text.toString(), /\n:/, 'a comment');
  provider.release();
});

for (const point of ['after the first delta', 'in the middle of the text', 'after the last delta', 'after everything'])
  test(`resuming a finished run ${point}`, async () => {
    const stream = await open({ content: 'ünï → 日本 🎉 end' });
    const events = await stream.finish();
    const deltas = events.filter((e) => e.event === 'delta');
    const at = { 'after the first delta': deltas[0], 'in the middle of the text': deltas[deltas.length >> 1], 'after the last delta': deltas.at(-1), 'after everything': events.at(-1) }[point];
    const again = await resume(runOf(events[0]), at.id);
    const rest = await again.finish();
    const seen = events.slice(0, events.indexOf(at) + 1).filter((e) => e.event === 'delta').map((e) => e.data.text).join('');
    assert.equal(seen + again.text, 'You said: ünï → 日本 🎉 end', 'nothing twice, nothing missing');
    if (point !== 'after everything') assert.deepEqual(rest.slice(-2).map((e) => [e.event, e.id]), events.slice(-2).map((e) => [e.event, e.id]));
  });

test('without Last-Event-ID a resumed stream starts at the beginning', async () => {
  const events = await (await open()).finish();
  const again = await resume(runOf(events[0]));
  await again.finish();
  assert.deepEqual(again.all.map((e) => e.event).filter((e) => e !== 'delta'), ['run', 'message', 'done']);
  assert.equal(again.text, whole);
});

test('an id inside a character is moved so that no broken character is sent', async () => {
  const events = await (await open({ content: '日本語' })).finish();
  for (let id = 10; id <= 19; id++) {
    const again = await resume(runOf(events[0]), id);
    await again.finish();
    assert.ok(!again.text.includes('\ufffd'));
  }
});

for (const id of ['-1', 'rubbish', '99999999', '18446744073709551616', '1.5', '%00', ''])
  test(`Last-Event-ID: ${id}`, async () => {
    const events = await (await open()).finish();
    const again = await resume(runOf(events[0]), id);
    if (again.status === 200) {
      await again.finish();
      assert.ok(whole.endsWith(again.text), again.text);
    } else assert.equal(again.status, 400, await again.body);
  });

test('resuming while it runs, on whichever worker, several times over', async () => {
  provider.next({ hold: 'middle' });
  const first = await open();
  const run = runOf(await first.next('run'));
  await first.next('delta');
  const lost = first.text;
  const id = Buffer.byteLength(lost);
  first.close();
  const others = await Promise.all(Array.from({ length: 8 }, () => resume(run, id)));
  await Promise.all(others.map((x) => x.status === 200 || assert.fail('refused')));
  provider.release();
  for (const other of others) {
    const events = await other.finish();
    assert.equal(lost + other.text, whole);
    assert.equal(events.at(-1).event, 'done');
  }
});

test("another's run cannot be followed or cancelled", async () => {
  provider.next({ hold: 'middle' });
  const stream = await open();
  const run = runOf(await stream.next('run'));
  for (const other of [bob, stranger]) {
    isOurError(await other.request('GET', `/api/chats/runs/${run}/events`), 404, 'run_not_found');
    isOurError(await other.request('POST', `/api/chats/runs/${run}/cancel`), 404, 'run_not_found');
  }
  provider.release();
  await stream.finish();
  assert.equal(stream.text, whole, 'it went on undisturbed');
});

test('a client that goes away does not lose the reply', async () => {
  provider.next({ hold: 'middle' });
  const stream = await open();
  const run = runOf(await stream.next('run'));
  await stream.next('delta');
  stream.close();
  provider.release();
  await eventually('the run is completed', async () => (await status(run)) === 'completed');
  const [row] = await s.rows(`select conversation_id as id from ai.runs where id = '${run}'`);
  const { messages } = await alice.get(`/api/chats/${row.id}`);
  assert.equal(contentText(messages.at(-1).content), whole);
  assert.ok(!provider.calls.at(-1).aborted);
});

test('nor one that goes away before the first word, without stream', async () => {
  provider.reset();
  provider.next({ hold: 'request' });
  const leaving = new AbortController();
  const gone = alice.request('POST', '/api/chats/messages', { content: 'gone at once' }, { signal: leaving.signal }).catch(() => 'gone');
  const call = await provider.nth(1);
  leaving.abort();
  assert.equal(await gone, 'gone');
  call.release();
  await eventually('the reply is stored', async () => (await s.rows(`select count(*)::int as n from ai.messages where content::text like '%You said: gone at once%'`))[0].n === 1);
});

test('cancel stops the provider, keeps what was said, and ends the stream', async () => {
  provider.reset();
  provider.next({ hold: 'middle' });
  const stream = await open();
  const run = runOf(await stream.next('run'));
  await stream.next('delta');
  const call = await provider.nth(1);
  const cancelled = await alice.request('POST', `/api/chats/runs/${run}/cancel`);
  assert.ok([200, 202, 204].includes(cancelled.status), cancelled.text);
  await call.ended;
  assert.ok(call.aborted, 'the provider was hung up on');
  const events = await stream.finish();
  assert.equal(events.at(-1).event, 'done');
  assert.equal(await status(run), 'cancelled');
  const [row] = await s.rows(`select conversation_id as id from ai.runs where id = '${run}'`);
  const { messages } = await alice.get(`/api/chats/${row.id}`);
  assert.equal(contentText(messages.at(-1).content), stream.text);
  assert.ok(stream.text.length > 0 && stream.text.length < whole.length);
  answers(await alice.request('POST', `/api/chats/${row.id}/messages`, { content: 'go on' }), 200);
});

test('cancel before the first byte, and twice, and too late', async () => {
  provider.reset();
  provider.next({ hold: 'request' });
  const stream = await open();
  const run = runOf(await stream.next('run'));
  const call = await provider.nth(1);
  const both = await Promise.all([1, 2].map(() => alice.request('POST', `/api/chats/runs/${run}/cancel`)));
  for (const one of both) assert.ok(one.status < 300 || one.status === 409, one.text);
  await call.ended;
  await stream.finish();
  assert.equal(await status(run), 'cancelled');
  const late = await alice.request('POST', `/api/chats/runs/${run}/cancel`);
  assert.ok([200, 202, 204, 409].includes(late.status), late.text);
  assert.equal(await status(run), 'cancelled');
});

test('an error before the first byte is an event too, and the run says so', async () => {
  provider.next({ status: 401, message: 'Incorrect API key provided: sk-mock-0123456789' });
  const stream = await open();
  if (stream.status !== 200) return isOurErrorText(await stream.body, stream.status);
  const events = await stream.finish();
  const error = events.find((e) => e.event === 'error');
  assert.equal(error.data.code, 'provider_error');
  assert.ok(!JSON.stringify(events).includes('sk-mock'));
  assert.equal(events.at(-1).event, 'done');
  return undefined;
});

function isOurErrorText(text, code) {
  assert.equal(code, 502);
  assert.equal(JSON.parse(text).code, 'provider_error');
}

test('errors before the stream are plain answers', async () => {
  const stream = await open({ content: '' });
  assert.equal(stream.status, 400);
  assert.equal(JSON.parse(await stream.body).code, 'validation_failed');
});
