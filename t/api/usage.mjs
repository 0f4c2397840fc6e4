// t/api/usage.mjs: every call counts per tenant, person, key, model and day; GET /api/usage; tool calls on a run
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers, isOurError, uuid } from '../lib/expect.mjs';

const s = await stack({ provider: true });
const { alice, bob, stranger, provider } = s;
await s.sql(`insert into ai.prices (provider, model, valid_from, input_price, output_price) values ('mock', 'mock-large', '-infinity', 3000000, 15000000)`);
const usage = async (who, query = '') => (await who.get(`/api/usage${query}`)).usage;
const total = (rows, name) => rows.reduce((sum, r) => sum + r[name], 0);

test('tokens and cost of a call', async () => {
  provider.next({ text: 'x', usage: { input: 1000, output: 10 } }, { text: 'y', usage: { input: 7, output: 1 } });
  const { run } = await alice.post('/api/chats/messages', { content: 'one' });
  assert.equal(run.usage.cost_micros, 3000 + 150);
  await alice.post('/api/chats/messages', { content: 'two' });
  await bob.post('/api/chats/messages', { content: 'bob', model: 'claude/claude-large' });
  const rows = await usage(alice);
  assert.deepEqual([total(rows, 'requests'), total(rows, 'input_tokens'), total(rows, 'output_tokens'), total(rows, 'cost_micros')], [2, 1007, 11, 3150 + 36]);
  assert.ok(rows.every((r) => r.provider === 'mock' && r.model === 'mock-large' && /^\d{4}-\d\d-\d\d$/.test(r.day)));
});

test('people see their own, a secret key its tenant, nobody else anything', async () => {
  assert.equal(total(await usage(bob), 'requests'), 1);
  assert.deepEqual(await usage(stranger), []);
  assert.equal(total(await usage(s.a.service), 'requests'), 3);
  assert.deepEqual(await usage(s.b.service), []);
  for (const who of [s.client(), s.a.anon]) {
    const answer = await who.request('GET', '/api/usage');
    assert.ok([401, 403].includes(answer.status), answer.text);
  }
});

test('a call that failed counts as failed', async () => {
  provider.next({ status: 400, message: 'no' });
  assert.equal((await bob.request('POST', '/api/chats/messages', { content: 'x' })).status, 502);
  assert.equal(total(await usage(bob), 'failed'), 1);
});

test('an estimate is marked as one', async () => {
  provider.next({ text: 'four words are here', usage: null });
  const { run } = await bob.post('/api/chats/messages', { content: 'x' });
  assert.equal(run.usage.estimated, true);
  assert.equal(total(await usage(bob), 'estimated'), 1);
});

test('a run that is cut off counts what it has used', async () => {
  const before = total(await usage(alice), 'output_tokens');
  provider.next({ hold: 'middle' });
  const stream = await alice.stream('POST', '/api/chats/messages', { content: 'one two three four five six', stream: true });
  const { data } = await stream.next('run');
  await stream.next('delta');
  await alice.request('POST', `/api/chats/runs/${data.run?.id ?? data.id}/cancel`);
  await stream.finish();
  assert.ok(total(await usage(alice), 'output_tokens') > before);
});

for (const query of ['since=yesterday', 'until=2026-13-01', 'since=%00', 'limit=0', 'by=password'])
  test(`GET /api/usage?${query}`, async () => {
    const answer = await alice.request('GET', `/api/usage?${query}`);
    if (answer.status !== 200) isOurError(answer, 400, answer.json.code);
    else assert.ok(query.startsWith('limit') || query.startsWith('by'), `${query} was taken`);
  });

test("an app's server records tools on a run", async () => {
  const { run, chat } = await alice.post('/api/chats/messages', { content: 'what is the weather?' });
  const path = `/api/chats/runs/${run.id}/tool_calls`;
  const added = await s.a.service.request('POST', path, { call_id: 'call_1', name: 'weather', arguments: { city: 'Rome' }, result: { celsius: 21 } });
  assert.ok([200, 201].includes(added.status), added.text);
  const call = added.json.tool_call ?? added.json;
  assert.match(call.id, uuid);
  assert.deepEqual([call.call_id, call.name, call.arguments, call.result, call.status], ['call_1', 'weather', { city: 'Rome' }, { celsius: 21 }, 'completed']);
  const [row] = await s.rows(`select name, arguments, result from ai.tool_calls where run_id = '${run.id}'`);
  assert.deepEqual(row, { name: 'weather', arguments: { city: 'Rome' }, result: { celsius: 21 } });

  const refused = [
    [alice, path, { call_id: 'call_2', name: 'x' }, [403]],
    [s.b.service, path, { call_id: 'call_2', name: 'x' }, [404]],
    [s.a.anon, path, { call_id: 'call_2', name: 'x' }, [401, 403]],
    [s.a.service, path, {}, [400]],
    [s.a.service, path, { call_id: 'call_2', name: 5 }, [400]],
    [s.a.service, path, { call_id: 'call_2', name: 'x', surprise: 1 }, [400]],
    [s.a.service, '/api/chats/runs/00000000-0000-7000-8000-000000000000/tool_calls', { call_id: 'c', name: 'x' }, [404]],
    [s.a.service, '/api/chats/runs/nope/tool_calls', { call_id: 'c', name: 'x' }, [404]],
  ];
  for (const [who, where, body, wanted] of refused) {
    const answer = await who.request('POST', where, body);
    assert.ok(wanted.includes(answer.status), `${JSON.stringify(body)}: ${answer.status} ${answer.text}`);
  }
  assert.equal((await s.rows(`select count(*)::int as n from ai.tool_calls where run_id = '${run.id}'`))[0].n, 1);
  answers(await alice.request('GET', `/api/chats/${chat.id}`), 200);
});

test('a budget that is spent refuses the call before the provider hears of it', async () => {
  await s.sql(`select tenon.set_budget('${s.b.id}', 'tenant', null, 'day', 10)`);
  provider.reset();
  const answer = await stranger.request('POST', '/api/chats/messages', { content: 'x' });
  isOurError(answer, 402, 'budget_exceeded');
  assert.equal(provider.calls.length, 0);
  assert.equal((await s.rows(`select count(*)::int as n from ai.runs where tenant_id = '${s.b.id}'`))[0].n, 0, 'and nothing is stored');
});
