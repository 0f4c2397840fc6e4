// t/api/auth-teams.mjs: /auth/v1/teams: teams, members, roles, invitations by mail, and rows that belong to a team (docs/teams.md)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { answers, timestamp, uuid } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';
import { mailbox } from '../lib/mailbox.mjs';
import { stack } from '../lib/stack.mjs';

const s = await stack({ settings: { 'auth.site_url': 'https://app.example/home', 'auth.redirect_urls': 'https://app.example/join?from=*', 'auth.teams_max': 3, 'auth.team_invitations_per_hour': 5 } });
const { alice, bob, stranger } = s;
const box = mailbox(s);
const [carol, dave] = await Promise.all(['carol', 'dave'].map((who) => s.a.person(who)));
const teams = '/auth/v1/teams';
const create = (who, body) => who.post(teams, body);
const again = async (who) => s.a.signedIn(await who.post('/auth/v1/token?grant_type=refresh_token', { refresh_token: who.session.refresh_token }), { email: who.email });

/* A member by the secret key. */
const add = (team, who, role) => s.a.service.post(`/auth/v1/teams/${team.id}/members`, { user_id: who.user.id, role });

const acme = await create(alice, { name: 'Acme Inc.', metadata: { plan: 'free' } });

test('a team is made, and is its maker\'s', async () => {
  const { created_at, updated_at, id, ...rest } = acme;
  assert.match(id, uuid);
  for (const at of [created_at, updated_at]) assert.match(at, timestamp);
  assert.deepEqual(rest, { slug: 'acme-inc', name: 'Acme Inc.', metadata: { plan: 'free' }, role: 'owner' });
  assert.deepEqual((await alice.get(teams)).teams, [acme]);
  assert.deepEqual(await alice.get(`/auth/v1/teams/${acme.id}`), acme);
  assert.deepEqual((await bob.get(teams)).teams, [], 'and nobody else\'s');
});

const refused = [
  { name: 'no name', body: {}, status: 400, code: 'validation_failed' },
  { name: 'an empty name', body: { name: '  ' }, status: 400, code: 'validation_failed' },
  { name: 'a name of two lines', body: { name: 'a\nb' }, status: 400, code: 'validation_failed' },
  { name: 'a long name', body: { name: 'x'.repeat(101) }, status: 400, code: 'validation_failed' },
  { name: 'no JSON', body: '{', status: 400, code: 'bad_json' },
  { name: 'a slug with blanks', body: { name: 'x', slug: 'a b' }, status: 400, code: 'validation_failed' },
  { name: 'a slug that ends in a dash', body: { name: 'x', slug: 'ab-' }, status: 400, code: 'validation_failed' },
  { name: 'a slug that is taken', body: { name: 'x', slug: 'acme-inc' }, status: 409, code: 'team_slug_taken' },
  { name: 'metadata that is no object', body: { name: 'x', metadata: [] }, status: 400, code: 'validation_failed' },
  { name: 'much metadata', body: { name: 'x', metadata: { x: 'y'.repeat(8192) } }, status: 400, code: 'validation_failed' },
  { name: 'nobody signed in', who: s.a.anon, body: { name: 'x' }, status: 401, code: 'no_authorization' },
  { name: 'the secret key without an owner', who: s.a.service, body: { name: 'x' }, status: 400, code: 'validation_failed' },
  { name: 'an owner of another tenant', who: s.a.service, body: { name: 'x', owner_id: stranger.user.id }, status: 404, code: 'user_not_found' },
];
for (const c of refused)
  test(`no team: ${c.name}`, async () => answers(await (c.who ?? alice).request('POST', teams, c.body), c.status, c.code));

test('one person owns so many', async () => {
  for (const name of ['One', 'Two', 'Three']) await create(carol, { name });
  answers(await carol.request('POST', teams, { name: 'Four' }), 422, 'too_many_teams');
  assert.equal((await carol.get(`/auth/v1/teams?page=2&per_page=2`)).teams[0].name, 'Three');
  const made = await create(s.a.service, { name: 'Five', owner_id: carol.user.id });
  assert.equal((await s.a.service.get(`/auth/v1/teams?user_id=${carol.user.id}`)).teams.at(-1).id, made.id);
  await s.a.service.delete(`/auth/v1/teams/${made.id}`);
});

