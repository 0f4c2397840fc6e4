// t/api/auth-hooks.mjs: functions of the app that are asked: by signed HTTP (Standard Webhooks), and in PostgreSQL
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { createHmac, randomBytes } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import { eventually, password, stack } from '../lib/stack.mjs';
import { answers, uuid } from '../lib/expect.mjs';
import { decode, hs256 } from '../lib/jwt.mjs';

/* The app: what it was asked, by path, and what it answers: a JSON value, or (response) => …. */
const secrets = [randomBytes(24), randomBytes(32)];
const asked = [];
let replies = {};
const app = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const name = request.url.slice(1);
  asked.push({ name, headers: request.headers, text, payload: JSON.parse(text) });
  const reply = replies[name] ?? {};
  if (typeof reply === 'function') return reply(response, JSON.parse(text));
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(reply));
}).listen(0, '127.0.0.1');
await once(app, 'listening');
after(() => app.close().closeAllConnections());
const url = (name) => `http://127.0.0.1:${app.address().port}/${name}`;
const keep = (response, { claims }) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ claims }));
const claimsAnd = (extra) => (response, { claims }) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ claims: { ...claims, ...extra } }));

beforeEach(() => {
  asked.length = 0;
  replies = { custom_access_token: keep };
});

const names = ['custom_access_token', 'password_verification_attempt', 'before_user_created', 'after_user_created'];
const s = await stack({
  people: false,
  settings: {
    ...Object.fromEntries(names.map((name) => [`hooks.${name}`, url(name)])),
    'hooks.secrets': secrets.map((bytes) => `v1,whsec_${bytes.toString('base64')}`).join('|'),
    'hooks.allow_private': 'on', 'hooks.timeout_ms': 1000, 'auth.anonymous': 'on',
  },
});
const signUp = (email, extra = {}) => s.a.anon.request('POST', '/auth/v1/signup', { email, password, ...extra });
const signIn = (email, secret = password) => s.a.anon.request('POST', '/auth/v1/token?grant_type=password', { email, password: secret });
const of = (name) => asked.filter((question) => question.name === name);

test('who signs up is announced, and the claims are asked for; each question is signed with each secret', async () => {
  replies.custom_access_token = claimsAnd({ plan: 'gold', app_metadata: { seats: 3 } });
  const answer = await signUp('ada@a.example', { data: { nick: 'ada' } });
  answers(answer, 200);
  const { claims } = decode(answer.json.access_token);
  assert.equal(claims.plan, 'gold');
  assert.deepEqual(claims.app_metadata, { seats: 3 });
  assert.equal((await s.client({ apikey: s.a.publishable, authorization: `Bearer ${answer.json.access_token}` }).request('GET', '/auth/v1/user')).status, 200);

  const [before] = of('before_user_created'), [token] = of('custom_access_token');
  assert.equal(before.payload.metadata.name, 'before-user-created');
  assert.equal(before.payload.user.email, 'ada@a.example');
  assert.deepEqual(before.payload.user.user_metadata, { nick: 'ada' });
  assert.equal(token.payload.user_id, answer.json.user.id);
  assert.equal(token.payload.authentication_method, 'password');
  assert.equal(token.payload.claims.tenant_id, s.a.id);
  for (const { headers, text } of [before, token]) {
    assert.match(headers['webhook-id'], /^msg_/);
    assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 60);
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
    assert.deepEqual(headers['webhook-signature'].split(' '), secrets.map((bytes) => `v1,${createHmac('sha256', bytes).update(signed).digest('base64')}`));
  }
  await eventually('the word that there is an account', () => of('after_user_created')[0]);
  assert.equal(of('after_user_created')[0].payload.user.id, answer.json.user.id);
});

test('a refresh says that it is one', async () => {
  const { json } = await signUp('bea@a.example');
  answers(await s.a.anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: json.refresh_token }), 200);
  assert.deepEqual(of('custom_access_token').map(({ payload }) => payload.authentication_method), ['password', 'token_refresh']);
});

