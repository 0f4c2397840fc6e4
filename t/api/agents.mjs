/* t/api/agents.mjs: /auth/v1/agents: what people let act for them does what they may, within its scopes, and no longer */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { mailbox } from '../lib/mailbox.mjs';
import { stack } from '../lib/stack.mjs';

const s = await stack({ settings: { 'api.processes': 2, 'auth.agents_max': 3, 'auth.anonymous': 'on', 'auth.agent_ttl_max_s': 86400 } });
const { alice, bob, stranger, a } = s;

await s.sql(`
set role tenon_owner;
create table public.notes (id bigint generated always as identity primary key, owner uuid default auth.uid(), body text);
create policy owner on public.notes to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create table public.board (id bigint generated always as identity primary key, body text);
create policy people on public.board to authenticated using (true) with check (true);
create table public.safe (id bigint generated always as identity primary key, body text);
create policy people on public.safe to authenticated using (true);
create policy strong on public.safe as restrictive to authenticated using ((select auth.jwt() ->> 'aal') = 'aal1');
create view public.all_notes as select id, body from public.notes;
grant select, update, delete on public.all_notes to authenticated;
create function public.whoami() returns json language sql stable as
  $$ select json_build_object('role', current_user, 'uid', auth.uid(), 'email', auth.email(), 'claims', auth.jwt()) $$;
`);
const inTenant = (sql) => s.sql(`begin; select set_config('tenon.tenant_id', '${a.id}', true); ${sql}; commit`);
await inTenant(`insert into public.notes (owner, body) values ('${alice.user.id}', 'hers'), ('${bob.user.id}', 'his')`);
await inTenant("insert into public.board (body) values ('for all')");
await inTenant("insert into public.safe (body) values ('behind a second look')");

const create = (who, body) => who.post('/auth/v1/agents', { name: 'helper', scopes: ['data:*'], ...body });
const keyOf = async (who, agent, body = {}) => {
  const made = await who.post(`/auth/v1/agents/${agent.id}/keys`, body);
  return Object.assign(s.client({ apikey: made.key }), { made });
};
/* Whatever worker answers: connections that nginx opens anew go to any of them. */
const everywhere = async (client, path) => {
  const answers = await Promise.all(Array.from({ length: 16 }, () => client.request('GET', path)));
  return [...new Set(answers.map((answer) => `${answer.status} ${answer.json?.code ?? ''}`.trim()))];
};
const bodies = async (client, path) => (await client.request('GET', path)).json?.map?.((row) => row.body);
const drop = (who, agent) => who.delete(`/auth/v1/agents/${agent.id}`);

test('a person makes one, gives it a key, and it has their rows and no others', async () => {
  const agent = await create(alice, { name: 'reader', scopes: ['data:notes:read', 'data:board:*', 'data:whoami:call'], expires_in: 3600 });
  assert.equal(agent.user_id, alice.user.id);
  assert.equal(agent.created_by, alice.user.id);
  assert.equal(agent.state, 'active');
  const reader = await keyOf(alice, agent, { name: 'first' });
  assert.match(reader.made.key, /^tna_/);
  assert.equal(JSON.stringify(await alice.get(`/auth/v1/agents/${agent.id}`)).includes(reader.made.key), false, 'the key is shown once');
  assert.deepEqual(await bodies(reader, '/rest/v1/notes'), ['hers']);
  assert.deepEqual(await bodies(reader, '/rest/v1/board'), ['for all'], 'a policy to authenticated is the person\'s, and so the agent\'s');
  assert.equal((await reader.request('POST', '/rest/v1/notes', { body: 'x' })).status, 403, 'it only reads');
  assert.equal((await reader.request('POST', '/rest/v1/board', { body: 'x' })).status, 201, 'and here it writes');
  const told = await mailbox(s).to(alice.email, { kind: 'agent_created' });
  assert.match(told.text, /reader/);
  assert.match(told.text, /revoke the agent/, 'since a new password would not stop it');
  const me = await reader.get('/rest/v1/rpc/whoami');
  assert.deepEqual([me.role, me.uid, me.email], ['agent', alice.user.id, alice.email]);
  assert.deepEqual(me.claims.act, { sub: agent.id, name: 'reader' });
  assert.equal('aal' in me.claims || 'session_id' in me.claims || 'amr' in me.claims, false);
  await drop(alice, agent);
});

