// t/api/auth-flows.mjs: sign-up with confirmation, /otp, /magiclink, /recover, /resend, /verify and the pkce grant
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers, uuid } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';
import { mailbox } from '../lib/mailbox.mjs';

const s = await stack({ people: false, settings: { 'auth.autoconfirm': 'off', 'auth.mail_interval_s': 0, 'auth.redirect_urls': 'https://app.example.com/**' } });
const box = mailbox(s);
const { anon } = s.a;
const auth = (path, body, options) => anon.request('POST', `/auth/v1/${path}`, body, options);
const browser = s.client(); // follows links: no key, no token
const visit = async (link) => {
  const answer = await browser.request('GET', link.replace(s.origin, ''));
  const to = answer.headers.location && new URL(answer.headers.location);
  return { answer, to, query: to?.searchParams, fragment: to && new URLSearchParams(to.hash.slice(1)) };
};
const challenge = () => {
  const verifier = randomBytes(56).toString('hex');
  return { verifier, body: { code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 's256' } };
};
const signUp = async (email, more = {}) => {
  const answer = await auth('signup', { email, password, ...more });
  answers(answer, 200);
  return answer.json;
};
const confirmed = async (email) => {
  await signUp(email);
  const mail = await box.to(email);
  const answer = await auth('verify', { type: 'signup', email, token: mail.code });
  answers(answer, 200);
  return answer.json;
};

test('a sign-up awaits confirmation, and the code in the mail confirms it', async () => {
  const user = await signUp('Ada@Example.com', { data: { nick: 'ada' } });
  assert.match(user.id, uuid);
  assert.deepEqual([user.email, user.role, user.email_confirmed_at, user.access_token], ['ada@example.com', 'authenticated', undefined, undefined]);
  assert.ok(user.confirmation_sent_at);
  assert.deepEqual(user.user_metadata, { nick: 'ada', sub: user.id, email: 'ada@example.com', email_verified: false, phone_verified: false });
  answers(await auth('token?grant_type=password', { email: 'ada@example.com', password }), 400, 'email_not_confirmed');

  const mail = await box.to('ada@example.com');
  assert.equal(mail.kind, 'confirmation');
  assert.match(mail.code, /^\d{6}$/);
  const answer = await auth('verify', { type: 'signup', email: 'ADA@example.com', token: mail.code });
  answers(answer, 200);
  const { claims } = decode(answer.json.access_token);
  assert.deepEqual([claims.sub, claims.amr.map((a) => a.method)], [user.id, ['otp']]);
  assert.ok(answer.json.user.email_confirmed_at);
  assert.equal(answer.json.user.user_metadata.email_verified, true);
  assert.equal(answer.json.user.identities[0].identity_data.email_verified, true);
  answers(await auth('token?grant_type=password', { email: 'ada@example.com', password }), 200);
  answers(await auth('verify', { type: 'signup', email: 'ada@example.com', token: mail.code }), 403, 'otp_expired');
});

test('the link confirms as well, and brings the session in the fragment', async () => {
  await auth('signup?redirect_to=https%3A%2F%2Fapp.example.com%2Fwelcome%3Fa%3Db', { email: 'link@example.com', password });
  const mail = await box.to('link@example.com');
  assert.ok(mail.link.startsWith(`${s.origin}/auth/v1/verify?`));
  const { answer, to, fragment } = await visit(mail.link);
  assert.equal(answer.status, 303);
  assert.equal(`${to.origin}${to.pathname}${to.search}`, 'https://app.example.com/welcome?a=b');
  assert.deepEqual([...fragment.keys()], ['access_token', 'expires_at', 'expires_in', 'refresh_token', 'sb', 'token_type', 'type']);
  assert.deepEqual([fragment.get('sb'), fragment.get('token_type'), fragment.get('type'), fragment.get('expires_in')], ['', 'bearer', 'signup', '3600']);
  assert.equal(decode(fragment.get('access_token')).claims.email, 'link@example.com');
  answers(await auth('token?grant_type=refresh_token', { refresh_token: fragment.get('refresh_token') }), 200);

  const again = await visit(mail.link);
  assert.equal(again.answer.status, 303);
  assert.deepEqual(Object.fromEntries(again.fragment), { error: 'access_denied', error_code: 'otp_expired', error_description: 'Email link is invalid or has expired', sb: '' });
  assert.equal(again.query.get('error'), null);
});

