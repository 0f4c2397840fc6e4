// t/api/auth-passkeys.mjs: passkeys and security keys, and what an authenticator must not say (Web Authentication sections 7.1, 7.2)
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers, timestamp, uuid } from '../lib/expect.mjs';
import { decode, now } from '../lib/jwt.mjs';
import { mailbox } from '../lib/mailbox.mjs';
import { authenticator, cbor, flag } from '../lib/authenticator.mjs';

const origin = 'https://app.example.com';
const s = await stack({
  people: false,
  settings: { 'auth.site_url': `${origin}/start`, 'auth.webauthn_rp_id': 'example.com', 'auth.webauthn_rp_name': 'Example', 'auth.webauthn_origins': `${origin}, https://WWW.example.com/`, 'auth.anonymous': 'on' },
});
const { anon } = s.a;
const path = '/auth/v1/passkeys';
const begin = (who) => who.request('POST', '/auth/v1/passkeys/registration/options', {});
const finish = (who, challenge_id, credential) => who.request('POST', '/auth/v1/passkeys/registration/verify', { challenge_id, credential });
const ask = () => anon.post('/auth/v1/passkeys/authentication/options', { gotrue_meta_security: {} });
const answer = (challenge_id, credential, who = anon) => who.request('POST', '/auth/v1/passkeys/authentication/verify', { challenge_id, credential });
async function register(who, key, changes) {
  const { challenge_id, options } = (await begin(who)).json;
  return finish(who, challenge_id, key.create(options, origin, changes));
}
async function signIn(key, changes, from = origin) {
  const { challenge_id, options } = await ask();
  return answer(challenge_id, key.get(options, from, changes));
}
const failed = (a) => answers(a, 400, 'webauthn_verification_failed');

const ada = await s.a.person('ada');
const key = authenticator();

test('what the browser is told to make', async () => {
  const a = await begin(ada);
  answers(a, 200);
  const { challenge_id, options, expires_at } = a.json;
  assert.match(challenge_id, uuid);
  assert.ok(expires_at > now() + 290 && expires_at <= now() + 301);
  assert.deepEqual(options.rp, { id: 'example.com', name: 'Example' });
  assert.deepEqual([Buffer.from(options.user.id, 'base64url').toString(), options.user.name], [ada.user.id, ada.email]);
  assert.equal(Buffer.from(options.challenge, 'base64url').length, 32);
  assert.deepEqual(options.pubKeyCredParams.map((p) => p.alg), [-7, -8, -257]);
  assert.deepEqual(options.authenticatorSelection, { residentKey: 'required', requireResidentKey: true, userVerification: 'required' });
  assert.deepEqual([options.attestation, options.excludeCredentials], ['none', []]);
  const made = await finish(ada, challenge_id, key.create(options, origin, { transports: ['usb', '<script>', 'hybrid', 5] }));
  answers(made, 200);
  assert.match(made.json.id, uuid);
  assert.match(made.json.created_at, timestamp);
  assert.deepEqual((await begin(ada)).json.options.excludeCredentials, [{ id: key.id, type: 'public-key', transports: ['usb', 'hybrid'] }]);
});

test('what it is told to sign with tells nothing about anybody', async () => {
  const { options, ...rest } = await ask();
  assert.deepEqual(Object.keys(rest).sort(), ['challenge_id', 'expires_at']);
  assert.deepEqual({ ...options, challenge: '' }, { challenge: '', timeout: 300000, rpId: 'example.com', allowCredentials: [], userVerification: 'required' });
  assert.notEqual((await ask()).options.challenge, options.challenge);
});

test('a sign-in', async () => {
  const a = await signIn(key);
  answers(a, 200);
  const claims = decode(a.json.access_token).claims;
  assert.deepEqual([claims.sub, claims.aal, claims.amr.map((m) => m.method)], [ada.user.id, 'aal1', ['passkey']]);
  assert.ok(a.json.refresh_token && a.json.user.email === ada.email);
  answers(await signIn(key, {}, 'https://www.example.com'), 200);
});