test('rows that ask how strongly somebody has signed in are closed to it, and so are views and functions it has no scope for', async () => {
  const agent = await create(alice, { scopes: ['data:safe:read', 'data:notes:read'] });
  const helper = await keyOf(alice, agent);
  assert.equal((await alice.get('/rest/v1/safe')).length, 1);
  assert.deepEqual(await helper.get('/rest/v1/safe'), []);
  assert.equal((await alice.request('GET', '/rest/v1/all_notes')).json.length, 2, 'this view reads with the rights of its owner');
  for (const path of ['/rest/v1/all_notes', '/rest/v1/rpc/whoami']) {
    const answer = await helper.request('GET', path);
    assert.deepEqual([answer.status, answer.json.code], [403, 'scope_missing'], path);
  }
  await alice.patch(`/auth/v1/agents/${agent.id}`, { scopes: ['data:all_notes:read'] });
  assert.equal((await helper.request('GET', '/rest/v1/all_notes')).status, 200, 'with the scope it does what the person does');
  assert.deepEqual(await helper.get('/rest/v1/notes'), [], 'and what it had before is gone with the next request');
  await alice.patch(`/auth/v1/agents/${agent.id}`, { scopes: ['data:all_notes:write'] });
  for (const [method, body] of [['PATCH', { body: 'x' }], ['DELETE', undefined]]) {
    const answer = await helper.request(method, '/rest/v1/all_notes?body=like.h*', body, { headers: { prefer: 'count=exact' } });
    assert.deepEqual([answer.status, answer.json?.code], [403, 'scope_missing'], 'how many rows match tells what is in them');
  }
  await drop(alice, agent);
});

test('it never touches accounts, keys or agents: every route of the auth area but what strangers may do as well', async () => {
  const open = /^(POST \/(signup|token|otp|magiclink|recover|resend|verify|sso.*|oauth\/.*|callback|passkeys\/authentication.*|teams\/invitations\/decline)|GET \/(health|settings|verify|authorize|callback|\.well-known.*|sso.*|oauth\/.*)|POST \/callback)$/;
  const agent = await create(alice, { scopes: ['data:*', 'ai:*', 'auth:*', 'chat:*', 'teams:*', 'usage:*', 'storage:*', 'functions:*'] });
  const helper = await keyOf(alice, agent);
  const withToken = helper.with({ authorization: `Bearer ${alice.session.access_token}` });
  const asBearer = helper.with({ authorization: `Bearer ${helper.made.key}` });
  const routes = [...(await s.tenon('routes')).stdout.matchAll(/^\| (\w+) \| `\/auth\/v1(\/[^`]+)`/gm)].map(([, method, path]) => [method, path]);
  assert.ok(routes.length > 10);
  const wrong = [];
  for (const [method, path] of routes.filter(([method, path]) => !open.test(`${method} ${path}`)))
    await Promise.all([helper, withToken, asBearer].map(async (client) => {
      const answer = await client.request(method, `/auth/v1${path.replace(/\{\w+\}/g, agent.id)}`, method === 'GET' || method === 'DELETE' ? undefined : { name: 'x' });
      if (answer.status !== 403 || !['agent_not_allowed', 'role_not_allowed'].includes(answer.json?.error_code)) wrong.push(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 150)}`);
    }));
  assert.deepEqual([...new Set(wrong)], []);
  assert.equal((await alice.get(`/auth/v1/agents/${agent.id}`)).keys.length, 1);
  for (const table of ['keys', 'agents', 'budgets', 'users', 'signing_keys'])
    assert.equal((await helper.request('GET', `/rest/v1/${table}`)).status, 404, `${table} is not in the API`);
  await drop(alice, agent);
});

