// t/api/auth-account.mjs: what people do with their own account: change, reauthenticate, sessions, log, export, end
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { mailbox } from '../lib/mailbox.mjs';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers, timestamp, uuid } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack({
  people: false,
  settings: { 'auth.anonymous': 'on', 'auth.phone': 'on', 'hooks.send_sms': 'pg-functions://postgres/public/send_sms', 'auth.secure_password_change': 'on', 'auth.mail_interval_s': 0, 'auth.sms_interval_s': 0 },
});
const { anon } = s.a;
await s.sql(`
  create table public.texts (sent jsonb);
  create function public.send_sms(event jsonb) returns jsonb language plpgsql security definer set search_path = '' as $$
  begin insert into public.texts values (event -> 'sms'); return '{}'; end $$;
  revoke execute on function public.send_sms(jsonb) from public;
  grant execute on function public.send_sms(jsonb) to supabase_auth_admin;`);
const box = mailbox(s);
const other = 'another good password';
const change = (person, body, options) => person.request('PUT', '/auth/v1/user', body, options);
const me = (person) => person.request('GET', '/auth/v1/user');
const signIn = (email, pass = password) => anon.request('POST', '/auth/v1/token?grant_type=password', { email, password: pass });
const signedIn = async (email, pass) => s.a.signedIn((await signIn(email, pass)).json);
const verify = (body) => anon.request('POST', '/auth/v1/verify', body);
const actions = async (person) => (await s.rows(`select payload ->> 'action' as a from auth.audit_log_entries where payload ->> 'actor_id' = '${person.user.id}' order by created_at, id`)).map((r) => r.a);
const age = (person, interval) => s.sql(`update auth.sessions set created_at = now() - interval '${interval}' where user_id = '${person.user.id}'`);
const addFactor = (person) => s.sql(`insert into auth.mfa_factors (tenant_id, user_id, friendly_name, factor_type, status, secret)
  values ('${s.a.id}', '${person.user.id}', 'key', 'totp', 'verified', 'x')`);
let number = 0;
const fresh = () => s.a.person(`p${++number}`);
const nobody = async () => s.a.signedIn(await anon.post('/auth/v1/signup', { data: { nick: 'n' } }));
const codeOf = async (person) => {
  answers(await person.request('GET', '/auth/v1/reauthenticate'), 200);
  return (await box.to(person.email, { kind: 'reauthentication' })).code;
};

for (const [method, path, body] of [['PUT', '/user', {}], ['DELETE', '/user'], ['GET', '/user/export'], ['GET', '/user/audit'], ['GET', '/reauthenticate'], ['GET', '/sessions'], ['DELETE', '/sessions/x']])
  test(`${method} ${path} takes a person`, async () => {
    answers(await s.client().request(method, `/auth/v1${path}`, body), 401, 'no_authorization');
    answers(await s.a.service.request(method, `/auth/v1${path}`, body), 401, 'no_authorization');
    const gone = await fresh();
    answers(await gone.request('POST', '/auth/v1/logout'), 204);
    answers(await gone.request(method, `/auth/v1${path}`, body), 403, 'session_not_found');
  });

test('metadata is merged, and null takes away', async () => {
  const person = await s.a.person('merge', { data: { a: 1, b: 2 } });
  const answer = await change(person, { data: { b: null, c: { d: [1] } } });
  answers(answer, 200);
  const { a, b, c } = answer.json.user_metadata;
  assert.deepEqual([a, b, c], [1, undefined, { d: [1] }]);
  assert.deepEqual((await me(person)).json.user_metadata, answer.json.user_metadata);
  answers(await change(person, { data: null, email: null, password: null, phone: null, nonce: null, code_challenge: null }), 200);
  answers(await change(person, { app_metadata: { role: 'admin' } }), 403, 'not_admin');
  answers(await change(person, { data: 'x' }), 400, 'validation_failed');
  answers(await change(person, '{"data"'), 400, 'bad_json');
  assert.deepEqual((await actions(person)).filter((a) => a === 'user_modified').length, 2);
});