test('HEAD and a browser that fetches ahead do not use a link up', async () => {
  await signUp('scanner@example.com');
  const mail = await box.to('scanner@example.com');
  const path = mail.link.replace(s.origin, '');
  const head = await browser.request('HEAD', path);
  assert.deepEqual([head.status, head.headers.location], [204, undefined]);
  assert.equal((await browser.request('GET', path, undefined, { headers: { 'sec-purpose': 'prefetch;prerender' } })).status, 204);
  assert.ok((await visit(mail.link)).fragment.get('access_token'));
});

test('with a challenge the link brings a code, which the verifier redeems once', async () => {
  const { verifier, body } = challenge();
  await signUp('pkce@example.com', body);
  const mail = await box.to('pkce@example.com');
  assert.match(mail.token, /^pkce_/);
  const { answer, query, fragment } = await visit(mail.link);
  assert.equal(answer.status, 303);
  assert.deepEqual([...fragment.keys()], [], 'no session in the URL');
  const code = query.get('code');
  assert.match(code, uuid);
  assert.ok(!JSON.stringify(await s.rows('select to_jsonb(f) as f from auth.flow_state f')).includes(code), 'the code itself is nowhere');

  const exchange = (auth_code, code_verifier) => auth('token?grant_type=pkce', { auth_code, code_verifier });
  answers(await exchange('', verifier), 400, 'validation_failed');
  answers(await exchange(code, ''), 400, 'validation_failed');
  answers(await exchange('00000000-0000-4000-8000-000000000000', verifier), 404, 'flow_state_not_found');
  answers(await exchange(code, challenge().verifier), 400, 'bad_code_verifier');
  answers(await s.b.anon.request('POST', '/auth/v1/token?grant_type=pkce', { auth_code: code, code_verifier: verifier }), 404, 'flow_state_not_found');
  const session = await exchange(code, verifier);
  answers(session, 200);
  assert.deepEqual(decode(session.json.access_token).claims.amr.map((a) => a.method), ['email/signup']);
  assert.ok(!('provider_token' in session.json));
  answers(await exchange(code, verifier), 404, 'flow_state_not_found');

  const again = await visit(mail.link);
  assert.equal(again.query.get('error_code'), 'otp_expired');
  assert.equal(again.fragment.get('error_code'), 'otp_expired');
});

test('a code for a plain challenge, and one that is too old', async () => {
  const verifier = 'v'.repeat(43);
  await signUp('plain@example.com', { code_challenge: verifier, code_challenge_method: 'PLAIN' });
  const first = await visit((await box.to('plain@example.com')).link);
  answers(await auth('token?grant_type=pkce', { auth_code: first.query.get('code'), code_verifier: 'w'.repeat(43) }), 400, 'bad_code_verifier');
  await s.sql(`update auth.flow_state set auth_code_issued_at = now() - interval '301 seconds' where code_challenge = '${verifier}'`);
  answers(await auth('token?grant_type=pkce', { auth_code: first.query.get('code'), code_verifier: verifier }), 422, 'flow_state_expired');
});

test('the hash of the link may be redeemed by the site itself', async () => {
  await signUp('own-page@example.com', challenge().body);
  const { token } = await box.to('own-page@example.com');
  answers(await auth('verify', { type: 'signup', token_hash: token, email: 'own-page@example.com' }), 400, 'validation_failed');
  answers(await auth('verify', { type: 'recovery', token_hash: token }), 403, 'otp_expired');
  answers(await s.b.anon.request('POST', '/auth/v1/verify', { type: 'signup', token_hash: token }), 403, 'otp_expired');
  answers(await auth('verify', { type: 'email', token_hash: token }), 200);
});