for (const algorithm of ['RS256', 'EdDSA'])
  test(`a key of ${algorithm}, with an attestation of its own`, async () => {
    const other = authenticator(algorithm);
    answers(await register(ada, other, { format: 'packed' }), 200);
    answers(await signIn(other), 200);
    failed(await signIn(other, { signature: randomBytes(algorithm === 'RS256' ? 256 : 64) }));
  });

const lies = [
  ['another challenge', { challenge: randomBytes(32).toString('base64url') }],
  ['another origin', { origin: 'https://evil.example' }],
  ['an origin that only begins like ours', { origin: `${origin}.evil.example` }],
  ['a frame of another site', { crossOrigin: true }],
  ['another ceremony', { type: 'payment.get' }],
  ['another relying party', { rpId: 'app.example.com' }],
  ['nobody present', { flags: flag.verified | flag.credential }],
  ['nobody verified', { flags: flag.present | flag.credential }],
  ['backed up what cannot be', { flags: flag.present | flag.verified | flag.credential | flag.backedUp }],
];
const without = (changes) => (changes.flags === undefined ? changes : { ...changes, flags: changes.flags & ~flag.credential });

test('lies at registration', async () => {
  const more = [
    ['no key', { flags: flag.present | flag.verified }],
    ['bytes behind the key', { more: [Buffer.from([0])] }],
    ['extensions that are none', { flags: flag.present | flag.verified | flag.credential | flag.extensions }],
    ['no attestation object', { object: Buffer.from('nonsense') }],
    ['an empty one', { object: Buffer.alloc(0) }],
    ['a map of one', { object: cbor(new Map([['fmt', 'none']])) }],
    ['a member twice', { object: Buffer.concat([Buffer.from([0xa3]), ...[1, 2, 3].map(() => cbor('fmt')).flatMap((f) => [f, cbor('none')])]) }],
    ['one without end', { object: Buffer.from([0xbf, 0xff]) }],
    ['a length beyond everything', { object: Buffer.from([0xa3, 0x7b, 255, 255, 255, 255, 255, 255, 255, 255]) }],
    ['a statement of no format', { statement: new Map([['x', 1]]) }],
    ['a format that nobody knows', { format: 'paper' }],
    ['a forged attestation', { format: 'packed', statement: new Map([['alg', -7], ['sig', randomBytes(70)]]) }],
    ['a certificate that is none', { format: 'packed', statement: new Map([['alg', -7], ['sig', randomBytes(70)], ['x5c', [randomBytes(300)]]]) }],
  ];
  for (const [name, changes] of [...lies, ...more]) {
    const a = await register(ada, authenticator(), changes);
    assert.deepEqual([name, a.status, a.json.error_code], [name, 400, 'webauthn_verification_failed'], a.text);
  }
  const { challenge_id, options } = (await begin(ada)).json;
  const good = authenticator().create(options, origin);
  for (const credential of [{}, { ...good, response: null }, { ...good, response: { ...good.response, clientDataJSON: '' } }, { ...good, response: { ...good.response, attestationObject: 'A'.repeat(60_000) } }])
    assert.equal((await finish(ada, challenge_id, credential)).status, 400);
  answers(await finish(ada, challenge_id, good), 400, 'webauthn_challenge_not_found');
  answers(await finish(ada, 'x', good), 400, 'validation_failed');
  answers(await finish(ada, challenge_id, 'x'), 400, 'validation_failed');
});

test('lies at sign-in', async () => {
  const more = [
    ['another signature', { signature: randomBytes(70) }],
    ['no signature', { signature: Buffer.alloc(0) }],
    ['somebody else’s handle', { userHandle: Buffer.from(randomUUID()).toString('base64url') }],
    ['no handle', { userHandle: '' }],
    ['a counter that stands still', { counter: 1 }],
    ['a counter that is gone', { counter: 0 }],
    ['bytes behind', { more: [Buffer.from([0])] }],
  ];
  for (const [name, changes] of [...lies, ...more]) {
    const a = await signIn(key, without(changes));
    assert.deepEqual([name, a.status, a.json.error_code], [name, 400, 'webauthn_verification_failed'], a.text);
  }
  failed(await signIn(authenticator(), { userHandle: Buffer.from(ada.user.id).toString('base64url') }));
  answers(await signIn(key, { counter: 100 }), 200);
});