test('what an app says against it reaches the client', async () => {
  replies.before_user_created = { error: { http_code: 403, message: 'only people of example.com' } };
  const refused = await signUp('cid@a.example');
  answers(refused, 403);
  assert.equal(refused.json.msg, 'only people of example.com');
  assert.deepEqual(await s.rows("select id from auth.users where email = 'cid@a.example'"), []);
  for (const [path, body] of [['admin/users', { email: 'cid@a.example', password }], ['invite', { email: 'cid@a.example' }], ['otp', { email: 'cid@a.example' }], ['signup', {}]])
    answers(await s.a.service.request('POST', `/auth/v1/${path}`, body), 403);
  assert.deepEqual(await s.rows('select email from auth.users where email is null or email like \'cid@%\''), []);
  replies.before_user_created = { error: { http_code: 200, message: 'a status that is none' } };
  answers(await signUp('cid@a.example'), 500);
});

const refusals = [
  ['another person', { sub: '018f0000-0000-7000-8000-000000000000' }],
  ['another tenant', { tenant_id: '018f0000-0000-7000-8000-000000000000' }],
  ['another session', { session_id: '018f0000-0000-7000-8000-000000000000' }],
  ['the role of a secret key', { role: 'service_role' }],
  ['a role of ours', { role: 'tenon_platform' }],
  ['a longer life', { exp: 4102444800 }],
  ['an end that is none', { exp: 'never' }],
  ['another issuer', { iss: 'https://elsewhere.example' }],
  ['a claim that is missing', { email: undefined }],
  ['more than fits into a token', { text: 'x'.repeat(7000) }],
];
test('claims that say somebody else is refused', async (t) => {
  await signUp('dan@a.example');
  for (const [name, extra] of refusals)
    await t.test(name, async () => {
      replies.custom_access_token = claimsAnd(extra);
      const answer = await signIn('dan@a.example');
      answers(answer, 500, 'unexpected_failure');
      assert.equal(answer.json.access_token, undefined);
    });
  replies.custom_access_token = {};
  answers(await signIn('dan@a.example'), 500, 'unexpected_failure');
});

test('every password that is tried is told, for addresses that nobody has as well', async () => {
  const { json } = await signUp('eve@a.example');
  answers(await signIn('eve@a.example'), 200);
  answers(await signIn('eve@a.example', 'wrong'), 400, 'invalid_credentials');
  answers(await signIn('nobody@a.example', 'wrong'), 400, 'invalid_credentials');
  answers(await signIn('nobody@a.example', 'wrong'), 400, 'invalid_credentials');
  answers(await signIn('nobody2@a.example', 'wrong'), 400, 'invalid_credentials');
  const told = of('password_verification_attempt').map(({ payload }) => payload);
  assert.deepEqual(told.map(({ valid }) => valid), [true, false, false, false, false]);
  assert.deepEqual(told.slice(0, 2).map(({ user_id: id }) => id), [json.user.id, json.user.id]);
  for (const { user_id: id } of told) assert.match(id, uuid);
  assert.equal(told[2].user_id, told[3].user_id, 'an address that nobody has keeps its id');
  assert.notEqual(told[3].user_id, told[4].user_id);

  replies.password_verification_attempt = { decision: 'reject', message: 'wait a while', should_logout_user: true };
  const known = await signIn('eve@a.example'), unknown = await signIn('nobody@a.example');
  answers(known, 400, 'invalid_credentials');
  assert.equal(known.json.msg, 'wait a while');
  assert.deepEqual([unknown.status, unknown.text], [known.status, known.text], 'and cannot be told from one that somebody has');
  answers(await s.a.anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: json.refresh_token }), 400, 'refresh_token_not_found');

  replies.password_verification_attempt = (response) => response.writeHead(500).end();
  answers(await signIn('nobody@a.example'), 400, 'invalid_credentials');
  answers(await signIn('eve@a.example', 'wrong'), 400, 'invalid_credentials');
});

