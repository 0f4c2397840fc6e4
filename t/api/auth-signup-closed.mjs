// t/api/auth-signup-closed.mjs: sign-up when it is off, and when addresses must be confirmed
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers, uuid } from '../lib/expect.mjs';

const confirming = await stack({ people: false, settings: { 'auth.autoconfirm': 'off' } });
const { anon } = confirming.a;

test('an unconfirmed person is a bare user, without a session', async () => {
  const user = await anon.post('/auth/v1/signup', { email: 'new@example.com', password, data: { nick: 'n' } });
  assert.match(user.id, uuid);
  assert.ok(!('access_token' in user) && !('email_confirmed_at' in user) && !('confirmed_at' in user));
  assert.equal(user.user_metadata.email_verified, false);
  assert.deepEqual((await confirming.rows(`select count(*)::int as n from auth.sessions where user_id = '${user.id}'`))[0], { n: 0 });
});

test('and may not sign in, which only the right password learns', async () => {
  const right = await anon.request('POST', '/auth/v1/token?grant_type=password', { email: 'new@example.com', password });
  answers(right, 400, 'email_not_confirmed');
  const wrong = await anon.request('POST', '/auth/v1/token?grant_type=password', { email: 'new@example.com', password: 'wrong password' });
  answers(wrong, 400, 'invalid_credentials');
});

test('a repeated sign-up changes nothing', async () => {
  const [before] = await confirming.rows(`select * from auth.users where email = 'new@example.com'`);
  const again = await anon.request('POST', '/auth/v1/signup', { email: 'new@example.com', password: 'another password', data: { nick: 'evil' } });
  assert.ok([200, 429].includes(again.status), again.text);
  const [after] = await confirming.rows(`select * from auth.users where email = 'new@example.com'`);
  assert.equal(after.encrypted_password, before.encrypted_password);
  assert.deepEqual(after.raw_user_meta_data, before.raw_user_meta_data);
});

test('an address that is taken and confirmed looks like a new one', async () => {
  await confirming.sql(`update auth.users set email_confirmed_at = now() where email = 'new@example.com'`);
  const [{ id }] = await confirming.rows(`select id from auth.users where email = 'new@example.com'`);
  const made = await anon.request('POST', '/auth/v1/signup', { email: 'new@example.com', password: 'another password', data: { nick: 'x' } });
  answers(made, 200);
  assert.notEqual(made.json.id, id);
  assert.deepEqual([made.json.identities, made.json.role], [[], '']);
  assert.equal((await confirming.rows('select count(*)::int as n from auth.users'))[0].n, 1);
});

test('settings say that addresses must be confirmed', async () => {
  assert.equal((await anon.get('/auth/v1/settings')).mailer_autoconfirm, false);
});

test('sign-up can be closed, and nginx goes on serving across the reload', async () => {
  confirming.configure({ 'auth.signup': 'off' });
  confirming.master.kill('SIGHUP');
  await eventually('the new setting', async () => (await anon.get('/auth/v1/settings')).disable_signup === true);
  const answer = await anon.request('POST', '/auth/v1/signup', { email: 'late@example.com', password });
  answers(answer, 422, 'signup_disabled');
  assert.equal(answer.json.msg, 'Signups not allowed for this instance');
});