test('a challenge is good once, for five minutes, for what and whom it was made for', async () => {
  const first = await ask();
  const replay = key.get(first.options, origin, { counter: 101 });
  answers(await answer(first.challenge_id, replay), 200);
  answers(await answer(first.challenge_id, replay), 400, 'webauthn_challenge_not_found');
  const second = await ask();
  failed(await answer(second.challenge_id, key.get({ ...second.options, challenge: first.options.challenge }, origin, { counter: 102 })));
  answers(await answer(second.challenge_id, key.get(second.options, origin, { counter: 103 })), 400, 'webauthn_challenge_not_found');
  const late = await ask();
  await s.sql(`update auth.webauthn_challenges set expires_at = now() where id = '${late.challenge_id}'`);
  answers(await answer(late.challenge_id, key.get(late.options, origin, { counter: 104 })), 400, 'webauthn_challenge_expired');
  const foreign = await ask();
  answers(await answer(foreign.challenge_id, key.get(foreign.options, origin, { counter: 105 }), s.b.anon), 400, 'webauthn_challenge_not_found');
  const crowd = await ask();
  const tries = await Promise.all(Array.from({ length: 5 }, () => answer(crowd.challenge_id, key.get(crowd.options, origin, { counter: 106 }))));
  assert.deepEqual(tries.map((a) => a.status).sort(), [200, 400, 400, 400, 400]);
  const { challenge_id, options } = (await begin(ada)).json;
  const bob = await s.a.person('bob');
  answers(await finish(bob, challenge_id, authenticator().create(options, origin)), 400, 'webauthn_challenge_not_found');
  answers(await answer(challenge_id, authenticator().create(options, origin)), 400, 'webauthn_challenge_not_found');
});

test('whose a passkey is', async () => {
  const carol = await s.a.person('carol');
  answers(await register(carol, key), 422, 'webauthn_credential_exists');
  const [mine] = await ada.get(path);
  for (const who of [carol, await s.b.person('dora')]) {
    answers(await who.request('PATCH', `${path}/${mine.id}`, { friendly_name: 'x' }), 404, 'validation_failed');
    answers(await who.request('DELETE', `${path}/${mine.id}`), 404, 'validation_failed');
    assert.deepEqual(await who.get(path), []);
  }
  answers(await ada.request('PATCH', `${path}/${mine.id}`, { friendly_name: '' }), 400, 'validation_failed');
  answers(await ada.request('PATCH', `${path}/${mine.id}`, { friendly_name: 'x'.repeat(121) }), 400, 'validation_failed');
  answers(await ada.request('PATCH', `${path}/nonsense`, { friendly_name: 'x' }), 404, 'validation_failed');
  const renamed = await ada.request('PATCH', `${path}/${mine.id}`, { friendly_name: 'key ring' });
  answers(renamed, 200);
  assert.deepEqual([renamed.json.id, renamed.json.friendly_name], [mine.id, 'key ring']);
  assert.match(renamed.json.last_used_at, timestamp);
  answers(await anon.request('GET', path), 401, 'no_authorization');
  answers(await begin(s.a.signedIn(await anon.post('/auth/v1/signup', {}))), 403, 'no_authorization');
  for (let i = 0; i < 10; i++) answers(await register(carol, authenticator()), 200);
  answers(await begin(carol), 422, 'too_many_passkeys');
});

test('the operator sees and removes them', async () => {
  const finn = await s.a.person('finn');
  const { id } = (await register(finn, authenticator())).json;
  const theirs = `/auth/v1/admin/users/${finn.user.id}/passkeys`;
  assert.deepEqual((await s.a.service.get(theirs)).map((p) => p.id), [id]);
  answers(await finn.request('GET', theirs), 403, 'not_admin');
  answers(await anon.request('DELETE', `${theirs}/${id}`), 401, 'no_authorization');
  answers(await s.b.service.request('GET', theirs), 404, 'user_not_found');
  answers(await s.b.service.request('DELETE', `${theirs}/${id}`), 404, 'validation_failed');
  answers(await s.a.service.request('GET', '/auth/v1/admin/users/x/passkeys'), 404, 'validation_failed');
  answers(await s.a.service.request('DELETE', `/auth/v1/admin/users/${finn.user.id}/passkeys/${id}`), 204);
  assert.deepEqual(await s.a.service.get(theirs), []);
});