test('keys of one agent are exchanged one by one; a narrower key stays narrower', async () => {
  const agent = await create(alice, { scopes: ['data:notes:*'] });
  const old = await keyOf(alice, agent), next = await keyOf(alice, agent);
  const narrow = await keyOf(alice, agent, { scopes: ['data:notes:read'], expires_in: 60 });
  assert.equal((await narrow.request('POST', '/rest/v1/notes', { body: 'x' })).status, 403);
  const wide = await alice.request('POST', `/auth/v1/agents/${agent.id}/keys`, { scopes: ['data:board:read'] });
  assert.deepEqual([wide.status, wide.json.error_code], [422, 'agent_scopes_too_wide']);
  await alice.delete(`/auth/v1/agents/${agent.id}/keys/${old.made.id}`);
  assert.deepEqual(await everywhere(old, '/rest/v1/notes'), ['401 invalid_key']);
  assert.deepEqual(await everywhere(next, '/rest/v1/notes'), ['200']);
  const again = await alice.request('DELETE', `/auth/v1/agents/${agent.id}/keys/${old.made.id}`);
  assert.deepEqual([again.status, again.json.error_code], [404, 'agent_key_not_found']);
  await drop(alice, agent);
});

test('revoked, expired, banned, deleted, suspended: it is over from the next request on, at every worker', async () => {
  const who = await a.person('carol');
  const agent = await create(who), helper = await keyOf(who, agent);
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['200']);

  await inTenant(`update auth.users set banned_until = now() + interval '1 day' where id = '${who.user.id}'`);
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['403 user_banned']);
  await inTenant(`update auth.users set banned_until = null where id = '${who.user.id}'`);
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['200']);

  await inTenant(`update tenon.agents set expires_at = now() where id = '${agent.id}'`);
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['401 invalid_key']);
  await inTenant(`update tenon.agents set expires_at = now() + interval '1 hour' where id = '${agent.id}'`);

  const ended = await drop(who, agent);
  assert.equal(ended.state, 'revoked');
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['401 invalid_key']);
  assert.equal((await drop(who, agent)).revoked_at, ended.revoked_at, 'twice is once');
  assert.equal((await who.request('POST', `/auth/v1/agents/${agent.id}/keys`, {})).json.error_code, 'agent_revoked');

  const second = await create(who), other = await keyOf(who, second);
  await inTenant(`update auth.users set deleted_at = now() where id = '${who.user.id}'`);
  assert.deepEqual(await everywhere(other, '/rest/v1/notes'), ['401 invalid_key']);
  await inTenant(`delete from auth.users where id = '${who.user.id}'`);
  assert.deepEqual(await everywhere(other, '/rest/v1/notes'), ['401 invalid_key']);
});

test('nobody acts for who has another role than authenticated, since agents have what that has', async () => {
  const who = await a.person('dora');
  const agent = await create(who), helper = await keyOf(who, agent);
  const role = (name) => a.service.put(`/auth/v1/admin/users/${who.user.id}`, { role: name });
  const exchange = () => a.anon.request('POST', '/auth/v1/token', {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: who.session.access_token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: 'data:board:read' });
  const narrow = a.anon.with({ authorization: `Bearer ${(await exchange()).json.access_token}` });
  for (const client of [helper, narrow]) assert.deepEqual(await everywhere(client, '/rest/v1/board'), ['200']);
  await role('anon');
  assert.deepEqual(await everywhere(helper, '/rest/v1/board'), ['401 invalid_key']);
  assert.deepEqual(await everywhere(narrow, '/rest/v1/board'), ['401 PGRST301']);
  assert.deepEqual((await exchange()).json.error, 'invalid_request');
  await role('authenticated');
  assert.deepEqual(await everywhere(helper, '/rest/v1/board'), ['200']);
});

