// t/api/auth-user.mjs: GET /auth/v1/user and POST /auth/v1/logout
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { decode, foreignEs256, hs256, now, tamper, unsigned } from '../lib/jwt.mjs';

const s = await stack({ people: false });
const { anon } = s.a;
const ada = await s.a.person('ada', { data: { nick: 'a' } });
const { claims, header } = decode(ada.session.access_token);
const secret = s.settings['auth.jwt_secret'];
const user = (authorization, headers = {}) => anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization, ...headers } });

const [jwk] = (await anon.get('/auth/v1/.well-known/jwks.json')).keys;
const jwkPem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });

test('a person sees themselves', async () => {
  const answer = await user(`Bearer ${ada.session.access_token}`);
  answers(answer, 200);
  assert.deepEqual([answer.json.id, answer.json.email, answer.json.user_metadata.nick], [ada.user.id, ada.email, 'a']);
  assert.deepEqual(answer.json, ada.user, 'as the sign-up showed it');
});

const mine = { sub: ada.user.id, role: 'authenticated', aud: 'authenticated', exp: now() + 600, iat: now(), tenant_id: s.a.id, session_id: claims.session_id };

const bearers = [
  { name: 'no Authorization', value: undefined, status: 401, code: 'no_authorization' },
  { name: 'an empty one', value: '', status: 401, code: 'no_authorization' },
  { name: 'another scheme', value: 'Basic YTpi', status: 401, code: 'no_authorization' },
  { name: 'a scheme and nothing', value: 'Bearer', status: 401, code: 'no_authorization' },
  { name: 'no token at all', value: 'Bearer rubbish', status: 403, code: 'bad_jwt' },
  { name: 'three empty parts', value: 'Bearer ..', status: 403, code: 'bad_jwt' },
  { name: 'parts that are not base64', value: 'Bearer %%%.%%%.%%%', status: 403, code: 'bad_jwt' },
  { name: 'parts that are not JSON', value: 'Bearer YWJj.YWJj.YWJj', status: 403, code: 'bad_jwt' },
  { name: 'five parts: encrypted', value: `Bearer ${ada.session.access_token}.a.b`, status: 403, code: 'bad_jwt' },
  { name: 'a changed signature', value: `Bearer ${tamper(ada.session.access_token, 'signature', (x) => (x[5] === 'A' ? `${x.slice(0, 5)}B${x.slice(6)}` : `${x.slice(0, 5)}A${x.slice(6)}`))}`, status: 403, code: 'bad_jwt' },
  { name: 'no signature', value: `Bearer ${tamper(ada.session.access_token, 'signature', () => '')}`, status: 403, code: 'bad_jwt' },
  { name: 'changed claims', value: `Bearer ${tamper(ada.session.access_token, 'claims', (c) => ({ ...c, role: 'service_role' }))}`, status: 403, code: 'bad_jwt' },
  { name: 'alg none', value: `Bearer ${unsigned(claims)}`, status: 403, code: 'bad_jwt' },
  { name: 'alg None', value: `Bearer ${unsigned(claims, 'None')}`, status: 403, code: 'bad_jwt' },
  { name: 'alg none beside the old signature', value: `Bearer ${tamper(ada.session.access_token, 'header', (h) => ({ ...h, alg: 'none' }))}`, status: 403, code: 'bad_jwt' },
  { name: 'HMAC with the public key as PEM', value: `Bearer ${hs256(claims, jwkPem, { kid: header.kid })}`, status: 403, code: 'bad_jwt' },
  { name: 'HMAC with the public key as JWK', value: `Bearer ${hs256(claims, JSON.stringify(jwk), { kid: header.kid })}`, status: 403, code: 'bad_jwt' },
  { name: 'HMAC with the secret under the kid of our key', value: `Bearer ${hs256(mine, secret, { kid: header.kid })}`, status: 403, code: 'bad_jwt' },
  { name: 'HMAC with an empty secret', value: `Bearer ${hs256(claims, '')}`, status: 403, code: 'bad_jwt' },
  { name: 'HMAC with another secret', value: `Bearer ${hs256(mine, 'another secret of at least thirty-two characters')}`, status: 403, code: 'bad_jwt' },
  { name: 'HS512 with the right secret', value: `Bearer ${hs256(mine, secret, { alg: 'HS512' })}`, status: 403, code: 'bad_jwt' },
  { name: 'another elliptic key with our kid', value: `Bearer ${foreignEs256(claims, { kid: header.kid })}`, status: 403, code: 'bad_jwt' },
  { name: 'another elliptic key that brings itself (jwk)', value: `Bearer ${foreignEs256(claims, { jwk })}`, status: 403, code: 'bad_jwt' },
  { name: 'a critical extension we do not know', value: `Bearer ${hs256(mine, secret, { crit: ['b64'], b64: false })}`, status: 403, code: 'bad_jwt' },
  { name: 'an unknown kid', value: `Bearer ${foreignEs256(claims, { kid: '../../etc/passwd' })}`, status: 403, code: 'bad_jwt' },
  { name: 'expired', value: `Bearer ${hs256({ ...mine, exp: now() - 60 }, secret)}`, status: 403, code: 'bad_jwt' },
  { name: 'not valid yet', value: `Bearer ${hs256({ ...mine, nbf: now() + 600 }, secret)}`, status: 403, code: 'bad_jwt' },
  { name: 'exp as text', value: `Bearer ${hs256({ ...mine, exp: 'tomorrow' }, secret)}`, status: 403, code: 'bad_jwt' },
  { name: 'claims that are a list', value: `Bearer ${hs256([], secret)}`, status: 403, code: 'bad_jwt' },
  { name: 'without sub', value: `Bearer ${hs256({ ...mine, sub: undefined }, secret)}`, status: 403, code: 'bad_jwt' },
  { name: 'a sub that is no UUID', value: `Bearer ${hs256({ ...mine, sub: '1234' }, secret)}`, status: 400, code: 'bad_jwt' },
  { name: 'a person who does not exist', value: `Bearer ${hs256({ ...mine, sub: '00000000-0000-4000-8000-000000000000', session_id: undefined }, secret)}`, status: 403, code: 'user_not_found' },
  { name: 'a session that does not exist', value: `Bearer ${hs256({ ...mine, session_id: '00000000-0000-4000-8000-000000000000' }, secret)}`, status: 403, code: 'session_not_found' },
  { name: 'the key of the tenant', value: `Bearer ${s.a.publishable}`, status: [401, 403] },
  { name: 'a header of 100 kB', value: `Bearer ${'a'.repeat(100_000)}`, status: [400, 403, 431] },
];
for (const c of bearers)
  test(`bearer: ${c.name}`, async () => {
    const headers = c.value === undefined ? {} : { authorization: c.value };
    const answer = await anon.request('GET', '/auth/v1/user', undefined, { headers });
    if (Array.isArray(c.status)) return assert.ok(c.status.includes(answer.status), `${answer.status} ${answer.text}`);
    answers(answer, c.status, c.code);
    if (c.code === 'bad_jwt') assert.match(answer.json.msg, /^invalid JWT/);
    const recent = await anon.request('GET', '/auth/v1/user', undefined, { headers: { ...headers, 'x-supabase-api-version': '2024-01-01' } });
    assert.deepEqual([recent.status, recent.json.code, recent.json.message], [c.status, c.code, answer.json.msg]);
    return undefined;
  });

