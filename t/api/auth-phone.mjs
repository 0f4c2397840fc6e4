// t/api/auth-phone.mjs: telephone numbers: sign-up, codes by text message, sign-in
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers, uuid } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack({
  people: false,
  settings: { 'auth.autoconfirm': 'off', 'auth.phone': 'on', 'hooks.send_sms': 'pg-functions://postgres/public/send_sms' },
  /* What is sent is kept in a table: the hook is the app's own function. */
  prepare: (stack) => stack.sql(`
    create table public.texts (id bigint generated always as identity primary key, event jsonb);
    create function public.send_sms(event jsonb) returns jsonb language plpgsql security definer set search_path = '' as $$
      begin insert into public.texts (event) values (event); return '{}'; end $$;
    revoke execute on function public.send_sms(jsonb) from public;
    grant execute on function public.send_sms(jsonb) to supabase_auth_admin;`),
});
const { anon } = s.a;
const auth = (path, body) => anon.request('POST', `/auth/v1/${path}`, body);
const given = new Set();
const text = (phone) => eventually(`a text message to ${phone}`, async () => {
  const rows = await s.rows(`select id, event from public.texts where event #>> '{sms,phone}' in ('${phone}', '+${phone}') order by id`);
  const fresh = rows.find((r) => !given.has(r.id));
  if (fresh) given.add(fresh.id);
  return fresh?.event;
});
const forgive = (phone) => s.sql(`update auth.users set confirmation_sent_at = null, recovery_sent_at = null where phone = '${phone}'`);

test('a sign-up with a number awaits its code', async () => {
  const answer = await auth('signup', { phone: '+49 151 1234567', password, data: { nick: 'ada' } });
  answers(answer, 200);
  const user = answer.json;
  assert.deepEqual([user.phone, user.email, user.phone_confirmed_at, user.app_metadata], ['491511234567', '', undefined, { provider: 'phone', providers: ['phone'] }]);
  assert.deepEqual([user.identities[0].provider, user.identities[0].id, user.user_metadata.phone_verified], ['phone', user.id, false]);
  answers(await auth('token?grant_type=password', { phone: '491511234567', password }), 400, 'phone_not_confirmed');
  answers(await auth('signup', { phone: '491511234567', password }), 429, 'over_sms_send_rate_limit');

  const { sms } = await text('491511234567');
  assert.match(sms.otp, /^\d{6}$/);
  answers(await auth('verify', { type: 'sms', phone: '491511234567', token: '000000' === sms.otp ? '000001' : '000000' }), 403, 'otp_expired');
  const session = await auth('verify', { type: 'sms', phone: '+491511234567', token: sms.otp });
  answers(session, 200);
  assert.ok(session.json.user.phone_confirmed_at);
  assert.deepEqual(decode(session.json.access_token).claims.amr.map((a) => a.method), ['otp']);
  assert.equal(decode(session.json.access_token).claims.phone, '491511234567');
  answers(await auth('token?grant_type=password', { phone: '+491511234567', password }), 200);
  answers(await auth('token?grant_type=password', { phone: '491511234567', password: 'wrong password' }), 400, 'invalid_credentials');
  answers(await auth('token?grant_type=password', { phone: '491519999999', password }), 400, 'invalid_credentials');
  const again = await auth('signup', { phone: '491511234567', password });
  answers(again, 200);
  assert.deepEqual([again.json.role, again.json.identities, again.json.phone], ['', [], '491511234567']);
  assert.notEqual(again.json.id, user.id);
});

test('a sign-up names a channel that there is', async () => {
  answers(await auth('signup', { phone: '49151777', password, channel: 'pigeon' }), 400, 'validation_failed');
  answers(await auth('signup', { phone: '49151777', password, channel: 'whatsapp' }), 200);
});

