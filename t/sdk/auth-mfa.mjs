// t/sdk/auth-mfa.mjs: mfa.* of @supabase/supabase-js, unmodified, with codes from oathtool
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { password, stack } from '../lib/stack.mjs';

const s = await stack({ people: false });
const client = () => createClient(s.origin, s.a.publishable, { auth: { autoRefreshToken: false, persistSession: false, experimental: { recoveryCodes: true } } });
const ok = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};
const code = (secret) => execFileSync('oathtool', ['--totp', '-b', secret], { encoding: 'utf8' }).trim();
const forget = () => s.sql('update auth.mfa_factors set last_step = -1');

const email = 'ada@example.com';
const supabase = client();
const level = async (who) => {
  const { currentLevel, nextLevel, currentAuthenticationMethods } = ok(await who.auth.mfa.getAuthenticatorAssuranceLevel());
  return [currentLevel, nextLevel, currentAuthenticationMethods.map((m) => m.method).join(' ')];
};
let factor;

test('enroll, challenge, verify', async () => {
  const events = [];
  supabase.auth.onAuthStateChange((event) => events.push(event));
  ok(await supabase.auth.signUp({ email, password }));
  assert.deepEqual(await level(supabase), ['aal1', 'aal1', 'password']);
  factor = ok(await supabase.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }));
  assert.match(factor.totp.qr_code, /^data:image\/svg\+xml;utf-8,<svg /);
  assert.deepEqual(ok(await supabase.auth.mfa.listFactors()).totp, [], 'one that is not verified is only among all');
  const challenge = ok(await supabase.auth.mfa.challenge({ factorId: factor.id }));
  const wrong = await supabase.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: '0000000' });
  assert.deepEqual([wrong.error.name, wrong.error.status, wrong.error.code], ['AuthApiError', 422, 'mfa_verification_failed']);
  ok(await supabase.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: code(factor.totp.secret) }));
  assert.ok(events.includes('MFA_CHALLENGE_VERIFIED'), String(events));
  assert.deepEqual(await level(supabase), ['aal2', 'aal2', 'totp password']);
  assert.deepEqual(ok(await supabase.auth.mfa.listFactors()).totp.map((f) => [f.id, f.friendly_name, f.status]), [[factor.id, 'phone', 'verified']]);
  ok(await supabase.auth.refreshSession());
  assert.deepEqual(await level(supabase), ['aal2', 'aal2', 'totp password']);
});

test('challengeAndVerify after a sign-in by password', async () => {
  await forget();
  const other = client();
  ok(await other.auth.signInWithPassword({ email, password }));
  assert.deepEqual(await level(other), ['aal1', 'aal2', 'password'], 'the app sees that there is more to prove');
  ok(await other.auth.mfa.challengeAndVerify({ factorId: factor.id, code: code(factor.totp.secret) }));
  assert.deepEqual(await level(other), ['aal2', 'aal2', 'totp password']);
  ok(await supabase.auth.getUser());
});

test('recoveryCodes', async () => {
  const none = await supabase.auth.mfa.recoveryCodes.getStatus();
  assert.equal(none.error.code, 'mfa_factor_not_found');
  const { codes, total, friendly_name } = ok(await supabase.auth.mfa.recoveryCodes.generate());
  assert.deepEqual([codes.length, total, friendly_name], [10, 10, 'Recovery codes']);
  const lost = client();
  ok(await lost.auth.signInWithPassword({ email, password }));
  ok(await lost.auth.mfa.recoveryCodes.verify({ code: codes[0].match(/.{1,4}/g).join('-').toUpperCase() }));
  assert.deepEqual(await level(lost), ['aal2', 'aal2', 'mfa/recovery_code password']);
  const { remaining } = ok(await lost.auth.mfa.recoveryCodes.getStatus());
  assert.equal(remaining, 9);
  assert.equal(ok(await lost.auth.mfa.listFactors()).recovery_code.length, 1);
  const anew = ok(await lost.auth.mfa.recoveryCodes.regenerate());
  const old = await lost.auth.mfa.recoveryCodes.verify({ code: codes[1] });
  assert.equal(old.error.code, 'mfa_verification_failed');
  assert.ok(!anew.codes.includes(codes[1]));
  const { id } = ok(await lost.auth.mfa.recoveryCodes.unenroll());
  assert.equal(id, anew.id);
});

test('unenroll', async () => {
  assert.equal(ok(await supabase.auth.mfa.unenroll({ factorId: factor.id })).id, factor.id);
  ok(await supabase.auth.refreshSession());
  assert.deepEqual(await level(supabase), ['aal1', 'aal1', 'password']);
  assert.deepEqual(ok(await supabase.auth.mfa.listFactors()).all, []);
});