test('a new password ends the other sessions and what was sent before, and the person is told', async () => {
  const person = await fresh();
  const elsewhere = await signedIn(person.email);
  await codeOf(person);
  answers(await change(person, { password: 'abc' }), 422, 'weak_password');
  answers(await change(person, { password: 'x'.repeat(73) }), 400, 'validation_failed');
  answers(await change(person, { password }), 422, 'same_password');
  answers(await change(person, { password: other }), 200);
  answers(await me(person), 200);
  answers(await me(elsewhere), 403, 'session_not_found');
  answers(await signIn(person.email), 400, 'invalid_credentials');
  answers(await signIn(person.email, other), 200);
  assert.equal((await s.rows(`select count(*)::int as n from auth.one_time_tokens where user_id = '${person.user.id}'`))[0].n, 0);
  assert.match((await box.to(person.email, { kind: 'password_changed' })).text, /password/i);
});

test('in a session older than a day a new password takes a code, once', async () => {
  const person = await fresh();
  await age(person, '25 hours');
  answers(await change(person, { password: other }), 400, 'reauthentication_needed');
  answers(await change(person, { password: other, nonce: '000000' }), 422, 'reauthentication_not_valid');
  const nonce = await codeOf(person);
  answers(await change(person, { password: other, nonce: nonce === '123456' ? '654321' : '123456' }), 422, 'reauthentication_not_valid');
  answers(await change(person, { password: other, nonce }), 200);
  answers(await change(person, { password, nonce }), 422, 'reauthentication_not_valid');
  answers(await signIn(person.email, other), 200);
});

test('five guesses are enough', async () => {
  const person = await fresh();
  await age(person, '25 hours');
  const nonce = await codeOf(person);
  const wrong = nonce === '111111' ? '222222' : '111111';
  for (let i = 0; i < 5; i++) answers(await change(person, { password: other, nonce: wrong }), 422, 'reauthentication_not_valid');
  answers(await change(person, { password: other, nonce }), 422, 'reauthentication_not_valid');
});

test('reauthentication: who cannot be asked, and who has been asked just now', async () => {
  answers(await (await nobody()).request('GET', '/auth/v1/reauthenticate'), 400, 'validation_failed');
  const person = await fresh();
  await s.sql(`update auth.users set email_confirmed_at = null where id = '${person.user.id}'`);
  answers(await person.request('GET', '/auth/v1/reauthenticate'), 422, 'email_not_confirmed');
});

test('a second factor that this session has not seen stands before what matters', async () => {
  const person = await fresh();
  await addFactor(person);
  for (const body of [{ password: other }, { email: 'elsewhere@example.com' }, { phone: '4915100000' }]) answers(await change(person, body), 401, 'insufficient_aal');
  answers(await person.request('DELETE', '/auth/v1/user', {}), 401, 'insufficient_aal');
  answers(await person.request('GET', '/auth/v1/user/export'), 401, 'insufficient_aal');
  answers(await change(person, { data: { a: 1 } }), 200);
  await s.sql(`update auth.sessions set aal = 'aal2' where user_id = '${person.user.id}'`);
  answers(await change(person, { password: other }), 200);
});