test('a team that is not one\'s own is not there, whatever is asked', async () => {
  const nobody = '00000000-0000-4000-8000-000000000000';
  const attempts = [
    ['GET', ''], ['PATCH', '', { name: 'x' }], ['DELETE', ''], ['POST', '/leave'], ['GET', '/members'], ['PATCH', `/members/${alice.user.id}`, { role: 'member' }],
    ['DELETE', `/members/${alice.user.id}`], ['GET', '/invitations'], ['POST', '/invitations', { email: 'x@example.com' }],
    ['DELETE', `/invitations/${nobody}`], ['POST', `/invitations/${nobody}/resend`], ['POST', '/members', { user_id: bob.user.id }],
  ];
  for (const [method, path, body] of attempts) {
    const unknown = await bob.request(method, `/auth/v1/teams/${nobody}${path}`, body);
    for (const [who, id] of [[bob, acme.id], [stranger, acme.id], [s.b.service, acme.id], [bob, 'nonsense']]) {
      if (who === s.b.service && path === '/leave') continue; // is for people
      const answer = await who.request(method, `/auth/v1/teams/${id}${path}`, body);
      answers(answer, 404, 'team_not_found');
      assert.deepEqual(answer.json, unknown.json, `${method} ${path}`);
    }
  }
});

test('roles: who may give what to whom', async () => {
  const team = await create(alice, { name: 'Roles' });
  answers(await alice.request('POST', `/auth/v1/teams/${team.id}/members`, { user_id: bob.user.id }), 403, 'not_admin');
  await add(team, bob, 'admin');
  const member = await add(team, dave, 'member');
  assert.deepEqual([member.email, member.role], [dave.email, 'member']);
  answers(await s.a.service.request('POST', `/auth/v1/teams/${team.id}/members`, { user_id: stranger.user.id }), 404, 'user_not_found');
  const at = (who) => `/auth/v1/teams/${team.id}/members/${who.user.id}`;
  answers(await dave.request('PATCH', at(dave), { role: 'admin' }), 403, 'team_role_insufficient');
  answers(await bob.request('PATCH', at(bob), { role: 'owner' }), 403, 'team_role_insufficient');
  answers(await bob.request('PATCH', at(alice), { role: 'member' }), 403, 'team_role_insufficient');
  answers(await bob.request('DELETE', at(alice)), 403, 'team_role_insufficient');
  answers(await bob.request('DELETE', `/auth/v1/teams/${team.id}`), 403, 'team_role_insufficient');
  answers(await bob.request('PATCH', at(dave), { role: 'nonsense' }), 422, 'team_role_not_found');
  answers(await bob.request('PATCH', at(stranger), { role: 'member' }), 404, 'team_member_not_found');
  answers(await alice.request('DELETE', `/auth/v1/teams/${team.id}/members/nonsense`), 404, 'team_member_not_found');
  assert.equal((await bob.patch(at(dave), { role: 'admin' })).role, 'admin');
  assert.equal((await bob.patch(`/auth/v1/teams/${team.id}`, { name: 'Renamed' })).name, 'Renamed');
  assert.deepEqual((await dave.get(`/auth/v1/teams/${team.id}/members`)).members.map((m) => [m.email, m.role]).sort(),
    [[alice.email, 'owner'], [bob.email, 'admin'], [dave.email, 'admin']].sort());
  const leaving = await alice.request('POST', `/auth/v1/teams/${team.id}/leave`);
  answers(leaving, 409, 'team_needs_owner');
  await bob.delete(at(dave));
  answers(await dave.request('GET', `/auth/v1/teams/${team.id}`), 404, 'team_not_found');
  await bob.post(`/auth/v1/teams/${team.id}/leave`);
  assert.deepEqual((await bob.get(teams)).teams, []);
  await alice.delete(`/auth/v1/teams/${team.id}`);
  const actions = (await s.rows(`select distinct payload ->> 'action' as action from auth.audit_log_entries where payload #>> '{traits,team_id}' = '${team.id}'`)).map((r) => r.action);
  assert.deepEqual(actions.sort(), ['team_created', 'team_deleted', 'team_member_added', 'team_member_left', 'team_member_removed', 'team_role_changed', 'team_updated']);
});

