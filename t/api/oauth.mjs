// t/api/oauth.mjs: sign-in with a real OpenID Connect provider, found by discovery
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';
import { startOidc, travel } from '../lib/oidc.mjs';

const oidc = await startOidc({ people: { nick: { email: undefined }, late: { email_verified: false } } });
const s = await stack({
  people: false,
  settings: {
    'auth.site_url': 'https://app.example', 'auth.redirect_urls': 'https://app.example/**,https://other.example/cb',
    ...oidc.settings('acme', { scopes: 'offline_access' }), ...oidc.settings('optional', { email_optional: 'on' }),
  },
});
oidc.admit(`${s.origin}/auth/v1/callback`);
const { anon } = s.a;

const path = (parameters) => `/auth/v1/authorize?${new URLSearchParams({ provider: 'acme', redirect_to: 'https://app.example/in', ...parameters })}`;
const go = (parameters) => travel(s.origin + path(parameters));
const pkce = () => {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 's256' };
};
const redeem = (auth_code, code_verifier) => anon.request('POST', '/auth/v1/token?grant_type=pkce', { auth_code, code_verifier });
const userOf = async (access_token) => (await anon.get('/auth/v1/user', { headers: { authorization: `Bearer ${access_token}` } }));

test('the implicit flow ends with a session in the fragment', async () => {
  const { status, location, fragment, query } = await go({ login_hint: 'ada' });
  assert.equal(status, 302);
  assert.equal(location.origin + location.pathname, 'https://app.example/in');
  assert.deepEqual(query, {});
  assert.equal(fragment.token_type, 'bearer');
  assert.ok(fragment.provider_token && fragment.refresh_token && Number(fragment.expires_in) > 0);
  const { claims } = decode(fragment.access_token);
  assert.deepEqual([claims.email, claims.amr[0].method, claims.app_metadata], ['ada@oidc.example', 'oauth', { provider: 'acme', providers: ['acme'] }]);
  const user = await userOf(fragment.access_token);
  assert.ok(user.email_confirmed_at && user.confirmed_at && user.last_sign_in_at);
  const [identity] = user.identities;
  assert.deepEqual([identity.provider, identity.id, identity.email], ['acme', 'ada', 'ada@oidc.example']);
  assert.deepEqual(identity.identity_data, {
    sub: 'ada', provider_id: 'ada', iss: oidc.issuer, email: 'ada@oidc.example', email_verified: true, phone_verified: false,
    name: 'ada of OIDC', full_name: 'ada of OIDC', picture: 'https://oidc.example/a.png', avatar_url: 'https://oidc.example/a.png',
  });
  assert.equal(user.user_metadata.full_name, 'ada of OIDC');
  const again = await go({ login_hint: 'ada' });
  assert.equal(decode(again.fragment.access_token).claims.sub, user.id, 'the second time it is the same account');
  const actions = await s.rows(`select payload ->> 'action' as action from auth.audit_log_entries where payload ->> 'actor_id' = '${user.id}' order by id`);
  assert.deepEqual(actions.map((row) => row.action), ['user_signedup', 'login', 'login']);
});

test('with a challenge it ends with a code, which is good once, with its verifier', async () => {
  const { verifier, ...challenge } = pkce();
  const { query, fragment, location } = await go({ login_hint: 'bert', ...challenge });
  assert.deepEqual([Object.keys(query), fragment], [['code'], {}], String(location));
  answers(await redeem(query.code, 'x'.repeat(43)), 400, 'bad_code_verifier');
  const answer = await redeem(query.code, verifier);
  answers(answer, 200);
  assert.equal(answer.json.user.email, 'bert@oidc.example');
  assert.ok(answer.json.provider_token && answer.json.provider_refresh_token);
  assert.equal(decode(answer.json.access_token).claims.amr[0].method, 'oauth');
  answers(await redeem(query.code, verifier), 404, 'flow_state_not_found');
  const [kept] = await s.rows(`select provider_access_token, provider_refresh_token from auth.flow_state where provider_type = 'acme' and user_id = '${answer.json.user.id}'`);
  assert.deepEqual(kept, { provider_access_token: null, provider_refresh_token: null }, 'tokens of the provider are given once');
});