test('a new address holds when both have answered, in either order', async () => {
  for (const order of [['new', 'old'], ['old', 'new']]) {
    const person = await fresh();
    const email = `new-${order[0]}@example.com`;
    const answer = await change(person, { email: email.toUpperCase().replace('EXAMPLE.COM', 'example.com') });
    answers(answer, 200);
    assert.deepEqual([answer.json.email, answer.json.new_email], [person.email, email]);
    assert.match(answer.json.email_change_sent_at, timestamp);
    const mails = { new: await box.to(email, { kind: 'email_change' }), old: await box.to(person.email, { kind: 'email_change' }) };
    const addresses = { new: email, old: person.email };
    const [first, second] = order;
    const half = await verify({ type: 'email_change', email: addresses[first], token: mails[first].code });
    answers(half, 200);
    assert.deepEqual([half.json.code, half.json.access_token], ['200', undefined]);
    answers(await verify({ type: 'email_change', email: addresses[first], token: mails[first].code }), 403, 'otp_expired');
    assert.equal((await me(person)).json.email, person.email);
    const done = await verify({ type: 'email_change', token_hash: mails[second].token });
    answers(done, 200);
    const { user } = done.json;
    assert.deepEqual([user.id, user.email, user.new_email, user.identities[0].email, user.user_metadata.email], [person.user.id, email, undefined, email, email]);
    assert.match((await box.to(person.email, { kind: 'email_changed' })).text, new RegExp(`from ${person.email} to ${email}`));
    answers(await signIn(person.email), 400, 'invalid_credentials');
    answers(await signIn(email), 200);
  }
});

