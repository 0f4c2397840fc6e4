// t/api/isolation.mjs: two tenants with two people each: another's things are 404 on every path, never 403, and no list has them
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { hs256, now } from '../lib/jwt.mjs';

const s = await stack({ provider: true, people: false });
const people = { a1: await s.a.person('one'), a2: await s.a.person('two'), b1: await s.b.person('one'), b2: await s.b.person('two') };
const owned = {};
for (const [name, person] of Object.entries(people)) {
  const { chat, message, reply, run } = await person.post('/api/chats/messages', { content: `secret of ${name}` });
  owned[name] = { chat: chat.id, message: message.id, reply: reply.id, run: run.id };
}
const secret = s.settings['auth.jwt_secret'];

/* Every path that names something of somebody. */
const requests = ({ chat, message, run }) => [
  ['GET', `/api/chats/${chat}`], ['GET', `/api/chats/${chat}?branch=all`], ['PATCH', `/api/chats/${chat}`, { title: 'taken' }], ['DELETE', `/api/chats/${chat}`],
  ['POST', `/api/chats/${chat}/messages`, { content: 'x' }], ['POST', `/api/chats/${chat}/messages`, { parent_id: message }], ['POST', '/api/chats/messages', { content: 'x', chat_id: chat }],
  ['POST', `/api/chats/${chat}/messages`, { content: 'x', stream: true }],
  ['GET', `/api/chats/runs/${run}`], ['GET', `/api/chats/runs/${run}/events`], ['POST', `/api/chats/runs/${run}/cancel`],
];

for (const [who, person] of Object.entries(people))
  for (const [whose, things] of Object.entries(owned))
    if (who !== whose)
      test(`${who} finds nothing of ${whose}`, async () => {
        s.provider.reset();
        for (const [method, path, body] of requests(things)) {
          const answer = await person.request(method, path, body);
          assert.equal(answer.status, 404, `${method} ${path}: ${answer.status} ${answer.text}`);
          assert.ok(!answer.text.includes('secret of'));
          const nowhere = await person.request(method, path.replace(/[0-9a-f]{12}(?=[/?]|$)/, '000000000000'), body && JSON.parse(JSON.stringify(body).replaceAll(things.chat, '00000000-0000-7000-8000-000000000000')));
          assert.deepEqual([nowhere.status, nowhere.json.code], [404, answer.json.code], 'the answer for what does not exist at all is the same');
        }
        const list = await person.request('GET', '/api/chats?limit=100');
        assert.ok(!list.text.includes(things.chat) && !list.text.includes(`secret of ${whose}`));
        assert.equal(s.provider.calls.length, 0);
      });

test("a tenant's secret key sees all of its own and nothing of the other", async () => {
  for (const [mine, other] of [['a', 'b'], ['b', 'a']]) {
    const list = (await s[mine].service.get('/api/chats?limit=100')).chats.map((c) => c.id);
    assert.deepEqual(list.sort(), [owned[`${mine}1`].chat, owned[`${mine}2`].chat].sort());
    for (const [method, path, body] of requests(owned[`${other}1`])) assert.equal((await s[mine].service.request(method, path, body)).status, 404, `${method} ${path}`);
  }
});

test('a person of one tenant with the key of the other', async () => {
  for (const key of [s.b.publishable, s.b.secret]) {
    const answer = await people.a1.request('GET', `/api/chats/${owned.a1.chat}`, undefined, { headers: { apikey: key } });
    assert.ok([401, 403].includes(answer.status), answer.text);
    assert.equal(answer.json.code, 'tenant_mismatch');
  }
});

test('a tenant claim that somebody with the secret made up cannot leave the key', async () => {
  const forged = (claims) => `Bearer ${hs256({ sub: people.a1.user.id, role: 'authenticated', aud: 'authenticated', exp: now() + 60, ...claims }, secret)}`;
  const rows = [
    { name: 'the other tenant, own key', apikey: s.a.publishable, claims: { tenant_id: s.b.id } },
    { name: 'a tenant that is no UUID', apikey: s.a.publishable, claims: { tenant_id: 'a' } },
    { name: 'a tenant that does not exist', apikey: null, claims: { tenant_id: '00000000-0000-4000-8000-000000000000' } },
    { name: 'a role of the database', apikey: s.a.publishable, claims: { tenant_id: s.a.id, role: 'postgres' } },
    { name: 'the platform', apikey: s.a.publishable, claims: { tenant_id: s.a.id, role: 'tenon_platform' } },
    { name: 'the worker', apikey: null, claims: { tenant_id: s.a.id, role: 'tenon_worker' } },
    { name: 'the owner', apikey: null, claims: { tenant_id: s.a.id, role: 'tenon_owner' } },
  ];
  for (const { name, apikey, claims } of rows) {
    const answer = await s.a.anon.request('GET', '/api/chats', undefined, { headers: { apikey, authorization: forged(claims) } });
    assert.ok([401, 403].includes(answer.status), `${name}: ${answer.status} ${answer.text}`);
  }
  const asB = await s.client().request('GET', '/api/chats', undefined, { headers: { authorization: forged({ tenant_id: s.b.id }) } });
  assert.ok(asB.status !== 200 || asB.json.chats.length === 0, "a1's id in tenant b owns nothing");
});

test('the right to be service_role is not in a person’s token', async () => {
  const claims = { sub: people.a1.user.id, role: 'service_role', aud: 'authenticated', exp: now() + 60, tenant_id: s.a.id };
  const answer = await s.a.anon.request('GET', '/api/chats?limit=100', undefined, { headers: { authorization: `Bearer ${hs256(claims, secret)}` } });
  // Who holds auth.jwt_secret may issue service keys of the older form; then it is one, of this tenant and no other.
  if (answer.status === 200) assert.ok(!answer.text.includes(owned.b1.chat));
});

test('a key that is revoked stops working at once, everywhere', async () => {
  const made = await s.tenon('key', 'create', '--tenant', 'a', '--kind', 'secret', '--json');
  assert.equal(made.code, 0, made.stderr);
  const { key, id } = made.json;
  const client = s.client({ apikey: key });
  for (let i = 0; i < 20; i++) assert.equal((await client.request('GET', '/api/chats')).status, 200); // every worker knows it now
  const revoked = await s.tenon('key', 'revoke', id ?? key, '--json');
  assert.equal(revoked.code, 0, revoked.stderr);
  const start = Date.now();
  await eventually('401', async () => (await client.request('GET', '/api/chats')).status === 401, 5000);
  assert.ok(Date.now() - start < 2000);
});

test('a tenant that is suspended', async () => {
  await s.sql(`update tenon.tenants set status = 'suspended' where name = 'b'`);
  const answer = await eventually('a refusal', async () => {
    const a = await people.b1.request('GET', '/api/chats');
    return a.status !== 200 && a;
  }, 5000);
  assert.deepEqual([answer.status, answer.json.code], [403, 'tenant_suspended']);
  assert.equal((await people.a1.request('GET', '/api/chats')).status, 200);
  await s.sql(`update tenon.tenants set status = 'active' where name = 'b'`);
  await eventually('it is back', async () => (await people.b1.request('GET', '/api/chats')).status === 200, 5000);
});
