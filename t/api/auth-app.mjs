// t/api/auth-app.mjs: sign-ups that meet an app's own SQL, changed settings, and many at once
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { decode, hs256, now } from '../lib/jwt.mjs';

const s = await stack({ people: false, settings: { 'api.processes': 2, 'auth.anonymous': 'on', 'data.default_tenant': '', 'auth.reuse_interval_s': 0 } });
const { anon } = s.a;
const signUp = (email, data, options) => anon.request('POST', '/auth/v1/signup', { email, password, data }, options);
const refresh = (refresh_token) => anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token });
const recent = { headers: { 'x-supabase-api-version': '2024-01-01' } };

await s.sql(`
  set role tenon_owner;
  create table public.profiles (id uuid primary key references auth.users on delete cascade, name text unique);
  create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
  begin
    if new.raw_user_meta_data ->> 'name' = 'refuse' then
      raise exception 'not that name' using hint = 'Choose another.', detail = 'It is taken.';
    elsif new.raw_user_meta_data ->> 'name' = 'teapot' then
      raise sqlstate 'PT418' using message = 'a teapot';
    elsif new.raw_user_meta_data ->> 'name' = 'bug' then
      perform 1 / 0;
    end if;
    insert into public.profiles (id, name) values (new.id, new.raw_user_meta_data ->> 'name');
    update auth.users set raw_app_meta_data = raw_app_meta_data || '{"plan": "free"}' where id = new.id;
    return new;
  end $$;
  create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();`);

test("a trigger writes a profile, and its changes are in answer and token", async () => {
  const answer = await signUp('ada@example.com', { name: 'ada' });
  answers(answer, 200);
  assert.equal(answer.json.user.app_metadata.plan, 'free');
  assert.equal(decode(answer.json.access_token).claims.app_metadata.plan, 'free');
  const rows = await s.rows(`select p.name, p.tenant_id from public.profiles p where id = '${answer.json.user.id}'`);
  assert.deepEqual(rows, [{ name: 'ada', tenant_id: s.a.id }]);
});

const refused = [
  { name: 'refuse', status: 500, body: { code: 'P0001', message: 'not that name', hint: 'Choose another.', detail: 'It is taken.' } },
  { name: 'teapot', status: 418, body: { code: 'PT418', message: 'a teapot' } },
  { name: 'ada', status: 500, body: { code: '23505' } },
  { name: 'bug', status: 500, body: { code: 500, error_code: 'unexpected_failure', msg: 'Database error saving new user' } },
];
for (const c of refused)
  test(`a trigger that fails: ${c.name}`, async () => {
    const old = await signUp(`${c.name}@example.org`, { name: c.name });
    assert.equal(old.status, c.status, old.text);
    for (const [member, value] of Object.entries(c.body)) assert.equal(old.json[member], value, old.text);
    const fresh = await signUp(`${c.name}@example.org`, { name: c.name }, recent);
    answers(fresh, 500, 'unexpected_failure');
    assert.equal(fresh.json.message, 'Database error saving new user');
    assert.equal((await s.rows(`select count(*)::int as n from auth.users where email = '${c.name}@example.org'`))[0].n, 0);
  });

test('somebody anonymous', async () => {
  const answer = await anon.request('POST', '/auth/v1/signup', { data: { name: 'nobody' } });
  answers(answer, 200);
  const { user, access_token } = answer.json;
  assert.deepEqual([user.is_anonymous, user.email, user.phone, user.identities, user.app_metadata], [true, '', '', [], { plan: 'free' }]);
  const { claims } = decode(access_token);
  assert.deepEqual([claims.role, claims.is_anonymous, claims.amr[0].method], ['authenticated', true, 'anonymous']);
  answers(await anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${access_token}` } }), 200);
  answers(await refresh(answer.json.refresh_token), 200);
});

test('without a default tenant, who shows nothing is sent away', async () => {
  const nobody = s.client();
  for (const [method, path, body] of [['POST', '/auth/v1/signup', { email: 'x@example.com', password }], ['POST', '/auth/v1/token?grant_type=password', { email: 'x@example.com', password }]]) {
    const answer = await nobody.request(method, path, body);
    answers(answer, 401, 'no_authorization');
    assert.match(answer.json.msg, /^No API key found in request/);
  }
  answers(await nobody.request('GET', '/auth/v1/health'), 200);
  answers(await nobody.request('GET', '/auth/v1/.well-known/jwks.json'), 200);
  const token = hs256({ sub: '00000000-0000-4000-8000-000000000000', role: 'authenticated', exp: now() + 60 }, s.settings['auth.jwt_secret']);
  answers(await nobody.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${token}` } }), 401, 'tenant_required');
});

test('grants that are not offered', async () => {
  const grant = (type, body) => anon.request('POST', `/auth/v1/token?grant_type=${type}`, body);
  answers(await grant('pkce', { auth_code: '', code_verifier: 'x' }), 400, 'validation_failed');
  answers(await grant('pkce', { auth_code: 'x', code_verifier: 'x' }), 404, 'flow_state_not_found');
  answers(await grant('id_token', { provider: 'google', id_token: 'x' }), 400, 'provider_disabled');
  answers(await grant('web3', { chain: 'ethereum' }), 422, 'web3_provider_disabled');
});