const json = { 'content-type': 'application/json' };
const troubles = [
  ['no answer', () => {}, 422, 'hook_timeout', 1],
  ['a broken connection', (response) => response.socket.destroy(), 500, 'unexpected_failure', 2],
  ['a plea for another attempt, and silence', (response) => (of('before_user_created').length === 1 ? response.writeHead(503, { 'retry-after': 0 }).end() : undefined), 422, 'hook_timeout_after_retry', 2],
  ['a plea for another attempt, and a reply', (response) => (of('before_user_created').length === 1 ? response.writeHead(429, { 'retry-after': 0 }).end() : response.writeHead(200, json).end('{}')), 200, undefined, 2],
  ['another type', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'), 422, 'hook_payload_invalid_content_type', 1],
  ['too much', (response) => response.writeHead(200, json).end(JSON.stringify({ a: 'x'.repeat(21000) })), 422, 'hook_payload_over_size_limit', 1],
  ['no JSON', (response) => response.writeHead(200, json).end('{'), 500, 'unexpected_failure', 1],
  ['no object', (response) => response.writeHead(200, json).end('[]'), 500, 'unexpected_failure', 1],
  ['another status', (response) => response.writeHead(302, { location: url('custom_access_token') }).end(), 500, 'unexpected_failure', 1],
  ['nothing', (response) => response.writeHead(204).end(), 200, undefined, 1],
];
test('a hook in trouble', async (t) => {
  for (const [i, [name, reply, status, code, times]] of troubles.entries())
    await t.test(name, async () => {
      asked.length = 0;
      replies.before_user_created = reply;
      const answer = await signUp(`trouble${i}@a.example`);
      answers(answer, status, code);
      const questions = of('before_user_created');
      assert.equal(questions.length, times);
      assert.equal(new Set(questions.map(({ headers }) => headers['webhook-id'])).size, 1, 'the same question has the same id');
    });
  replies.before_user_created = {};
  answers(await signUp('large@a.example', { data: { text: 'x'.repeat(21000) } }), 422, 'hook_payload_over_size_limit');
});

test('an app that is slow does not stop everybody else', async () => {
  const held = [];
  replies.before_user_created = (response) => held.push(response);
  const waiting = Promise.all(Array.from({ length: 12 }, (_, i) => signUp(`slow${i}@a.example`)));
  await eventually('questions that wait', () => held.length >= 4);
  answers(await s.a.anon.request('GET', '/auth/v1/settings'), 200);
  const codes = (await waiting).map(({ status, json: { error_code: code, code: other } }) => [status, code ?? other].join(' '));
  assert.deepEqual([...new Set(codes)].sort(), ['422 hook_timeout', '503 overloaded']);
  assert.equal(held.length, codes.filter((code) => code === '422 hook_timeout').length);
});

test('an address that is private is not asked unless that is allowed', async () => {
  assert.notEqual((await (s.configure({ 'hooks.allow_private': 'off' }), s.tenon('reload'))).code, 0, 'http:// is for private addresses only');
  s.configure({ 'hooks.before_user_created': url('x').replace('http:', 'https:') });
  for (const name of names.filter((other) => other !== 'before_user_created')) s.configure({ [`hooks.${name}`]: '' });
  const reload = await s.tenon('reload');
  assert.equal(reload.code, 0, reload.stderr);
  answers(await signUp('fay@a.example'), 500, 'unexpected_failure');
  assert.equal(of('before_user_created').length, 0);
});

test('functions of the database run as supabase_auth_admin, in the tenant, with row security', async () => {
  await s.sql(`
    create schema app;
    create table public.plans (name text not null, who text not null);
    select tenon.protect('public.plans');
    create policy hooks on public.plans for select to supabase_auth_admin using (true);
    grant select on public.plans to supabase_auth_admin;
    insert into public.plans (tenant_id, name, who) values ('${s.a.id}', 'gold', 'gus@x.example'), ('${s.b.id}', 'lead', 'gus@x.example');
    create function app."Claims"(event jsonb) returns jsonb language sql stable as $$
      select jsonb_build_object('claims', event -> 'claims' || jsonb_build_object('plan', (select string_agg(name, ',') from public.plans where who = event #>> '{claims,email}'), 'as', current_user)) $$;
    create function app.before(event jsonb) returns jsonb language plpgsql as $$
    begin
      if event #>> '{user,email}' like 'raise@%' then raise exception 'a secret of the app'; end if;
      if event #>> '{user,email}' like 'users@%' then perform from auth.users; end if;
      if event #>> '{user,email}' like 'keys@%' then perform from tenon.keys; end if;
      if event #>> '{user,email}' like 'slow@%' then perform pg_sleep(30); end if;
      if event #>> '{user,email}' like 'no@%' then return '{"error": {"http_code": 418, "message": "no"}}'; end if;
      return null;
    end $$;
    revoke execute on function app."Claims"(jsonb), app.before(jsonb) from public;
    grant usage on schema app to supabase_auth_admin;
    grant execute on function app."Claims"(jsonb), app.before(jsonb) to supabase_auth_admin;`);
  s.configure({ 'hooks.custom_access_token': 'pg-functions://postgres/app/Claims', 'hooks.before_user_created': 'pg-functions://postgres/app/before' });
  assert.equal((await s.tenon('reload')).code, 0);
  const plans = async (tenant) => {
    const { access_token: token } = await tenant.anon.post('/auth/v1/signup', { email: 'gus@x.example', password });
    const { plan, as } = decode(token).claims;
    return [plan, as];
  };
  assert.deepEqual(await plans(s.a), ['gold', 'supabase_auth_admin']);
  assert.deepEqual(await plans(s.b), ['lead', 'supabase_auth_admin']);
  answers(await signUp('no@a.example'), 418);
  for (const who of ['raise', 'users', 'keys']) {
    const answer = await signUp(`${who}@a.example`);
    answers(answer, 500, 'unexpected_failure');
    assert.doesNotMatch(answer.text, /secret of the app|permission/);
  }
  answers(await signUp('slow@a.example'), 422, 'hook_timeout');
  const token = hs256({ role: 'supabase_auth_admin', exp: 4102444800 }, s.settings['auth.jwt_secret']);
  answers(await s.client({ apikey: s.a.publishable, authorization: `Bearer ${token}` }).request('GET', '/rest/v1/plans'), 401);
});

test('a function that is not there, or may not be called, is told in the log', async () => {
  await s.sql("create function app.mine(event jsonb) returns jsonb language sql as 'select null::jsonb'; revoke execute on function app.mine(jsonb) from public");
  s.configure({ 'hooks.custom_access_token': 'pg-functions://postgres/app/mine', 'hooks.send_sms': 'pg-functions://postgres/app/nothing' });
  assert.equal((await s.tenon('reload')).code, 0);
  const told = () => s.log().filter(({ event }) => event === 'settings.names_nothing').map(({ setting }) => setting);
  await eventually('both in the log', () => told().includes('hooks.custom_access_token') && told().includes('hooks.send_sms'));
  assert.ok(!told().includes('hooks.before_user_created'), 'and not the one that is there');
  s.configure({ 'hooks.custom_access_token': '', 'hooks.send_sms': '' });
});

test('settings that name no hook are refused when they are read', async (t) => {
  const wrong = [
    ['pg-functions://postgres/app', /SCHEMA\/NAME/], ['pg-functions://postgres/a"b/c', /letters/], ['pg-functions://other/app/x', /expected/],
    ['ftp://example.com/x', /https/], ['http://example.com/x', /https/], ['https://user:secret@example.com/', /login/],
  ];
  for (const [value, words] of wrong)
    await t.test(value, async () => {
      s.configure({ 'hooks.before_user_created': value });
      const { code, stderr } = await s.tenon('reload');
      assert.notEqual(code, 0);
      assert.match(stderr, words);
      assert.doesNotMatch(stderr, /whsec/);
    });
  s.configure({ 'hooks.before_user_created': 'https://example.com/hook', 'hooks.secrets': '' });
  assert.match((await s.tenon('reload')).stderr, /signed/);
  s.configure({ 'hooks.before_user_created': '', 'hooks.secrets': 'v1,whsec_c2hvcnQ=' });
  assert.match((await s.tenon('reload')).stderr, /24 to 64 bytes/);
});