test('who may not sign in', async () => {
  await s.sql(`update auth.users set banned_until = now() + interval '1 hour' where id = '${ada.user.id}'`);
  answers(await signIn(key, { counter: 200 }), 403, 'user_banned');
  await s.sql(`update auth.users set banned_until = null, email_confirmed_at = null where id = '${ada.user.id}'`);
  answers(await signIn(key, { counter: 201 }), 403, 'email_not_confirmed');
  await s.sql(`update auth.users set email_confirmed_at = now() where id = '${ada.user.id}'`);
  answers(await signIn(key, { counter: 202 }), 200);
  const [{ id }] = await ada.get(path);
  const gone = await ada.request('DELETE', `${path}/${id}`);
  answers(gone, 204);
  assert.equal(gone.text, '');
  failed(await signIn(key, { counter: 203 }));
  const box = mailbox(s);
  for (const kind of ['passkey_added', 'passkey_removed']) assert.match((await box.to(ada.email, { kind })).text, /passkey has been/, 'people are told');
});

test('a security key as second factor', async () => {
  const eve = await s.a.person('eve');
  const blue = authenticator();
  const { id, type } = await eve.post('/auth/v1/factors', { factor_type: 'webauthn', friendly_name: 'blue' });
  assert.equal(type, 'webauthn');
  const challenge = async (who) => (await who.post(`/auth/v1/factors/${id}/challenge`, { factorId: id, webauthn: { rpId: 'example.com' } }));
  const verify = (who, c, kind, credential_response) => who.request('POST', `/auth/v1/factors/${id}/verify`, { challenge_id: c.id, webauthn: { type: kind, credential_response } });
  const first = await challenge(eve);
  assert.deepEqual([first.type, first.webauthn.type], ['webauthn', 'create']);
  const options = first.webauthn.credential_options.publicKey;
  assert.equal(Buffer.from(options.user.id, 'base64url').toString(), id, 'the key does not learn who the person is');
  assert.equal(options.authenticatorSelection.userVerification, 'preferred');
  const made = blue.create(options, origin, { flags: flag.present | flag.credential });
  answers(await verify(eve, first, 'create', undefined), 400, 'validation_failed');
  answers(await verify(eve, first, 'destroy', made), 400, 'validation_failed');
  answers(await verify(eve, first, 'request', made), 422, 'mfa_verification_failed');
  answers(await verify(eve, first, 'create', blue.create(options, 'https://evil.example')), 422, 'mfa_verification_failed');
  answers(await eve.request('POST', `/auth/v1/factors/${id}/verify`, { challenge_id: first.id, code: '123456' }), 400, 'validation_failed');
  const done = await verify(eve, first, 'create', made);
  answers(done, 200);
  assert.deepEqual([decode(done.json.access_token).claims.aal, decode(done.json.access_token).claims.amr[0].method], ['aal2', 'mfa/webauthn']);
  assert.match((await mailbox(s).to(eve.email, { kind: 'factor_added' })).text, /second factor \(.*\) has been added/i);
  failed(await signIn(blue, { userHandle: Buffer.from(eve.user.id).toString('base64url') }));

  const again = s.a.signedIn(await anon.post('/auth/v1/token?grant_type=password', { email: eve.email, password }));
  const second = await challenge(again);
  assert.equal(second.webauthn.type, 'request');
  const request = second.webauthn.credential_options.publicKey;
  assert.deepEqual([request.allowCredentials[0].id, request.userVerification], [blue.id, 'preferred']);
  answers(await verify(again, second, 'request', authenticator().get(request, origin)), 422, 'mfa_verification_failed');
  answers(await verify(again, second, 'request', blue.get(request, origin, { counter: 1 })), 422, 'mfa_verification_failed');
  answers(await verify(again, second, 'request', blue.get(request, origin, { flags: flag.present, counter: 50 })), 200);
  answers(await verify(again, second, 'request', blue.get(request, origin, { counter: 51 })), 422, 'mfa_ip_address_mismatch');
});
