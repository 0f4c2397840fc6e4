// t/api/auth-admin.mjs: /auth/v1/admin/users: people as a tenant's secret key manages them
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { mailbox } from '../lib/mailbox.mjs';
import { password, stack } from '../lib/stack.mjs';
import { psql } from '../lib/postgres.mjs';
import { answers, timestamp, uuid } from '../lib/expect.mjs';
import { hs256 } from '../lib/jwt.mjs';

const s = await stack({ settings: { 'auth.anonymous': 'on', 'auth.redirect_urls': 'https://app.example/**' } });
const box = mailbox(s);
const { service, anon } = s.a;
const users = '/auth/v1/admin/users';
const create = (body) => service.request('POST', users, body);
const update = (id, body, as = service) => as.request('PUT', `${users}/${id}`, body);
const signIn = (email, pass = password) => anon.request('POST', '/auth/v1/token?grant_type=password', { email, password: pass });
const actions = async (id) =>
  (await s.rows(`select payload ->> 'action' as action from auth.audit_log_entries where payload #>> '{traits,user_id}' = '${id}' order by created_at, id`)).map((r) => r.action);
let number = 0;
const made = async (body = {}) => {
  const answer = await create({ email: `made${++number}@example.com`, email_confirm: true, ...body });
  answers(answer, 200);
  return answer.json;
};

for (const [method, path, body] of [
  ['GET', users], ['POST', users, {}], ['GET', '/auth/v1/admin/users/x'], ['PUT', '/auth/v1/admin/users/x', {}], ['DELETE', '/auth/v1/admin/users/x'], ['GET', '/auth/v1/admin/users/x/factors'],
  ['PUT', '/auth/v1/admin/users/x/factors/x', {}], ['DELETE', '/auth/v1/admin/users/x/factors/x'], ['GET', '/auth/v1/admin/users/x/sessions'], ['DELETE', '/auth/v1/admin/users/x/sessions/x'],
  ['GET', '/auth/v1/admin/audit'], ['POST', '/auth/v1/admin/generate_link', {}], ['POST', '/auth/v1/invite', {}],
])
  test(`${method} ${path} is for the tenant's secret key`, async () => {
    answers(await s.alice.request(method, path, body), 403, 'not_admin');
    answers(await anon.request(method, path, body), 401, 'no_authorization');
    answers(await anon.request(method, path, body, { headers: { authorization: `Bearer ${s.a.publishable}` } }), 403, 'not_admin');
    answers(await s.client({ apikey: s.a.publishable, authorization: 'Bearer x.y.z' }).request(method, path, body), 403, 'bad_jwt');
  });

test('a token that says supabase_admin is a secret key here, if auth.jwt_secret has signed it', async () => {
  const list = (token) => s.client({ apikey: s.a.publishable, authorization: `Bearer ${token}` }).request('GET', `${users}?per_page=1`);
  answers(await list(hs256({ role: 'supabase_admin', sub: '1234567890' }, s.settings['auth.jwt_secret'])), 200);
  answers(await list(hs256({ role: 'supabase_admin' }, 'another secret of at least thirty-two characters')), 403, 'bad_jwt');
  const { email } = await made({ password, role: 'supabase_admin' });
  answers(await list((await signIn(email)).json.access_token), 403, 'not_admin');
});

test("a person of the app's own role uses their account like any other", async () => {
  const { email } = await made({ password, role: 'editor' });
  const session = (await signIn(email)).json;
  const editor = s.client({ apikey: s.a.publishable, authorization: `Bearer ${session.access_token}` });
  assert.equal((await editor.get('/auth/v1/user')).role, 'editor');
  answers(await editor.request('PUT', '/auth/v1/user', { data: { a: 1 } }), 200);
  answers(await editor.request('GET', users), 403, 'not_admin');
  answers(await editor.request('GET', '/auth/v1/user/export'), 400); // said before it begins: the database has no such role
  answers(await editor.request('POST', '/auth/v1/logout'), 204);
  answers(await editor.request('GET', '/auth/v1/user'), 403, 'session_not_found');
});