test('what the provider is sent', async () => {
  const answer = await anon.request('GET', path({ scopes: 'profile,extra', prompt: 'login', Client_ID: 'evil', REDIRECT_URI: 'https://evil.example', state: 'mine', response_type: 'token', nonce: 'of the app', apikey: s.a.publishable }));
  answers(answer, 302);
  const url = new URL(answer.headers.location), sent = Object.fromEntries(url.searchParams);
  assert.equal(url.origin, oidc.issuer);
  assert.match(sent.state, /^[0-9a-f-]{36}$/);
  assert.match(sent.code_challenge, /^[\w-]{43}$/);
  delete sent.state;
  delete sent.code_challenge;
  assert.deepEqual(sent, {
    client_id: 'tenon', redirect_uri: `${s.origin}/auth/v1/callback`, response_type: 'code', scope: 'openid email profile offline_access extra',
    nonce: 'of the app', code_challenge_method: 'S256', prompt: 'login',
  });
});

const refused = [
  { name: 'no provider', parameters: { provider: '' }, match: /Unsupported provider/ },
  { name: 'a provider that is not set up', parameters: { provider: 'github' }, match: /Unsupported provider: provider is not enabled/ },
  { name: 'half a challenge', parameters: { code_challenge: 'x'.repeat(43) } },
  { name: 'a method that is none', parameters: { code_challenge: 'x'.repeat(43), code_challenge_method: 's512' } },
  { name: 'very much for the provider', parameters: { login_hint: 'x'.repeat(5000) } },
];
for (const c of refused)
  test(`refused: ${c.name}`, async () => {
    const answer = await anon.request('GET', path(c.parameters));
    answers(answer, 400, 'validation_failed');
    if (c.match) assert.match(answer.json.msg, c.match);
  });

test('redirect_to that is not allowed leads to the site', async () => {
  const { location } = await go({ login_hint: 'ada', redirect_to: 'https://evil.example/' });
  assert.equal(location.origin, 'https://app.example');
});

test('an account without an address: only where that is allowed', async () => {
  const { query, fragment } = await go({ login_hint: 'nick' });
  assert.deepEqual([query.error_code, fragment.error_code], ['email_address_not_provided', 'email_address_not_provided']);
  const optional = await go({ login_hint: 'nick', provider: 'optional' });
  const { claims } = decode(optional.fragment.access_token);
  assert.deepEqual([claims.email, claims.is_anonymous], ['', false]);
  const unverified = await go({ login_hint: 'late', provider: 'optional' });
  assert.equal(decode(unverified.fragment.access_token).claims.email, '', 'an address that nobody has verified is in no token');
});

test('the provider says no', async () => {
  const begun = await anon.request('GET', path({}));
  const state = new URL(begun.headers.location).searchParams.get('state');
  const back = (query) => anon.request('GET', `/auth/v1/callback?${new URLSearchParams(query)}`);
  const answer = await back({ state, error: 'access_denied', error_description: 'The user & "friends" said no', iss: oidc.issuer });
  answers(answer, 302);
  const location = new URL(answer.headers.location);
  assert.equal(location.origin, 'https://app.example');
  assert.deepEqual(Object.fromEntries(location.searchParams), { error: 'access_denied', error_code: 'bad_oauth_callback', error_description: 'The user & "friends" said no' });
  assert.equal(new URLSearchParams(location.hash.slice(1)).get('error'), 'access_denied');
  const again = await back({ state, code: 'x' });
  answers(again, 303);
  assert.equal(new URL(again.headers.location).searchParams.get('error_code'), 'flow_state_already_used');
});