test('whoever has a second factor makes and changes agents in a session that has seen it, and revokes them in any', async () => {
  const who = await a.person('erin');
  const agent = await create(who), made = await who.post(`/auth/v1/agents/${agent.id}/keys`, {});
  await inTenant(`insert into auth.mfa_factors (user_id, friendly_name, factor_type, status, secret) values ('${who.user.id}', 'key', 'totp', 'verified', 'x')`);
  const ask = () => Promise.all([['POST', ''], ['PATCH', `/${agent.id}`], ['POST', `/${agent.id}/keys`]]
    .map(([method, path]) => who.request(method, `/auth/v1/agents${path}`, { name: 'x', ...(path.includes('keys') ? {} : { scopes: ['data:*'] }) })));
  for (const answer of await ask()) assert.deepEqual([answer.status, answer.json.error_code], [403, 'insufficient_aal'], answer.text);
  await who.get(`/auth/v1/agents/${agent.id}`);
  await who.delete(`/auth/v1/agents/${agent.id}/keys/${made.id}`);
  await inTenant(`update auth.sessions set aal = 'aal2' where user_id = '${who.user.id}'`);
  assert.deepEqual((await ask()).map((answer) => answer.status), [201, 200, 201]);
  await inTenant(`update auth.sessions set aal = 'aal1' where user_id = '${who.user.id}'`);
  assert.equal((await drop(who, agent)).state, 'revoked');
});

test('a person of the role service_role manages agents only as long as they are signed in', async () => {
  const who = await a.person('fred');
  await a.service.put(`/auth/v1/admin/users/${who.user.id}`, { role: 'service_role' });
  const chief = a.signedIn(await a.anon.post('/auth/v1/token?grant_type=password', { email: who.email, password: who.password }));
  await drop(chief, await create(chief, { user_id: bob.user.id }));
  await chief.post('/auth/v1/logout?scope=global');
  const refused = await chief.request('POST', '/auth/v1/agents', { name: 'x', scopes: ['data:*'], user_id: bob.user.id });
  assert.deepEqual([refused.status, refused.json.error_code], [403, 'session_expired'], refused.text);
});

test('a team that its person leaves is left by it, with the next request', async () => {
  await s.sql("set role tenon_owner; create table public.docs (id bigint generated always as identity primary key, team_id uuid, body text); select tenon.protect_team('docs')");
  const team = await alice.post('/auth/v1/teams', { name: 'garden' });
  await a.service.post(`/auth/v1/teams/${team.id}/members`, { user_id: bob.user.id, role: 'member' });
  await inTenant(`insert into public.docs (team_id, body) values ('${team.id}', 'plan')`);
  const agent = await create(bob, { scopes: ['data:docs:read'] }), helper = await keyOf(bob, agent);
  assert.deepEqual(await bodies(bob, '/rest/v1/docs'), ['plan']);
  assert.deepEqual(await bodies(helper, '/rest/v1/docs'), ['plan']);
  await alice.request('DELETE', `/auth/v1/teams/${team.id}/members/${bob.user.id}`);
  const answers = await Promise.all(Array.from({ length: 8 }, () => bodies(helper, '/rest/v1/docs')));
  assert.deepEqual(answers, Array(8).fill([]));
  await drop(bob, agent);
});