test('a person is made, with a password, and signs in', async () => {
  const answer = await create({ email: 'Maker@Example.com', password, email_confirm: true, user_metadata: { a: 1, b: null }, app_metadata: { plan: 'pro' } });
  answers(answer, 200);
  const user = answer.json;
  assert.match(user.id, uuid);
  assert.deepEqual([user.email, user.phone, user.role, user.aud, user.is_anonymous], ['maker@example.com', '', 'authenticated', 'authenticated', false]);
  assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'], plan: 'pro' });
  assert.deepEqual(user.user_metadata, { a: 1, email_verified: true });
  assert.match(user.email_confirmed_at, timestamp);
  assert.match(user.identities[0].last_sign_in_at, timestamp);
  assert.deepEqual(user.identities.map((i) => [i.provider, i.id, i.identity_data]), [['email', user.id, { sub: user.id, email: user.email, email_verified: true, phone_verified: false }]]);
  answers(await signIn(user.email), 200);
  assert.deepEqual(await actions(user.id), ['user_signedup']);
  assert.equal((await s.rows(`select count(*)::int as n from tenon.outbox where recipient = '${user.email}'`))[0].n, 0, 'nothing is mailed');
});

test('of an id, a number, a hash', async () => {
  const id = randomUUID();
  const user = await made({ id, email: undefined, phone: '+49 30 1234567', phone_confirm: true });
  assert.deepEqual([user.id, user.phone, user.app_metadata.provider, user.identities[0].provider], [id, '49301234567', 'phone', 'phone']);
  answers(await create({ id, email: 'again@example.com' }), 422, 'user_already_exists');
  answers(await create({ phone: '49301234567' }), 422, 'phone_exists');
  const hash = '$2b$04$Bjsn5YUIe04oGjaBeXY5SumfMe.P8Vp5KW28ydyv1oo4nryKRaw7C'; // of "bcrypt me"
  await made({ email: 'imported@example.com', password_hash: hash });
  assert.equal((await s.rows("select encrypted_password as h from auth.users where email = 'imported@example.com'"))[0].h, hash);
});

const refused = [
  { name: 'neither address nor number', body: { password }, status: 400, code: 'validation_failed' },
  { name: 'an address that is none', body: { email: 'x' }, status: 400, code: 'validation_failed' },
  { name: 'a number that is none', body: { phone: '12ab' }, status: 400, code: 'validation_failed' },
  { name: 'an address that is taken', body: { email: 'alice@a.example' }, status: 422, code: 'email_exists' },
  { name: 'password and hash', body: { email: 'p@example.com', password, password_hash: '$2b$04$x' }, status: 400, code: 'validation_failed' },
  { name: 'a hash that is none', body: { email: 'p@example.com', password_hash: 'plain' }, status: 400, code: 'validation_failed' },
  { name: 'a password of 73 bytes', body: { email: 'p@example.com', password: 'x'.repeat(73) }, status: 400, code: 'validation_failed' },
  { name: 'an id that is none', body: { email: 'p@example.com', id: '17' }, status: 400, code: 'validation_failed' },
  { name: 'the nil id', body: { email: 'p@example.com', id: '00000000-0000-0000-0000-000000000000' }, status: 400, code: 'validation_failed' },
  { name: 'metadata that is no object', body: { email: 'p@example.com', app_metadata: [1] }, status: 400, code: 'validation_failed' },
  { name: 'a ban without a unit', body: { email: 'p@example.com', ban_duration: '24' }, status: 400, code: 'validation_failed' },
  { name: 'a ban for ever and a day', body: { email: 'p@example.com', ban_duration: '99999999999h' }, status: 400, code: 'validation_failed' },
  { name: 'no JSON', body: '{', status: 400, code: 'bad_json' },
];
for (const c of refused)
  test(`refused: ${c.name}`, async () => {
    answers(await create(c.body), c.status, c.code);
    assert.equal((await s.rows("select count(*)::int as n from auth.users where email = 'p@example.com'"))[0].n, 0);
  });

test('got, changed: metadata is merged, addresses hold at once', async () => {
  const { id } = await made({ user_metadata: { a: 1, b: 2 }, app_metadata: { plan: 'free' } });
  answers(await service.request('GET', `${users}/${id}`), 200);
  const changed = await update(id, { email: 'moved@example.com', phone: '4915112345', user_metadata: { b: null, c: 3 }, app_metadata: { plan: null, seats: 2 }, role: 'editor' });
  answers(changed, 200);
  const { email, phone, user_metadata, app_metadata, role, identities } = changed.json;
  assert.deepEqual([email, phone, role], ['moved@example.com', '4915112345', 'editor']);
  assert.deepEqual(user_metadata, { a: 1, c: 3, email_verified: true });
  assert.deepEqual(app_metadata, { provider: 'email', providers: ['email', 'phone'], seats: 2 });
  assert.deepEqual(identities.map((i) => i.identity_data.email ?? i.identity_data.phone), ['moved@example.com', '4915112345']);
  assert.deepEqual((await service.get(`${users}/${id}`)).identities, identities);
  answers(await update(id, { email: 'alice@a.example' }), 422, 'email_exists');
  assert.deepEqual(await actions(id), ['user_signedup', 'user_modified']);
});

