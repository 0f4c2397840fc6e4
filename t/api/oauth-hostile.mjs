// t/api/oauth-hostile.mjs: providers and visitors that lie: nobody gets in (RFC 8725, RFC 9207, RFC 9700)
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { section } from '../lib/oidc.mjs';
import { jws, makeKeys, signers, startPlayed } from '../lib/played.mjs';

const played = await startPlayed();
const { issuer } = played;
const strangers = makeKeys();
const s = await stack({
  people: false,
  settings: {
    'auth.site_url': 'https://app.example', 'stream.processes': 1,
    ...played.settings('played'), ...played.settings('named', { issuer: `${issuer}/named` }), ...played.settings('second'),
    ...played.settings('elsewhere', { issuer: `${issuer}/elsewhere` }), ...played.settings('huge', { issuer: `${issuer}/huge` }),
    ...played.settings('lines', { issuer: `${issuer}/lines` }), ...played.settings('plain', { issuer: `${issuer}/plain` }),
    ...played.settings('moved', { issuer: `${issuer}/moved` }), ...played.settings('rotating', { issuer: `${issuer}/rotating` }),
    ...section('guarded', { issuer: issuer.replace('http:', 'https:'), client_id: 'ours' }),
  },
});
for (const [path, document] of Object.entries({
  '/named': played.document(`${issuer}/named`, { authorization_response_iss_parameter_supported: true }),
  '/elsewhere': played.document('https://accounts.google.com'),
  '/lines': played.document(`${issuer}/lines`, { authorization_endpoint: `${issuer}/authorize\r\nSet-Cookie: evil=1` }),
  '/plain': played.document(`${issuer}/plain`, { authorization_endpoint: 'javascript:alert(1)' }),
  '/rotating': played.document(`${issuer}/rotating`, { jwks_uri: `${issuer}/rotating/jwks` }),
  '/huge': (request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(`{"issuer": "${'x'.repeat(300_000)}"}`),
  '/moved': (request, response) => response.writeHead(302, { location: `${issuer}/caught` }).end(),
}))
  played.answers.set(`${path}/.well-known/openid-configuration`, document);
for (const caught of ['/caught', '/evil-keys']) played.answers.set(caught, (request, response) => response.end(JSON.stringify(played.keySet)));
const count = (path) => played.requests.filter((r) => r.path === path).length;

// begun first, because it ends only when patience has: ten seconds
const begun = await played.leave(s, 'played');
const slow = played.come(s, begun, { token: (response) => response.writeHead(200, { 'content-type': 'application/json' }).write('{') });

test('the same without a lie', async () => {
  const { fragment, location } = await played.visit(s, 'played');
  assert.ok(fragment.access_token, String(location));
});

const now = () => Math.floor(Date.now() / 1000);
const publicPem = played.keys.RS256.publicKey.export({ type: 'spki', format: 'pem' });
const hmac = (secret) => (input) => createHmac('sha256', secret).update(input).digest();
const lies = [
  { name: 'another issuer', claims: { iss: 'https://accounts.google.com' } },
  { name: 'no issuer', claims: { iss: undefined } },
  { name: 'another nonce', claims: { nonce: 'x'.repeat(43) } },
  { name: 'no nonce', claims: { nonce: undefined } },
  { name: 'a nonce that is no text', claims: { nonce: 1 } },
  { name: 'a signature of another key', key: strangers.RS256.privateKey },
  ...['PS256', 'ES256', 'ES384', 'EdDSA'].map((alg) => ({ name: `${alg} of another key`, header: { alg }, key: strangers[alg].privateKey })),
  { name: 'no signature, alg none', header: { alg: 'none', kid: undefined }, sign: () => Buffer.alloc(0) },
  { name: 'alg None', header: { alg: 'None' }, sign: () => Buffer.alloc(0) },
  { name: 'HS256 with the public key in PEM', header: { alg: 'HS256', kid: 'RS256' }, sign: hmac(publicPem) },
  { name: 'HS256 with the modulus', header: { alg: 'HS256', kid: 'RS256' }, sign: hmac(played.keySet.keys[0].n) },
  { name: 'HS256 with the client secret', header: { alg: 'HS256', kid: undefined }, sign: hmac('the secret') },
  { name: 'a kid of another kind of key', header: { alg: 'RS256', kid: 'ES256' } },
  { name: 'ES256 under the kid of an RSA key', header: { alg: 'ES256', kid: 'RS256' } },
  { name: 'ES384 under the kid of a P-256 key', header: { alg: 'ES384', kid: 'ES256' } },
  { name: 'a kid that is unknown', header: { kid: '../../../dev/null' } },
  { name: 'a kid that is no text', header: { kid: ['RS256'] } },
  { name: 'no kid where several keys fit', header: { kid: undefined } },
  { name: 'a jku of their own', header: { kid: 'evil', jku: `${issuer}/evil-keys` } },
  { name: 'an x5u of their own', header: { kid: 'evil', x5u: `${issuer}/evil-keys` } },
  { name: 'a key in the header', header: { kid: 'evil', jwk: strangers.RS256.publicKey.export({ format: 'jwk' }) }, key: strangers.RS256.privateKey },
  { name: 'a critical extension', header: { crit: ['b64'], b64: false } },
  { name: 'an RSA key of 1024 bits', header: { kid: 'weak' }, key: played.keys.weak.privateKey },
  { name: 'a signature that is cut off', sign: (input, key) => signers.RS256(input, key).subarray(1) },
  { name: 'an id token that has expired', claims: { exp: now() - 60 } },
  { name: 'an id token without an end', claims: { exp: undefined } },
  { name: 'an id token of the future', claims: { iat: now() + 600, exp: now() + 900 } },
  { name: 'an id token that does not hold yet', claims: { nbf: now() + 600 } },
  { name: 'another audience', claims: { aud: 'theirs' } },
  { name: 'no audience', claims: { aud: undefined } },
  { name: 'several audiences, and nobody who asked', claims: { aud: ['ours', 'theirs'] } },
  { name: 'asked for by another client', claims: { aud: ['ours', 'theirs'], azp: 'theirs' } },
  { name: 'one audience, asked for by another client', claims: { azp: 'theirs' } },
  { name: 'nobody', claims: { sub: '' } },
  { name: 'a subject that is a number', claims: { sub: 5 } },
  { name: 'a subject with a NUL', claims: { sub: 'somebody\u0000' } },
  { name: 'another access token', claims: { at_hash: 'x'.repeat(22) } },
  { name: 'no id token', idToken: null },
  { name: 'something that is none', idToken: 'a.b' },
  { name: 'five parts', idToken: 'a.b.c.d.e' },
  { name: 'claims that are an array', idToken: (() => jws({ alg: 'RS256', kid: 'RS256' }, '[]', played.keys.RS256.privateKey))() },
  { name: 'an id token of 40 KB', claims: { picture: 'x'.repeat(40_000) } },
  { name: 'userinfo about somebody else', userinfo: { sub: 'somebody else', email: 'admin@played.example', email_verified: true } },
  { name: 'userinfo about nobody', userinfo: {} },
  { name: 'userinfo that is an array', userinfo: [] },
  { name: 'userinfo that fails', userinfo: (response) => response.writeHead(500).end('{}') },
  { name: 'a token endpoint that refuses', token: (response) => response.writeHead(400).end('{"error": "invalid_grant"}') },
  { name: 'a token endpoint that refuses with status 200', token: { error: 'bad_verification_code' } },
  { name: 'a token that is no bearer token', token: { access_token: 'x', token_type: 'mac' } },
  { name: 'an access token with a line end', token: { access_token: 'x\r\nX-Evil: 1', token_type: 'bearer' } },
  { name: 'a token endpoint that answers in HTML', token: (response) => response.end('<html>'), code: 'unexpected_failure' },
  { name: 'a token endpoint that answers without end', token: (response) => response.writeHead(200).end(`{"x": "${'x'.repeat(300_000)}`), code: 'unexpected_failure' },
  { name: 'a token endpoint that is elsewhere', token: (response) => response.writeHead(307, { location: `${issuer}/caught` }).end() },
  { name: 'a token endpoint that hangs up', token: (response) => response.destroy(), code: 'unexpected_failure' },
  { name: 'the answer of another provider', back: { iss: 'https://accounts.google.com' } },
  { name: 'no code', back: { code: undefined } },
  { name: 'an empty code', back: { code: '' } },
  { name: 'an answer that does not name its issuer, though they always do', provider: 'named', claims: { iss: `${issuer}/named` } },
  { name: 'an answer with the issuer of another provider of ours', provider: 'named', claims: { iss: `${issuer}/named` }, back: { iss: issuer } },
];
for (const { name, provider = 'played', code = 'bad_oauth_callback', ...behaviour } of lies)
  test(name, async () => {
    const before = (await s.rows('select count(*)::int as n from auth.sessions'))[0].n;
    const { query, fragment, location, status } = await played.visit(s, provider, behaviour);
    assert.deepEqual([status, query.error_code, fragment.error_code, fragment.access_token], [302, code, code, undefined], String(location));
    assert.equal((await s.rows('select count(*)::int as n from auth.sessions'))[0].n, before);
  });

test('nothing has been read from where tokens and answers pointed', () => {
  assert.deepEqual([count('/caught'), count('/evil-keys')], [0, 0]);
});

const honest = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];
for (const alg of honest)
  test(`an honest id token with ${alg}`, async () => {
    const { fragment, location } = await played.visit(s, 'played', { header: { alg } });
    assert.ok(fragment.access_token, String(location));
  });

