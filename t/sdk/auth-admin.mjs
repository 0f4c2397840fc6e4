// t/sdk/auth-admin.mjs: auth.admin.*, updateUser and reauthenticate of @supabase/supabase-js, unmodified
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { mailbox } from '../lib/mailbox.mjs';
import { password, stack } from '../lib/stack.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack({ people: false, settings: { 'auth.anonymous': 'on', 'auth.mail_interval_s': 0, 'auth.secure_password_change': 'on', 'auth.redirect_urls': 'https://app.example/**' } });
const box = mailbox(s);
const plain = { auth: { autoRefreshToken: false, persistSession: false } };
const client = (options = {}) => createClient(s.origin, s.a.publishable, { ...plain, ...options });
const { admin } = createClient(s.origin, s.a.secret, plain).auth;
const ok = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};
const fails = ({ error }, status, code) => assert.deepEqual([error?.status, error?.code], [status, code], error?.message);
let person = 0;
const fresh = () => `person${++person}@example.com`;
const signUp = async () => {
  const supabase = client();
  return { supabase, ...ok(await supabase.auth.signUp({ email: fresh(), password })) };
};

test('createUser, getUserById, updateUserById, deleteUser', async () => {
  const email = fresh();
  const { user } = ok(await admin.createUser({ email, password, email_confirm: true, user_metadata: { name: 'Ada' }, app_metadata: { plan: 'pro' } }));
  assert.deepEqual([user.email, user.user_metadata.name, user.app_metadata.plan], [email, 'Ada', 'pro']);
  assert.equal(ok(await admin.getUserById(user.id)).user.email, email);
  const changed = ok(await admin.updateUserById(user.id, { email: `x${email}`, user_metadata: { name: null, nick: 'a' }, ban_duration: '24h' })).user;
  assert.deepEqual([changed.email, changed.user_metadata.name, changed.user_metadata.nick], [`x${email}`, undefined, 'a']);
  fails(await client().auth.signInWithPassword({ email: `x${email}`, password }), 400, 'user_banned');
  ok(await admin.updateUserById(user.id, { ban_duration: 'none' }));
  ok(await client().auth.signInWithPassword({ email: `x${email}`, password }));
  fails(await admin.createUser({ email: `x${email}` }), 422, 'email_exists');
  ok(await admin.deleteUser(user.id, true));
  assert.ok(ok(await admin.getUserById(user.id)).user.deleted_at);
  ok(await admin.deleteUser(user.id));
  fails(await admin.getUserById(user.id), 404, 'user_not_found');
  fails(await admin.deleteUser(randomUUID()), 404, 'user_not_found');
});

test('listUsers turns pages', async () => {
  const tenant = createClient(s.origin, s.b.secret, plain).auth.admin;
  for (let i = 0; i < 5; i++) ok(await tenant.createUser({ email: `page${i}@example.com` }));
  const all = ok(await tenant.listUsers());
  assert.deepEqual([all.users.length, all.total, all.aud, all.nextPage, all.lastPage], [5, 5, 'authenticated', null, 1]);
  const page = ok(await tenant.listUsers({ page: 2, perPage: 2 }));
  assert.deepEqual([page.users.length, page.nextPage, page.lastPage, page.total], [2, 3, 3, 5]);
  assert.equal(ok(await tenant.listUsers({ page: 3, perPage: 2 })).nextPage, null);
});

test('only a secret key is an admin', async () => {
  const { session } = await signUp();
  const asPerson = client({ global: { headers: { Authorization: `Bearer ${session.access_token}` } } });
  fails(await asPerson.auth.admin.listUsers(), 403, 'not_admin');
  fails(await client().auth.admin.createUser({ email: fresh() }), 403, 'not_admin');
});

test('generateLink with verifyOtp: every type', async () => {
  for (const [type, extra] of [['signup', { password }], ['invite', {}], ['magiclink', {}], ['recovery', {}]]) {
    const email = fresh();
    if (type === 'magiclink' || type === 'recovery') ok(await admin.createUser({ email, email_confirm: true }));
    const { properties, user } = ok(await admin.generateLink({ type, email, ...extra, options: { redirectTo: 'https://app.example/in', data: { x: 1 } } }));
    assert.deepEqual([user.email, properties.verification_type, properties.redirect_to], [email, type, 'https://app.example/in']);
    assert.equal(new URL(properties.action_link).searchParams.get('redirect_to'), 'https://app.example/in');
    const { session } = ok(await client().auth.verifyOtp({ token_hash: properties.hashed_token, type }));
    assert.equal(session.user.id, user.id);
  }
  const { properties } = ok(await admin.generateLink({ type: 'magiclink', email: 'person1@example.com' }));
  const { user } = ok(await client().auth.verifyOtp({ email: 'person1@example.com', token: properties.email_otp, type: 'email' }));
  assert.equal(user.email, 'person1@example.com');
  fails(await client().auth.verifyOtp({ email: 'person1@example.com', token: properties.email_otp, type: 'email' }), 403, 'otp_expired');
  fails(await admin.generateLink({ type: 'recovery', email: 'never@example.com' }), 404, 'user_not_found');
});