test('email_confirm confirms; a new password signs out everywhere', async () => {
  const user = await made({ email_confirm: false, password });
  assert.equal(user.email_confirmed_at, undefined);
  answers(await signIn(user.email), 400, 'email_not_confirmed');
  assert.match((await update(user.id, { email_confirm: true })).json.email_confirmed_at, timestamp);
  const { json: session } = await signIn(user.email);
  answers(await update(user.id, { password: 'short' }), 422, 'weak_password');
  answers(await update(user.id, { password: 'another password' }), 200);
  answers(await anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${session.access_token}` } }), 403, 'session_not_found');
  answers(await anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: session.refresh_token }), 400, 'refresh_token_not_found');
  answers(await signIn(user.email), 400, 'invalid_credentials');
  answers(await signIn(user.email, 'another password'), 200);
});

test('a ban holds at once, and ends', async () => {
  const user = await made({ password });
  const { json: session } = await signIn(user.email);
  const me = () => anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${session.access_token}` } });
  const banned = await update(user.id, { ban_duration: '1h30m' });
  answers(banned, 200);
  const hours = (Date.parse(banned.json.banned_until) - Date.parse(banned.json.updated_at)) / 3_600_000;
  assert.ok(Math.abs(hours - 1.5) < 0.01, `${hours} hours`);
  answers(await me(), 403, 'user_banned');
  answers(await anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: session.refresh_token }), 400, 'user_banned');
  answers(await signIn(user.email), 400, 'user_banned');
  assert.equal((await update(user.id, { user_metadata: { x: 1 } })).json.banned_until, banned.json.banned_until, 'a change of something else leaves it');
  assert.equal((await update(user.id, { ban_duration: 'none' })).json.banned_until, undefined);
  answers(await me(), 200);
});

test('deleted, and everything of theirs', async () => {
  const user = await made({ password });
  answers(await signIn(user.email), 200);
  const answer = await service.request('DELETE', `${users}/${user.id}`);
  answers(answer, 200);
  assert.deepEqual(answer.json, {});
  answers(await service.request('GET', `${users}/${user.id}`), 404, 'user_not_found');
  answers(await service.request('DELETE', `${users}/${user.id}`), 404, 'user_not_found');
  assert.deepEqual(await actions(user.id), ['user_signedup', 'user_deleted']);
});

test('deleted softly: the row stays, and nobody can be told from it', async () => {
  const user = await made({ password, phone: '4917212345', user_metadata: { name: 'Ada' } });
  answers(await signIn(user.email), 200);
  assert.deepEqual((await service.request('DELETE', `${users}/${user.id}`, { should_soft_delete: true })).json, {});
  const gone = await service.get(`${users}/${user.id}`);
  assert.match(gone.deleted_at, timestamp);
  assert.deepEqual([gone.user_metadata, gone.app_metadata, gone.factors], [{}, {}, undefined]);
  const { rows } = { rows: await s.rows(`select to_jsonb(u)::text || (select jsonb_agg(i)::text from auth.identities i where i.user_id = u.id) as everything from auth.users u where id = '${user.id}'`) };
  for (const word of [user.email, user.phone, 'Ada']) assert.ok(!rows[0].everything.includes(word), `${word} is still there`);
  assert.equal((await s.rows(`select count(*)::int as n from auth.sessions where user_id = '${user.id}'`))[0].n, 0);
  answers(await signIn(user.email), 400, 'invalid_credentials');
  await made({ email: user.email, phone: user.phone });
});

test("another tenant's people are as unknown as those that never were", async () => {
  for (const id of [s.stranger.user.id, randomUUID()])
    for (const [method, path, body] of [['GET', '', undefined], ['PUT', '', { user_metadata: { x: 1 } }], ['DELETE', '', undefined], ['GET', '/factors', undefined], ['GET', '/sessions', undefined]])
      answers(await service.request(method, `${users}/${id}${path}`, body), 404, 'user_not_found');
  answers(await service.request('GET', `${users}/17`), 404, 'validation_failed');
  answers(await s.stranger.request('GET', '/auth/v1/user'), 200);
});

