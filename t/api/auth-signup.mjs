// t/api/auth-signup.mjs: POST /auth/v1/signup
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers, uuid } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack({ people: false });
const { anon } = s.a;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;

test('a new person is confirmed at once and gets a session', async () => {
  const answer = await anon.request('POST', '/auth/v1/signup', { email: 'Ada@Example.com', password, data: { nick: 'ada' } });
  answers(answer, 200);
  const { access_token, refresh_token, token_type, expires_in, expires_at, user } = answer.json;
  assert.equal(token_type, 'bearer');
  assert.equal(expires_in, 3600);
  assert.ok(Math.abs(expires_at - Date.now() / 1000 - 3600) < 30);
  assert.ok(refresh_token.length >= 12);

  assert.match(user.id, uuid);
  assert.equal(user.email, 'ada@example.com', 'addresses are lower-cased');
  assert.deepEqual([user.aud, user.role, user.phone, user.is_anonymous], ['authenticated', 'authenticated', '', false]);
  assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] });
  assert.deepEqual(user.user_metadata, { nick: 'ada', sub: user.id, email: 'ada@example.com', email_verified: true, phone_verified: false });
  for (const name of ['created_at', 'updated_at', 'email_confirmed_at', 'confirmed_at', 'last_sign_in_at']) assert.match(user[name], rfc3339, name);
  for (const name of ['phone_confirmed_at', 'banned_until', 'deleted_at', 'invited_at', 'new_email', 'factors', 'encrypted_password', 'is_sso_user', 'instance_id', 'tenant_id', 'confirmation_token'])
    assert.ok(!(name in user), `${name} is not shown`);

  assert.equal(user.identities.length, 1);
  const [identity] = user.identities;
  assert.match(identity.identity_id, uuid);
  assert.deepEqual([identity.id, identity.user_id, identity.provider, identity.email], [user.id, user.id, 'email', 'ada@example.com']);
  assert.equal(identity.identity_data.sub, user.id);
  assert.notEqual(identity.identity_id, identity.id, 'the row id is identity_id');

  const { header, claims } = decode(access_token);
  assert.deepEqual([header.alg, header.typ, typeof header.kid], ['ES256', 'JWT', 'string']);
  assert.deepEqual([claims.sub, claims.aud, claims.role, claims.email, claims.phone, claims.aal, claims.is_anonymous], [user.id, 'authenticated', 'authenticated', 'ada@example.com', '', 'aal1', false]);
  assert.deepEqual(claims.amr.map((a) => a.method), ['password']);
  assert.deepEqual([claims.exp - claims.iat, claims.exp], [3600, expires_at]);
  assert.equal(claims.iss, `${s.origin}/auth/v1`);
  assert.match(claims.session_id, uuid);
  assert.deepEqual([claims.app_metadata, claims.user_metadata], [user.app_metadata, user.user_metadata]);
});

test('passwords are kept as argon2id, refresh tokens as hashes', async () => {
  const session = await anon.post('/auth/v1/signup', { email: 'stored@example.com', password });
  const [row] = await s.rows(`select encrypted_password from auth.users where id = '${session.user.id}'`);
  assert.match(row.encrypted_password, /^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$/);
  const dump = JSON.stringify(await s.rows(`select t.* from auth.refresh_tokens t where user_id::text = '${session.user.id}'`));
  assert.notEqual(dump, '[]');
  assert.ok(!dump.includes(session.refresh_token), 'the token itself is nowhere');
});

