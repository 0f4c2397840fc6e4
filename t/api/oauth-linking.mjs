// t/api/oauth-linking.mjs: whose account a visitor of a provider gets; identities added and removed; id tokens that apps bring
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';
import { mailbox } from '../lib/mailbox.mjs';
import { section } from '../lib/oidc.mjs';
import { startPlayed } from '../lib/played.mjs';

const played = await startPlayed();
const s = await stack({
  people: false,
  settings: {
    'auth.autoconfirm': 'off', 'auth.anonymous': 'on', 'auth.manual_linking': 'on', 'auth.site_url': 'https://app.example', 'auth.redirect_urls': 'https://app.example/**',
    ...played.settings('one', { audiences: 'phone' }), ...played.settings('two'), ...played.settings('lax', { skip_nonce: 'on' }),
    ...section('github', { client_id: 'ours', secret: 'x', allow_private: 'on', authorize_url: `${played.issuer}/authorize`, token_url: `${played.issuer}/token`, userinfo_url: `${played.issuer}/user` }),
  },
});
const box = mailbox(s);
const { anon } = s.a;
let number = 0;
const fresh = (name = 'person') => `${name}${++number}@played.example`;
const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });
const userOf = (end) => {
  assert.ok(end.fragment.access_token, String(end.location));
  return anon.get('/auth/v1/user', bearer(end.fragment.access_token));
};
const signUp = async (email, confirmed) => {
  answers(await anon.request('POST', '/auth/v1/signup', { email, password, data: { role: 'prepared' } }), 200);
  if (confirmed) await s.sql(`update auth.users set email_confirmed_at = now() where email = '${email}'`);
  return (await s.rows(`select id from auth.users where email = '${email}'`))[0].id;
};
const signIn = (email) => anon.request('POST', '/auth/v1/token?grant_type=password', { email, password });
const visit = (claims, provider = 'one', parameters) => played.visit(s, provider, { claims }, parameters);
const identitiesOf = async (id) => (await s.rows(`select provider from auth.identities where user_id = '${id}' order by created_at, id`)).map((row) => row.provider);

const change = async (settings) => {
  s.configure(settings);
  const before = s.workers();
  assert.equal((await s.tenon('reload')).code, 0);
  await eventually('workers of the new settings', () => s.workers().every((pid) => !before.includes(pid)));
};

// --- whose account

test('an account that is confirmed is joined by a verified address', async () => {
  const email = fresh(), id = await signUp(email, true);
  const user = await userOf(await visit({ sub: email, email: email.toUpperCase() }));
  assert.deepEqual([user.id, user.app_metadata], [id, { provider: 'email', providers: ['email', 'one'] }]);
  answers(await signIn(email), 200);
  const mail = await box.to(email, { kind: 'identity_linked' });
  assert.ok(mail, 'and its owner is told');
});

test('an account that is confirmed is not joined by an address that the provider has not verified', async () => {
  const email = fresh(), id = await signUp(email, true);
  for (const email_verified of [false, undefined, 'false', 0, 'yes', {}]) {
    const end = await visit({ sub: `attacker of ${email}`, email, email_verified });
    assert.deepEqual([end.query.error, end.query.error_code], ['access_denied', 'provider_email_needs_verification']);
  }
  assert.deepEqual(await identitiesOf(id), ['email']);
  await box.settled();
  assert.deepEqual(box.all(email).map((mail) => mail.kind), ['confirmation'], 'nobody is written to but by their own sign-up');
});

test('an account that nobody has confirmed is emptied before it is joined', async () => {
  const email = fresh(), id = await signUp(email, false);
  const { code } = await box.to(email);
  await visit({ sub: `two of ${email}`, email, email_verified: false }, 'two');
  const user = await userOf(await visit({ sub: email, email }));
  assert.equal(user.id, id);
  assert.deepEqual(await identitiesOf(id), ['one']);
  assert.deepEqual(user.app_metadata, { provider: 'one', providers: ['one'] });
  assert.equal(user.user_metadata.role, undefined, 'what was prepared is gone');
  answers(await signIn(email), 400, 'invalid_credentials');
  answers(await anon.request('POST', '/auth/v1/verify', { type: 'signup', email, token: code }), 403, 'otp_expired');
  const [{ left }] = await s.rows(`select (select count(*) from auth.one_time_tokens where user_id = '${id}')::int as left`);
  assert.equal(left, 0);
});

