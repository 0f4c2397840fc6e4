// t/api/auth-mfa.mjs: second factors: TOTP against oathtool, text messages, recovery codes
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers, timestamp, uuid } from '../lib/expect.mjs';
import { decode, hs256, now } from '../lib/jwt.mjs';
import { psql } from '../lib/postgres.mjs';

const s = await stack({
  people: false,
  settings: {
    'api.threads': 32, // half of them may wait for the hook
    'auth.mfa_phone': 'on', 'auth.mfa_max_factors': 3, 'auth.anonymous': 'on', 'auth.site_url': 'https://app.example.com:8443/start',
    'hooks.send_sms': 'pg-functions://postgres/public/send_sms', 'hooks.mfa_verification_attempt': 'pg-functions://postgres/public/judge',
  },
  prepare: ({ admin }) => psql(admin, `create table public.sent (payload jsonb);
    create function public.send_sms(event jsonb) returns jsonb language sql security definer as $$ insert into public.sent values (event) returning '{}'::jsonb $$;
    create function public.judge(event jsonb) returns jsonb language sql security definer as $$
      select case when exists (select from auth.mfa_factors f where f.id = (event ->> 'factor_id')::uuid and f.friendly_name = 'suspect' and event ->> 'valid' = 'false')
        then '{"decision": "reject", "message": "not you"}'::jsonb else '{"decision": "continue"}'::jsonb end $$;
    grant execute on function public.send_sms(jsonb), public.judge(jsonb) to supabase_auth_admin`),
});
const { anon } = s.a;
const signIn = async (person) => s.a.signedIn(await anon.post('/auth/v1/token?grant_type=password', { email: person.email, password }), { email: person.email });
const refresh = (refresh_token) => anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token });
const code = (secret, offset = 0) => execFileSync('oathtool', ['--totp', '-b', `--now=@${now() + offset}`, secret], { encoding: 'utf8' }).trim();
/* Codes may be used in any order in one test, so each test says from when on the last one was taken. */
const forget = (factor) => s.sql(`update auth.mfa_factors set last_step = -1, attempts = 0, blocked_until = null where id = '${factor}'`);
const enroll = (who, body = {}) => who.request('POST', '/auth/v1/factors', { factor_type: 'totp', ...body });
const challenge = (who, id, body = {}, options) => who.request('POST', `/auth/v1/factors/${id}/challenge`, body, options);
const verify = (who, id, body, options) => who.request('POST', `/auth/v1/factors/${id}/verify`, body, options);
const claims = (answer) => decode(answer.json.access_token).claims;

/* Somebody with a verified factor, in a session of two factors. */
async function protectedPerson(name) {
  const first = await s.a.person(name);
  const { id, totp } = (await enroll(first)).json;
  const { id: challenge_id } = (await challenge(first, id)).json;
  const answer = await verify(first, id, { challenge_id, code: code(totp.secret) });
  answers(answer, 200);
  await forget(id);
  return { first, who: s.a.signedIn(answer.json, { email: first.email }), factor: id, secret: totp.secret };
}
const answerTo = async (who, factor, secret, offset) => verify(who, factor, { challenge_id: (await challenge(who, factor)).json.id, code: code(secret, offset) });

