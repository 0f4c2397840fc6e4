// t/api/auth-settings.mjs: health, settings, keys, and what every path of /auth/v1 has in common
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack();
const nobody = s.client(); // without a key

test('health needs no key', async () => {
  const answer = await nobody.request('GET', '/auth/v1/health');
  answers(answer, 200);
  for (const name of ['version', 'name', 'description']) assert.equal(typeof answer.json[name], 'string', name);
});

test('settings', async () => {
  const settings = await nobody.get('/auth/v1/settings');
  assert.deepEqual([settings.disable_signup, settings.mailer_autoconfirm, settings.phone_autoconfirm, settings.saml_enabled, settings.passkeys_enabled], [false, true, false, false, true]);
  assert.equal(typeof settings.sms_provider, 'string');
  assert.deepEqual([settings.external.email, settings.external.phone, settings.external.anonymous_users], [true, false, false]);
  for (const name of 'apple azure bitbucket discord facebook figma fly github gitlab google kakao keycloak linkedin linkedin_oidc notion slack slack_oidc snapchat spotify twitch twitter workos zoom'.split(' '))
    assert.equal(settings.external[name], false, name);
});

test('what is said about accounts is kept by no cache, an error neither', async () => {
  for (const path of ['/auth/v1/settings', '/auth/v1/user']) {
    const answer = await nobody.request('GET', path);
    assert.equal(answer.headers['cache-control'], 'no-store', path);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff', path);
    assert.equal(answer.headers['referrer-policy'], 'no-referrer', path);
  }
});

test('the published key verifies our tokens', async () => {
  const answer = await nobody.request('GET', '/auth/v1/.well-known/jwks.json');
  answers(answer, 200);
  assert.match(answer.headers['cache-control'], /max-age=600/);
  assert.ok(answer.json.keys.length >= 1);
  for (const key of answer.json.keys) {
    assert.deepEqual([key.kty, key.crv, key.alg], ['EC', 'P-256', 'ES256']);
    assert.ok(!('d' in key) && !('k' in key), 'nothing private');
  }
  const token = s.alice.session.access_token;
  const { header } = decode(token);
  const jwk = answer.json.keys.find((k) => k.kid === header.kid);
  const [head, claims, signature] = token.split('.');
  assert.ok(verify('sha256', `${head}.${claims}`, { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
});

const unknown = [
  { method: 'GET', path: '/auth/v1/nothing', status: 404 },
  { method: 'GET', path: '/auth/v1/', status: 404 },
  { method: 'GET', path: '/auth/v1', status: 404 },
  { method: 'GET', path: '/auth/v1/signup', status: 405, allow: /POST/ },
  { method: 'PATCH', path: '/auth/v1/user', status: 405, allow: /GET/ },
  { method: 'GET', path: '/auth/v1/user/', status: 404 },
  { method: 'GET', path: '/auth/v1/health/more', status: 404 },
  { method: 'GET', path: '/AUTH/v1/health', status: 404 },
];
for (const c of unknown)
  test(`${c.method} ${c.path} is ${c.status}`, async () => {
    const answer = await s.a.anon.request(c.method, c.path);
    answers(answer, c.status);
    assert.ok(answer.json, 'as JSON');
    if (c.allow) assert.match(answer.headers.allow, c.allow);
  });

test('HEAD is GET without the body', async () => {
  const answer = await nobody.request('HEAD', '/auth/v1/health');
  assert.deepEqual([answer.status, answer.text], [200, '']);
});

test('a preflight is answered without the workers, and errors are readable for browsers', async () => {
  const preflight = await nobody.request('OPTIONS', '/auth/v1/signup', undefined, {
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'apikey, authorization, x-client-info, x-supabase-api-version, content-type, idempotency-key, last-event-id' },
  });
  assert.ok([200, 204].includes(preflight.status));
  const allowed = preflight.headers['access-control-allow-headers'].toLowerCase();
  for (const name of ['accept', 'authorization', 'content-type', 'x-client-info', 'x-supabase-api-version', 'apikey', 'x-jwt-aud', 'idempotency-key', 'last-event-id', 'traceparent', 'tracestate', 'baggage', 'x-retry-count'])
    assert.ok(allowed === '*' || allowed.includes(name), name);
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) assert.match(preflight.headers['access-control-allow-methods'], new RegExp(method));
  const refused = await nobody.request('GET', '/auth/v1/user', undefined, { headers: { origin: 'https://app.example' } });
  assert.equal(refused.status, 401);
  assert.ok(refused.headers['access-control-allow-origin']);
  assert.match(refused.headers['access-control-expose-headers'], /x-supabase-api-version/i);
});

test('every answer has a request id, which the log has too', async () => {
  const answer = await nobody.request('GET', '/auth/v1/health');
  const id = answer.headers['x-request-id'];
  assert.ok(id?.length >= 16);
  const line = await eventually('the line of the log', () => s.log().find((l) => l.request_id === id));
  assert.equal(line.status, 200);
  const own = await nobody.request('GET', '/auth/v1/health', undefined, { headers: { 'x-request-id': 'chosen-by-the-client' } });
  assert.notEqual(own.headers['x-request-id'], 'chosen-by-the-client');
});

test('no secret is in the log', async () => {
  await s.a.anon.request('POST', '/auth/v1/token?grant_type=password', { email: 'x@example.com', password: 'hunter2-hunter2' });
  await s.alice.get('/auth/v1/user');
  const text = JSON.stringify(s.log());
  for (const secret of ['hunter2', s.a.publishable, s.a.secret, s.alice.session.access_token, s.alice.session.refresh_token, s.settings['server.secret'], s.settings['auth.jwt_secret']])
    assert.ok(!text.includes(secret));
});