test('an account with a confirmed number keeps everything but an address that was never confirmed', async () => {
  const email = fresh(), id = await signUp(email, false);
  await s.sql(`update auth.users set phone = '4930${1000 + number}', phone_confirmed_at = now() where id = '${id}'`);
  const user = await userOf(await visit({ sub: email, email }));
  assert.notEqual(user.id, id);
  assert.equal(user.email, email);
  const [other] = await s.rows(`select email, encrypted_password is not null as has_password from auth.users where id = '${id}'`);
  assert.deepEqual(other, { email: null, has_password: true });
});

test('a new person with an address that is not verified gets a mail, and signs in when they have answered', async () => {
  const email = fresh();
  const end = await visit({ sub: email, email, email_verified: false });
  assert.deepEqual([end.query.error_code, end.fragment.access_token], ['provider_email_needs_verification', undefined]);
  const mail = await box.to(email);
  assert.equal(mail.kind, 'confirmation');
  const again = await visit({ sub: email, email, email_verified: false });
  assert.equal(again.query.error_code, 'provider_email_needs_verification');
  answers(await anon.request('GET', mail.link.slice(s.origin.length)), 303);
  const user = await userOf(await visit({ sub: email, email, email_verified: false }));
  assert.equal(user.email, email);
  assert.equal((await s.rows(`select count(*)::int as n from auth.users where email = '${email}'`))[0].n, 1);
});

test('an address that was claimed and never confirmed is in no token', async () => {
  const sub = fresh('claimant'), victim = fresh('victim'), email = fresh();
  assert.equal((await visit({ sub, email: victim, email_verified: false })).query.error_code, 'provider_email_needs_verification');
  assert.equal((await visit({ sub, email: undefined })).query.error_code, 'email_address_not_provided');
  const user = await userOf(await visit({ sub, email }));
  assert.equal(user.email, email);
  const other = await userOf(await visit({ sub: victim, email: victim }));
  assert.notEqual(other.id, user.id);
});

test('one id at two providers, and at two tenants, is two people', async () => {
  const sub = fresh();
  const a = await userOf(await visit({ sub, email: fresh() }));
  const other = await userOf(await visit({ sub, email: fresh() }, 'two'));
  assert.notEqual(a.id, other.id);
  const end = await played.come(s, await played.leave(s, 'one', { apikey: s.b.publishable }, s.client()), { claims: { sub, email: fresh() } });
  const { claims } = decode(end.fragment.access_token);
  assert.deepEqual([claims.tenant_id, claims.sub === a.id], [s.b.id, false]);
});

test('whoever is banned stays out', async () => {
  const email = fresh();
  const { id } = await userOf(await visit({ sub: email, email }));
  await s.sql(`update auth.users set banned_until = now() + interval '1 hour' where id = '${id}'`);
  for (const end of [await visit({ sub: email, email }), await visit({ sub: `another ${email}`, email }, 'two')])
    assert.deepEqual([end.query.error, end.query.error_code], ['access_denied', 'user_banned']);
});

test("what a trigger of the app's refuses", async () => {
  await s.sql(`
    set role tenon_owner;
    create function public.refuse() returns trigger language plpgsql as $$ begin
      if new.email like 'refused%' then raise exception 'not you'; end if; return new; end $$;
    create trigger refuse after insert on auth.users for each row execute function public.refuse()`);
  const email = fresh('refused');
  const end = await visit({ sub: email, email });
  assert.deepEqual([end.query.error, end.query.error_code, end.query.error_description], ['server_error', 'unexpected_failure', 'Database error saving new user']);
});

test('the hook is asked about new people, and about nobody else', async () => {
  const email = fresh('hooked');
  await userOf(await visit({ sub: email, email }));
  await s.sql(`
    set role tenon_owner;
    create function public.nobody(event jsonb) returns jsonb language sql as $$
      select jsonb_build_object('error', jsonb_build_object('http_code', 403, 'message', 'not ' || (event #>> '{user,email}') || ' of ' || (event #>> '{user,app_metadata,provider}'))) $$;
    grant execute on function public.nobody(jsonb) to supabase_auth_admin`);
  await change({ 'hooks.before_user_created': 'pg-functions://postgres/public/nobody' });
  await userOf(await visit({ sub: email, email }));
  await userOf(await visit({ sub: email, email }, 'two'));
  const late = fresh();
  const end = await visit({ sub: late, email: late });
  assert.deepEqual([end.query.error, end.query.error_description], ['access_denied', `not ${late} of one`]);
  await change({ 'hooks.before_user_created': '' });
});