test('an address that is there already gives no sign of it', async () => {
  const { user } = await confirmed('known@example.com');
  const again = await signUp('known@example.com', { data: { nick: 'x' }, password: 'another password' });
  assert.notEqual(again.id, user.id);
  assert.deepEqual([again.role, again.identities, again.user_metadata, again.app_metadata], ['', [], { nick: 'x' }, { provider: 'email', providers: ['email'] }]);
  assert.ok(again.confirmation_sent_at && again.created_at);
  assert.equal(again.email_confirmed_at, undefined);
  const fresh = await signUp('unknown@example.com', { data: { nick: 'x' } });
  assert.deepEqual(Object.keys(again).sort(), Object.keys(fresh).sort());
  await box.settled();
  assert.equal(box.all('known@example.com').length, 1, 'and nothing is sent');
  assert.equal((await s.rows(`select count(*)::int as n from auth.users where email = 'known@example.com'`))[0].n, 1);
  answers(await auth('token?grant_type=password', { email: 'known@example.com', password: 'another password' }), 400, 'invalid_credentials');
});

test('who is not confirmed yet is sent another mail, and what was said before stays', async () => {
  const user = await signUp('twice@example.com', { data: { nick: 'first' } });
  const first = await box.to('twice@example.com');
  const again = await signUp('twice@example.com', { data: { nick: 'second' }, password: 'another password' });
  assert.deepEqual([again.id, again.user_metadata.nick], [user.id, 'first']);
  const second = await box.to('twice@example.com');
  answers(await auth('verify', { type: 'signup', email: 'twice@example.com', token: first.code }), 403, 'otp_expired');
  answers(await auth('verify', { type: 'signup', email: 'twice@example.com', token: second.code }), 200);
  answers(await auth('token?grant_type=password', { email: 'twice@example.com', password }), 200);
});

test('who was invited is not described to whoever signs up', async () => {
  await signUp('invited@example.com', { data: { secret: 1 } });
  await s.sql(`update auth.users set invited_at = now() where email = 'invited@example.com'`);
  const again = await signUp('invited@example.com');
  assert.deepEqual([again.user_metadata, again.identities], [{}, []]);
  await box.to('invited@example.com');
  const { token } = await box.to('invited@example.com');
  answers(await auth('verify', { type: 'invite', token_hash: token }), 200);
  assert.equal((await s.rows(`select payload ->> 'action' as a from auth.audit_log_entries where payload ->> 'action' = 'invite_accepted'`)).length, 1);
});

test('wrong codes are counted, and the tenth kills the right one', async () => {
  await signUp('guess@example.com');
  const { code, token } = await box.to('guess@example.com');
  const guess = () => auth('verify', { type: 'email', email: 'guess@example.com', token: String((Number(code) + 1) % 1_000_000).padStart(6, '0') });
  for (let i = 0; i < 9; i++) answers(await guess(), 403, 'otp_expired');
  assert.deepEqual(await s.rows(`select attempts from auth.one_time_tokens where relates_to = 'guess@example.com'`), [{ attempts: 9 }]);
  answers(await guess(), 403, 'otp_expired');
  answers(await auth('verify', { type: 'email', email: 'guess@example.com', token: code }), 403, 'otp_expired');
  answers(await auth('verify', { type: 'email', token_hash: token }), 403, 'otp_expired');
  answers(await anon.request('POST', '/auth/v1/resend', { type: 'signup', email: 'guess@example.com' }), 200);
  const fresh = await box.to('guess@example.com');
  answers(await auth('verify', { type: 'email', email: 'guess@example.com', token: fresh.code }), 200);
});

