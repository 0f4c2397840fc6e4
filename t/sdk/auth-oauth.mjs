// t/sdk/auth-oauth.mjs: the methods of @supabase/supabase-js that go by way of another provider, unmodified
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { stack } from '../lib/stack.mjs';
import { startOidc, travel } from '../lib/oidc.mjs';
import { startPlayed } from '../lib/played.mjs';

const oidc = await startOidc(), played = await startPlayed();
const redirectTo = 'https://app.example/in';
const s = await stack({
  people: false,
  settings: { 'auth.site_url': 'https://app.example', 'auth.redirect_urls': 'https://app.example/**', 'auth.manual_linking': 'on', 'auth.anonymous': 'on', ...oidc.settings('keycloak'), ...played.settings('google') },
});
oidc.admit(`${s.origin}/auth/v1/callback`);
const client = (flowType) => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value), removeItem: (key) => void kept.delete(key) };
  return createClient(s.origin, s.a.publishable, { auth: { autoRefreshToken: false, persistSession: true, detectSessionInUrl: false, flowType, storage } });
};
const ok = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};

async function signIn(supabase, login_hint) {
  const { url, provider } = ok(await supabase.auth.signInWithOAuth({ provider: 'keycloak', options: { redirectTo, scopes: 'profile', queryParams: { login_hint }, skipBrowserRedirect: true } }));
  assert.equal(provider, 'keycloak');
  return travel(url);
}

test('signInWithOAuth, exchangeCodeForSession', async () => {
  const supabase = client('pkce');
  const { query } = await signIn(supabase, 'ada');
  const { session, user } = ok(await supabase.auth.exchangeCodeForSession(query.code));
  assert.equal(user.email, 'ada@oidc.example');
  assert.ok(session.provider_token && session.provider_refresh_token);
  assert.equal(ok(await supabase.auth.getUser()).user.id, user.id);
  const refreshed = ok(await supabase.auth.refreshSession());
  assert.equal(refreshed.session.provider_token, undefined, 'given once');
  const again = await client('pkce').auth.exchangeCodeForSession(query.code);
  assert.ok(again.error);
});

test('signInWithOAuth, implicit', async () => {
  const supabase = client('implicit');
  const { fragment } = await signIn(supabase, 'ada');
  const { user } = ok(await supabase.auth.setSession(fragment));
  assert.equal(user.email, 'ada@oidc.example');
  assert.deepEqual(user.identities.map((identity) => identity.provider), ['keycloak']);
});

test('linkIdentity, getUserIdentities, unlinkIdentity', async () => {
  const supabase = client('pkce');
  const { user } = ok(await supabase.auth.signInAnonymously());
  const { url } = ok(await supabase.auth.linkIdentity({ provider: 'keycloak', options: { redirectTo, queryParams: { login_hint: 'linda' } } }));
  const { query, location } = await travel(url);
  assert.ok(query.code, String(location));
  const linked = ok(await supabase.auth.exchangeCodeForSession(query.code));
  assert.deepEqual([linked.user.id, linked.user.is_anonymous, linked.user.email], [user.id, false, 'linda@oidc.example']);
  const last = await supabase.auth.unlinkIdentity(ok(await supabase.auth.getUserIdentities()).identities[0]);
  assert.equal(last.error.code, 'single_identity_not_deletable');
  ok(await supabase.auth.linkIdentity({ provider: 'google', token: played.token({ sub: 'linda at google', email: 'linda@google.example' }) }));
  const { identities } = ok(await supabase.auth.getUserIdentities());
  assert.deepEqual(identities.map((identity) => identity.provider), ['keycloak', 'google']);
  ok(await supabase.auth.unlinkIdentity(identities[1]));
  assert.equal(ok(await supabase.auth.getUserIdentities()).identities.length, 1);
});

test('signInWithIdToken', async () => {
  const supabase = client('pkce');
  const { user, session } = ok(await supabase.auth.signInWithIdToken({ provider: 'google', token: played.token({ sub: '42', email: 'deep@google.example' }) }));
  assert.deepEqual([user.email, session.token_type], ['deep@google.example', 'bearer']);
  const bad = await supabase.auth.signInWithIdToken({ provider: 'google', token: played.token({ aud: 'theirs' }) });
  assert.deepEqual([bad.data.session, bad.error.status], [null, 400]);
  assert.match(bad.error.message, /another audience/);
});