test('pages, as auth-js takes them apart', async () => {
  await Promise.all(['p1', 'p2', 'p3', 'p4', 'p5'].map((p) => s.b.service.post(users, { email: `${p}@b.example`, user_metadata: { full_name: `Person ${p}` } })));
  const list = async (query) => {
    const answer = await s.b.service.request('GET', `${users}?${query.replaceAll(" ", "+")}`);
    answers(answer, 200);
    return { ...answer.json, total: answer.headers['x-total-count'], link: answer.headers.link };
  };
  const all = await list('page=&per_page=');
  assert.deepEqual([all.users.length, all.total, all.aud, all.link], [6, '6', 'authenticated', '</admin/users?page=1&per_page=50>; rel="last"']);
  assert.deepEqual(all.users.map((u) => u.created_at), all.users.map((u) => u.created_at).sort().reverse(), 'latest first');
  const second = await list('page=2&per_page=2&sort=email asc');
  assert.deepEqual(second.users.map((u) => u.email), ['p3@b.example', 'p4@b.example']);
  assert.equal(second.link, '</admin/users?page=3&per_page=2>; rel="next", </admin/users?page=3&per_page=2>; rel="last"');
  assert.equal((await list('page=3&per_page=2')).link, '</admin/users?page=3&per_page=2>; rel="last"');
  assert.deepEqual((await list('filter=p4')).users.map((u) => u.email), ['p4@b.example']);
  assert.deepEqual((await list('filter=person p5')).users.map((u) => u.email), ['p5@b.example']);
  assert.deepEqual((await list('filter=%25')).users, []);
  for (const query of ['page=x', 'page=0', 'per_page=-1', 'sort=encrypted_password', 'sort=email sideways', "sort=email';drop"])
    answers(await s.b.service.request('GET', `${users}?${query.replaceAll(" ", "+")}`), 400, 'validation_failed');
});

test("an app's trigger and key may say no", async () => {
  await s.sql(`
    set role tenon_owner;
    create table public.orders (id int primary key, buyer uuid references auth.users);
    create function public.no_editors() returns trigger language plpgsql as $$ begin raise exception 'no editors' using hint = 'Ask.'; end $$;
    create trigger no_editors before update on auth.users for each row when (new.role = 'forbidden') execute function public.no_editors();`);
  const { id } = await made();
  const old = await update(id, { role: 'forbidden' });
  assert.deepEqual([old.status, old.json], [500, { code: 'P0001', message: 'no editors', hint: 'Ask.' }]);
  const fresh = await service.request('PUT', `${users}/${id}`, { role: 'forbidden' }, { headers: { 'x-supabase-api-version': '2024-01-01' } });
  answers(fresh, 500, 'unexpected_failure');
  await s.sql(`insert into public.orders (tenant_id, id, buyer) values ('${s.a.id}', 1, '${id}')`);
  const kept = await service.request('DELETE', `${users}/${id}`);
  assert.deepEqual([kept.status, kept.json.code], [500, '23503']);
  answers(await service.request('GET', `${users}/${id}`), 200);
});