test('too late, banned, or with another address by now', async () => {
  for (const name of ['late', 'banned', 'moved']) await signUp(`${name}@example.com`);
  const mails = Object.fromEntries(await Promise.all(['late', 'banned', 'moved'].map(async (name) => [name, await box.to(`${name}@example.com`)])));
  await s.sql(`update auth.one_time_tokens set expires_at = now() where relates_to = 'late@example.com'`);
  await s.sql(`update auth.users set banned_until = now() + interval '1 hour' where email = 'banned@example.com'`);
  await s.sql(`update auth.users set email = 'elsewhere@example.com' where email = 'moved@example.com'`);
  for (const [name, status, code] of [['late', 403, 'otp_expired'], ['banned', 403, 'user_banned'], ['moved', 403, 'otp_expired']])
    answers(await auth('verify', { type: 'signup', token_hash: mails[name].token }), status, code);
  assert.equal((await visit(mails.banned.link)).fragment.get('error_code'), 'user_banned');
});

test('a code to sign in by, for somebody known', async () => {
  const { user } = await confirmed('otp@example.com');
  const answer = await auth('otp', { email: 'otp@example.com', create_user: false });
  answers(answer, 200);
  assert.deepEqual(answer.json, {});
  const mail = await box.to('otp@example.com');
  assert.equal(mail.kind, 'magiclink');
  for (const type of ['signup', 'invite', 'email_change']) answers(await auth('verify', { type, email: 'otp@example.com', token: mail.code }), 403, 'otp_expired');
  const session = await auth('verify', { type: 'email', email: 'otp@example.com', token: mail.code });
  answers(session, 200);
  assert.equal(session.json.user.id, user.id);

  answers(await anon.request('POST', '/auth/v1/magiclink', { email: 'otp@example.com', phone: '49123' }), 200);
  const { fragment } = await visit((await box.to('otp@example.com')).link);
  assert.equal(fragment.get('type'), 'magiclink');
});

test('a code to sign in by makes an account, with no password', async () => {
  answers(await auth('otp', { email: 'fresh@example.com', create_user: false }), 422, 'otp_disabled');
  answers(await auth('otp', { email: 'fresh@example.com', data: { nick: 'fresh' } }), 200);
  const mail = await box.to('fresh@example.com');
  assert.equal(mail.kind, 'confirmation');
  const session = await auth('verify', { type: 'email', email: 'fresh@example.com', token: mail.code });
  answers(session, 200);
  assert.equal(session.json.user.user_metadata.nick, 'fresh');
  assert.deepEqual(await s.rows(`select encrypted_password from auth.users where email = 'fresh@example.com'`), [{ encrypted_password: null }]);
});

test('a password that a stranger has prepared is gone once the owner of the address comes by a code', async () => {
  await signUp('prepared@example.com');
  await box.to('prepared@example.com');
  answers(await auth('otp', { email: 'prepared@example.com' }), 200);
  const { code } = await box.to('prepared@example.com');
  answers(await auth('verify', { type: 'email', email: 'prepared@example.com', token: code }), 200);
  answers(await auth('token?grant_type=password', { email: 'prepared@example.com', password }), 400, 'invalid_credentials');
});

test('recovery', async () => {
  await confirmed('lost@example.com');
  const { verifier, body } = challenge();
  const answer = await auth('recover?redirect_to=https://app.example.com/reset', { email: 'lost@example.com', ...body });
  answers(answer, 200);
  assert.deepEqual(answer.json, {});
  const mail = await box.to('lost@example.com');
  assert.equal(mail.kind, 'recovery');
  const { to, query } = await visit(mail.link);
  assert.equal(to.pathname, '/reset');
  const session = await auth('token?grant_type=pkce', { auth_code: query.get('code'), code_verifier: verifier });
  answers(session, 200);
  assert.deepEqual(decode(session.json.access_token).claims.amr.map((a) => a.method), ['recovery']);

  await auth('recover', { email: 'lost@example.com' });
  answers(await auth('verify', { type: 'recovery', email: 'lost@example.com', token: (await box.to('lost@example.com')).code }), 200);
});