const broken = [
  { name: 'no state', query: 'code=x', code: 'bad_oauth_callback' },
  { name: 'a state that is no UUID', query: 'code=x&state=abc', code: 'bad_oauth_state' },
  { name: 'a state that nobody has', query: 'code=x&state=00000000-0000-4000-8000-000000000000', code: 'bad_oauth_state' },
  { name: 'two states', query: 'state=00000000-0000-4000-8000-000000000000&state=00000000-0000-4000-8000-000000000001', code: 'bad_oauth_callback' },
  { name: 'a form of bytes', post: 'state=%ff%fe', code: 'bad_oauth_callback' },
];
for (const c of broken)
  test(`a callback with ${c.name} leads to the site`, async () => {
    const answer = c.post
      ? await anon.request('POST', '/auth/v1/callback', c.post, { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
      : await anon.request('GET', `/auth/v1/callback?${c.query}`);
    answers(answer, 303);
    const location = new URL(answer.headers.location);
    assert.deepEqual([location.origin, location.searchParams.get('error_code'), new URLSearchParams(location.hash.slice(1)).get('error_code')], ['https://app.example', c.code, c.code]);
  });

test('a state is too old after ten minutes', async () => {
  const begun = await anon.request('GET', path({}));
  const state = new URL(begun.headers.location).searchParams.get('state');
  await s.sql(`update auth.flow_state set created_at = now() - interval '11 minutes' where id = '${state}'`);
  const answer = await anon.request('GET', `/auth/v1/callback?state=${state}&code=x`);
  assert.equal(new URL(answer.headers.location).searchParams.get('error_code'), 'bad_oauth_state');
});

test('of ten that come back at once with one state, one signs in', async () => {
  let address;
  await travel(s.origin + path({ login_hint: 'race' }), { stop: (at) => at.pathname === '/auth/v1/callback' && (address = at) });
  const all = await Promise.all(Array.from({ length: 10 }, () => fetch(address, { redirect: 'manual' })));
  const ends = all.map((answer) => new URL(answer.headers.get('location')));
  assert.equal(ends.filter((at) => at.hash.includes('access_token=')).length, 1);
  assert.equal(ends.filter((at) => at.searchParams.get('error_code') === 'flow_state_already_used').length, 9);
});

test('of six first sign-ins of one person at once, each gets the same account', async () => {
  const all = await Promise.all(Array.from({ length: 6 }, () => go({ login_hint: 'crowd' })));
  const ids = new Set(all.map(({ fragment, location }) => (fragment.access_token ? decode(fragment.access_token).claims.sub : String(location))));
  assert.equal(ids.size, 1, [...ids].join(' '));
  assert.equal((await s.rows(`select count(*)::int as n from auth.identities where provider_id = 'crowd'`))[0].n, 1);
});

test('manual linking is off unless it is set', async () => {
  const { fragment } = await go({ login_hint: 'ada' });
  const headers = { authorization: `Bearer ${fragment.access_token}` };
  answers(await anon.request('GET', '/auth/v1/user/identities/authorize?provider=acme', undefined, { headers }), 404, 'manual_linking_disabled');
  const answer = await anon.request('DELETE', '/auth/v1/user/identities/00000000-0000-4000-8000-000000000000', undefined, { headers });
  answers(answer, 404, 'manual_linking_disabled');
  assert.match(answer.json.msg, /Manual linking is disabled/);
});

test('what clients are told of the providers there are', async () => {
  const { external } = await anon.get('/auth/v1/settings');
  assert.deepEqual([external.acme, external.optional, external.github], [true, true, false]);
});

test('discovery and keys are not read for every sign-in', async () => {
  const count = (what) => oidc.requests.filter((r) => r === what).length;
  const read = () => [count('GET /.well-known/openid-configuration'), count('GET /jwks')];
  const before = read();
  for (let i = 0; i < 6; i++) await go({ login_hint: 'ada' });
  for (const [i, n] of read().entries()) assert.ok(n - before[i] <= 1, 'at most by the one of two processes that had not read them yet');
});