test('whose they are: nobody else\'s, and the secret key\'s', async () => {
  const agent = await create(alice);
  for (const client of [bob, stranger])
    for (const [method, path] of [['GET', ''], ['PATCH', ''], ['DELETE', ''], ['GET', '/activity'], ['POST', '/keys']]) {
      const answer = await client.request(method, `/auth/v1/agents/${agent.id}${path}`, method === 'PATCH' || method === 'POST' ? {} : undefined);
      assert.deepEqual([answer.status, answer.json.error_code], [404, 'agent_not_found'], `${method} ${path}`);
    }
  assert.equal((await bob.get('/auth/v1/agents')).agents.some((one) => one.id === agent.id), false);
  assert.equal((await a.service.get('/auth/v1/agents')).agents.some((one) => one.id === agent.id), true);
  assert.equal((await s.b.service.request('GET', `/auth/v1/agents/${agent.id}`)).status, 404);
  assert.equal((await bob.request('POST', '/auth/v1/agents', { name: 'x', scopes: ['data:*'], user_id: alice.user.id })).json.error_code, 'not_admin');
  assert.equal((await a.service.request('POST', '/auth/v1/agents', { name: 'x', scopes: ['data:*'], user_id: stranger.user.id })).status, 404);
  const forBob = await create(a.service, { user_id: bob.user.id });
  assert.equal((await bob.get(`/auth/v1/agents/${forBob.id}`)).created_by, null, 'made for him by the tenant');
  assert.deepEqual(await bodies(await keyOf(a.service, forBob), '/rest/v1/notes'), ['his']);
  await drop(bob, forBob);
  await drop(alice, agent);
  const nobody = await a.anon.request('GET', '/auth/v1/agents');
  assert.deepEqual([nobody.status, nobody.json.error_code], [401, 'no_authorization']);
});

test('a service account is nobody: what is a person\'s is closed to it', async () => {
  const agent = await create(a.service, { name: 'cron', scopes: ['data:*'] });
  assert.equal(agent.user_id, null);
  const cron = await keyOf(a.service, agent);
  assert.deepEqual(await cron.get('/rest/v1/notes'), []);
  assert.equal((await cron.request('POST', '/rest/v1/notes', { body: 'x' })).status, 403);
  assert.ok((await bodies(cron, '/rest/v1/board')).includes('for all'), 'what is everybody\'s who has signed in is open, with the scope');
  assert.equal((await cron.get('/rest/v1/rpc/whoami')).uid, null);
  await drop(a.service, agent);
});

test('what is asked of one must make sense', async () => {
  for (const [body, code] of [
    [{ name: 'x' }, 'validation_failed'], [{ name: 'x', scopes: 'data:*' }, 'validation_failed'], [{ name: 'x', scopes: ['*'] }, 'validation_failed'],
    [{ name: 'x', scopes: ['data'] }, 'validation_failed'], [{ name: 'x', scopes: ['data:*:read'] }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:a b:read'] }, 'validation_failed'], [{ name: 'x', scopes: [1] }, 'validation_failed'],
    [{ scopes: ['data:*'] }, 'validation_failed'], [{ name: 'a\r\n\nvisit us', scopes: ['data:*'] }, 'validation_failed'], [{ name: '', scopes: ['data:*'] }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:*'], expires_in: 86401 }, 'validation_failed'], [{ name: 'x', scopes: ['data:*'], expires_in: 0 }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:*'], budget: { cap_micros: 1 } }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:*'], budget: { period: 'year', cap_micros: 1 } }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:*'], budget: { period: 'day', cap_micros: -1 } }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:*'], budget: { period: 'day', cap_micros: 1.5 } }, 'validation_failed'],
    [{ name: 'x', scopes: ['data:*'], created_by: 'me' }, 'unknown_field'],
  ]) {
    const answer = await bob.request('POST', '/auth/v1/agents', body);
    assert.deepEqual([answer.status, answer.json.error_code], [400, code], `${JSON.stringify(body)}: ${answer.text}`);
  }
  assert.equal((await bob.get('/auth/v1/agents')).agents.filter((one) => one.state === 'active').length, 0);
  assert.equal((await bob.request('GET', '/auth/v1/agents?before=x')).status, 400);
  assert.equal((await bob.request('GET', '/auth/v1/agents/x')).status, 404);
});

