// t/api/auth-limits.mjs: what is counted per account and per tenant: wrong passwords, mails, anonymous accounts
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const s = await stack({
  people: false,
  settings: {
    'limits.enabled': 'on', 'limits.exempt': '', 'limits.password': '3/36000:3', 'limits.mail': '3/36000:3', 'limits.anonymous': '2/36000:2',
    ...Object.fromEntries(['signup', 'token', 'recover', 'otp', 'magiclink', 'resend'].map((name) => [`limits.${name}`, '10000/1:10000'])),
    'auth.anonymous': 'on',
  },
});
const signIn = (email, secret, tenant = s.a) => tenant.anon.request('POST', '/auth/v1/token?grant_type=password', { email, password: secret });
const signUp = (body, tenant = s.a) => tenant.anon.request('POST', '/auth/v1/signup', body);

test('wrong passwords for one account, which exists or not, from wherever they come', async () => {
  const email = 'ada@a.example', nobody = 'nobody@a.example';
  for (const tenant of [s.a, s.b]) answers(await signUp({ email, password }, tenant), 200);
  for (let i = 0; i < 5; i++) answers(await signIn(email, password), 200); // right ones are not counted
  const seen = { [email]: [], [nobody]: [] };
  for (let i = 0; i < 5; i++)
    for (const address of [email, nobody]) {
      const answer = await signIn(i % 2 ? address : address.toUpperCase(), 'wrong');
      seen[address].push([answer.status, answer.json.error_code, answer.json.msg]);
      if (answer.status === 429) assert.ok(Number(answer.headers['retry-after']) > 0);
    }
  assert.deepEqual(seen[email].map(([status]) => status), [400, 400, 400, 429, 429]);
  assert.equal(seen[email].at(-1)[1], 'over_request_rate_limit');
  assert.deepEqual(seen[nobody], seen[email], 'it cannot be told which of them exists');
  answers(await signIn(email, password), 429, 'over_request_rate_limit');
  answers(await signIn(email, password, s.b), 200); // another tenant's account is another one
});

test('guesses that come all at once get no further', async () => {
  const email = 'bea@a.example';
  answers(await signUp({ email, password }), 200);
  const guesses = await Promise.all([...Array.from({ length: 12 }, (_, i) => `wrong ${i}`), password].map((guess) => signIn(email, guess)));
  const told = guesses.slice(0, -1).map(({ status }) => status).filter((status) => status !== 503); // when all cores hash already
  assert.deepEqual(told.sort(), told.map((_, i) => (i < 3 ? 400 : 429)), 'no more are told that they are wrong, so that the right one does not stand out');
  answers(await signIn(email, password), 429, 'over_request_rate_limit');
});

test('nor do guesses at the current password of somebody who is signed in', async () => {
  const email = 'cleo@a.example';
  const session = (await signUp({ email, password })).json;
  const person = s.a.signedIn(session);
  const guesses = await Promise.all(Array.from({ length: 12 }, (_, i) => person.request('DELETE', '/auth/v1/user', { password: `wrong ${i}` })));
  const told = guesses.map(({ status }) => status).filter((status) => status !== 503);
  assert.deepEqual(told.sort(), told.map((_, i) => (i < 3 ? 400 : 429)));
  answers(await person.request('DELETE', '/auth/v1/user', { password }), 429, 'over_request_rate_limit');
});

test('anonymous accounts, per address', async () => {
  assert.deepEqual([(await signUp({})).status, (await signUp({})).status], [200, 200]);
  const third = await signUp({});
  answers(third, 429, 'over_request_rate_limit');
  assert.ok(Number(third.headers['retry-after']) > 0);
});

test('mails are not counted while nobody needs one to sign up', async () => {
  for (let i = 0; i < 5; i++) answers(await signUp({ email: `free${i}@a.example`, password }), 200);
});

test('mails that people cause, per tenant, known address or not', async () => {
  s.configure({ 'auth.autoconfirm': 'off' });
  assert.equal((await s.tenon('reload')).code, 0);
  const recover = (email, tenant = s.a) => tenant.anon.request('POST', '/auth/v1/recover', { email });
  const statuses = [];
  for (const email of ['free0@a.example', 'unknown1@a.example', 'free1@a.example']) statuses.push((await recover(email)).status);
  assert.deepEqual(statuses, [200, 200, 200]);
  for (const email of ['free2@a.example', 'unknown2@a.example']) {
    const answer = await recover(email);
    answers(answer, 429, 'over_email_send_rate_limit');
    assert.ok(Number(answer.headers['retry-after']) > 0);
  }
  answers(await signUp({ email: 'new@a.example', password }), 429, 'over_email_send_rate_limit');
  answers(await s.a.anon.request('POST', '/auth/v1/otp', { email: 'free3@a.example' }), 429, 'over_email_send_rate_limit');
  answers(await recover('ada@a.example', s.b), 200);
});
