// t/cmd/live.mjs: what the operator's command does to a running server, within a moment
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack();

async function tenon(...args) {
  const answer = await s.tenon('--json', ...args);
  assert.equal(answer.code, 0, `tenon ${args.join(' ')}: ${answer.stderr}`);
  return answer.json;
}
const status = async (client) => (await client.request('GET', '/api/chats')).status;
const becomes = (what, client, wanted) => eventually(what, async () => (await status(client)) === wanted, 3000);
const as = (key, token) => s.client({ apikey: key, ...(token ? { authorization: `Bearer ${token}` } : {}) });
const tokenOf = (person) => person.headers.authorization.replace(/^Bearer /, '');

test('doctor reaches server and nginx', async () => {
  const { findings } = (await s.tenon('doctor', '--json')).json;
  for (const check of ['server', 'nginx', 'database.url', 'signing_keys', 'rls.tables'])
    assert.equal(findings.find((f) => f.check === check)?.level, 'ok', JSON.stringify(findings.filter((f) => f.level !== 'ok')));
});

test('a key works at once, and not any more once it is revoked', async () => {
  const key = await tenon('key', 'create', '--tenant', 'a', '--kind', 'secret');
  assert.equal(await status(as(key.key)), 200);
  await tenon('key', 'revoke', key.id);
  await becomes('the end of the key', as(key.key), 401);
});

test('a rotated key works on for as long as it was said', async () => {
  const key = await tenon('key', 'create', '--tenant', 'a', '--kind', 'secret');
  assert.equal(await status(as(key.key)), 200);
  const fresh = await tenon('key', 'rotate', key.id, '--overlap', '2 seconds');
  assert.deepEqual([await status(as(key.key)), await status(as(fresh.key))], [200, 200]);
  await eventually('the end of the overlap', async () => (await status(as(key.key))) === 401, 6000);
  assert.equal(await status(as(fresh.key)), 200);
});

test('a suspended tenant is refused, the other is not', async () => {
  await tenon('tenant', 'suspend', 'a');
  await becomes('the refusal of keys', s.a.service, 403);
  await becomes('the refusal of people', s.alice, 403);
  assert.equal(await status(s.stranger), 200);
  await tenon('tenant', 'activate', 'a');
  await becomes('the return', s.alice, 200);
});

test('signing keys rotate under everybody\'s feet', async () => {
  const kidOf = (person) => JSON.parse(Buffer.from(tokenOf(person).split('.')[0], 'base64url')).kid;
  const published = async () => (await s.a.anon.get('/auth/v1/.well-known/jwks.json')).keys.map((k) => k.kid);
  const people = [s.alice];
  for (const name of ['carol', 'carla']) {
    const known = await published();
    await tenon('signing-key', 'rotate');
    const person = await s.a.person(name);
    assert.ok(!people.map(kidOf).includes(kidOf(person)), 'another key signs');
    assert.ok(known.includes(kidOf(person)), 'which had been published before');
    people.push(person);
    for (const one of people) assert.equal(await status(one), 200, 'and nobody is signed out');
    for (const one of people) assert.ok((await published()).includes(kidOf(one)));
  }
  const [, carol] = people;
  assert.equal((await s.a.anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: s.bob.session.refresh_token })).status, 200, 'a session from before goes on');
  await tenon('signing-key', 'retire', '--', kidOf(s.alice));
  await becomes('the refusal of the old token', s.alice, 401);
  assert.equal(await status(carol), 200);
});

test('a user made by the operator signs in, and a banned one does not', async () => {
  const { email, password, id } = await tenon('user', 'create', 'operator-made@example.com', '--tenant', 'a');
  const signIn = () => s.a.anon.request('POST', '/auth/v1/token?grant_type=password', { email, password });
  const first = await signIn();
  assert.equal(first.status, 200);
  await tenon('user', 'ban', id, '--tenant', 'a', '--for', '1 hour');
  assert.equal((await signIn()).json.error_code ?? (await signIn()).json.code, 'user_banned');
  const refresh = await s.a.anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: first.json.refresh_token });
  assert.equal(refresh.status, 400);
  await tenon('user', 'unban', id, '--tenant', 'a');
  assert.equal((await signIn()).status, 200);
  await tenon('user', 'ban', email, '--tenant', 'a', '--for', '24h');
  assert.equal((await signIn()).status, 400);
  await tenon('user', 'ban', email, '--tenant', 'a', '--for', 'none');
  assert.equal((await signIn()).status, 200);
});

test('a deleted user takes their chats along, and nobody else\'s', async () => {
  const dave = await s.a.person('dave');
  const { chat } = await dave.post('/api/chats/messages', { content: 'remember me' });
  const erin = await s.a.person('erin');
  const { chat: kept } = await erin.post('/api/chats/messages', { content: 'me too' });
  await tenon('user', 'delete', 'dave@a.example', '--tenant', 'a');
  assert.equal((await s.rows(`select count(*)::int as n from ai.messages where conversation_id = '${chat.id}'`))[0].n, 0);
  assert.equal((await s.a.service.request('GET', `/api/chats/${chat.id}`)).status, 404);
  assert.equal((await erin.request('GET', `/api/chats/${kept.id}`)).status, 200);
  assert.equal((await dave.request('GET', '/auth/v1/user')).status, 403);
});