test('by links as well', async () => {
  const person = await fresh();
  answers(await change(person, { email: 'linked@example.com' }), 200);
  const follow = async (address) => fetch((await box.to(address, { kind: 'email_change' })).link, { redirect: 'manual' });
  const half = await follow('linked@example.com');
  assert.equal(half.status, 303);
  assert.match(half.headers.get('location'), /#message=/);
  assert.match((await follow(person.email)).headers.get('location'), /#access_token=.*type=email_change/);
  assert.equal((await me(person)).json.email, 'linked@example.com');
});

test('one half twice is one half', async () => {
  const person = await fresh();
  answers(await change(person, { email: 'twice@example.com' }), 200);
  answers(await verify({ type: 'email_change', email: 'twice@example.com', token: (await box.to('twice@example.com')).code }), 200);
  answers(await change(person, { email: 'twice@example.com' }), 200);
  const again = await verify({ type: 'email_change', email: 'twice@example.com', token: (await box.to('twice@example.com')).code });
  assert.equal(again.json.access_token, undefined);
  assert.equal((await me(person)).json.email, person.email);
});

test('an address that is taken, or taken meanwhile, or none', async () => {
  const person = await fresh();
  const rival = await fresh();
  answers(await change(person, { email: rival.email }), 422, 'email_exists');
  answers(await change(person, { email: 'none' }), 400, 'validation_failed');
  answers(await change(person, { phone: 'none' }), 400, 'validation_failed');
  answers(await change(person, { email: 'race@example.com' }), 200);
  const mails = [await box.to('race@example.com'), await box.to(person.email, { kind: 'email_change' })];
  await s.a.person('race', { email: 'race@example.com' });
  const answer = await verify({ type: 'email_change', token_hash: mails[0].token });
  answers(answer, 422, 'email_exists');
});

test('PKCE: the half code challenge is refused; a whole one marks the links', async () => {
  const person = await fresh();
  answers(await change(person, { email: 'pkce@example.com', code_challenge: 'x'.repeat(43) }), 400, 'validation_failed');
  answers(await change(person, { email: 'pkce@example.com', code_challenge: 'x'.repeat(43), code_challenge_method: 's256' }), 200);
  assert.match((await box.to('pkce@example.com')).token, /^pkce_/);
});

test('a new number', async () => {
  const person = await fresh();
  answers(await change(person, { phone: '+49 151 7654321' }), 200);
  assert.equal((await me(person)).json.new_phone, '491517654321');
  const [{ otp }] = await eventually('a text message', async () => {
    const rows = await s.rows("select sent ->> 'otp' as otp from public.texts where sent ->> 'phone' = '491517654321'");
    return rows.length > 0 && rows;
  });
  const rival = await fresh();
  answers(await s.a.service.request('PUT', `/auth/v1/admin/users/${rival.user.id}`, { phone: '491510000000' }), 200);
  answers(await change(person, { phone: '491510000000' }), 422, 'phone_exists');
  const done = await verify({ type: 'phone_change', phone: '491517654321', token: otp });
  answers(done, 200);
  assert.match((await box.to(person.email, { kind: 'phone_changed' })).text, /491517654321/);
  assert.deepEqual([done.json.user.phone, done.json.user.new_phone, done.json.user.app_metadata.providers], ['491517654321', undefined, ['email', 'phone']]);
});

test('somebody anonymous becomes somebody, at once with autoconfirm, and stays who they were', async () => {
  const person = await nobody();
  answers(await change(person, { password: other }), 422, 'validation_failed');
  const answer = await change(person, { email: 'somebody@example.com', password: other });
  answers(answer, 200);
  const { id, email, is_anonymous, app_metadata, identities, email_confirmed_at } = answer.json;
  assert.deepEqual([id, email, is_anonymous, app_metadata], [person.user.id, 'somebody@example.com', false, { provider: 'email', providers: ['email'] }]);
  assert.deepEqual([identities.length, identities[0].provider, identities[0].identity_data.email_verified], [1, 'email', true]);
  assert.match(email_confirmed_at, timestamp);
  const { json } = await signIn(email, other);
  assert.deepEqual([decode(json.access_token).claims.is_anonymous, json.user.id], [false, id]);
});

test('sessions: where one is signed in, and one of them ended', async () => {
  const person = await fresh();
  const phone = await anon.request('POST', '/auth/v1/token?grant_type=password', { email: person.email, password }, {
    headers: { 'user-agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1' },
  });
  const { sessions } = await person.get('/auth/v1/sessions');
  assert.equal(sessions.length, 2);
  const [mine] = sessions.filter((x) => x.current);
  const [theirs] = sessions.filter((x) => !x.current);
  assert.equal(mine.id, decode(person.session.access_token).claims.session_id);
  assert.deepEqual([theirs.device, theirs.ip, theirs.aal, theirs.amr[0].method, theirs.refreshed_at], ['Safari on iPhone', '127.0.0.1', 'aal1', 'password', null]);
  assert.match(theirs.created_at, timestamp);
  const stranger = await fresh();
  answers(await stranger.request('DELETE', `/auth/v1/sessions/${theirs.id}`), 404, 'session_not_found');
  answers(await person.request('DELETE', `/auth/v1/sessions/${randomUUID()}`), 404, 'session_not_found');
  answers(await person.request('DELETE', '/auth/v1/sessions/x'), 404, 'validation_failed');
  answers(await person.request('DELETE', `/auth/v1/sessions/${theirs.id}`), 200);
  answers(await anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: phone.json.refresh_token }), 400, 'refresh_token_not_found');
  assert.deepEqual((await s.a.service.get(`/auth/v1/admin/users/${person.user.id}/sessions`)).sessions.map((x) => x.id), [mine.id]);
  answers(await s.a.service.request('DELETE', `/auth/v1/admin/users/${person.user.id}/sessions/${mine.id}`), 200);
  answers(await s.a.service.request('DELETE', `/auth/v1/admin/users/${person.user.id}/sessions/${mine.id}`), 404, 'session_not_found');
  answers(await me(person), 403, 'session_not_found');
});

