// t/sdk/auth.mjs: the auth methods of @supabase/supabase-js, unmodified
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { password, stack } from '../lib/stack.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack({ people: false, settings: { 'auth.reuse_interval_s': 0 } });
const client = () => createClient(s.origin, s.a.publishable, { auth: { autoRefreshToken: false, persistSession: false } });
const ok = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};
let person = 0;
const fresh = () => `person${++person}@example.com`;

test('signUp, getUser, getSession, signOut', async () => {
  const supabase = client();
  const events = [];
  supabase.auth.onAuthStateChange((event) => events.push(event));
  const email = fresh();
  const { user, session } = ok(await supabase.auth.signUp({ email, password, options: { data: { nick: 'p' } } }));
  assert.deepEqual([user.email, user.user_metadata.nick, user.identities.length], [email, 'p', 1]);
  assert.ok(session.access_token && session.refresh_token && session.expires_at > Date.now() / 1000);
  assert.equal(ok(await supabase.auth.getUser()).user.id, user.id);
  assert.equal(ok(await supabase.auth.getSession()).session.access_token, session.access_token);
  assert.equal((await supabase.auth.signOut()).error, null);
  assert.equal(ok(await supabase.auth.getSession()).session, null);
  assert.ok(events.includes('SIGNED_IN') && events.includes('SIGNED_OUT'), String(events));
  const gone = await supabase.auth.getUser(session.access_token);
  assert.equal(gone.error.name, 'AuthSessionMissingError', 'a session that was signed out is missing, not broken');
});

test('signInWithPassword, and its errors with code and status', async () => {
  const supabase = client();
  const email = fresh();
  ok(await supabase.auth.signUp({ email, password }));
  const { user, session } = ok(await client().auth.signInWithPassword({ email, password }));
  assert.equal(user.email, email);
  assert.equal(decode(session.access_token).claims.sub, user.id);
  const wrong = await client().auth.signInWithPassword({ email, password: 'wrong password' });
  assert.deepEqual([wrong.error.name, wrong.error.status, wrong.error.code, wrong.error.message], ['AuthApiError', 400, 'invalid_credentials', 'Invalid login credentials']);
  const unknown = await client().auth.signInWithPassword({ email: fresh(), password });
  assert.equal(unknown.error.code, 'invalid_credentials');
});

test('signUp: what goes wrong', async () => {
  const email = fresh();
  ok(await client().auth.signUp({ email, password }));
  const again = await client().auth.signUp({ email, password });
  assert.deepEqual([again.error.status, again.error.code], [422, 'user_already_exists']);
  assert.match(again.error.message, /^User already registered/);
  const weak = await client().auth.signUp({ email: fresh(), password: 'abc' });
  assert.deepEqual([weak.error.name, weak.error.reasons], ['AuthWeakPasswordError', ['length']]);
  assert.match(weak.error.message, /Password should be at least 6 characters/);
  const address = await client().auth.signUp({ email: 'nonsense', password });
  assert.match(address.error.message, /Unable to validate email address: invalid format/);
  const anonymous = await client().auth.signInAnonymously();
  assert.deepEqual([anonymous.error.status, anonymous.error.code], [422, 'anonymous_provider_disabled']);
});

test('refreshSession and setSession', async () => {
  const supabase = client();
  const { session } = ok(await supabase.auth.signUp({ email: fresh(), password }));
  const refreshed = ok(await supabase.auth.refreshSession());
  assert.notEqual(refreshed.session.refresh_token, session.refresh_token);
  const other = client();
  const set = ok(await other.auth.setSession({ access_token: refreshed.session.access_token, refresh_token: refreshed.session.refresh_token }));
  assert.equal(set.user.id, session.user.id);
  const bad = await client().auth.refreshSession({ refresh_token: 'abcdefghij23' });
  assert.match(bad.error.message, /Invalid Refresh Token|Refresh token is not valid/);
  assert.equal(bad.error.status, 400);
});

test('two tabs refresh at the same time', async () => {
  const { session } = ok(await client().auth.signUp({ email: fresh(), password }));
  const tabs = await Promise.all([1, 2, 3].map(() => client().auth.refreshSession({ refresh_token: session.refresh_token })));
  for (const tab of tabs) assert.equal(tab.error, null);
});

test('getClaims verifies with the published key, without asking the server about the user', async () => {
  const supabase = client();
  const { user } = ok(await supabase.auth.signUp({ email: fresh(), password }));
  const { claims, header } = ok(await supabase.auth.getClaims());
  assert.deepEqual([claims.sub, claims.role, header.alg], [user.id, 'authenticated', 'ES256']);
});

test('signOut with a scope', async () => {
  const email = fresh();
  const one = client();
  ok(await one.auth.signUp({ email, password }));
  const two = client();
  ok(await two.auth.signInWithPassword({ email, password }));
  assert.equal((await one.auth.signOut({ scope: 'others' })).error, null);
  assert.equal((await two.auth.getUser()).error?.name, 'AuthSessionMissingError');
  assert.equal((await one.auth.getUser()).error, null);
  const three = client();
  ok(await three.auth.signInWithPassword({ email, password }));
  assert.equal((await three.auth.signOut({ scope: 'local' })).error, null);
  assert.equal((await one.auth.getUser()).error, null);
  assert.equal((await one.auth.signOut()).error, null, 'global, the default');
});

test('admin.signOut with somebody’s token', async () => {
  const supabase = client();
  const { session } = ok(await supabase.auth.signUp({ email: fresh(), password }));
  const admin = createClient(s.origin, s.a.secret, { auth: { autoRefreshToken: false, persistSession: false } });
  assert.equal((await admin.auth.admin.signOut(session.access_token)).error, null);
  assert.equal((await supabase.auth.getUser()).error?.name, 'AuthSessionMissingError');
});

test('a key that is not ours', async () => {
  const { error } = await createClient(s.origin, 'sb_publishable_nothing', { auth: { persistSession: false, autoRefreshToken: false } }).auth.signUp({ email: fresh(), password });
  assert.equal(error.status, 401);
});

test('a server that is away is an error that may be tried again', async () => {
  const nowhere = createClient('http://127.0.0.1:9', s.a.publishable, { auth: { persistSession: false, autoRefreshToken: false } });
  const { error } = await nowhere.auth.signInWithPassword({ email: fresh(), password });
  assert.equal(error.name, 'AuthRetryableFetchError');
});