test('invited by mail: in by the link, once', async () => {
  const invite = (body, query = '') => service.request('POST', `/auth/v1/invite${query}`, body);
  const answer = await invite({ email: 'guest@example.com', data: { seat: 7 } }, '?redirect_to=https://app.example/welcome');
  answers(answer, 200);
  const user = answer.json;
  assert.match(user.invited_at, timestamp);
  assert.deepEqual([user.email, user.email_confirmed_at, user.user_metadata.seat], ['guest@example.com', undefined, 7]);
  const mails = [await box.to(user.email, { kind: 'invite' })];
  answers(await invite({ email: 'guest@example.com' }), 200);
  mails.push(await box.to(user.email, { kind: 'invite' }));
  answers(await anon.request('POST', '/auth/v1/verify', { type: 'invite', token_hash: mails[0].token }), 403, 'otp_expired');
  const landed = await fetch(mails[1].link, { redirect: 'manual' });
  assert.equal(landed.status, 303);
  assert.match(landed.headers.get('location'), /#access_token=.*type=invite/);
  answers(await anon.request('POST', '/auth/v1/verify', { type: 'invite', token_hash: mails[1].token }), 403, 'otp_expired');
  answers(await invite({ email: 'guest@example.com' }), 422, 'email_exists');
  answers(await invite({ email: 'x' }), 400, 'validation_failed');
  assert.ok((await actions(user.id)).includes('user_invited'));
});

const link = (body, query = '') => service.request('POST', `/auth/v1/admin/generate_link${query}`, body);
const verify = (body) => anon.request('POST', '/auth/v1/verify', body);

for (const [type, as] of [['signup', 'signup'], ['invite', 'invite'], ['magiclink', 'magiclink'], ['recovery', 'recovery']])
  test(`a link of type ${type}: by its hash, by its code, by itself`, async () => {
    const uses = [
      ({ hashed_token }) => verify({ type: as, token_hash: hashed_token }),
      ({ email, email_otp }) => verify({ type: as, email, token: email_otp }),
      async ({ action_link }) => {
        const answer = await fetch(action_link, { redirect: 'manual' });
        return { status: /^https:\/\/app\.example\/in#access_token=/.test(answer.headers.get('location')) ? 200 : answer.status, text: answer.headers.get('location') };
      },
    ];
    for (const use of uses) {
      const there = type === 'magiclink' || type === 'recovery' ? (await made()).email : undefined;
      const answer = await link({ type, email: there ?? `${type}${++number}@example.com`, password, redirect_to: 'https://app.example/in', data: { x: 1 } });
      answers(answer, 200);
      const { action_link, email_otp, hashed_token, verification_type, redirect_to, id, email } = answer.json;
      assert.match(id, uuid);
      assert.deepEqual([verification_type, redirect_to], [as, 'https://app.example/in']);
      assert.match(email_otp, /^\d{6}$/);
      assert.equal(action_link, `${s.origin}/auth/v1/verify?token=${hashed_token}&type=${as}&redirect_to=${encodeURIComponent('https://app.example/in')}`);
      answers(await use(answer.json), 200);
      answers(await verify({ type: as, token_hash: hashed_token }), 403, 'otp_expired');
      assert.equal(box.all(email).length, 0, 'no mail is sent');
    }
  });

test('a magic link for somebody unknown signs them up; a link for somebody unknown that cannot', async () => {
  const { verification_type, hashed_token, email } = (await link({ type: 'magiclink', email: 'Unknown@example.com' })).json;
  assert.deepEqual([verification_type, email], ['signup', 'unknown@example.com']);
  answers(await verify({ type: 'signup', token_hash: hashed_token }), 200);
  answers(await link({ type: 'recovery', email: 'never@example.com' }), 404, 'user_not_found');
  answers(await link({ type: 'email_change_new', email: 'never@example.com', new_email: 'n@example.com' }), 404, 'user_not_found');
  answers(await link({ type: 'recovery', email: 'stranger@b.example' }), 404, 'user_not_found');
  for (const type of ['signup', 'invite']) answers(await link({ type, email: 'alice@a.example', password }), 422, 'email_exists');
  answers(await link({ type: 'signup', email: 'p@example.com' }), 400, 'validation_failed');
  answers(await link({ type: 'phone_change', email: 'p@example.com' }), 400, 'validation_failed');
  answers(await link({ type: 'email_change_new', email: 'alice@a.example' }), 400, 'validation_failed');
  answers(await link({ type: 'email_change_new', email: 'alice@a.example', new_email: 'bob@a.example' }), 422, 'email_exists');
  assert.equal((await link({ type: 'recovery', email: 'alice@a.example', redirect_to: 'https://evil.example/' })).json.redirect_to, s.origin);
});

test('both halves of a change of address, by links', async () => {
  for (const order of [[0, 1], [1, 0]]) {
    const { email } = await made();
    const new_email = `changed${++number}@example.com`;
    const links = [];
    for (const type of ['email_change_current', 'email_change_new']) links.push((await link({ type, email, new_email })).json);
    assert.deepEqual(links.map((l) => [l.verification_type, /type=email_change&/.test(l.action_link), l.new_email]), [['email_change_current', true, new_email], ['email_change_new', true, new_email]]);
    const half = await verify({ type: 'email_change', token_hash: links[order[0]].hashed_token });
    answers(half, 200);
    assert.equal(half.json.access_token, undefined);
    const done = await verify({ type: 'email_change', token_hash: links[order[1]].hashed_token });
    answers(done, 200);
    assert.equal(done.json.user.email, new_email);
  }
});

test('second factors of somebody who has lost them', async () => {
  const user = await made();
  const factor = { id: randomUUID() };
  await s.sql(`insert into auth.mfa_factors (tenant_id, id, user_id, friendly_name, factor_type, status, secret)
    values ('${s.a.id}', '${factor.id}', '${user.id}', 'phone of old', 'totp', 'verified', 'x')`);
  const factors = `${users}/${user.id}/factors`;
  const [seen] = await service.get(factors);
  assert.deepEqual([seen.id, seen.friendly_name, seen.factor_type, seen.status, seen.secret], [factor.id, 'phone of old', 'totp', 'verified', undefined]);
  assert.equal((await service.put(`${factors}/${factor.id}`, { friendly_name: 'old' })).friendly_name, 'old');
  for (const [method, path] of [['PUT', `${users}/${s.alice.user.id}/factors/${factor.id}`], ['DELETE', `${users}/${s.alice.user.id}/factors/${factor.id}`], ['DELETE', `${factors}/${randomUUID()}`]])
    answers(await service.request(method, path, {}), 404, 'mfa_factor_not_found');
  assert.equal((await service.delete(`${factors}/${factor.id}`)).id, factor.id);
  assert.deepEqual(await service.get(factors), []);
  assert.deepEqual((await actions(user.id)).slice(-2), ['factor_updated', 'factor_deleted']);
});

test('a person whose role is service_role is an admin while they are signed in', async () => {
  const user = await made({ password, role: 'service_role' });
  const admin = s.a.signedIn((await signIn(user.email)).json);
  const paths = [users, '/auth/v1/agents', '/auth/v1/teams'];
  for (const path of paths) answers(await admin.request('GET', path), 200);
  await s.sql(`delete from auth.sessions where user_id = '${user.id}'`);
  for (const path of paths) answers(await admin.request('GET', path), 403, 'session_expired');
});

test("a seed out of Supabase's guides, by the owner's login: bcrypt signs in, triggers on confirmation and deletion run", async () => {
  const id = randomUUID();
  await psql(s.owner, `set tenon.tenant_id = '${s.a.id}';
    create table public.confirmed (id uuid primary key references auth.users on delete cascade);
    create table public.gone (id uuid);
    create function public.note_confirmed() returns trigger language plpgsql security definer set search_path = '' as $$
    begin insert into public.confirmed values (new.id); return new; end $$;
    create trigger note_confirmed after update on auth.users for each row
        when (old.email_confirmed_at is null and new.email_confirmed_at is not null) execute procedure public.note_confirmed();
    create function public.note_gone() returns trigger language plpgsql security definer set search_path = '' as $$
    begin insert into public.gone values (old.id); return old; end $$;
    create trigger note_gone after delete on auth.users for each row execute procedure public.note_gone();
    insert into auth.users (instance_id, id, aud, role, email, encrypted_password, raw_app_meta_data, raw_user_meta_data, created_at, updated_at,
                            confirmation_token, recovery_token, email_change_token_new, email_change)
    values ('00000000-0000-0000-0000-000000000000', '${id}', 'authenticated', 'authenticated', 'seed@example.com', extensions.crypt('password123', extensions.gen_salt('bf', 4)),
            '{"provider":"email","providers":["email"]}', '{"name":"Seed"}', now(), now(), '', '', '', '');
    insert into auth.identities (id, user_id, provider_id, identity_data, provider, created_at, updated_at)
    values (gen_random_uuid(), '${id}', '${id}', '{"sub":"${id}","email":"seed@example.com"}', 'email', now(), now());`);
  answers(await signIn('seed@example.com', 'password123'), 400, 'email_not_confirmed');
  answers(await update(id, { email_confirm: true }), 200);
  const { json } = await signIn('seed@example.com', 'password123');
  assert.deepEqual([json.user.id, json.user.user_metadata.name, json.user.identities.length], [id, 'Seed', 1]);
  assert.match((await s.rows(`select encrypted_password as h from auth.users where id = '${id}'`))[0].h, /^\$argon2id\$/, 'rehashed at the first sign-in');
  assert.deepEqual(await s.rows('select id from public.confirmed'), [{ id }]);
  answers(await service.request('DELETE', `${users}/${id}`), 200);
  assert.deepEqual([await s.rows('select id from public.confirmed'), await s.rows('select id from public.gone')], [[], [{ id }]]);
});