test('a tenant has roles of its own', async () => {
  const at = `/auth/v1/teams/roles/editor`;
  answers(await alice.request('PUT', at, { rank: 50 }), 403, 'not_admin');
  answers(await s.a.service.request('PUT', at, { rank: 80 }), 400, 'validation_failed');
  answers(await s.a.service.request('PUT', `/auth/v1/teams/roles/Editor`, { rank: 50 }), 400, 'validation_failed');
  answers(await s.a.service.request('PUT', `/auth/v1/teams/roles/owner`, { rank: 1 }), 422, 'team_role_built_in');
  assert.deepEqual(await s.a.service.put(at, { rank: 50 }), { name: 'editor', rank: 50 });
  assert.deepEqual((await alice.get(`/auth/v1/teams/roles`)).roles.map((r) => r.name), ['owner', 'admin', 'editor', 'member']);
  assert.deepEqual((await stranger.get(`/auth/v1/teams/roles`)).roles.map((r) => r.name), ['owner', 'admin', 'member'], 'which no other tenant has');
  await add(acme, dave, 'editor');
  answers(await s.a.service.request('DELETE', at), 409, 'team_role_in_use');
  await dave.post(`/auth/v1/teams/${acme.id}/leave`);
  await s.a.service.delete(at);
});

// --- invitations

const invite = (who, body, query = '') => who.request('POST', `/auth/v1/teams/${acme.id}/invitations${query}`, body);
const tokenIn = (mail) => new URL(mail.link).searchParams.get('team_invitation');

test('an invitation comes by mail, is for one address, and good once', async () => {
  const answer = await invite(alice, { email: 'BOB@a.example', role: 'admin' }, `?redirect_to=${encodeURIComponent('https://app.example/join?from=mail')}`);
  answers(answer, 200);
  assert.deepEqual([answer.json.email, answer.json.role, answer.json.invited_by], ['bob@a.example', 'admin', alice.user.id]);
  assert.doesNotMatch(answer.text, /token/);
  const mail = await box.to('bob@a.example', { kind: 'team_invitation' });
  assert.match(mail.text, /Acme Inc\./);
  assert.ok(mail.text.includes(alice.email), mail.text);
  const link = new URL(mail.link);
  assert.deepEqual([link.origin, link.pathname, link.searchParams.get('from')], ['https://app.example', '/join', 'mail'], 'the link leads to the app');
  const token = tokenIn(mail);
  assert.match(token, /^[0-9a-f]{64}$/);
  const stored = await s.rows(`select i::text as row from auth.team_invitations i`);
  assert.ok(stored.every(({ row }) => !row.includes(token)), 'the database does not have it');

  answers(await invite(alice, { email: 'bob@a.example' }), 409, 'team_invitation_exists');
  answers(await carol.request('POST', `/auth/v1/teams/invitations/accept`, { token }), 403, 'team_invitation_for_another');
  answers(await stranger.request('POST', `/auth/v1/teams/invitations/accept`, { token }), 404, 'team_invitation_not_found');
  answers(await s.a.anon.request('POST', `/auth/v1/teams/invitations/accept`, { token }), 401, 'no_authorization');
  answers(await bob.request('POST', `/auth/v1/teams/invitations/accept`, { token: '' }), 400, 'validation_failed');
  answers(await bob.request('POST', `/auth/v1/teams/invitations/accept`, { token: 'f'.repeat(64) }), 404, 'team_invitation_not_found');
  const joined = await Promise.all(Array.from({ length: 8 }, () => bob.request('POST', `/auth/v1/teams/invitations/accept`, { token })));
  assert.deepEqual(joined.map((x) => x.status).sort(), [200, ...Array(7).fill(404)], 'of many at once one is the first');
  const team = joined.find((x) => x.status === 200).json;
  assert.deepEqual([team.id, team.role], [acme.id, 'admin']);
  answers(await invite(alice, { email: 'bob@a.example' }), 409, 'team_member_exists');
});

test('revoked, sent again, declined', async () => {
  const { json: first } = await invite(bob, { email: 'eve@a.example' });
  assert.deepEqual((await alice.get(`/auth/v1/teams/${acme.id}/invitations`)).invitations.map((i) => i.id), [first.id]);
  const at = `/auth/v1/teams/${acme.id}/invitations/${first.id}`;
  const mail = await box.to('eve@a.example');
  const old = tokenIn(mail);
  assert.equal(mail.link, `https://app.example/home?team_invitation=${old}`, 'who names no page gets the app');
  const resend = `/auth/v1/teams/${acme.id}/invitations/${first.id}/resend`;
  answers(await bob.request('POST', resend), 429, 'over_email_send_rate_limit');
  await s.sql(`update auth.team_invitations set sent_at = sent_at - interval '2 minutes'`);
  await bob.post(resend);
  const next = tokenIn(await box.to('eve@a.example'));
  const eve = await s.a.person('eve');
  answers(await eve.request('POST', `/auth/v1/teams/invitations/accept`, { token: old }), 404, 'team_invitation_not_found');
  await bob.delete(at);
  answers(await bob.request('DELETE', at), 404, 'team_invitation_not_found');
  answers(await eve.request('POST', `/auth/v1/teams/invitations/accept`, { token: next }), 404, 'team_invitation_not_found');
  await invite(bob, { email: 'eve@a.example' });
  const last = tokenIn(await box.to('eve@a.example'));
  await s.a.anon.post(`/auth/v1/teams/invitations/decline`, { token: last });
  answers(await eve.request('POST', `/auth/v1/teams/invitations/accept`, { token: last }), 404, 'team_invitation_not_found');
});