test('the log: what happened to one, and to nobody else', async () => {
  const person = await fresh();
  answers(await change(person, { data: { a: 1 } }), 200);
  answers(await s.a.service.request('PUT', `/auth/v1/admin/users/${person.user.id}`, { user_metadata: { b: 1 } }), 200);
  answers(await (await signedIn(person.email)).request('POST', '/auth/v1/logout?scope=local'), 204);
  const answer = await person.request('GET', '/auth/v1/user/audit');
  answers(answer, 200);
  const seen = answer.json.map((e) => e.payload.action);
  for (const action of ['user_modified', 'logout']) assert.ok(seen.includes(action), `${action} in ${seen}`);
  assert.deepEqual(answer.json.map((e) => e.created_at), answer.json.map((e) => e.created_at).sort().reverse());
  for (const e of answer.json) {
    assert.match(e.id, uuid);
    assert.ok(e.payload.actor_id === person.user.id || e.payload.traits.user_id === person.user.id);
  }
  assert.equal(answer.headers['x-total-count'], String(answer.json.length));
  assert.equal(answer.json.find((e) => e.payload.action === 'logout').ip_address, '127.0.0.1');
  const page = await person.request('GET', '/auth/v1/user/audit?page=2&per_page=1');
  assert.deepEqual(page.json, [answer.json[1]]);
  const all = (query) => s.a.service.get(`/auth/v1/admin/audit?${query}`);
  assert.ok((await all(`query=author:${person.email}`)).every((e) => e.payload.actor_username === person.email));
  assert.ok((await all('query=action:logout')).some((e) => e.payload.actor_id === person.user.id));
  assert.ok((await all('query=type:account')).every((e) => e.payload.log_type === 'account'));
  assert.deepEqual(await all(`query=actor_id:${randomUUID()}`), []);
  answers(await s.a.service.request('GET', '/auth/v1/admin/audit?query=payload:x'), 400, 'validation_failed');
  assert.deepEqual(await s.b.service.get(`/auth/v1/admin/audit?query=actor_id:${person.user.id}`), []);
});

test('the export: everything of theirs, and nothing of others', async () => {
  await s.sql(`
    set role tenon_owner; select set_config('tenon.tenant_id', '${s.a.id}', false);
    create table public.notes (id int primary key, author uuid references auth.users on delete cascade, text text, secret text);
    select tenon.protect('public.notes', owner => 'author');
    create table public.grades (id int primary key, pupil uuid references auth.users on delete cascade, grade int);
    select tenon.protect('public.grades');`);
  const person = await fresh();
  const stranger = await fresh();
  await s.sql(`insert into public.notes (tenant_id, id, author, text) values ('${s.a.id}', 1, '${person.user.id}', 'mine "quoted"'), ('${s.a.id}', 2, '${stranger.user.id}', 'not mine');
    insert into public.grades (tenant_id, id, pupil, grade) values ('${s.a.id}', 1, '${person.user.id}', 5)`);
  await s.sql(`select set_config('tenon.tenant_id', '${s.a.id}', false); insert into storage.buckets (id, name) values ('kept', 'kept');
    insert into storage.objects (bucket_id, name, owner_id, size, metadata, user_metadata)
    values ('kept', 'mine.png', '${person.user.id}', 7, '{"mimetype": "image/png"}', '{"of": "me"}'), ('kept', 'not mine.png', '${stranger.user.id}', 8, '{}', '{}')`);
  await person.post('/api/chats/messages', { content: 'hello there' });
  await stranger.post('/api/chats/messages', { content: 'none of yours' });
  await addFactor(person);
  await s.sql(`update auth.sessions set aal = 'aal2' where user_id = '${person.user.id}'`);
  const answer = await person.request('GET', '/auth/v1/user/export');
  answers(answer, 200);
  assert.match(answer.headers['content-disposition'], /attachment; filename="account.json"/);
  const { account, sessions, factors, audit, conversations, messages, tables, usage, files } = answer.json;
  assert.deepEqual([account.id, account.email, account.identities.length, sessions.length, conversations.length], [person.user.id, person.email, 1, 1, 1]);
  assert.deepEqual([factors[0].friendly_name, factors[0].secret], ['key', undefined]);
  assert.ok(messages.some((m) => m.content === 'hello there'));
  assert.ok(audit.some((e) => e.payload.action === 'user_exported'));
  assert.ok(Array.isArray(usage));
  assert.deepEqual(files.map(({ created_at, updated_at, ...file }) => file), [{ bucket: 'kept', name: 'mine.png', size: 7, type: 'image/png', metadata: { of: 'me' } }]);
  assert.deepEqual(tables, { 'public.grades': [], 'public.notes': [{ id: 1, author: person.user.id, text: 'mine "quoted"', secret: null }] });
  for (const word of ['none of yours', 'not mine', stranger.email, 'argon2id', 'tenant_id":']) assert.ok(!answer.text.includes(word) || word === 'tenant_id":', `${word} is in it`);
});