test('what Supabase Auth has and Tenon has not is said in its words', async () => {
  for (const [method, path, code, message] of [
    ['POST', '/sso', 'saml_provider_disabled', 'SAML 2.0 is disabled'], ['GET', '/admin/sso/providers', 'saml_provider_disabled', 'SAML 2.0 is disabled'],
    ['GET', '/oauth/authorize', 'feature_disabled'], ['POST', '/oauth/token', 'feature_disabled'], ['GET', '/admin/oauth/clients', 'feature_disabled'],
    ['GET', '/user/oauth/grants', 'feature_disabled'], ['GET', '/admin/custom-providers', 'feature_disabled'],
    ['GET', '/ssoo', 'route_not_found'], ['GET', '/scim/v2/Users', 'route_not_found'],
  ]) {
    const answer = await anon.request(method, `/auth/v1${path}`, method === 'POST' ? {} : undefined, recent);
    answers(answer, 404, code);
    if (message !== undefined) assert.equal(answer.json.message, message);
  }
});

test('an audience that is not ours', async () => {
  const person = await s.a.person('audience', { data: { name: 'audience' } });
  const user = (value) => person.request('GET', '/auth/v1/user', undefined, { headers: { 'x-jwt-aud': value } });
  answers(await user('authenticated'), 200);
  answers(await user('somebody-else'), 400, 'validation_failed');
});

test('a session that has ended by its time', async () => {
  const person = await s.a.person('timed', { data: { name: 'timed' } });
  await s.sql(`update auth.sessions set not_after = now() where user_id = '${person.user.id}'`);
  answers(await person.request('GET', '/auth/v1/user'), 403, 'session_not_found');
  answers(await refresh(person.session.refresh_token), 400, 'session_expired');
});

test('ten at once with one refresh token, in two processes: one child for all', async () => {
  const person = await s.a.person('ten', { data: { name: 'ten' } });
  for (let token = person.session.refresh_token, round = 0; round < 4; round++) {
    const all = await Promise.all(Array.from({ length: 10 }, () => refresh(token)));
    assert.deepEqual([...new Set(all.map((a) => a.status))], [200], all.map((a) => a.text).join('\n'));
    assert.equal(new Set(all.map((a) => a.json.refresh_token)).size, 1);
    token = all[0].json.refresh_token;
  }
  const [row] = await s.rows(`select count(*)::int as n, count(*) filter (where not revoked)::int as active from auth.refresh_tokens where user_id = '${person.user.id}'`);
  assert.deepEqual(row, { n: 5, active: 1 });
});

test('large metadata stays out of the token and in the answer', async () => {
  const answer = await signUp('large@example.com', { name: 'large', notes: 'x'.repeat(20_000) });
  answers(answer, 200);
  assert.equal(answer.json.user.user_metadata.notes.length, 20_000);
  assert.ok(answer.json.access_token.length < 2000);
  answers(await anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${answer.json.access_token}` } }), 200);
});

test('a new cost of hashing reaches people as they sign in', async () => {
  const person = await s.a.person('rehash', { data: { name: 'rehash' } });
  const hash = async () => (await s.rows(`select encrypted_password as h from auth.users where id = '${person.user.id}'`))[0].h;
  const before = await hash();
  s.configure({ 'auth.argon2_memory_kib': 4096, 'auth.argon2_passes': 2 });
  assert.equal((await s.tenon('reload')).code, 0);
  await eventually('a hash of the new cost', async () => {
    answers(await anon.request('POST', '/auth/v1/token?grant_type=password', { email: person.email, password: 'wrong password' }), 400, 'invalid_credentials');
    answers(await anon.request('POST', '/auth/v1/token?grant_type=password', { email: person.email, password }), 200);
    return (await hash()).startsWith('$argon2id$v=19$m=4096,t=2,p=1$');
  });
  assert.notEqual(await hash(), before);
  answers(await anon.request('POST', '/auth/v1/token?grant_type=password', { email: person.email, password }), 200);
});

test('a key that is revoked stops everywhere within a second', async () => {
  const made = await s.tenon('key', 'create', '--tenant', 'a', '--kind', 'publishable', '--json');
  assert.equal(made.code, 0, made.stderr);
  const ask = () => anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: 'abcdefghij23' }, { headers: { apikey: made.json.key } });
  for (let i = 0; i < 8; i++) answers(await ask(), 400, 'refresh_token_not_found');
  const revoked = await s.tenon('key', 'revoke', made.json.id ?? made.json.key, '--json');
  assert.equal(revoked.code, 0, revoked.stderr);
  await eventually('eight refusals in a row', async () => {
    for (let i = 0; i < 8; i++) if ((await ask()).status !== 401) return false;
    return true;
  }, 1000);
});