test('nobody is written to who is not there', async () => {
  for (const [path, body] of [['recover', {}], ['resend', { type: 'signup' }], ['resend', { type: 'email_change' }]]) {
    const answer = await auth(path, { email: 'nobody@example.com', ...body });
    answers(answer, 200);
    assert.deepEqual(answer.json, {});
  }
  await confirmed('somebody@example.com');
  for (const type of ['signup', 'email_change']) assert.deepEqual((await auth('resend', { type, email: 'somebody@example.com' })).json, {});
  await box.settled();
  assert.equal(box.all('nobody@example.com').length, 0);
  assert.equal(box.all('somebody@example.com').length, 1);
  assert.deepEqual(await s.rows('select id from tenon.outbox'), []);
});

const refused = [
  ['recover', {}], ['recover', { email: 'x' }], ['recover', { email: 'x@example.com', code_challenge: 'short', code_challenge_method: 's256' }],
  ['otp', {}], ['otp', { email: 'x@example.com', phone: '4912345' }], ['otp', { email: 'x@example.com', channel: 'sms' }],
  ['otp', { phone: '4912345' }, 400, 'phone_provider_disabled'], ['otp', { email: 'x@example.com', create_user: 'yes' }],
  ['magiclink', {}], ['magiclink', { phone: '4912345' }],
  ['resend', { email: 'x@example.com' }], ['resend', { type: 'recovery', email: 'x@example.com' }], ['resend', { type: 'sms', email: 'x@example.com' }],
  ['resend', { type: 'signup', phone: '4912345' }], ['resend', { type: 'signup' }],
  ['verify', {}], ['verify', { type: 'signup' }], ['verify', { type: 'signup', token: '1' }], ['verify', { type: 'signup', token: '1', token_hash: '2' }],
  ['verify', { type: 'nonsense', token_hash: '2' }], ['verify', { type: 'sms', token: '1', email: 'x@example.com' }],
  ['verify', { type: 'signup', token: '1', email: 'x@example.com', phone: '4912345' }], ['verify', { type: 'signup', token: '1', phone: '4912345' }],
  ['verify', { type: 'sms', token: '123456', phone: '4912345' }, 403, 'otp_expired'], ['verify', { type: 'sms', token: '123456', phone: '0' }],
  ['verify', { type: 'signup', token: '123456', email: 'x@example.com' }, 403, 'otp_expired'],
  ['token?grant_type=password', { phone: '4912345', password }, 400, 'phone_provider_disabled'],
];
for (const [path, body, status = 400, code = 'validation_failed'] of refused)
  test(`refused: ${path} ${JSON.stringify(body)}`, async () => answers(await auth(path, body), status, code));

test('a link without what it needs', async () => {
  answers(await browser.request('GET', '/auth/v1/verify?token=x'), 400, 'validation_failed');
  answers(await browser.request('GET', '/auth/v1/verify?type=signup'), 400, 'validation_failed');
  const wrong = await visit('/auth/v1/verify?type=nonsense&token=x');
  assert.deepEqual([wrong.answer.status, wrong.fragment.get('error'), wrong.fragment.get('error_code')], [303, 'invalid_request', 'validation_failed']);
  const foreign = await visit('/auth/v1/verify?type=signup&token=pkce_x&redirect_to=https://evil.example/');
  assert.equal(foreign.to.origin, s.origin, 'and nobody is sent where they may not be');
  for (const apikey of [s.b.publishable, 'rubbish']) {
    const nobodys = await visit(`/auth/v1/verify?type=signup&token=x&apikey=${apikey}`);
    assert.deepEqual([nobodys.answer.status, nobodys.fragment.get('error_code')], [303, 'otp_expired']);
  }
});

