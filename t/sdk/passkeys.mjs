/* t/sdk/passkeys.mjs: supabase-js in a real browser, with Chromium's virtual authenticator
 *
 * One browser for all tests. Its pages come from http://localhost on two ports: the first is the app, the second is an origin of the
 * same domain that the app does not know.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { after, test } from 'node:test';
import { chromium } from 'playwright-core';
import { freePort } from '../lib/postgres.mjs';
import { password, stack } from '../lib/stack.mjs';
import { decode } from '../lib/jwt.mjs';

const library = fs.readFileSync(new URL('../../node_modules/@supabase/supabase-js/dist/umd/supabase.js', import.meta.url));
const servers = [];
async function site(port) {
  const server = http.createServer((request, response) => {
    if (request.url === '/supabase.js') return response.setHeader('content-type', 'text/javascript').end(library);
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>app</title><script src="/supabase.js"></script>');
  });
  await new Promise((resolve) => server.listen(port, 'localhost', resolve));
  servers.push(server);
  return `http://localhost:${port}`;
}
const app = await site(await freePort());
const elsewhere = await site(await freePort());
const s = await stack({ people: false, settings: { 'auth.site_url': app } });
const browser = await chromium.launch({ executablePath: process.env.TENON_TEST_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
after(async () => {
  await browser.close();
  for (const server of servers) server.close().closeAllConnections();
});

const page = await browser.newPage();
const devtools = await page.context().newCDPSession(page);
await devtools.send('WebAuthn.enable');
const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
  options: { protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'usb', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
});

/* Runs a function in the page with the clients of the people there: `client(name)`; errors come back as plain objects. */
async function inPage(work, argument) {
  const { data, error } = await page.evaluate(async ([text, argument, url, key]) => {
    window.clients ??= {};
    window.client = (name) => (window.clients[name] ??= window.supabase.createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false, storageKey: name } }));
    const result = await eval(`(${text})`)(argument);
    const { data, error } = result;
    return { data: JSON.parse(JSON.stringify(data ?? null)), error: error && { name: error.name, code: error.code, status: error.status, message: error.message } };
  }, [String(work), argument, s.origin, s.a.publishable]);
  return { data, error };
}
const ok = ({ data, error }) => {
  assert.equal(error, null, JSON.stringify(error));
  return data;
};
const credentials = async () => (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials;

await page.goto(app);
const email = 'ada@a.example';
let passkey;

test('a passkey is registered, listed and renamed', async () => {
  ok(await inPage(({ email, password }) => client('ada').auth.signUp({ email, password }), { email, password }));
  passkey = ok(await inPage(() => client('ada').auth.registerPasskey()));
  assert.match(passkey.created_at, /Z$/);
  const [made] = await credentials();
  assert.deepEqual([made.isResidentCredential, made.rpId, made.userName], [true, 'localhost', email]);
  assert.equal(ok(await inPage((id) => client('ada').auth.passkey.update({ passkeyId: id, friendlyName: 'key ring' }), passkey.id)).friendly_name, 'key ring');
  const list = ok(await inPage(() => client('ada').auth.passkey.list()));
  assert.deepEqual(list.map((p) => [p.id, p.friendly_name, p.last_used_at]), [[passkey.id, 'key ring', undefined]]);
  const again = await inPage(() => client('ada').auth.registerPasskey());
  assert.equal(again.error.name, 'InvalidStateError', 'the authenticator knows that it has one');
});

test('and signs in, with nothing typed', async () => {
  const { session, user } = ok(await inPage(() => client('anew').auth.signInWithPasskey()));
  assert.equal(user.email, email);
  const { amr, aal } = decode(session.access_token).claims;
  assert.deepEqual([amr.map((a) => a.method), aal], [['passkey'], 'aal1']);
  assert.equal(ok(await inPage(() => client('anew').auth.getUser())).user.email, email);
  const [listed] = ok(await inPage(() => client('anew').auth.passkey.list()));
  assert.ok(listed.last_used_at, 'which is noted');
});

test('a copy of the authenticator is noticed: its counter is behind', async () => {
  const [mine] = await credentials();
  await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: mine.credentialId });
  await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...mine, signCount: mine.signCount - 1 } });
  const copy = await inPage(() => client('copy').auth.signInWithPasskey());
  assert.deepEqual([copy.error.status, copy.error.code], [400, 'webauthn_verification_failed']);
  const [{ n }] = await s.rows(`select count(*)::int as n from auth.audit_log_entries where payload ->> 'action' = 'passkey_cloned'`);
  assert.equal(n, 1, 'and noted');
  ok(await inPage(() => client('copy').auth.signInWithPasskey()), 'once it has caught up nobody could tell');
});

