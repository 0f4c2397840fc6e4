/* t/api/agents-budget.mjs: what an agent may spend, and how often it may ask: of all its keys and tokens together, at whatever speed */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';

const s = await stack({ provider: true, settings: { 'api.processes': 2 } });
const { alice, bob, provider } = s;
await s.sql(`insert into ai.prices (provider, model, valid_from, input_price, output_price) values ('mock', 'mock-large', '-infinity', 3000000, 15000000);
alter table tenon.budgets add constraint never_passed check (spent_micros + reserved_micros <= cap_micros)`); // whatever happens on the way
const CAP = 150_000;

async function agentOf(who, body) {
  const agent = await who.post('/auth/v1/agents', { name: 'spender', scopes: ['ai:chat', 'usage:read'], ...body });
  const key = async () => (await who.post(`/auth/v1/agents/${agent.id}/keys`, {})).key;
  return { ...agent, keys: [await key(), await key()] };
}
const exchanged = async (who, key) => (await s.a.anon.post('/auth/v1/token', { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token: who.session.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', actor_token: key })).access_token;
/* Once more, with no agent named: it stays that agent's. */
const passedOn = async (token) => (await s.a.anon.post('/auth/v1/token', { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token: token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' })).access_token;
const ask = (client) => client.request('POST', '/api/chats/messages', { content: 'how much?' });

test('the cap holds for all its keys and tokens at once, and for nobody else', async () => {
  const agent = await agentOf(alice, { budget: { period: 'month', cap_micros: CAP } });
  const token = await exchanged(alice, agent.keys[0]);
  const clients = [...agent.keys.map((apikey) => s.client({ apikey })), ...[token, await passedOn(token)].map((one) => s.a.anon.with({ authorization: `Bearer ${one}` }))];
  for (let i = 0; i < 80; i++) provider.next({ text: 'x', usage: { input: 1000, output: 400 } }); // 9,000 micro-dollars
  const statuses = [];
  for (let round = 0; round < 3; round++)
    statuses.push(...(await Promise.all(Array.from({ length: 12 }, (_, i) => ask(clients[i % 4])))).map((answer) => {
      if (answer.status !== 200) assert.equal(answer.json.code, 'budget_exceeded', answer.text);
      return answer.status;
    }));
  for (let i = 0; i < 40 && statuses.at(-1) === 200 || i === 0; i++) statuses.push((await ask(clients[i % 4])).status); // and one after the other, until it is used up
  const { budget, usage } = await alice.get(`/auth/v1/agents/${agent.id}`);
  const passed = statuses.filter((status) => status === 200).length;
  assert.ok(passed > 0 && passed < statuses.length, `${passed} passed`);
  assert.deepEqual([budget.spent_micros, budget.reserved_micros, usage.runs, usage.cost_micros], [passed * 9000, 0, passed, passed * 9000]);
  assert.ok(budget.spent_micros <= CAP);
  assert.ok(Date.parse(budget.resets_at) > Date.now());
  for (const client of clients.slice(2)) {
    const refusal = await ask(client);
    assert.deepEqual([refusal.status, refusal.json.subject], [402, 'agent'], refusal.text);
  }
  const { activity } = await alice.get(`/auth/v1/agents/${agent.id}/activity?limit=1`);
  assert.equal(activity[0].code, 'budget_exceeded', 'what was asked with a token that was passed on is the agent\'s too');
  assert.equal((await clients[0].request('GET', '/api/usage')).status, 200, 'what costs nothing goes on');
  assert.equal((await ask(alice)).status, 200, 'and so does the person');

  await alice.patch(`/auth/v1/agents/${agent.id}`, { budget: { period: 'month', cap_micros: 10 * CAP } });
  assert.equal((await ask(clients[0])).status, 200, 'a cap that is raised');
  await s.sql('alter table tenon.budgets drop constraint never_passed'); // a cap may be lowered below what is spent
  await alice.patch(`/auth/v1/agents/${agent.id}`, { budget: { period: 'day', cap_micros: 0 } });
  assert.equal((await ask(clients[1])).status, 402, 'of another period, counted from what it has cost');
  const none = await alice.patch(`/auth/v1/agents/${agent.id}`, { budget: null });
  assert.equal(none.budget, null);
  assert.equal((await ask(clients[1])).status, 200, 'or taken away');
});

test("the tenant's and the person's caps hold beside it", async () => {
  const agent = await agentOf(bob, { budget: { period: 'total', cap_micros: 10 * CAP } }), client = s.client({ apikey: agent.keys[0] });
  await s.sql(`begin; set local role tenon_platform; select tenon.set_budget('${s.a.id}', 'user', '${bob.user.id}', 'day', 0); commit`);
  const answer = await ask(client);
  assert.deepEqual([answer.status, answer.json.subject], [402, 'user']);
  assert.equal((await bob.get(`/auth/v1/agents/${agent.id}`)).budget.reserved_micros, 0, 'nothing is set aside when one of them says no');
});

test('so many requests a minute, by all its keys and tokens, in all processes', async () => {
  const agent = await agentOf(alice, { rate_per_minute: 10 });
  const token = await exchanged(alice, agent.keys[0]);
  const clients = [...agent.keys.map((apikey) => s.client({ apikey })), ...[token, await passedOn(token)].map((one) => s.a.anon.with({ authorization: `Bearer ${one}` }))];
  const answers = await Promise.all(Array.from({ length: 32 }, (_, i) => clients[i % 4].request('GET', '/api/chats')));
  const passed = answers.filter((answer) => answer.status === 200).length;
  assert.ok(passed >= 10 && passed <= 12, `${passed} passed`); // one comes back every six seconds
  const refused = answers.find((answer) => answer.status === 429);
  assert.equal(refused.json.code, 'over_request_rate_limit');
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  assert.equal((await alice.request('GET', '/api/chats')).status, 200, 'the person has their own');
  const { activity } = await alice.get(`/auth/v1/agents/${agent.id}/activity?limit=200`);
  assert.equal(activity.length, passed, 'what was refused for its rate is not written down');
  assert.equal((await alice.patch(`/auth/v1/agents/${agent.id}`, { rate_per_minute: 0 })).rate_per_minute, null);
  assert.equal((await clients[0].request('GET', '/api/chats')).status, 200);
});
