// t/api/oauth-shapes.mjs: GitHub, Google, Apple, Microsoft and Discord as they answer, played on the loopback address
import assert from 'node:assert/strict';
import { generateKeyPairSync, verify } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';
import { decode } from '../lib/jwt.mjs';
import { landing, section } from '../lib/oidc.mjs';
import { startPlayed } from '../lib/played.mjs';

const played = await startPlayed();
const at = (more) => ({ authorize_url: `${played.issuer}/authorize`, token_url: `${played.issuer}/token`, client_id: 'ours', secret: 'the secret', allow_private: 'on', ...more });
const ofTeam = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-apple-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));
fs.chmodSync(dir, 0o755);
fs.writeFileSync(path.join(dir, 'key.p8'), ofTeam.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o644 });
const single = '11111111-2222-4333-8444-555555555555';
const s = await stack({
  people: false,
  settings: {
    'auth.autoconfirm': 'off', 'auth.site_url': 'https://app.example',
    ...section('github', at({ userinfo_url: `${played.issuer}/user` })),
    ...section('google', at({ jwks_url: `${played.issuer}/jwks`, audiences: 'phone, tablet' })),
    ...section('apple', at({ jwks_url: `${played.issuer}/jwks`, secret: `@${dir}/key.p8`, team_id: 'TEAM', key_id: 'KEY' })),
    ...section('azure', at({ jwks_url: `${played.issuer}/jwks` })),
    ...section('discord', at({ userinfo_url: `${played.issuer}/userinfo` })),
  },
});
const identityOf = async (end) => {
  assert.ok(end.fragment.access_token, String(end.location));
  const user = await s.a.anon.get('/auth/v1/user', { headers: { authorization: `Bearer ${end.fragment.access_token}` } });
  return { user, identity: user.identities[0], data: user.identities[0].identity_data };
};
const formOf = () => played.requests.findLast((r) => r.form).form;

test('GitHub: id, name, picture, and the primary address that is verified', async () => {
  const begun = await played.leave(s, 'github', { scopes: 'repo' });
  assert.equal(begun.sent.scope, 'user:email repo');
  assert.equal(begun.sent.nonce, undefined);
  assert.match(begun.sent.code_challenge, /^[\w-]{43}$/);
  const end = await played.come(s, begun, {
    token: (response) => response.end(JSON.stringify({ access_token: `access-${formOf().code}`, token_type: 'bearer', scope: 'user:email' })),
    userinfo: { id: 583231, login: 'octocat', name: 'The Octocat', avatar_url: 'https://avatars.example/u/583231', email: 'shown@github.example' },
    emails: [
      { email: 'old@github.example', primary: false, verified: true, visibility: null },
      { email: 'Octo@GitHub.example', primary: true, verified: true, visibility: 'private' },
    ],
  });
  const { user, identity, data } = await identityOf(end);
  assert.deepEqual([identity.provider, identity.id, user.email], ['github', '583231', 'octo@github.example']);
  assert.deepEqual(data, {
    iss: 'https://api.github.com', sub: '583231', provider_id: '583231', email: 'Octo@GitHub.example', email_verified: true, phone_verified: false,
    name: 'The Octocat', full_name: 'The Octocat', user_name: 'octocat', preferred_username: 'octocat', avatar_url: 'https://avatars.example/u/583231',
  });
  const call = played.requests.findLast((r) => r.path === '/user');
  assert.match(call.headers.authorization, /^Bearer access-/);
  assert.ok(call.headers['user-agent']);
  assert.deepEqual(Object.keys(formOf()).sort(), ['client_id', 'client_secret', 'code', 'code_verifier', 'grant_type', 'redirect_uri']);
});

test('GitHub: nobody of that id, and an address that is not verified', async () => {
  const token = (response) => response.end(JSON.stringify({ access_token: `access-${formOf().code}`, token_type: 'bearer' }));
  const nobody = await played.visit(s, 'github', { token, userinfo: { id: '583231; drop', login: 'x' }, emails: [] });
  assert.equal(nobody.query.error_code, 'bad_oauth_callback');
  const end = await played.visit(s, 'github', { token, userinfo: { id: 7, login: 'seven' }, emails: [{ email: 'seven@github.example', primary: true, verified: false }] });
  assert.deepEqual([end.query.error, end.query.error_code], ['access_denied', 'provider_email_needs_verification']);
  assert.match(end.query.error_description, /^Unverified email with github/);
});

test('Google: both of its issuers, and no other', async () => {
  for (const iss of ['https://accounts.google.com', 'accounts.google.com']) {
    const begun = await played.leave(s, 'google', { access_type: 'offline', hd: 'corp.example' });
    assert.deepEqual([begun.sent.access_type, begun.sent.hd], ['offline', 'corp.example']);
    const { identity } = await identityOf(await played.come(s, begun, { claims: { iss, sub: '1098', azp: 'ours', hd: 'corp.example' } }));
    assert.deepEqual([identity.provider, identity.id], ['google', '1098']);
  }
  const end = await played.visit(s, 'google', { claims: { sub: '1098' } });
  assert.equal(end.query.error_code, 'bad_oauth_callback');
  const brought = await played.visit(s, 'google', { claims: { iss: 'https://accounts.google.com', aud: 'phone' } });
  assert.equal(brought.query.error_code, 'bad_oauth_callback', 'what was issued to the app on the phone is not for the browser');
});