test('an address that is only claimed joins nothing; an invitation that is late neither', async () => {
  await invite(alice, { email: 'frank@a.example' });
  const token = tokenIn(await box.to('frank@a.example'));
  const frank = await s.a.person('frank');
  await s.sql(`update auth.users set email_confirmed_at = null where id = '${frank.user.id}'`);
  answers(await frank.request('POST', `/auth/v1/teams/invitations/accept`, { token }), 403, 'email_not_confirmed');
  await s.sql(`update auth.users set email_confirmed_at = now() where id = '${frank.user.id}'; update auth.team_invitations set expires_at = now() where email = 'frank@a.example'`);
  answers(await frank.request('POST', `/auth/v1/teams/invitations/accept`, { token }), 410, 'team_invitation_expired');
});

test('so many invitations in an hour; no nonsense', async () => {
  for (const body of [{}, { email: 'nonsense' }, { email: 'x@example.com', role: 1 }]) answers(await invite(alice, body), 400, 'validation_failed');
  answers(await invite(bob, { email: 'g@a.example', role: 'owner' }), 403, 'team_role_insufficient');
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await invite(alice, { email: `many${i}@a.example` })).status);
  assert.ok(statuses.includes(429), String(statuses));
});

// --- what holds under races

test('of two owners who leave at once, one stays', async () => {
  for (let round = 0; round < 5; round++) {
    const team = await create(s.a.service, { name: `Race ${round}`, owner_id: bob.user.id });
    await add(team, dave, 'owner');
    const left = await Promise.all([bob.request('POST', `/auth/v1/teams/${team.id}/leave`), dave.request('POST', `/auth/v1/teams/${team.id}/leave`)]);
    assert.deepEqual(left.map((x) => x.status).sort(), [200, 409]);
    const { members } = await s.a.service.get(`/auth/v1/teams/${team.id}/members`);
    assert.deepEqual(members.map((m) => m.role), ['owner']);
    await s.a.service.delete(`/auth/v1/teams/${team.id}`);
  }
});

test('of one more team than allowed, made at once', async () => {
  const gwen = await s.a.person('gwen');
  const made = await Promise.all(Array.from({ length: 6 }, (_, i) => gwen.request('POST', teams, { name: `G${i}` })));
  assert.deepEqual(made.map((x) => x.status).sort(), [200, 200, 200, 422, 422, 422]);
});

// --- the token, policies, supabase-js

