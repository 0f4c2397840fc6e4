/* t/api/agents-exchange.mjs: POST /auth/v1/token with the grant of RFC 8693: a person's token becomes a narrower one */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';

const s = await stack({ settings: { 'auth.exchange_ttl_s': 120 } });
const { alice, bob, stranger, a } = s;
const grant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const type = 'urn:ietf:params:oauth:token-type:access_token', jwt = 'urn:ietf:params:oauth:token-type:jwt';

await s.sql(`
set role tenon_owner;
create table public.notes (id bigint generated always as identity primary key, owner uuid default auth.uid(), body text);
create policy owner on public.notes to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create function public.claims() returns jsonb language sql stable as 'select auth.jwt()';
`);
for (const who of [alice, bob]) await who.request('POST', '/rest/v1/notes', { body: who.email });

const form = (fields) => new URLSearchParams(fields).toString();
/* As the RFC sends it; `client` brings the key, or nothing. */
const exchange = (fields, client = a.anon, path = '/auth/v1/token') =>
  client.request('POST', path, form({ grant_type: grant, subject_token_type: type, ...fields }), { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
const subject = (who) => ({ subject_token: who.session.access_token });
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const holder = (token) => a.anon.with({ authorization: `Bearer ${token}` });
const agentOf = async (who, body = {}) => {
  const agent = await who.post('/auth/v1/agents', { name: 'tool', scopes: ['data:notes:*', 'data:claims:call'], ...body });
  return { ...agent, key: (await who.post(`/auth/v1/agents/${agent.id}/keys`, {})).key };
};
const refused = async (answer, error, what) => {
  const { status, json, text } = await answer;
  assert.deepEqual([status, json?.error, typeof json?.error_description, json?.error_code], [400, error, 'string', undefined], `${what ?? ''} ${text}`);
};

test('for an agent: narrower, short-lived, and it says who acts', async () => {
  const tool = await agentOf(alice);
  const answer = await exchange({ ...subject(alice), actor_token: tool.key, scope: 'data:notes:read data:claims:call' });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['cache-control'], 'no-store');
  const { access_token: token, ...rest } = answer.json;
  assert.deepEqual(rest, { issued_token_type: type, token_type: 'Bearer', expires_in: 120, scope: 'data:notes:read data:claims:call' });
  const claims = claimsOf(token), before = claimsOf(alice.session.access_token);
  assert.deepEqual([claims.role, claims.sub, claims.scope, claims.act, claims.session_id, claims.tenant_id, claims.iss, claims.aud],
    ['agent', alice.user.id, 'data:notes:read data:claims:call', { sub: tool.id, name: 'tool' }, before.session_id, a.id, before.iss, before.aud]);
  assert.equal(claims.exp - claims.iat, 120);
  assert.ok(claims.jti);
  assert.equal('aal' in claims || 'amr' in claims, false);

  const client = holder(token);
  assert.deepEqual((await client.get('/rest/v1/notes')).map((row) => row.body), [alice.email]);
  assert.equal((await client.request('POST', '/rest/v1/notes', { body: 'x' })).status, 403);
  assert.equal((await client.request('GET', '/api/chats')).json.code, 'scope_missing');
  assert.equal((await client.get('/rest/v1/rpc/claims')).act.sub, tool.id);
  const user = await client.request('GET', '/auth/v1/user');
  assert.deepEqual([user.status, user.json.error_code], [403, 'agent_not_allowed']);
  const withoutKey = s.client({ authorization: `Bearer ${token}` });
  assert.equal((await withoutKey.get('/rest/v1/notes')).length, 1, 'the token names its tenant');
  const asKey = await s.client({ apikey: token }).request('GET', '/rest/v1/notes');
  assert.deepEqual([asKey.status, asKey.json.code], [401, 'invalid_key']);

  const { activity } = await alice.get(`/auth/v1/agents/${tool.id}/activity`);
  assert.ok(activity.some((one) => one.route === '/rest/v1/{relation}' && one.target === 'notes' && one.status === 200));
  const [told] = await s.rows(`select payload from auth.audit_log_entries where payload ->> 'action' = 'token_exchanged' and payload -> 'traits' ->> 'jti' = '${claims.jti}'`);
  assert.deepEqual([told.payload.actor_id, told.payload.traits.agent_id, told.payload.log_type], [alice.user.id, tool.id, 'token']);
});

test('as JSON, with grant_type in the query, and with everything an agent has when no scope is asked for', async () => {
  const tool = await agentOf(alice);
  const body = { subject_token: alice.session.access_token, subject_token_type: jwt, actor_token: tool.key, actor_token_type: type, requested_token_type: jwt };
  for (const answer of [await a.anon.request('POST', '/auth/v1/token', { grant_type: grant, ...body }),
    await a.anon.request('POST', `/auth/v1/token?grant_type=${encodeURIComponent(grant)}`, body)]) {
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.json.scope, answer.json.issued_token_type], ['data:notes:* data:claims:call', jwt]);
    assert.equal((await holder(answer.json.access_token).request('POST', '/rest/v1/notes', { body: 'by its scopes' })).status, 201);
  }
  const calls = await exchange(subject(alice), s.client({ apikey: tool.key }));
  assert.deepEqual([claimsOf(calls.json.access_token).act.sub, calls.json.scope], [tool.id, 'data:notes:* data:claims:call'], 'the agent that asks is the actor');
});

