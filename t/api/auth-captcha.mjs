// t/api/auth-captcha.mjs: a verifier says whether a person is there before an account is made, a password tried or a mail sent
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { after, beforeEach, test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const asked = [];
let broken;
const verifier = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  asked.push({ method: request.method, type: request.headers['content-type'], form: Object.fromEntries(form) });
  if (broken) return broken(response);
  const success = form.get('response') === 'a person & more=é' && form.get('secret') === 'captcha secret';
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(success ? { success } : { success, 'error-codes': ['invalid-input-response'] }));
}).listen(0, '127.0.0.1');
await once(verifier, 'listening');
after(() => verifier.close().closeAllConnections());

const s = await stack({
  people: false,
  settings: { 'auth.captcha_provider': 'turnstile', 'auth.captcha_secret': 'captcha secret', 'auth.captcha_url': `http://127.0.0.1:${verifier.address().port}/siteverify`, 'auth.captcha_allow_private': 'on', 'auth.anonymous': 'on' },
});
beforeEach(() => {
  asked.length = 0;
  broken = undefined;
});
const person = { gotrue_meta_security: { captcha_token: 'a person & more=é' } };
const email = 'ada@a.example';
const ask = (path, body, client = s.a.anon) => client.request('POST', `/auth/v1/${path}`, body);

const paths = [
  ['signup', { email, password }],
  ['signup', {}],
  ['token?grant_type=password', { email, password }],
  ['recover', { email }],
  ['otp', { email }],
  ['magiclink', { email }],
  ['resend', { type: 'signup', email }],
];
test('without a token, or with a wrong one, nothing is done', async (t) => {
  for (const [path, body] of paths)
    await t.test(path, async () => {
      for (const security of [{}, { gotrue_meta_security: null }, { gotrue_meta_security: {} }, { gotrue_meta_security: { captcha_token: '' } }, { gotrue_meta_security: 'x' }])
        answers(await ask(path, { ...body, ...security }), 400, 'captcha_failed');
      assert.equal(asked.length, 0, 'nobody is asked about nothing');
      const wrong = await ask(path, { ...body, gotrue_meta_security: { captcha_token: 'a machine' } });
      answers(wrong, 400, 'captcha_failed');
      assert.match(wrong.json.msg, /invalid-input-response/);
      assert.deepEqual(asked, [{ method: 'POST', type: 'application/x-www-form-urlencoded', form: { secret: 'captcha secret', response: 'a machine', remoteip: '127.0.0.1' } }]);
      asked.length = 0;
    });
  assert.deepEqual(await s.rows('select id from auth.users'), []);
});

test('with a right one everything is as without a captcha', async () => {
  answers(await ask('signup', { email, password, ...person }), 200);
  const session = await ask('token?grant_type=password', { email, password, ...person });
  answers(session, 200);
  answers(await ask('token?grant_type=password', { email, password: 'wrong', ...person }), 400, 'invalid_credentials');
  assert.equal(asked.length, 3);
  answers(await ask('token?grant_type=refresh_token', { refresh_token: session.json.refresh_token }), 200);
  assert.equal(asked.length, 3, 'a refresh needs none');
});

test('a secret key needs none', async () => {
  answers(await ask('signup', { email: 'bea@a.example', password }, s.a.service), 200);
  assert.equal(asked.length, 0);
});

test('a verifier that is away is our fault', async (t) => {
  const ways = [
    ['an error', (response) => response.writeHead(503).end()],
    ['no JSON', (response) => response.writeHead(200).end('<p>')],
    ['no object', (response) => response.writeHead(200).end('[]')],
    ['a broken connection', (response) => response.socket.destroy()],
  ];
  for (const [name, way] of ways)
    await t.test(name, async () => {
      broken = way;
      const answer = await ask('signup', { email: 'cid@a.example', password, ...person });
      answers(answer, 500, 'unexpected_failure');
      assert.doesNotMatch(answer.text, /captcha secret|127\.0\.0\.1/);
    });
});

test('it is not asked where that is private, and needs a secret', async () => {
  s.configure({ 'auth.captcha_allow_private': 'off' });
  assert.equal((await s.tenon('reload')).code, 0);
  answers(await ask('signup', { email: 'dan@a.example', password, ...person }), 500, 'unexpected_failure');
  assert.equal(asked.length, 0);
  s.configure({ 'auth.captcha_secret': '' });
  assert.match((await s.tenon('reload')).stderr, /captcha_secret/);
});