test('so many and no more, also when they are asked for at once; and none for who has no account', async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => bob.request('POST', '/auth/v1/agents', { name: 'many', scopes: ['data:*'] })));
  assert.equal(answers.filter((answer) => answer.status === 201).length, 3);
  assert.ok(answers.filter((answer) => answer.status !== 201).every((answer) => answer.json.error_code === 'too_many_agents'));
  const past = answers.find((answer) => answer.status === 201).json;
  await inTenant(`update tenon.agents set expires_at = now() where id = '${past.id}'`);
  await create(bob);
  const revived = await bob.request('PATCH', `/auth/v1/agents/${past.id}`, { expires_in: 60 });
  assert.deepEqual([revived.status, revived.json.error_code], [422, 'too_many_agents'], 'an end that has been is not taken back beyond that');
  const page = await bob.get('/auth/v1/agents?limit=2');
  const rest = await bob.get(`/auth/v1/agents?limit=200&before=${page.agents[1].id}`);
  assert.equal(page.agents.length, 2);
  assert.equal(rest.agents.some((one) => page.agents.some((before) => before.id === one.id)), false);
  const session = await a.anon.post('/auth/v1/signup', {});
  const visitor = a.signedIn(session);
  const refused = await visitor.request('POST', '/auth/v1/agents', { name: 'x', scopes: ['data:*'] });
  assert.deepEqual([refused.status, refused.json.error_code], [403, 'no_authorization']);
});

test('what it did can be read, and the audit log says through whom', async () => {
  const agent = await create(alice, { name: 'diarist', scopes: ['data:notes:*', 'ai:chat'] });
  const helper = await keyOf(alice, agent);
  await helper.request('POST', '/rest/v1/notes', { body: 'through an agent' });
  await helper.request('GET', '/rest/v1/board');
  const sent = await helper.request('POST', '/api/chats/messages', { content: 'hello' });
  assert.equal(sent.status, 200, sent.text);
  await helper.request('GET', `/api/chats/${sent.json.chat.id}`);
  await helper.request('GET', '/api/usage');
  const { activity } = await alice.get(`/auth/v1/agents/${agent.id}/activity`);
  assert.deepEqual(activity.map((one) => [one.action, one.method, one.route, one.target, one.status]).reverse(), [
    ['agent_request', 'POST', '/rest/v1/{relation}', 'notes', 201], ['agent_request', 'GET', '/rest/v1/{relation}', 'board', 200],
    ['agent_request', 'POST', '/api/chats/messages', undefined, 200], ['agent_request', 'GET', '/api/chats/{id}', sent.json.chat.id, 200],
    ['agent_request', 'GET', '/api/usage', undefined, 403]]);
  assert.equal(activity.at(0).code, 'scope_missing');
  assert.ok(activity.every((one) => one.key_id === helper.made.id && one.user_id === alice.user.id));
  const older = await alice.get(`/auth/v1/agents/${agent.id}/activity?limit=2&before=${activity[1].id}`);
  assert.deepEqual(older.activity.map((one) => one.id), activity.slice(2, 4).map((one) => one.id));
  const shown = await alice.get(`/auth/v1/agents/${agent.id}`);
  assert.equal(shown.usage.runs, 1);
  assert.ok(shown.last_used_at);
  assert.equal(shown.keys.length, 1);
  const [entry] = await s.rows(`select payload from auth.audit_log_entries where agent_id = '${agent.id}' order by id limit 1`);
  assert.deepEqual([entry.payload.actor_id, entry.payload.actor_username, entry.payload.agent_id, entry.payload.agent_name],
    [alice.user.id, alice.email, agent.id, 'diarist']);
  const told = await s.rows(`select payload ->> 'action' as action from auth.audit_log_entries where payload -> 'traits' ->> 'agent_id' = '${agent.id}' order by id`);
  assert.deepEqual(told.map((one) => one.action), ['agent_created', 'agent_key_created']);
  assert.ok(s.log().some((line) => line.agent_id === agent.id), 'and so does the log of requests');
  await drop(alice, agent);
});

test('scopes of the chat by their older names and by ai:chat', async () => {
  for (const [scopes, reads, writes] of [[['chat:read'], 200, 403], [['chat:*'], 200, 200], [['ai:chat'], 200, 200], [['ai:*'], 200, 200], [['ai:images'], 403, 403]]) {
    const agent = await create(alice, { scopes }), helper = await keyOf(alice, agent);
    assert.equal((await helper.request('GET', '/api/chats')).status, reads, scopes[0]);
    assert.equal((await helper.request('POST', '/api/chats/messages', { content: 'hello' })).status, writes, scopes[0]);
    await drop(alice, agent);
  }
});