test('enrolment: a secret, a URI that authenticators read, and a picture of it', async () => {
  const ada = await s.a.person('ada');
  const answer = await enroll(ada, { friendly_name: 'my phone' });
  answers(answer, 200);
  const { id, type, friendly_name, totp } = answer.json;
  assert.match(id, uuid);
  assert.deepEqual([type, friendly_name], ['totp', 'my phone']);
  assert.match(totp.secret, /^[A-Z2-7]{32}$/, '160 bits in base32');
  const uri = new URL(totp.uri);
  assert.equal(uri.protocol, 'otpauth:');
  assert.equal(decodeURIComponent(totp.uri.split('?')[0]), 'otpauth://totp/app.example.com:8443:ada@a.example');
  assert.deepEqual(Object.fromEntries(uri.searchParams), { algorithm: 'SHA1', digits: '6', issuer: 'app.example.com:8443', period: '30', secret: totp.secret });
  assert.match(totp.qr_code, /^<svg [^<>"#]*>.*<\/svg>$/s, 'an SVG that may stand in a data: URL as it is');
  const [row] = await s.rows(`select status, secret from auth.mfa_factors where id = '${id}'`);
  assert.equal(row.status, 'unverified');
  assert.ok(!row.secret.includes(totp.secret) && row.secret.length > 40, 'sealed at rest');
  const { factors } = await ada.get('/auth/v1/user');
  assert.deepEqual(factors.map(({ id, status, friendly_name, factor_type, phone, last_challenged_at }) => [id, status, friendly_name, factor_type, phone, last_challenged_at]),
    [[id, 'unverified', 'my phone', 'totp', '', null]]);
  assert.match(factors[0].created_at, timestamp);
  assert.ok(!JSON.stringify(factors).includes('secret'), 'the secret is shown once');
  const named = await enroll(ada, { friendly_name: 'other', issuer: 'Tür & Tor' });
  assert.match(named.json.totp.uri, /^otpauth:\/\/totp\/T%C3%BCr%20%26%20Tor:ada%40a\.example\?/);
});

test('a challenge and the code of oathtool make a session of two factors', async () => {
  const person = await s.a.person('grace');
  const elsewhere = await signIn(person);
  const { id, totp } = (await enroll(person)).json;
  await enroll(person, { friendly_name: 'given up' });
  const asked = await challenge(person, id);
  answers(asked, 200);
  assert.equal(asked.json.type, 'totp');
  assert.ok(asked.json.expires_at > now() + 290 && asked.json.expires_at <= now() + 301);
  const answer = await verify(person, id, { challenge_id: asked.json.id, code: code(totp.secret) });
  answers(answer, 200);
  const before = decode(person.session.access_token).claims;
  const after = claims(answer);
  assert.deepEqual([before.aal, after.aal, after.session_id], ['aal1', 'aal2', before.session_id]);
  assert.deepEqual(after.amr.map((a) => a.method), ['totp', 'password'], 'newest first');
  assert.ok(answer.json.user.factors.length === 1 && answer.json.user.factors[0].status === 'verified', 'others that were never verified are gone');
  answers(await refresh(person.session.refresh_token), 400, 'refresh_token_already_used');
  const next = await refresh(answer.json.refresh_token);
  answers(next, 200);
  assert.equal(claims(next).aal, 'aal2', 'and that it was tried ended nothing');
  answers(await elsewhere.request('GET', '/auth/v1/user'), 403, 'session_not_found');
  const [{ actions }] = await s.rows(`select string_agg(payload ->> 'action', ' ' order by id) as actions from auth.audit_log_entries
    where payload ->> 'actor_id' = '${person.user.id}' and payload ->> 'log_type' = 'factor'`);
  assert.equal(actions, 'factor_in_progress factor_in_progress challenge_created verification_attempted');
});

test('codes a step early or late are good, others are not, and none is good twice', async () => {
  const { who, factor, secret } = await protectedPerson('steps');
  let early, step;
  do { // within one step, or the code would be two steps old when it comes
    await forget(factor);
    step = Math.floor(now() / 30);
    early = await answerTo(who, factor, secret, -30);
  } while (Math.floor(now() / 30) !== step);
  answers(early, 200);
  await forget(factor);
  answers(await answerTo(who, factor, secret, 30), 200);
  answers(await answerTo(who, factor, secret, 30), 422, 'mfa_verification_failed');
  answers(await answerTo(who, factor, secret), 422, 'mfa_verification_failed');
  await forget(factor);
  for (const offset of [-90, 90, 3600]) answers(await answerTo(who, factor, secret, offset), 422, 'mfa_verification_failed');
  const wrong = await verify(who, factor, { challenge_id: (await challenge(who, factor)).json.id, code: '12345' });
  answers(wrong, 422, 'mfa_verification_failed');
  assert.match(wrong.json.msg, /Invalid TOTP code/);
});

test('a challenge is good once, for its factor, from its address, for five minutes', async () => {
  const { who, factor, secret } = await protectedPerson('once');
  const other = await protectedPerson('twice');
  const id = async () => (await challenge(who, factor)).json.id;
  const used = await id();
  answers(await verify(who, factor, { challenge_id: used, code: code(secret) }), 200);
  await forget(factor);
  answers(await verify(who, factor, { challenge_id: used, code: code(secret) }), 422, 'mfa_ip_address_mismatch');
  answers(await verify(who, factor, { challenge_id: randomUUID(), code: code(secret) }), 422, 'mfa_factor_not_found');
  answers(await verify(who, factor, { challenge_id: (await challenge(other.who, other.factor)).json.id, code: code(secret) }), 422, 'mfa_factor_not_found');
  const moved = await id();
  await s.sql(`update auth.mfa_challenges set ip_address = '192.0.2.1' where id = '${moved}'`);
  answers(await verify(who, factor, { challenge_id: moved, code: code(secret) }), 422, 'mfa_ip_address_mismatch');
  const old = await id();
  await s.sql(`update auth.mfa_challenges set created_at = now() - interval '5 minutes' where id = '${old}'`);
  answers(await verify(who, factor, { challenge_id: old, code: code(secret) }), 422, 'mfa_challenge_expired');
});

test('somebody else’s factor is not there', async () => {
  const mine = await protectedPerson('mine');
  const theirs = await protectedPerson('theirs');
  const foreign = await s.b.person('foreign');
  for (const who of [theirs.who, foreign]) {
    answers(await challenge(who, mine.factor), 404, 'mfa_factor_not_found');
    answers(await verify(who, mine.factor, { challenge_id: (await challenge(mine.who, mine.factor)).json.id, code: code(mine.secret) }), 404, 'mfa_factor_not_found');
    answers(await who.request('DELETE', `/auth/v1/factors/${mine.factor}`), 404, 'mfa_factor_not_found');
  }
  answers(await challenge(mine.who, 'nonsense'), 404, 'validation_failed');
});

test('of many answers at once one wins', async () => {
  const { who, factor, secret } = await protectedPerson('crowd');
  const { id } = (await challenge(who, factor)).json;
  const right = code(secret);
  const same = await Promise.all(Array.from({ length: 4 }, () => verify(who, factor, { challenge_id: id, code: right })));
  assert.deepEqual(same.map((a) => a.status).sort(), [200, 422, 422, 422], same.map((a) => a.text).join('\n'));
  await forget(factor);
  const ids = [];
  for (let i = 0; i < 4; i++) ids.push((await challenge(who, factor)).json.id);
  const several = await Promise.all(ids.map((challenge_id) => verify(who, factor, { challenge_id, code: right })));
  assert.deepEqual(several.map((a) => a.status).sort(), [200, 422, 422, 422], 'with a challenge each: the code is used up');
});

test('wrong codes: the fifth in a row closes the factor for a while, also for the right one', async () => {
  const { who, factor, secret } = await protectedPerson('guesser');
  const { id: challenge_id } = (await challenge(who, factor)).json;
  const wrong = (Number(code(secret)) + 1).toString().padStart(6, '0').slice(-6);
  const guesses = await Promise.all(Array.from({ length: 8 }, () => verify(who, factor, { challenge_id, code: wrong })));
  assert.deepEqual(guesses.map((a) => a.status).sort(), [422, 422, 422, 422, 422, 429, 429, 429], 'at once they are no more than in a row');
  const blocked = await verify(who, factor, { challenge_id, code: code(secret) });
  answers(blocked, 429, 'over_request_rate_limit');
  assert.ok(Number(blocked.headers['retry-after']) > 0 && Number(blocked.headers['retry-after']) <= 30);
  await s.sql(`update auth.mfa_factors set blocked_until = now() where id = '${factor}'`);
  answers(await verify(who, factor, { challenge_id, code: wrong }), 422, 'mfa_verification_failed');
  assert.ok(Number((await verify(who, factor, { challenge_id, code: code(secret) })).headers['retry-after']) > 30, 'twice as long each time');
});

test('rules of enrolment', async () => {
  const person = await s.a.person('rules');
  answers(await enroll(person, { factor_type: 'smoke' }), 400, 'validation_failed');
  answers(await enroll(person, { factor_type: 'recovery_code' }), 400, 'validation_failed');
  answers(await enroll(person, {}), 200);
  answers(await enroll(person, { friendly_name: null }), 422, 'mfa_factor_name_conflict');
  answers(await enroll(person, { friendly_name: 'a' }), 200);
  answers(await enroll(person, { friendly_name: 'a' }), 422, 'mfa_factor_name_conflict');
  answers(await enroll(person, { friendly_name: 'b' }), 200);
  answers(await enroll(person, { friendly_name: 'c' }), 422, 'too_many_enrolled_mfa_factors');
  await s.sql(`update auth.mfa_factors set created_at = now() - interval '5 minutes 1 second' where user_id = '${person.user.id}'`);
  answers(await enroll(person, { friendly_name: 'c' }), 200);
  assert.deepEqual((await person.get('/auth/v1/user')).factors.map((f) => f.friendly_name), ['c'], 'what was given up is purged');

  const { first, who } = await protectedPerson('second');
  const again = await signIn(first);
  answers(await enroll(again, { friendly_name: 'x' }), 403, 'insufficient_aal');
  answers(await enroll(who, { friendly_name: 'x' }), 200);

  const nobody = s.a.signedIn(await anon.post('/auth/v1/signup', {}));
  answers(await enroll(nobody), 403, 'no_authorization');
  answers(await anon.request('POST', '/auth/v1/factors', { factor_type: 'totp' }), 401, 'no_authorization');
  const { sub, tenant_id } = decode(person.session.access_token).claims;
  const token = hs256({ sub, tenant_id, role: 'authenticated', aud: 'authenticated', exp: now() + 60 }, s.settings['auth.jwt_secret']);
  answers(await enroll(anon.with({ authorization: `Bearer ${token}` })), 403, 'session_not_found');
});

test('unenrolment takes the second factor from the sessions that rest on it', async () => {
  const { first, who, factor, secret } = await protectedPerson('leaver');
  const single = await signIn(first);
  answers(await single.request('DELETE', `/auth/v1/factors/${factor}`), 422, 'insufficient_aal');
  const answer = await who.request('DELETE', `/auth/v1/factors/${factor}`);
  answers(answer, 200);
  assert.deepEqual(answer.json, { id: factor });
  const next = await refresh(who.session.refresh_token);
  answers(next, 200);
  assert.deepEqual([claims(next).aal, claims(next).amr.map((a) => a.method), next.json.user.factors], ['aal1', ['password'], undefined]);
  answers(await challenge(who, factor), 404, 'mfa_factor_not_found');
  assert.ok(secret);
});

test('a telephone: the code goes out as text message and comes back', async () => {
  const person = await s.a.person('caller');
  answers(await enroll(person, { factor_type: 'phone' }), 400, 'validation_failed');
  const bad = await enroll(person, { factor_type: 'phone', phone: '0049' });
  answers(bad, 400, 'validation_failed');
  assert.equal(bad.json.msg, 'Invalid phone number format (E.164 required)');
  const phone = '+49 170 1234567';
  const given = await enroll(person, { factor_type: 'phone', phone, friendly_name: 'mobile' });
  answers(given, 200);
  const anew = await enroll(person, { factor_type: 'phone', phone, friendly_name: 'mobile' });
  answers(anew, 200);
  assert.deepEqual([anew.json.type, anew.json.friendly_name, anew.json.phone], ['phone', 'mobile', phone]);
  answers(await challenge(person, given.json.id), 404, 'mfa_factor_not_found');
  const { id } = anew.json;
  answers(await challenge(person, id, { channel: 'pigeon' }), 400, 'validation_failed');
  const asked = await challenge(person, id);
  answers(asked, 200);
  assert.equal(asked.json.type, 'phone');
  const hasty = await challenge(person, id);
  answers(hasty, 429, 'over_sms_send_rate_limit');
  assert.ok(Number(hasty.headers['retry-after']) > 0);
  const sms = await eventually('a text message', async () => (await s.rows(`select payload -> 'sms' as sms from public.sent where payload #>> '{user,id}' = '${person.user.id}'`))[0]?.sms);
  assert.deepEqual([sms.phone, sms.sms_type], ['491701234567', 'mfa']);
  const [{ otp_code }] = await s.rows(`select otp_code from auth.mfa_challenges where id = '${asked.json.id}'`);
  assert.match(otp_code, /^[0-9a-f]{64}$/, 'a keyed hash');
  answers(await verify(person, id, { challenge_id: asked.json.id, code: `${sms.otp}0` }), 422, 'mfa_verification_failed');
  const answer = await verify(person, id, { challenge_id: asked.json.id, code: sms.otp });
  answers(answer, 200);
  assert.deepEqual([claims(answer).aal, claims(answer).amr[0].method], ['aal2', 'mfa/phone']);
  const who = s.a.signedIn(answer.json);
  answers(await enroll(who, { factor_type: 'phone', phone, friendly_name: 'again' }), 422, 'mfa_verified_factor_exists');
  await s.sql(`update auth.mfa_factors set last_challenged_at = now() - interval '1 minute' where id = '${id}'`);
  answers(await verify(who, id, { challenge_id: (await challenge(who, id)).json.id, code: '000000x' }), 422, 'mfa_verification_failed');
});

test('recovery codes', async () => {
  const { first, who, factor } = await protectedPerson('forgetful');
  const path = '/auth/v1/factors/recovery-codes';
  answers(await who.request('GET', path), 404, 'mfa_factor_not_found');
  answers(await who.request('POST', '/auth/v1/factors/recovery-codes/regenerate'), 404, 'mfa_factor_not_found');
  const bare = await s.a.person('bare');
  answers(await bare.request('POST', path), 422, 'mfa_recovery_codes_sole_factor');
  answers(await bare.request('POST', `${path}/verify`, { code: 'abcd' }), 422, 'mfa_verification_failed');
  const single = await signIn(first);
  answers(await single.request('POST', path), 403, 'insufficient_aal');
  const made = await who.request('POST', path, { friendly_name: 'Backup' });
  answers(made, 200);
  assert.deepEqual([made.json.type, made.json.friendly_name, made.json.total, new Set(made.json.codes).size], ['recovery_code', 'Backup', 10, 10]);
  for (const c of made.json.codes) assert.match(c, /^[a-z2-9]{16}$/);
  answers(await who.request('POST', path), 422, 'mfa_verified_factor_exists');
  const stored = (await s.rows(`select code_hash from auth.mfa_recovery_codes where factor_id = '${made.json.id}'`)).map((r) => r.code_hash);
  assert.ok(stored.length === 10 && stored.every((h) => /^[0-9a-f]{64}$/.test(h)), 'hashes only');

  const [one, two] = made.json.codes;
  answers(await single.request('POST', `${path}/verify`, { code: '' }), 400, 'validation_failed');
  answers(await single.request('POST', `${path}/verify`, { code: 'aaaabbbbccccdddd' }), 422, 'mfa_verification_failed');
  const typed = ` ${one.slice(0, 4)}-${one.slice(4, 8)} ${one.slice(8).toUpperCase()} `;
  const used = await single.request('POST', `${path}/verify`, { code: typed });
  answers(used, 200);
  assert.deepEqual([claims(used).aal, claims(used).amr[0].method], ['aal2', 'mfa/recovery_code']);
  const now2 = s.a.signedIn(used.json);
  answers(await now2.request('POST', `${path}/verify`, { code: one }), 422, 'mfa_verification_failed');
  const left = await now2.request('GET', path);
  answers(left, 200);
  assert.deepEqual(left.json, { id: made.json.id, type: 'recovery_code', total: 10, remaining: 9 });
  const race = await Promise.all(Array.from({ length: 4 }, () => now2.request('POST', `${path}/verify`, { code: two })));
  assert.equal(race.filter((a) => a.status === 200).length, 1, race.map((a) => a.text).join('\n'));
  for (const a of race.filter((a) => a.status !== 200)) answers(a, 422, 'mfa_verification_failed');

  answers(await now2.request('DELETE', `/auth/v1/factors/${factor}`), 422, 'mfa_recovery_codes_sole_factor');
  answers(await now2.request('DELETE', `/auth/v1/factors/${made.json.id}`), 404, 'mfa_factor_not_found');
  const anew = await now2.request('POST', '/auth/v1/factors/recovery-codes/regenerate');
  answers(anew, 200);
  assert.deepEqual([anew.json.id, anew.json.friendly_name], [made.json.id, 'Backup']);
  answers(await now2.request('POST', `${path}/verify`, { code: made.json.codes[2] }), 422, 'mfa_verification_failed');
  for (let i = 0; i < 4; i++) await now2.request('POST', `${path}/verify`, { code: 'aaaabbbbccccdddd' });
  answers(await now2.request('POST', `${path}/verify`, { code: anew.json.codes[0] }), 429, 'mfa_recovery_codes_locked');
  answers(await (await signIn(first)).request('DELETE', path), 403, 'insufficient_aal');
  answers(await now2.request('DELETE', path), 200);
  answers(await now2.request('GET', path), 404, 'mfa_factor_not_found');
  answers(await now2.request('DELETE', `/auth/v1/factors/${factor}`), 200);
});

test('the app may end what it does not like', async () => {
  const person = await s.a.person('suspect');
  const { id } = (await enroll(person, { friendly_name: 'suspect' })).json;
  const answer = await verify(person, id, { challenge_id: (await challenge(person, id)).json.id, code: '1234567' });
  answers(answer, 403, 'mfa_verification_rejected');
  assert.equal(answer.json.msg, 'not you');
  answers(await person.request('GET', '/auth/v1/user'), 403, 'session_not_found');
});

test('a policy that wants two factors', async () => {
  const { first, who } = await protectedPerson('policy');
  const [, policy] = /```sql\n(create policy two_factors[^`]*)```/.exec(fs.readFileSync(new URL('../../docs/auth.md', import.meta.url), 'utf8'));
  await s.ddl(`create table public.vault (id int primary key, owner uuid not null default auth.uid());
    select tenon.protect('public.vault', owner => 'owner'); ${policy}`);
  answers(await who.request('POST', '/rest/v1/vault', { id: 1 }), 201);
  assert.equal((await who.get('/rest/v1/vault')).length, 1);
  assert.deepEqual(await (await signIn(first)).get('/rest/v1/vault'), []);
});

test('switched off', async () => {
  const person = await protectedPerson('late');
  s.configure({ 'auth.mfa_totp': 'off', 'auth.mfa_webauthn': 'off', 'auth.mfa_phone': 'off', 'auth.mfa_recovery_codes': 'off', 'auth.passkeys': 'off' });
  assert.equal((await s.tenon('reload')).code, 0);
  for (const type of ['totp', 'phone', 'webauthn']) answers(await enroll(person.who, { factor_type: type }), 422, `mfa_${type}_enroll_not_enabled`);
  answers(await challenge(person.who, person.factor), 422, 'mfa_totp_verify_not_enabled');
  answers(await person.who.request('POST', '/auth/v1/factors/recovery-codes'), 422, 'mfa_recovery_codes_enroll_not_enabled');
  answers(await person.who.request('POST', '/auth/v1/factors/recovery-codes/verify', { code: 'x' }), 422, 'mfa_recovery_codes_verify_not_enabled');
  answers(await anon.request('POST', '/auth/v1/passkeys/authentication/options', {}), 404, 'passkey_disabled');
});