test('inviteUserByEmail', async () => {
  const email = fresh();
  const { user } = ok(await admin.inviteUserByEmail(email, { data: { seat: 1 }, redirectTo: 'https://app.example/' }));
  assert.deepEqual([user.email, user.user_metadata.seat, typeof user.invited_at], [email, 1, 'string']);
  const supabase = client();
  ok(await supabase.auth.verifyOtp({ type: 'invite', token_hash: (await box.to(email)).token }));
  ok(await supabase.auth.updateUser({ password }));
  ok(await client().auth.signInWithPassword({ email, password }));
  fails(await admin.inviteUserByEmail(email), 422, 'email_exists');
});

test('updateUser: data, password', async () => {
  const { supabase, user } = await signUp();
  const events = [];
  supabase.auth.onAuthStateChange((event) => events.push(event));
  assert.deepEqual(ok(await supabase.auth.updateUser({ data: { a: { b: 1 } } })).user.user_metadata.a, { b: 1 });
  const elsewhere = client();
  ok(await elsewhere.auth.signInWithPassword({ email: user.email, password }));
  fails(await supabase.auth.updateUser({ password }), 422, 'same_password');
  const weak = await supabase.auth.updateUser({ password: 'abc' });
  assert.deepEqual([weak.error.name, weak.error.reasons], ['AuthWeakPasswordError', ['length']]);
  ok(await supabase.auth.updateUser({ password: 'another good one' }));
  assert.ok(events.includes('USER_UPDATED'));
  ok(await supabase.auth.getUser());
  assert.equal((await elsewhere.auth.getUser()).error.name, 'AuthSessionMissingError');
  ok(await client().auth.signInWithPassword({ email: user.email, password: 'another good one' }));
});

test('reauthenticate, and the code in updateUser', async () => {
  const { supabase, user } = await signUp();
  await s.sql(`update auth.sessions set created_at = now() - interval '2 days' where user_id = '${user.id}'`);
  fails(await supabase.auth.updateUser({ password: 'another good one' }), 400, 'reauthentication_needed');
  ok(await supabase.auth.reauthenticate());
  const { code } = await box.to(user.email, { kind: 'reauthentication' });
  fails(await supabase.auth.updateUser({ password: 'another good one', nonce: 'wrong' }), 422, 'reauthentication_not_valid');
  ok(await supabase.auth.updateUser({ password: 'another good one', nonce: code }));
});

test('updateUser: another address, both halves', async () => {
  const { supabase, user } = await signUp();
  const email = fresh();
  assert.equal(ok(await supabase.auth.updateUser({ email })).user.new_email, email);
  const half = await client().auth.verifyOtp({ email, token: (await box.to(email)).code, type: 'email_change' });
  assert.equal(half.error, null);
  assert.equal(half.data.session, null);
  const done = ok(await client().auth.verifyOtp({ email: user.email, token: (await box.to(user.email, { kind: 'email_change' })).code, type: 'email_change' }));
  assert.deepEqual([done.user.id, done.user.email], [user.id, email]);
  fails(await supabase.auth.updateUser({ email: 'person1@example.com' }), 422, 'email_exists');
});

test('updateUser with PKCE: a link ends with a code, and only with its verifier', async () => {
  const kept = new Map();
  const storage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => void kept.set(k, v), removeItem: (k) => void kept.delete(k) };
  const supabase = client({ auth: { autoRefreshToken: false, persistSession: true, storage, flowType: 'pkce' } });
  ok(await supabase.auth.signInAnonymously());
  const { user } = ok(await supabase.auth.getUser());
  await s.sql(`update auth.users set is_anonymous = false, email = 'pkce-old@example.com', email_confirmed_at = now() where id = '${user.id}'`);
  ok(await supabase.auth.updateUser({ email: 'pkce-new@example.com' }, { emailRedirectTo: 'https://app.example/changed' }));
  const follow = async (address) => new URL((await fetch((await box.to(address)).link, { redirect: 'manual' })).headers.get('location'));
  const half = await follow('pkce-new@example.com');
  assert.match(half.searchParams.get('message'), /other email/);
  const landed = await follow('pkce-old@example.com');
  assert.deepEqual([landed.origin + landed.pathname, landed.hash], ['https://app.example/changed', '']);
  const { session } = ok(await supabase.auth.exchangeCodeForSession(landed.searchParams.get('code')));
  assert.deepEqual([session.user.id, session.user.email], [user.id, 'pkce-new@example.com']);
});

test('somebody anonymous becomes somebody', async () => {
  const supabase = client();
  const { user } = ok(await supabase.auth.signInAnonymously());
  fails(await supabase.auth.updateUser({ password }), 422, 'validation_failed');
  const email = fresh();
  const changed = ok(await supabase.auth.updateUser({ email, password })).user;
  assert.deepEqual([changed.id, changed.email, changed.is_anonymous], [user.id, email, false]);
  ok(await supabase.auth.refreshSession());
  assert.equal(decode(ok(await supabase.auth.getSession()).session.access_token).claims.is_anonymous, false);
});

test('admin.signOut, admin.mfa', async () => {
  const { supabase, session, user } = await signUp();
  assert.deepEqual(ok(await admin.mfa.listFactors({ userId: user.id })).factors, []);
  fails(await admin.mfa.deleteFactor({ userId: user.id, id: randomUUID() }), 404, 'mfa_factor_not_found');
  assert.equal((await admin.signOut(session.access_token, 'global')).error, null);
  assert.equal((await supabase.auth.getUser()).error.name, 'AuthSessionMissingError');
});
