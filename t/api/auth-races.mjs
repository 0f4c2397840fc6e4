// t/api/auth-races.mjs: many at once for one thing: exactly one wins, and nobody is logged out
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { mailbox } from '../lib/mailbox.mjs';

const s = await stack({ people: false, settings: { 'auth.autoconfirm': 'off' } });
const box = mailbox(s);
const { anon } = s.a;
const auth = (path, body) => anon.request('POST', `/auth/v1/${path}`, body);
const refresh = (refresh_token) => auth('token?grant_type=refresh_token', { refresh_token });
const many = (count, act) => Promise.all(Array.from({ length: count }, (_, i) => act(i)));
const count = (answers_, probe) => answers_.filter(probe).length;
const statuses = (answers_) => Object.fromEntries(Object.entries(Object.groupBy(answers_, (a) => a.status)).map(([status, list]) => [status, list.length]));

/* Nobody waits a minute here: the last mail was long ago. */
const forgive = (email) => s.sql(`update auth.users set confirmation_sent_at = null, recovery_sent_at = null where email = '${email}'`);
const mailTo = async (email, path, body = {}) => {
  await forgive(email);
  answers(await auth(path, { email, ...body }), 200);
  return box.to(email);
};
const session = async (email) => {
  answers(await auth('signup', { email, password }), 200);
  const { code } = await box.to(email);
  const answer = await auth('verify', { type: 'signup', email, token: code });
  answers(answer, 200);
  return answer.json;
};

test('a hundred refreshes of one token: each gets the same next one', async () => {
  const { refresh_token } = await session('hundred@example.com');
  const all = await many(100, () => refresh(refresh_token));
  assert.deepEqual(statuses(all), { 200: 100 });
  const next = new Set(all.map((a) => a.json.refresh_token));
  assert.equal(next.size, 1, 'one successor');
  assert.deepEqual(await s.rows('select count(*)::int as n from auth.refresh_tokens where not revoked'), [{ n: 1 }]);
  answers(await refresh([...next][0]), 200);
});

test('tabs that share what they remember, and read it too late', async () => {
  let stored = (await session('tabs@example.com')).refresh_token;
  const tab = async () => {
    for (let i = 0; i < 8; i++) {
      const answer = await refresh(stored);
      answers(answer, 200);
      stored = answer.json.refresh_token;
    }
  };
  await many(8, tab);
  answers(await refresh(stored), 200);
});

test('fifty sign-ups with one address: one person, one mail', async () => {
  const all = await many(50, () => auth('signup', { email: 'one@example.com', password }));
  assert.equal(count(all, (a) => a.status === 200), 1);
  for (const answer of all.filter((a) => a.status !== 200)) // or it is told to come again, because so many hash their passwords
    answers(answer, ...(answer.status === 503 ? [503, 'overloaded'] : [429, 'over_email_send_rate_limit']));
  assert.ok(Number(all.find((a) => a.status === 429).headers['retry-after']) > 0);
  await box.settled();
  assert.equal(box.all('one@example.com').length, 1);
  assert.deepEqual(await s.rows(`select count(*)::int as n from auth.users where email = 'one@example.com'`), [{ n: 1 }]);
  answers(await auth('verify', { type: 'signup', email: 'one@example.com', token: (await box.to('one@example.com')).code }), 200);
});

test('fifty requests for a link: one mail', async () => {
  await session('links@example.com');
  const all = await many(50, () => auth('recover', { email: 'links@example.com' }));
  assert.deepEqual(statuses(all), { 200: 1, 429: 49 });
  await box.settled();
  assert.equal(box.all('links@example.com').filter((m) => m.kind === 'recovery').length, 1);
});

test('fifty uses of one code, of one link, of one code of a flow: one session each', async () => {
  await session('once@example.com');
  const sessions = async () => (await s.rows(`select count(*)::int as n from auth.sessions s join auth.users u on u.id = s.user_id where u.email = 'once@example.com'`))[0].n;
  const before = await sessions();

  const { code } = await mailTo('once@example.com', 'otp');
  const byCode = await many(50, () => auth('verify', { type: 'email', email: 'once@example.com', token: code }));
  assert.deepEqual(statuses(byCode), { 200: 1, 403: 49 });

  const { link } = await mailTo('once@example.com', 'otp');
  const browser = s.client();
  const byLink = await many(50, () => browser.request('GET', link.replace(s.origin, '')));
  assert.deepEqual(statuses(byLink), { 303: 50 });
  assert.equal(count(byLink, (a) => a.headers.location.includes('access_token=')), 1);
  assert.equal(count(byLink, (a) => a.headers.location.includes('error_code=otp_expired')), 49);

  const verifier = randomBytes(56).toString('hex');
  const flow = await mailTo('once@example.com', 'otp', { code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 's256' });
  const followed = await many(20, () => browser.request('GET', flow.link.replace(s.origin, '')));
  const codes = followed.map((a) => new URL(a.headers.location).searchParams.get('code')).filter(Boolean);
  assert.equal(codes.length, 1);
  const exchanged = await many(50, () => auth('token?grant_type=pkce', { auth_code: codes[0], code_verifier: verifier }));
  assert.deepEqual(statuses(exchanged), { 200: 1, 404: 49 });
  assert.equal(await sessions(), before + 3);
});

test('guesses at once are counted one by one', async () => {
  await session('guessed@example.com');
  const { code } = await mailTo('guessed@example.com', 'otp');
  const wrong = String((Number(code) + 1) % 1_000_000).padStart(6, '0');
  assert.deepEqual(statuses(await many(40, () => auth('verify', { type: 'email', email: 'guessed@example.com', token: wrong }))), { 403: 40 });
  assert.deepEqual(await s.rows(`select attempts from auth.one_time_tokens where relates_to = 'guessed@example.com'`), [{ attempts: 10 }]);
  answers(await auth('verify', { type: 'email', email: 'guessed@example.com', token: code }), 403, 'otp_expired');
});

test('a sign-out among refreshes: whoever comes later is told, and nothing is left', async () => {
  const { access_token, refresh_token } = await session('leaves@example.com');
  const [out, ...all] = await Promise.all([
    anon.request('POST', '/auth/v1/logout?scope=global', undefined, { headers: { authorization: `Bearer ${access_token}` } }),
    ...Array.from({ length: 30 }, () => refresh(refresh_token))]);
  assert.equal(out.status, 204);
  for (const answer of all) if (answer.status !== 200) answers(answer, 400, 'refresh_token_not_found');
  answers(await refresh(refresh_token), 400, 'refresh_token_not_found');
});

test('an address that many accounts are given at once is one’s, and the others are told so', async () => {
  const { service } = s.a;
  for (const what of [{ email: 'wanted@example.com' }, { email: 'wanted2@example.com' }, { phone: '4915550001' }, { phone: '4915550002' }]) {
    const people = await many(8, () => service.post('/auth/v1/admin/users', { email: `${randomBytes(6).toString('hex')}@example.com` }));
    const all = await many(8, (i) => service.request('PUT', `/auth/v1/admin/users/${people[i].id}`, what));
    assert.deepEqual(statuses(all), { 200: 1, 422: 7 });
    for (const refused of all.filter((a) => a.status === 422)) answers(refused, 422, what.email ? 'email_exists' : 'phone_exists');
  }
});