const email = 'x@example.com';
const refused = [
  { name: 'no password', body: { email }, status: 400, code: 'validation_failed' },
  { name: 'an empty password', body: { email, password: '' }, status: 400, code: 'validation_failed' },
  { name: 'a short password', body: { email, password: 'abc' }, status: 422, code: 'weak_password', message: /^Password should be at least 6 characters/ },
  { name: 'a password over 72 bytes', body: { email, password: 'ä'.repeat(37) }, status: 400, code: 'validation_failed' },
  { name: 'no address at all in it', body: { email: 'nonsense', password }, status: 400, code: 'validation_failed', message: /Unable to validate email address: invalid format/ },
  { name: 'an address without a domain', body: { email: 'a@', password }, status: 400, code: 'validation_failed' },
  { name: 'an address with a space', body: { email: 'a b@example.com', password }, status: 400, code: 'validation_failed' },
  { name: 'an address over 255 characters', body: { email: `${'a'.repeat(250)}@example.com`, password }, status: 400, code: 'validation_failed' },
  { name: 'address and telephone number', body: { email, phone: '4912345', password }, status: 400, code: 'validation_failed' },
  { name: 'a telephone number: not offered', body: { phone: '4912345', password }, status: 400, code: 'phone_provider_disabled' },
  { name: 'neither: anonymous sign-ins are off', body: {}, status: 422, code: 'anonymous_provider_disabled', message: /Anonymous sign-ins are disabled/ },
  { name: 'a challenge without its method', body: { email, password, code_challenge: 'a'.repeat(43) }, status: 400, code: 'validation_failed' },
  { name: 'a method without its challenge', body: { email, password, code_challenge_method: 's256' }, status: 400, code: 'validation_failed' },
  { name: 'a challenge that is too short', body: { email, password, code_challenge: 'abc', code_challenge_method: 's256' }, status: 400, code: 'validation_failed' },
  { name: 'a number for a password', body: { email, password: 12345678 }, status: 400 },
  { name: 'a list for metadata', body: { email, password, data: [1] }, status: 400 },
  { name: 'a list for a body', body: [], status: 400 },
  { name: 'half of a body', body: '{"email": "x@exa', status: 400, code: 'bad_json' },
  { name: 'no body', body: undefined, status: 400 },
];
for (const c of refused)
  test(`refused: ${c.name}`, async () => {
    const count = async () => (await s.rows('select count(*)::int as n from auth.users'))[0].n;
    const before = await count();
    const old = await anon.request('POST', '/auth/v1/signup', c.body, { headers: { 'content-type': 'application/json;charset=UTF-8' } });
    answers(old, c.status, c.code);
    assert.equal(old.json.code, c.status, 'the older shape has the status as number in `code`');
    assert.equal(old.headers['x-supabase-api-version'], undefined);
    assert.ok(typeof old.json.msg === 'string' && !('message' in old.json));
    if (c.message) assert.match(old.json.msg, c.message);

    const recent = await anon.request('POST', '/auth/v1/signup', c.body, { headers: { 'x-supabase-api-version': '2024-01-01' } });
    answers(recent, c.status, c.code);
    assert.equal(recent.headers['x-supabase-api-version'], '2024-01-01');
    assert.equal(recent.json.code, old.json.error_code, 'the newer shape has the code as text in `code`');
    assert.equal(recent.json.message, old.json.msg);
    if (c.code === 'weak_password') assert.deepEqual([old.json.weak_password.reasons, recent.json.weak_password.reasons], [['length'], ['length']]);
    assert.equal(await count(), before, 'and nobody was added');
  });

for (const [version, shape] of [['2023-12-31', 'old'], ['2024-01-01', 'new'], ['2031-05-06', 'new'], ['latest', 'old'], ['', 'old']])
  test(`X-Supabase-Api-Version: ${version} is the ${shape} shape`, async () => {
    const answer = await anon.request('POST', '/auth/v1/signup', { email: 'x' }, { headers: { 'x-supabase-api-version': version } });
    assert.equal(typeof answer.json.code, shape === 'old' ? 'number' : 'string');
    assert.equal(answer.headers['x-supabase-api-version'], shape === 'old' ? undefined : '2024-01-01');
  });

test('null is as good as absent, unknown members are ignored', async () => {
  const answer = await anon.request('POST', '/auth/v1/signup', {
    email: 'null@example.com', phone: null, password, data: null, code_challenge: null, code_challenge_method: null,
    gotrue_meta_security: { captcha_token: null }, options: {},
  });
  answers(answer, 200);
});

test('a bearer that is no user token does not matter here', async () => {
  const answer = await anon.request('POST', '/auth/v1/signup', { email: 'bearer@example.com', password }, { headers: { authorization: `Bearer ${s.a.publishable}` } });
  answers(answer, 200);
  const garbled = await anon.request('POST', '/auth/v1/signup', { email: 'garbled@example.com', password }, { headers: { authorization: 'Bearer abc.def.ghi' } });
  answers(garbled, 200);
});

test('an address that is taken', async () => {
  await anon.post('/auth/v1/signup', { email: 'taken@example.com', password });
  const again = await anon.request('POST', '/auth/v1/signup', { email: 'TAKEN@example.com', password: `${password}!` });
  answers(again, 422, 'user_already_exists');
  assert.match(again.json.msg, /^User already registered/);
});

test('the same address may sign up in another tenant, as another person', async () => {
  const here = await anon.post('/auth/v1/signup', { email: 'both@example.com', password });
  const there = await s.b.anon.post('/auth/v1/signup', { email: 'both@example.com', password: `${password}?` });
  assert.notEqual(here.user.id, there.user.id);
  answers(await s.b.anon.request('POST', '/auth/v1/token?grant_type=password', { email: 'both@example.com', password }), 400, 'invalid_credentials');
});

test('twenty people sign up with one address at once: one is let in', async () => {
  const answers_ = await Promise.all(Array.from({ length: 20 }, () => anon.request('POST', '/auth/v1/signup', { email: 'race@example.com', password })));
  assert.deepEqual(answers_.map((a) => a.status).sort(), [200, ...Array(19).fill(422)]);
});

test('without a key, and with a wrong one', async () => {
  const body = { email: 'nokey@example.com', password };
  answers(await anon.request('POST', '/auth/v1/signup', body, { headers: { apikey: `tnp_${'A'.repeat(43)}` } }), 401);
  answers(await anon.request('POST', '/auth/v1/signup', body, { headers: { apikey: 'rubbish' } }), 401);
});