test('an answer that names its issuer', async () => {
  const { fragment, location } = await played.visit(s, 'named', { claims: { iss: `${issuer}/named` }, back: { iss: `${issuer}/named` } });
  assert.ok(fragment.access_token, String(location));
});

test('unknown keys cause another look, but not one for every token', async () => {
  let keys = [];
  played.answers.set('/rotating/jwks', (request, response) => response.end(JSON.stringify({ keys })));
  const claims = { iss: `${issuer}/rotating` };
  const first = await played.visit(s, 'rotating', { claims });
  assert.equal(first.query.error_code, 'bad_oauth_callback', 'no key yet');
  const read = count('/rotating/jwks');
  keys = played.keySet.keys;
  for (let i = 0; i < 3; i++) await played.visit(s, 'rotating', { claims, header: { kid: `forged ${i}` } });
  assert.ok(count('/rotating/jwks') - read <= 1, `${count('/rotating/jwks') - read} looks`);
});

test("a state that another provider's answer is sent with", async () => {
  const first = await played.leave(s, 'played'), second = await played.leave(s, 'second');
  const { query } = await played.come(s, first, { nonce: second.nonce });
  assert.equal(query.error_code, 'bad_oauth_callback', 'the nonce belongs to another state');
});

for (const [provider, why] of Object.entries({ elsewhere: 'names another issuer', lines: 'breaks lines', plain: 'leads into a script', huge: 'is too large', moved: 'is elsewhere', guarded: 'is at a private address' }))
  test(`discovery that ${why}`, async () => {
    const answer = await s.a.anon.request('GET', `/auth/v1/authorize?provider=${provider}`);
    assert.deepEqual([answer.status, answer.json.error_code], [503, 'unexpected_failure'], answer.text);
    assert.equal(count('/caught'), 0);
  });

test('half of the threads wait for providers, and no more', async () => {
  const held = [], early = [];
  const flows = await Promise.all(Array.from({ length: 12 }, () => played.leave(s, 'played')));
  const all = flows.map((one) => played.come(s, one, { token: (response) => held.push(response) }));
  for (const one of all) one.then((end) => early.push(end.query.error_code));
  await eventually('an end, or a wait, for everybody', () => held.length + early.length === 12);
  assert.ok(held.length <= 8 && early.length >= 4, `${held.length} wait`);
  assert.deepEqual([...new Set(early)], ['overloaded']);
  await played.leave(s, 'played');
  for (const response of held) response.end('{}');
  await Promise.all(all);
});

test('a provider that takes its time does so for ten seconds, and others go on meanwhile', async () => {
  const { query, location } = await slow;
  assert.equal(query.error_code, 'unexpected_failure', String(location));
});