test('membership is in the token, and in policies without it', async () => {
  await s.sql(`set role tenon_owner; create table public.docs (id bigint generated always as identity primary key, team_id uuid not null, body text);
    select tenon.protect_team('public.docs');
    create table public.rates (id bigint generated always as identity primary key, team_id uuid not null);
    select tenon.protect_team('public.rates', writes => 'admin');
    create view public.teams with (security_invoker = true) as select tenant_id, id, slug, name from auth.teams;
    grant select on public.teams to authenticated, agent, service_role;`);
  const team = await create(s.a.service, { name: 'Docs', slug: 'docs', owner_id: bob.user.id });
  await add(team, dave, 'member');
  const supabase = (who) => createClient(s.origin, s.a.publishable, {
    auth: { persistSession: false, autoRefreshToken: false }, global: { headers: { Authorization: `Bearer ${who.session.access_token}` } } });
  const ok = ({ data, error }) => {
    assert.equal(error, null);
    return data;
  };
  const mine = supabase(dave); // with a token that is older than the team
  assert.deepEqual(decode(dave.session.access_token).claims.teams, []);
  await s.a.service.get('/rest/v1/docs'); // the catalog has caught up when this answers
  const [row] = ok(await mine.from('docs').insert({ team_id: team.id, body: 'hello' }).select());
  assert.deepEqual(ok(await supabase(bob).from('docs').select('body, teams(name)')), [{ body: 'hello', teams: { name: 'Docs' } }], 'with the name of the team');
  assert.deepEqual(ok(await supabase(alice).from('docs').select()), []);
  assert.equal((await supabase(alice).from('docs').insert({ team_id: team.id })).error.code, '42501');
  assert.equal((await mine.from('rates').insert({ team_id: team.id })).error.code, '42501', 'what admins change');
  ok(await supabase(bob).from('rates').insert({ team_id: team.id }));
  assert.equal(ok(await mine.from('rates').select()).length, 1);

  const agent = await dave.post('/auth/v1/agents', { name: 'reader', scopes: ['data:docs:read'] });
  const reader = s.client({ apikey: (await dave.post(`/auth/v1/agents/${agent.id}/keys`, {})).key });
  assert.deepEqual((await reader.get('/rest/v1/docs')).map((d) => d.body), ['hello'], 'an agent has the rows of its person\'s teams');
  assert.notEqual((await reader.request('POST', '/rest/v1/docs', { team_id: team.id })).status, 201);
  answers(await reader.request('GET', '/auth/v1/teams'), 403, 'agent_not_allowed');

  const { claims } = decode((await again(dave)).session.access_token);
  assert.deepEqual(claims.teams, [{ id: team.id, role: 'member' }]);
  await bob.delete(`/auth/v1/teams/${team.id}/members/${dave.user.id}`);
  assert.deepEqual(ok(await mine.from('docs').select().eq('id', row.id)), [], 'who is removed is out at once');
  assert.deepEqual(await reader.get('/rest/v1/docs'), [], 'and so are their agents');
  await bob.delete(`/auth/v1/teams/${team.id}`);
  assert.deepEqual(await s.a.service.get('/rest/v1/docs'), [], 'the rows of a team go with it');
});

test('an account that ends leaves no team without an owner', async () => {
  const helen = await s.a.person('helen');
  const shared = await create(helen, { name: 'Shared' });
  const lonely = await create(helen, { name: 'Lonely' });
  await add(shared, dave, 'member');
  await s.sql(`delete from auth.users where id = '${helen.user.id}'`);
  assert.equal((await dave.get(`/auth/v1/teams/${shared.id}`)).role, 'owner');
  answers(await s.a.service.request('GET', `/auth/v1/teams/${lonely.id}`), 404, 'team_not_found');
});

test('who deletes a team and makes another has sent no fewer invitations', async () => {
  const liam = await s.a.person('liam');
  const sent = [];
  for (let i = 0; i < 3; i++) {
    const team = await create(liam, { name: 'Passing' });
    for (const who of ['one', 'two']) sent.push((await liam.request('POST', `/auth/v1/teams/${team.id}/invitations`, { email: `${who}@elsewhere.example` })).status);
    await liam.delete(`/auth/v1/teams/${team.id}`);
  }
  assert.deepEqual(sent, [200, 200, 200, 200, 200, 429]);
  const kept = await s.rows(`select team_id, email, status from auth.team_invitations where invited_by = '${liam.user.id}'`);
  assert.deepEqual(kept, Array(5).fill({ team_id: null, email: 'gone', status: 'revoked' }), 'and to whom is not kept');
  const { token } = await box.to('one@elsewhere.example');
  answers(await s.a.anon.request('POST', '/auth/v1/teams/invitations/decline', { token }), 404, 'team_invitation_not_found');
});

test('an export of an account names its teams', async () => {
  const kate = await s.a.person('kate');
  const team = await create(kate, { name: 'Exported' });
  assert.deepEqual((await kate.get('/auth/v1/user/export')).teams, [team]);
});

test('who may not ask', async () => {
  const ivan = await s.a.person('ivan');
  await s.sql(`update auth.users set banned_until = now() + interval '1 hour' where id = '${ivan.user.id}'`);
  answers(await ivan.request('GET', teams), 403, 'user_banned');
  const judy = await s.a.person('judy');
  await judy.request('POST', '/auth/v1/logout');
  answers(await judy.request('POST', teams, { name: 'x' }), 403, 'session_not_found');
  answers(await s.a.anon.request('GET', teams, undefined, { headers: { authorization: 'Bearer nonsense' } }), 403, 'bad_jwt');
});