test('a token of our own issuing for another audience', async () => {
  const answer = await user(`Bearer ${hs256({ ...mine, aud: 'somebody-else' }, secret)}`);
  assert.ok([400, 403].includes(answer.status), answer.text);
});

test('HS256 with the configured secret is a person as well', async () => {
  const answer = await user(`Bearer ${hs256(mine, secret)}`);
  answers(answer, 200);
  assert.equal(answer.json.id, ada.user.id);
  answers(await user(`Bearer ${hs256({ ...mine, session_id: undefined }, secret)}`), 200);
});

test('without a tenant claim the default tenant counts', async () => {
  answers(await user(`Bearer ${hs256({ ...mine, tenant_id: undefined, session_id: undefined }, secret)}`), 200);
  const other = await s.b.anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${hs256({ ...mine, tenant_id: undefined, session_id: undefined }, secret)}` } });
  assert.ok([401, 403].includes(other.status), 'and not the tenant of a foreign key');
});

test("a token of tenant a with tenant b's key", async () => {
  const answer = await s.b.anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${ada.session.access_token}` } });
  assert.ok([401, 403].includes(answer.status), answer.text);
  assert.ok(!answer.text.includes(ada.email));
});

test('the token is enough, the key may be absent', async () => {
  answers(await user(`Bearer ${ada.session.access_token}`, { apikey: null }), 200);
  answers(await user(`bearer ${ada.session.access_token}`), 200); // RFC 9110: schemes are case-insensitive
});