test('tenon agent', async () => {
  const made = await s.tenon('agent', 'create', '--tenant', 'a', '--name', 'ops', '--scopes', 'data:notes:read,ai:chat', '--expires-in', '1 hour', '--user', alice.user.id, '--rate', '100', '--budget', '5000000', '--json');
  assert.equal(made.code, 0, made.stderr);
  const client = s.client({ apikey: made.json.key });
  assert.ok((await bodies(client, '/rest/v1/notes')).includes('hers'));
  const shown = await s.tenon('agent', 'show', made.json.id, '--json');
  assert.deepEqual([shown.json.name, shown.json.rate_per_minute, shown.json.budget.cap_micros, shown.json.keys.length], ['ops', 100, 5000000, 1]);
  assert.equal((await alice.get(`/auth/v1/agents/${made.json.id}`)).name, 'ops');
  assert.ok((await s.tenon('agent', 'list', '--tenant', 'a', '--json')).json.some((one) => one.id === made.json.id));
  assert.equal((await s.tenon('agent', 'revoke', made.json.id)).code, 0);
  assert.deepEqual(await everywhere(client, '/rest/v1/notes'), ['401 invalid_key']);
  assert.equal((await s.tenon('agent', 'revoke', made.json.id)).code, 4);
  assert.equal((await s.tenon('agent', 'create', '--tenant', 'a', '--name', 'x', '--scopes', '*', '--expires-in', '1 hour')).code, 2);

  const key = await s.tenon('key', 'create', '--tenant', 'a', '--kind', 'agent', '--scopes', 'data:notes:read', '--expires-in', '1 hour', '--user', alice.user.id, '--json');
  assert.deepEqual(key.json.scopes, ['data:notes:read']);
  const rotated = await s.tenon('key', 'rotate', key.json.id, '--json');
  assert.deepEqual([rotated.json.agent_id, rotated.json.user_id], [key.json.agent_id, alice.user.id], 'another key of the same agent');
  assert.ok((await bodies(s.client({ apikey: rotated.json.key }), '/rest/v1/notes')).includes('hers'));
});

test('the examples of docs/agents.md', async () => {
  const guide = fs.readFileSync(path.join(import.meta.dirname, '../../docs/agents.md'), 'utf8');
  const env = { PATH: process.env.PATH, TENON: s.origin, ANON: a.publishable, SECRET: a.secret, TOKEN: alice.session.access_token };
  const answers = [];
  for (const [, block] of guide.matchAll(/^```sh\n([\s\S]*?)^```/gm))
    for (const command of block.split(/^(?=curl)/m)) {
      const answer = JSON.parse((await promisify(execFile)('bash', ['-euc', command], { env })).stdout);
      env.AGENT ??= answer.id;
      if (answer.key) env.AGENT_KEY = answer.key;
      answers.push(answer);
    }
  assert.equal(answers.length, 5, JSON.stringify(answers));
  const [agent, key, rows, token, { activity }] = answers;
  assert.deepEqual([agent.name, agent.state, agent.budget.cap_micros, key.name], ['gardener', 'active', 2000000, 'laptop']);
  assert.equal(token.scope, 'data:notes:read');
  assert.ok(rows.every((row) => row.owner === alice.user.id) && rows.length > 0);
  assert.deepEqual([activity.length, activity[0].target, activity[0].status], [1, 'notes', 200]);
  await alice.delete(`/auth/v1/agents/${agent.id}`);
});

test('a tenant that is suspended has no agents either', async () => {
  const agent = await create(stranger), helper = await keyOf(stranger, agent);
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['200']);
  await s.sql(`update tenon.tenants set status = 'suspended' where name = 'b'`);
  assert.deepEqual(await everywhere(helper, '/rest/v1/notes'), ['403 tenant_suspended']);
});