test('the end: with the password, a code, or a sign-in of a moment ago', async () => {
  const person = await fresh();
  await person.post('/api/chats/messages', { content: 'hello there' });
  await age(person, '11 minutes');
  answers(await person.request('DELETE', '/auth/v1/user'), 400, 'reauthentication_needed');
  answers(await person.request('DELETE', '/auth/v1/user', { password: 'wrong password' }), 400, 'current_password_invalid');
  answers(await person.request('DELETE', '/auth/v1/user', { nonce: '000000' }), 422, 'reauthentication_not_valid');
  const gone = await person.request('DELETE', '/auth/v1/user', { password });
  answers(gone, 200);
  assert.deepEqual(gone.json, {});
  answers(await me(person), 403, 'user_not_found');
  answers(await anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: person.session.refresh_token }), 400, 'refresh_token_not_found');
  answers(await signIn(person.email), 400, 'invalid_credentials');
  const [left] = await s.rows(`select (select count(*)::int from ai.conversations where owner_id = '${person.user.id}') as chats,
    (select count(*)::int from tenon.usage where user_id = '${person.user.id}') > 0 as usage,
    (select bool_or(payload::text like '%${person.email}%') from auth.audit_log_entries) as named,
    (select count(*)::int from auth.audit_log_entries where payload ->> 'action' = 'user_deleted' and payload ->> 'actor_id' = '${person.user.id}') as noted`);
  assert.deepEqual(left, { chats: 0, usage: true, named: false, noted: 1 });

  const byCode = await fresh();
  await age(byCode, '11 minutes');
  answers(await byCode.request('DELETE', '/auth/v1/user', { nonce: await codeOf(byCode) }), 200);
  answers(await (await fresh()).request('DELETE', '/auth/v1/user'), 200);
  const none = await nobody();
  await age(none, '2 days');
  answers(await none.request('DELETE', '/auth/v1/user'), 200);
});

test('with auth.require_current_password a new one takes the one so far', async () => {
  const person = await fresh();
  s.configure({ 'auth.require_current_password': 'on', 'auth.mail_interval_s': 60 });
  assert.equal((await s.tenon('reload')).code, 0);
  await eventually('the setting', async () => (await change(person, { password: other })).json.error_code === 'current_password_required');
  answers(await change(person, { password: other, current_password: 'wrong password' }), 400, 'current_password_invalid');
  answers(await change(person, { password: other, current_password: password }), 200);
  answers(await change(person, { email: 'soon@example.com' }), 200);
  const hasty = await change(person, { email: 'soon@example.com' });
  answers(hasty, 429, 'over_email_send_rate_limit');
  assert.deepEqual([hasty.headers['retry-after'], /only request this after 60 seconds/.test(hasty.json.msg)], ['60', true]);
  answers(await person.request('GET', '/auth/v1/reauthenticate'), 200);
  answers(await person.request('GET', '/auth/v1/reauthenticate'), 429, 'over_email_send_rate_limit');
});

test('one code, many at once: exactly one new password', async () => {
  const person = await fresh();
  await age(person, '25 hours');
  const nonce = await codeOf(person);
  const all = await Promise.all(Array.from({ length: 8 }, (_, i) => change(person, { password: `${other} ${i}`, current_password: password, nonce })));
  assert.deepEqual(all.map((a) => a.status).filter((x) => x === 200).length, 1, all.map((a) => a.text).join('\n'));
  const [won] = all.flatMap((a, i) => (a.status === 200 ? [i] : []));
  answers(await signIn(person.email, `${other} ${won}`), 200);
});