test('for oneself: the key that asks is named, and the scope is required', async () => {
  await refused(exchange(subject(alice)), 'invalid_scope');
  const answer = await exchange({ ...subject(alice), scope: 'data:notes:read' }, alice);
  const [key] = await s.rows(`select id from tenon.keys where kind = 'publishable' and tenant_id = '${a.id}'`);
  assert.deepEqual(claimsOf(answer.json.access_token).act, { sub: `key:${key.id}` });
  assert.equal((await holder(answer.json.access_token).get('/rest/v1/notes')).some((row) => row.body === alice.email), true);
  const keyless = await exchange({ ...subject(alice), scope: 'data:notes:read' }, s.client());
  assert.deepEqual(claimsOf(keyless.json.access_token).act, { sub: 'client' });
});

test('a chain only narrows, keeps everybody who is in it, and ends with the first of them', async () => {
  const first = await agentOf(alice, { name: 'planner' }), second = await agentOf(alice, { name: 'reader', scopes: ['data:*'] });
  const one = (await exchange({ ...subject(alice), actor_token: first.key })).json.access_token;
  await refused(exchange({ subject_token: one, actor_token: second.key, scope: 'data:other:read' }), 'invalid_scope', 'the second has it, the first has not');
  const answer = await exchange({ subject_token: one, actor_token: second.key, scope: 'data:notes:read' });
  const two = answer.json.access_token;
  assert.deepEqual(claimsOf(two).act, { sub: second.id, name: 'reader', act: { sub: first.id, name: 'planner' } });
  assert.ok(claimsOf(two).exp <= claimsOf(one).exp);
  await refused(exchange({ subject_token: two, scope: 'data:notes:write' }), 'invalid_scope', 'no wider by itself');
  assert.equal((await holder(two).request('GET', '/rest/v1/notes')).status, 200);
  const asActor = await exchange({ ...subject(alice), actor_token: two, actor_token_type: type });
  assert.deepEqual([asActor.json.scope, claimsOf(asActor.json.access_token).act.sub], ['data:notes:read', second.id], 'a token is no wider an actor than it is');
  await alice.patch(`/auth/v1/agents/${first.id}`, { scopes: ['data:claims:call'] });
  assert.deepEqual(await holder(two).get('/rest/v1/notes'), [], 'what its first agent may do no more, it may not');
  await alice.delete(`/auth/v1/agents/${first.id}`);
  const over = await holder(two).request('GET', '/rest/v1/notes');
  assert.deepEqual([over.status, over.json.code], [401, 'PGRST301']);
  await refused(exchange({ subject_token: two, scope: 'data:notes:read' }), 'invalid_request');

  let token = (await exchange({ ...subject(alice), scope: 'data:notes:read' })).json.access_token;
  for (let i = 0; i < 3; i++) token = (await exchange({ subject_token: token, scope: 'data:notes:read' })).json.access_token;
  await refused(exchange({ subject_token: token, scope: 'data:notes:read' }), 'invalid_request', 'so often and no more');
});

test('revocation, a ban, the end of the session: over with the next request, in every area', async () => {
  const dora = await a.person('dora'), tool = await agentOf(dora, { scopes: ['data:*', 'ai:chat'] });
  const token = (await exchange({ ...subject(dora), actor_token: tool.key })).json.access_token;
  const client = holder(token);
  const codes = async () => [(await client.request('GET', '/rest/v1/notes')).status, (await client.request('GET', '/api/chats')).status];
  assert.deepEqual(await codes(), [200, 200]);
  const inTenant = (sql) => s.sql(`begin; select set_config('tenon.tenant_id', '${a.id}', true); ${sql}; commit`);
  await inTenant(`update auth.users set banned_until = now() + interval '1 hour' where id = '${dora.user.id}'`);
  assert.deepEqual(await codes(), [403, 403]);
  await refused(exchange({ ...subject(dora), actor_token: tool.key }), 'invalid_request');
  await inTenant(`update auth.users set banned_until = null where id = '${dora.user.id}'`);
  assert.deepEqual(await codes(), [200, 200]);
  await inTenant(`update tenon.agents set expires_at = now() where id = '${tool.id}'`);
  assert.deepEqual(await codes(), [401, 401]);
  await inTenant(`update tenon.agents set expires_at = now() + interval '30 seconds' where id = '${tool.id}'`);
  assert.deepEqual(await codes(), [200, 200]);
  const short = await exchange({ ...subject(dora), actor_token: tool.key });
  assert.ok(short.json.expires_in <= 30, 'no longer than the agent lives');
  await dora.post('/auth/v1/logout?scope=local', {});
  assert.deepEqual(await codes(), [401, 401]);
  await refused(exchange({ ...subject(dora), actor_token: tool.key }), 'invalid_request', 'the session is over');
});