test('a session ends by a newer one, where that is set, and by nobody using it', async () => {
  await confirmed('sessions@example.com');
  const open = async () => (await auth('token?grant_type=password', { email: 'sessions@example.com', password })).json;
  const next = (session) => auth('token?grant_type=refresh_token', { refresh_token: session.refresh_token });
  let older = await open();
  const newer = await open();
  s.configure({ 'auth.single_session': 'on', 'auth.inactivity_ttl_s': 3600 });
  assert.equal((await s.tenon('reload')).code, 0);
  const refused = await eventually('the new configuration', async () => {
    const answer = await next(older);
    if (answer.status !== 200) return answer;
    older = answer.json;
    return undefined;
  });
  answers(refused, 400, 'session_expired');
  const kept = await next(newer);
  answers(kept, 200);
  await s.sql(`update auth.sessions set refreshed_at = now() - interval '2 hours', created_at = now() - interval '1 day' where id = '${decode(kept.json.access_token).claims.session_id}'`);
  answers(await next(kept.json), 400, 'session_expired');
});

test('the links of a change of address: the first half says so, the second brings a session', async () => {
  for (const pkce of [false, true]) {
    const [old, fresh] = [`old-${pkce}@example.com`, `new-${pkce}@example.com`];
    const { access_token, user } = await confirmed(old);
    const { verifier, body } = challenge();
    answers(await anon.request('PUT', '/auth/v1/user', { email: fresh, ...(pkce && body) }, { headers: { authorization: `Bearer ${access_token}` } }), 200);
    const half = await visit((await box.to(fresh)).link);
    assert.deepEqual([...half.fragment.keys()], ['message', 'sb']);
    assert.equal(half.query.get('message'), pkce ? half.fragment.get('message') : null);
    const whole = await visit((await box.to(old, { kind: 'email_change' })).link);
    const session = pkce
      ? (await auth('token?grant_type=pkce', { auth_code: whole.query.get('code'), code_verifier: verifier })).json
      : { access_token: whole.fragment.get('access_token') };
    const { claims } = decode(session.access_token);
    assert.deepEqual([claims.sub, claims.email, claims.amr[0].method], [user.id, fresh, pkce ? 'email_change' : 'otp']);
  }
});

test('a link of a suspended tenant leads nowhere', async () => {
  answers(await s.b.anon.request('POST', '/auth/v1/signup', { email: 'suspended@example.com', password }), 200);
  const { link } = await box.to('suspended@example.com');
  await s.sql(`update tenon.tenants set status = 'suspended' where name = 'b'`);
  assert.equal((await visit(link)).fragment.get('error_code'), 'otp_expired');
  await s.sql(`update tenon.tenants set status = 'active' where name = 'b'`);
  assert.ok((await visit(link)).fragment.get('access_token'));
});

test('what happened is in the audit log', async () => {
  await confirmed('audited@example.com');
  await auth('recover', { email: 'audited@example.com' });
  await signUp('audited@example.com');
  const session = (await auth('token?grant_type=password', { email: 'audited@example.com', password })).json;
  const fresh = await auth('token?grant_type=refresh_token', { refresh_token: session.refresh_token });
  answers(await auth('logout?scope=local', undefined, { headers: { authorization: `Bearer ${fresh.json.access_token}` } }), 204);
  const rows = await s.rows(`select payload ->> 'action' as action, payload ->> 'actor_username' as name, ip_address from auth.audit_log_entries
    where payload ->> 'actor_id' = '${session.user.id}' order by created_at, id`);
  assert.deepEqual(rows.map((r) => r.action),
    ['user_confirmation_requested', 'user_signedup', 'login', 'user_recovery_requested', 'user_repeated_signup', 'login', 'token_revoked', 'token_refreshed', 'logout']);
  assert.deepEqual([...new Set(rows.map((r) => `${r.name} ${r.ip_address}`))], ['audited@example.com 127.0.0.1']);
});