test('Apple: a form comes back, with the name at the first time; the secret is a token', async () => {
  const begun = await played.leave(s, 'apple');
  assert.deepEqual([begun.sent.response_mode, begun.sent.scope, begun.sent.code_challenge], ['form_post', 'email name', undefined]);
  const claims = { iss: 'https://appleid.apple.com', sub: '000123.abc', email: 'x@privaterelay.example', email_verified: 'true', is_private_email: 'true', name: undefined };
  const form = new URLSearchParams({ state: begun.state, code: played.code({ nonce: begun.nonce, header: { alg: 'ES256' }, claims }), user: JSON.stringify({ name: { firstName: 'Ada', lastName: 'Apple' }, email: 'admin@evil.example' }) });
  const answer = await s.a.anon.request('POST', '/auth/v1/callback', String(form), { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  assert.equal(answer.status, 302, answer.text);
  const { user, data } = await identityOf(landing(answer.headers.location));
  assert.deepEqual([user.email, data.full_name, data.email_verified], ['x@privaterelay.example', 'Ada Apple', true]);

  const { header, claims: secret } = decode(formOf().client_secret);
  assert.deepEqual([header.alg, header.kid, secret.iss, secret.sub, secret.aud], ['ES256', 'KEY', 'TEAM', 'ours', 'https://appleid.apple.com']);
  assert.ok(secret.exp > Date.now() / 1000 && secret.exp < Date.now() / 1000 + 600);
  const [input, signature] = [formOf().client_secret.replace(/\.[^.]*$/, ''), formOf().client_secret.split('.')[2]];
  assert.ok(verify('sha256', Buffer.from(input), { key: ofTeam.publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));

  const again = await played.visit(s, 'apple', { claims });
  assert.equal((await identityOf(again)).data.full_name, 'Ada Apple', 'the name stays when it is not told again');
});

const tenant = (tid) => ({ tid, iss: `https://login.microsoftonline.com/${tid}/v2.0` });
test('Microsoft: each tenant has an issuer of its own, which must be the one of the token', async () => {
  const end = await played.visit(s, 'azure', { claims: { ...tenant(single), sub: 'm1', email: 'm1@contoso.example', xms_edov: true, email_verified: undefined } });
  assert.equal((await identityOf(end)).user.email, 'm1@contoso.example');
  for (const claims of [
    { tid: single, iss: 'https://login.microsoftonline.com/99999999-2222-4333-8444-555555555555/v2.0' },
    { tid: undefined, iss: 'https://login.microsoftonline.com/{tenantid}/v2.0' },
    { tid: 'common', iss: 'https://login.microsoftonline.com/common/v2.0' },
    { tid: '../evil.example/12345678901234567890', iss: 'https://login.microsoftonline.com/../evil.example/12345678901234567890/v2.0' },
    { tid: single, iss: `https://login.microsoftonline.com.evil.example/${single}/v2.0` },
  ])
    assert.equal((await played.visit(s, 'azure', { claims: { sub: 'm2', ...claims } })).query.error_code, 'bad_oauth_callback', JSON.stringify(claims));
});

test('Microsoft: an address that any tenant could have written is not verified', async () => {
  for (const more of [{}, { xms_edov: false }, { xms_edov: '0' }, { email_verified: true }]) {
    const end = await played.visit(s, 'azure', { claims: { ...tenant(single), sub: `m${JSON.stringify(more)}`, email: 'ceo@victim.example', ...more } });
    assert.equal(end.query.error_code, 'provider_email_needs_verification', JSON.stringify(more));
  }
});

test('Discord: id, name, picture', async () => {
  const begun = await played.leave(s, 'discord');
  assert.deepEqual([begun.sent.scope, begun.sent.code_challenge, begun.sent.nonce], ['identify email', undefined, undefined]);
  const userinfo = { id: '80351110224678912', username: 'nelly', global_name: 'Nelly', avatar: 'a_8342729096ea3675442027381ff50dfe', discriminator: '0', email: 'nelly@discord.example', verified: true };
  const { data, user } = await identityOf(await played.come(s, begun, { userinfo }));
  assert.deepEqual([user.email, data.full_name, data.name, data.avatar_url], ['nelly@discord.example', 'Nelly', 'nelly', 'https://cdn.discordapp.com/avatars/80351110224678912/a_8342729096ea3675442027381ff50dfe.gif']);
  const evil = await played.visit(s, 'discord', { userinfo: { ...userinfo, id: '1/../2' } });
  assert.equal(evil.query.error_code, 'bad_oauth_callback');
});

test('the addresses that are built in', async () => {
  const real = { github: 'https://github.com/login/oauth/authorize', google: 'https://accounts.google.com/o/oauth2/v2/auth', apple: 'https://appleid.apple.com/auth/authorize', azure: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize', discord: 'https://discord.com/oauth2/authorize' };
  for (const name of Object.keys(real)) s.configure({ [`oauth ${name}.authorize_url`]: '' });
  const before = s.workers();
  assert.equal((await s.tenon('reload')).code, 0);
  await eventually('workers of the new settings', () => s.workers().every((pid) => !before.includes(pid)));
  for (const [name, url] of Object.entries(real)) {
    const { to } = await played.leave(s, name);
    assert.equal(to.origin + to.pathname, url);
  }
});