test('keys of the older form: a JWT with role anon or service_role', async () => {
  const key = (role, extra = {}) => hs256({ role, iss: 'tenon', iat: now(), exp: now() + 3600, tenant_id: s.a.id, ...extra }, secret);
  const signedUp = await anon.request('POST', '/auth/v1/signup', { email: 'older@a.example', password }, { headers: { apikey: key('anon'), authorization: `Bearer ${key('anon')}` } });
  answers(signedUp, 200);
  answers(await anon.request('GET', '/auth/v1/user', undefined, { headers: { apikey: key('anon'), authorization: `Bearer ${signedUp.json.access_token}` } }), 200);
  answers(await anon.request('GET', '/auth/v1/user', undefined, { headers: { apikey: key('anon'), authorization: `Bearer ${key('anon')}` } }), 403, 'bad_jwt');
  answers(await anon.request('GET', '/api/usage', undefined, { headers: { apikey: key('service_role') } }), 200);
  for (const bad of [key('service_role', { exp: now() - 5 }), key('tenon_platform'), key('postgres'), hs256({ role: 'service_role', exp: now() + 60 }, 'not the secret, but long enough for it')])
    answers(await anon.request('GET', '/api/usage', undefined, { headers: { apikey: bad } }), 401);
});

const people = async (who) => {
  const person = await s.a.person(who);
  const sessions = [person];
  for (let i = 0; i < 2; i++) sessions.push(s.a.signedIn(await anon.post('/auth/v1/token?grant_type=password', { email: person.email, password })));
  return sessions;
};
const alive = async (sessions) => Promise.all(sessions.map(async (x) => (await x.request('GET', '/auth/v1/user')).status === 200));
const scopes = [
  { query: '', left: [false, false, false] },
  { query: '?scope=global', left: [false, false, false] },
  { query: '?scope=', left: [false, false, false] },
  { query: '?scope=local', left: [false, true, true] },
  { query: '?scope=others', left: [true, false, false] },
];
for (const [index, c] of scopes.entries())
  test(`logout${c.query}`, async () => {
    const sessions = await people(`leaver${index}`);
    assert.deepEqual(await alive(sessions), [true, true, true]);
    const answer = await sessions[0].request('POST', `/auth/v1/logout${c.query}`, undefined, { headers: { 'content-type': 'application/json;charset=UTF-8' } });
    assert.deepEqual([answer.status, answer.text], [204, '']);
    assert.deepEqual(await alive(sessions), c.left);
    for (const [i, one] of sessions.entries()) {
      const refreshed = await anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: one.session.refresh_token });
      assert.equal(refreshed.status, c.left[i] ? 200 : 400, `refresh of session ${i}: ${refreshed.text}`);
      if (!c.left[i]) answers(await one.request('GET', '/auth/v1/user'), 403, 'session_not_found');
    }
  });

test('logout with a scope that does not exist', async () => {
  answers(await ada.request('POST', '/auth/v1/logout?scope=everywhere'), 400, 'validation_failed');
  answers(await ada.request('GET', '/auth/v1/user'), 200);
});

test('logout without a token, and twice', async () => {
  answers(await anon.request('POST', '/auth/v1/logout'), 401, 'no_authorization');
  const person = await s.a.person('twice');
  answers(await person.request('POST', '/auth/v1/logout'), 204);
  answers(await person.request('POST', '/auth/v1/logout'), 403, 'session_not_found');
});

test('a person who is deleted', async () => {
  const person = await s.a.person('deleted');
  await s.sql(`delete from auth.users where id = '${person.user.id}'`);
  const answer = await person.request('GET', '/auth/v1/user');
  assert.equal(answer.status, 403);
  assert.ok(['user_not_found', 'session_not_found'].includes(answer.json.error_code), answer.text);
});

test('a signing key that is rotated: old tokens go on, new ones carry the new key', async () => {
  const rotated = await s.tenon('signing-key', 'rotate', '--json');
  if (rotated.code !== 0) return assert.fail(`tenon signing-key rotate: ${rotated.stderr}`);
  const fresh = await eventually('a token with a new key', async () => {
    const session = await anon.post('/auth/v1/token?grant_type=password', { email: ada.email, password });
    return decode(session.access_token).header.kid !== header.kid && session;
  });
  answers(await user(`Bearer ${ada.session.access_token}`), 200);
  answers(await user(`Bearer ${fresh.access_token}`), 200);
  const kids = (await anon.get('/auth/v1/.well-known/jwks.json')).keys.map((k) => k.kid);
  assert.ok(kids.includes(header.kid) && kids.includes(decode(fresh.access_token).header.kid));
  return undefined;
});