test('a code to sign in by, for numbers known and unknown', async () => {
  answers(await auth('otp', { phone: '4930111', create_user: false }), 422, 'otp_disabled');
  const first = await auth('otp', { phone: '4930111', channel: 'sms' });
  answers(first, 200);
  assert.match(first.json.message_id, uuid);
  const made = await auth('verify', { type: 'sms', phone: '4930111', token: (await text('4930111')).sms.otp });
  answers(made, 200);

  const second = await auth('otp', { phone: '4930111' });
  answers(second, 200);
  assert.deepEqual(Object.keys(second.json), ['message_id']);
  answers(await auth('otp', { phone: '4930111' }), 429, 'over_sms_send_rate_limit');
  const known = await auth('verify', { type: 'sms', phone: '4930111', token: (await text('4930111')).sms.otp });
  assert.equal(known.json.user.id, made.json.user.id);
});

test('a code by text message is short-lived', async () => {
  await auth('otp', { phone: '4930222' });
  const { sms } = await text('4930222');
  const [{ seconds }] = await s.rows(`select extract(epoch from expires_at - updated_at)::int as seconds from auth.one_time_tokens where relates_to = '4930222'`);
  assert.equal(seconds, 60);
  await s.sql(`update auth.one_time_tokens set expires_at = now() where relates_to = '4930222'`);
  answers(await auth('verify', { type: 'sms', phone: '4930222', token: sms.otp }), 403, 'otp_expired');
  await forgive('4930222');
  const again = await auth('resend', { type: 'sms', phone: '+4930222' });
  answers(again, 200);
  assert.match(again.json.message_id, uuid);
  answers(await auth('verify', { type: 'sms', phone: '4930222', token: (await text('4930222')).sms.otp }), 200);
  assert.match((await auth('resend', { type: 'sms', phone: '4930222' })).json.message_id, uuid, 'who is confirmed is sent nothing, and told nothing');
  assert.match((await auth('resend', { type: 'phone_change', phone: '4930999' })).json.message_id, uuid);
  assert.equal((await s.rows(`select id from public.texts where event #>> '{sms,phone}' like '%4930999'`)).length, 0);
});

for (const [path, body] of [
  ['signup', { phone: '0123', password }], ['signup', { phone: 'x', password }], ['signup', { phone: '4930333', password, code_challenge: 'a'.repeat(43), code_challenge_method: 's256' }],
  ['otp', { phone: '+0' }], ['otp', { phone: '4930333', channel: 'pigeon' }], ['verify', { type: 'sms', phone: '0', token: '123456' }], ['token?grant_type=password', { phone: '0', password }]])
  test(`refused: ${path} ${JSON.stringify(body)}`, async () => answers(await auth(path, body), 400, 'validation_failed'));

test('the settings say so, and without a hook there are no numbers', async () => {
  const settings = await anon.get('/auth/v1/settings');
  assert.deepEqual([settings.external.phone, settings.external.email, settings.phone_autoconfirm, settings.mailer_autoconfirm], [true, true, false, false]);
  assert.equal(settings.sms_provider, 'hook');
  s.configure({ 'auth.email': 'off', 'auth.phone_autoconfirm': 'on' });
  answers(await reloaded('external.email', false), 200);
  answers(await auth('signup', { email: 'x@example.com', password }), 400, 'email_provider_disabled');
  answers(await auth('otp', { email: 'x@example.com' }), 400, 'email_provider_disabled');
  answers(await auth('token?grant_type=password', { email: 'x@example.com', password }), 400, 'email_provider_disabled');
  const session = await auth('signup', { phone: '4930444', password });
  answers(session, 200);
  assert.ok(session.json.access_token && session.json.user.phone_confirmed_at);
  answers(await auth('signup', { phone: '4930444', password }), 422, 'user_already_exists');
  s.configure({ 'hooks.send_sms': '' });
  const check = await s.tenon('reload');
  assert.notEqual(check.code, 0);
  assert.match(check.stderr, /auth\.phone: expected hooks\.send_sms/);
});

/* Resolves when every worker has the configuration that has been written: answers with the settings. */
async function reloaded(name, value) {
  const { code, stderr } = await s.tenon('reload');
  assert.equal(code, 0, stderr);
  return eventually('the new configuration', async () => {
    const answer = await anon.request('GET', '/auth/v1/settings');
    return name.split('.').reduce((o, key) => o[key], answer.json) === value && answer;
  });
}