test('a page of another origin is refused, though its domain is the same', async () => {
  await page.goto(elsewhere);
  const answer = await inPage(() => client('phished').auth.signInWithPasskey());
  assert.deepEqual([answer.error?.status, answer.error?.code], [400, 'webauthn_verification_failed']);
  await page.goto(app);
});

test('a security key as second factor: mfa.webauthn', async () => {
  ok(await inPage(({ password }) => client('bob').auth.signUp({ email: 'bob@a.example', password }), { password }));
  const enrolled = ok(await inPage(() => client('bob').auth.mfa.webauthn.register({ friendlyName: 'blue key' })));
  const first = decode(enrolled.access_token).claims;
  assert.deepEqual([first.aal, first.amr[0].method], ['aal2', 'mfa/webauthn']);
  const made = (await credentials()).filter((c) => !c.isResidentCredential);
  assert.equal(made.length, 1, 'not a passkey: nothing that names the person stays on the key');

  ok(await inPage(({ password }) => client('bob2').auth.signInWithPassword({ email: 'bob@a.example', password }), { password }));
  const level = ok(await inPage(() => client('bob2').auth.mfa.getAuthenticatorAssuranceLevel()));
  assert.deepEqual([level.currentLevel, level.nextLevel], ['aal1', 'aal2']);
  const { webauthn: [factor] } = ok(await inPage(() => client('bob2').auth.mfa.listFactors()));
  assert.deepEqual([factor.friendly_name, factor.status, factor.factor_type], ['blue key', 'verified', 'webauthn']);
  const refused = await inPage(() => client('bob2').auth.registerPasskey());
  assert.deepEqual([refused.error.status, refused.error.code], [403, 'insufficient_aal'], 'a way to sign in is added with both factors');
  const raised = ok(await inPage((factorId) => client('bob2').auth.mfa.webauthn.authenticate({ factorId }), factor.id));
  assert.equal(decode(raised.access_token).claims.aal, 'aal2');
  ok(await inPage(() => client('bob2').auth.registerPasskey()));

  await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: made[0].credentialId });
  await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...made[0], signCount: 0 } });
  const copy = await inPage((factorId) => client('bob2').auth.mfa.webauthn.authenticate({ factorId }), factor.id);
  assert.deepEqual([copy.error.status, copy.error.code], [422, 'mfa_verification_failed'], 'a copy is noticed here too');
  assert.equal(ok(await inPage((factorId) => client('bob2').auth.mfa.unenroll({ factorId }), factor.id)).id, factor.id);
});

test('a passkey that is taken away signs nobody in', async () => {
  ok(await inPage((credentials) => client('ada').auth.signInWithPassword(credentials), { email, password }));
  ok(await inPage((id) => client('ada').auth.passkey.delete({ passkeyId: id }), passkey.id));
  for (const c of await credentials())
    if (c.userName !== email) await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: c.credentialId });
  const answer = await inPage(() => client('late').auth.signInWithPasskey());
  assert.deepEqual([answer.error.status, answer.error.code], [400, 'webauthn_verification_failed']);
});