// --- identities

const link = async (token, provider, claims, parameters = {}) => {
  const answer = await anon.request('GET', `/auth/v1/user/identities/authorize?${new URLSearchParams({ provider, skip_http_redirect: 'true', ...parameters })}`, undefined, bearer(token));
  answers(answer, 200);
  const sent = Object.fromEntries(new URL(answer.json.url).searchParams);
  return played.come(s, { state: sent.state, nonce: sent.nonce }, { claims });
};
const person = async () => {
  const email = fresh();
  const end = await visit({ sub: email, email });
  return { email, token: end.fragment.access_token, user: await userOf(end) };
};
const unlink = (token, id) => anon.request('DELETE', `/auth/v1/user/identities/${id}`, undefined, bearer(token));

test('an identity is added, and is nobody else\'s then', async () => {
  const { token, user } = await person();
  const sub = fresh('linked');
  const end = await link(token, 'two', { sub, email: fresh() });
  const now = await userOf(end);
  assert.deepEqual([now.id, now.email, now.app_metadata.providers], [user.id, user.email, ['one', 'two']]);
  assert.deepEqual((await link(token, 'two', { sub })).query.error_code, 'identity_already_exists');
  const other = await person();
  assert.deepEqual((await link(other.token, 'two', { sub })).query.error_code, 'identity_already_exists');
  const again = await userOf(await visit({ sub, email: fresh() }, 'two'));
  assert.equal(again.id, user.id);
  const redirect = await anon.request('GET', '/auth/v1/user/identities/authorize?provider=two', undefined, bearer(token));
  answers(redirect, 302);
});

test('who is not signed in adds none', async () => {
  const path = '/auth/v1/user/identities/authorize?provider=two&skip_http_redirect=true';
  answers(await anon.request('GET', path), 401, 'no_authorization');
  const { token } = await person();
  answers(await anon.request('POST', '/auth/v1/logout', undefined, bearer(token)), 204);
  answers(await anon.request('GET', path, undefined, bearer(token)), 403, 'session_not_found');
  answers(await anon.request('DELETE', '/auth/v1/user/identities/00000000-0000-4000-8000-000000000000', undefined, bearer(token)), 403, 'session_not_found');
});

test('somebody anonymous becomes somebody, under the same id', async () => {
  const session = await anon.post('/auth/v1/signup', {});
  const taken = fresh();
  await signUp(taken, true);
  assert.equal((await link(session.access_token, 'one', { sub: fresh(), email: taken })).query.error_code, 'email_exists');
  const email = fresh();
  const user = await userOf(await link(session.access_token, 'one', { sub: email, email }));
  assert.deepEqual([user.id, user.is_anonymous, user.email], [session.user.id, false, email]);
  assert.ok(user.email_confirmed_at);
});

test('identities are taken away, but never the last one', async () => {
  const { token, user, email } = await person();
  answers(await unlink(token, user.identities[0].identity_id), 422, 'single_identity_not_deletable');
  answers(await unlink(token, 'nonsense'), 404, 'validation_failed');
  const stranger = await person();
  await link(token, 'two', { sub: fresh(), email: 'next.' + email });
  answers(await unlink(token, stranger.user.identities[0].identity_id), 422, 'identity_not_found');
  const answer = await unlink(token, user.identities[0].identity_id);
  answers(answer, 200);
  assert.deepEqual(answer.json, {});
  const now = await anon.get('/auth/v1/user', bearer(token));
  assert.deepEqual([now.email, now.app_metadata, now.identities.length], ['next.' + email, { provider: 'two', providers: ['two'] }, 1], 'the address is that of another identity');
  const mail = await box.to(email, { kind: 'identity_unlinked' });
  assert.ok(mail, 'the old address is told');
});

test('an address that is somebody else\'s by now is promoted by no unlinking; one that is not verified neither', async () => {
  const { token, user } = await person();
  const taken = fresh();
  await link(token, 'two', { sub: fresh(), email: taken });
  await signUp(taken, true);
  answers(await unlink(token, user.identities[0].identity_id), 422, 'email_conflict_identity_not_deletable');
  const other = await person();
  await link(other.token, 'two', { sub: fresh(), email: fresh(), email_verified: false });
  answers(await unlink(other.token, other.user.identities[0].identity_id), 200);
  assert.equal((await anon.get('/auth/v1/user', bearer(other.token))).email, '');
});