test('whose it is not', async () => {
  const tool = await agentOf(bob), theirs = await agentOf(stranger), [secret] = [a.secret];
  await refused(exchange({ ...subject(alice), actor_token: tool.key }), 'invalid_request', "another person's agent");
  await refused(exchange({ ...subject(alice), actor_token: theirs.key }), 'invalid_request', "another tenant's agent");
  await refused(exchange({ ...subject(stranger), scope: 'data:notes:read' }), 'invalid_request', "another tenant's person");
  await refused(exchange({ ...subject(alice), actor_token: secret }), 'invalid_request', 'no agent at all');
  await refused(exchange({ ...subject(alice), actor_token: bob.session.access_token, actor_token_type: type }), 'invalid_request', 'a person is no agent');
  await refused(exchange({ subject_token: tool.key, actor_token: tool.key }), 'invalid_request', 'a key is no person');
  await refused(exchange({ ...subject(alice), actor_token: tool.key.slice(0, -1) + (tool.key.endsWith('A') ? 'E' : 'A') }), 'invalid_request', 'a key that is none');
  const service = await a.service.post('/auth/v1/agents', { name: 'service', scopes: ['data:notes:read'] });
  const { key } = await a.service.post(`/auth/v1/agents/${service.id}/keys`, {});
  const given = await exchange({ ...subject(alice), actor_token: key });
  assert.equal(claimsOf(given.json.access_token).sub, alice.user.id, 'an agent of nobody may be given anybody\'s token by themselves');
  assert.ok((await holder(given.json.access_token).get('/rest/v1/notes')).every((row) => row.body !== bob.email));
});

test('what others sign is never an agent, and never exchanged', async () => {
  const sign = (claims) => {
    const text = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${text}.${createHmac('sha256', s.settings['auth.jwt_secret']).update(text).digest('base64url')}`;
  };
  const exp = Math.floor(Date.now() / 1000) + 60;
  const forged = sign({ sub: alice.user.id, role: 'agent', tenant_id: a.id, scope: 'data:*', act: { sub: alice.user.id }, exp });
  for (const path of ['/rest/v1/notes', '/api/chats', '/auth/v1/user'])
    assert.ok([401, 403].includes((await holder(forged).request('GET', path)).status), path);
  await refused(exchange({ subject_token: sign({ sub: alice.user.id, role: 'authenticated', tenant_id: a.id, exp }), scope: 'data:notes:read' }), 'invalid_request');
  const [head, body, signature] = alice.session.access_token.split('.');
  const claims = { ...JSON.parse(Buffer.from(body, 'base64url')), role: 'agent', scope: 'data:*', act: { sub: 'client' } };
  const altered = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
  assert.ok([401, 403].includes((await holder(altered).request('GET', '/rest/v1/notes')).status));
});

test('malformed requests, in the form of RFC 6749', async () => {
  const tool = await agentOf(bob, { name: 'malformed' });
  for (const [fields, error] of [
    [{ subject_token: '' }, 'invalid_request'], [{ subject_token: 'x' }, 'invalid_request'], [{ subject_token: 'a.b.c' }, 'invalid_request'],
    [{ ...subject(bob), subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 'invalid_request'],
    [{ ...subject(bob), scope: 'data:*', actor_token_type: type }, 'invalid_request'],
    [{ ...subject(bob), actor_token: 'x' }, 'invalid_request'], [{ ...subject(bob), actor_token: 'x', actor_token_type: type }, 'invalid_request'],
    [{ ...subject(bob), scope: 'data:*', requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, 'invalid_request'],
    [{ ...subject(bob), scope: 'data:*', audience: 'https://elsewhere.example' }, 'invalid_target'],
    [{ ...subject(bob), scope: 'data:*', resource: `${s.origin}.elsewhere.example/` }, 'invalid_target'],
    [{ ...subject(bob), scope: '*' }, 'invalid_scope'], [{ ...subject(bob), scope: 'data' }, 'invalid_scope'], [{ ...subject(bob), scope: 'data:"x":read' }, 'invalid_scope'],
    [{ ...subject(bob), scope: '  ' }, 'invalid_scope'], [{ ...subject(bob), actor_token: tool.key, scope: 'data:*' }, 'invalid_scope'],
    [{ ...subject(bob), actor_token: tool.key, scope: 'data:notes:read chat:read' }, 'invalid_scope'],
  ]) await refused(exchange(fields), error, JSON.stringify(fields).replace(bob.session.access_token, '…'));
  await refused(a.anon.request('POST', '/auth/v1/token', { grant_type: grant }), 'invalid_request');
  const twice = `${form({ grant_type: grant, ...subject(bob), subject_token_type: type, scope: 'data:notes:read' })}&scope=data:*`;
  await refused(a.anon.request('POST', '/auth/v1/token', twice, { headers: { 'content-type': 'application/x-www-form-urlencoded' } }), 'invalid_request', 'a parameter twice');
  for (const target of [{ audience: 'authenticated' }, { resource: `${s.origin}/rest/v1/notes` }])
    assert.equal((await exchange({ ...subject(bob), scope: 'data:notes:read', ...target })).status, 200, JSON.stringify(target));
});