// --- id tokens that apps bring

const bring = (body, options) => anon.request('POST', '/auth/v1/token?grant_type=id_token', { provider: 'one', ...body }, options);
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

test('an id token is worth a session', async () => {
  const email = fresh();
  const answer = await bring({ id_token: played.token({ sub: email, email, aud: 'phone' }) });
  answers(answer, 200);
  assert.equal(answer.json.user.email, email);
  assert.equal(decode(answer.json.access_token).claims.amr[0].method, 'oauth');
  const nonce = 'a nonce of the app';
  answers(await bring({ id_token: played.token({ sub: email, email, nonce: sha256(nonce) }), nonce }), 200);
  const access_token = 'an access token', at_hash = createHash('sha256').update(access_token).digest().subarray(0, 16).toString('base64url');
  answers(await bring({ id_token: played.token({ sub: email, email, at_hash }), access_token }), 200);
  answers(await bring({ provider: null, issuer: played.issuer, client_id: 'ours', id_token: played.token({ sub: email, email }) }), 200);
  answers(await bring({ provider: 'lax', id_token: played.token({ sub: email, email, nonce: 'of the system' }) }), 200);
});

const invalid = 'invalid request';
const bad = [
  { name: 'a nonce in the token alone', token: { nonce: sha256('x') }, error: invalid },
  { name: 'a nonce beside it alone', body: { nonce: 'x' }, error: invalid },
  { name: 'a nonce that is not hashed', token: { nonce: 'x' }, body: { nonce: 'x' }, error: 'invalid nonce' },
  { name: 'another nonce', token: { nonce: sha256('y') }, body: { nonce: 'x' }, error: 'invalid nonce' },
  { name: 'another audience', token: { aud: 'theirs' }, error: invalid },
  { name: 'another issuer', token: { iss: 'https://evil.example' }, error: invalid },
  { name: 'a token that has expired', token: { exp: 1 }, error: invalid },
  { name: 'another access token', token: { at_hash: 'x'.repeat(22) }, body: { access_token: 'y' }, error: invalid },
  { name: 'nonsense', body: { id_token: 'x.y.z' }, error: invalid },
];
for (const { name, token, body, error } of bad)
  test(`an id token with ${name}`, async () => {
    const answer = await bring({ id_token: played.token(token), ...body });
    assert.deepEqual([answer.status, answer.json.error, typeof answer.json.error_description, Object.keys(answer.json).length], [400, error, 'string', 2], answer.text);
  });

test('an id token: what is wrong besides', async () => {
  const id_token = played.token();
  answers(await bring({}), 400, 'validation_failed');
  answers(await bring({ provider: null, id_token }), 400, 'validation_failed');
  answers(await bring({ provider: 'google', id_token }), 400, 'provider_disabled');
  answers(await bring({ provider: 'github', id_token }), 400, 'validation_failed');
  const email = fresh();
  answers(await bring({ id_token: played.token({ sub: email, email, email_verified: false }) }), 422, 'provider_email_needs_verification');
  answers(await bring({ id_token: played.token({ sub: email, email: undefined }) }), 422, 'email_address_not_provided');
  answers(await bring({ id_token: played.token({ sub: fresh(), email: undefined }) }), 422, 'email_address_not_provided');
});

test('an id token links as well', async () => {
  const { token, user } = await person();
  const body = { id_token: played.token({ sub: fresh(), email: fresh() }), link_identity: true };
  answers(await bring(body), 401, 'no_authorization');
  const answer = await bring({ ...body, provider: 'two' }, bearer(token));
  answers(answer, 200);
  assert.deepEqual([answer.json.user.id, answer.json.user.identities.length], [user.id, 2]);
  answers(await bring({ ...body, provider: 'two' }, bearer(token)), 422, 'identity_already_exists');
});

// --- at the end, because it changes the settings

test('while sign-ups are closed, whoever has an account still comes in', async () => {
  const email = fresh();
  await userOf(await visit({ sub: email, email }));
  await change({ 'auth.signup': 'off' });
  await userOf(await visit({ sub: email, email }));
  const end = await visit({ sub: fresh(), email: fresh() });
  assert.deepEqual([end.query.error, end.query.error_code], ['access_denied', 'signup_disabled']);
  answers(await bring({ id_token: played.token({ sub: fresh(), email: fresh() }) }), 422, 'signup_disabled');
});
