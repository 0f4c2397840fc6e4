// t/api/auth-token.mjs: POST /auth/v1/token: the password grant and rotation of refresh tokens
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { decode } from '../lib/jwt.mjs';

const s = await stack({ people: false, settings: { 'auth.reuse_interval_s': 0 } });
const { anon } = s.a;
const grant = (type, body, options) => anon.request('POST', `/auth/v1/token?grant_type=${type}`, body, options);
const refresh = (refresh_token) => grant('refresh_token', { refresh_token });
const tokens = async (who) => (await s.a.person(who)).session;

await s.a.person('ada');
const email = 'ada@a.example';

test('the right password opens a session of its own', async () => {
  const first = await grant('password', { email: 'ADA@a.example', password });
  const second = await grant('password', { email, password });
  answers(first, 200);
  assert.equal(first.json.user.email, email);
  assert.notEqual(decode(first.json.access_token).claims.session_id, decode(second.json.access_token).claims.session_id);
  assert.notEqual(first.json.refresh_token, second.json.refresh_token);
  assert.equal(decode(first.json.access_token).claims.amr[0].method, 'password');
});

const refused = [
  { name: 'a wrong password', body: { email, password: 'wrong password' }, code: 'invalid_credentials', message: 'Invalid login credentials' },
  { name: 'an unknown address: the same answer', body: { email: 'nobody@a.example', password }, code: 'invalid_credentials', message: 'Invalid login credentials' },
  { name: 'no password', body: { email }, code: undefined },
  { name: 'no address', body: { password }, code: 'validation_failed' },
  { name: 'address and telephone number', body: { email, phone: '491234567', password }, code: 'validation_failed' },
  { name: 'a number for an address', body: { email: 5, password }, code: undefined },
  { name: 'an injection for an address', body: { email: "' or true --", password }, code: undefined },
  { name: 'half of a body', body: '{"email":', code: 'bad_json' },
  { name: 'a string for a body', body: '"x"', code: undefined },
];
for (const c of refused)
  test(`password refused: ${c.name}`, async () => {
    const answer = await grant('password', c.body);
    answers(answer, 400, c.code);
    if (c.message) assert.equal(answer.json.msg, c.message);
  });

for (const query of ['', '?grant_type=', '?grant_type=client_credentials', '?grant_type=password%00'])
  test(`grant type of "${query}"`, async () => {
    const answer = await anon.request('POST', `/auth/v1/token${query}`, { email, password });
    assert.equal(answer.status, 400, answer.text);
    if (!query.includes('%00')) assert.deepEqual([answer.json.error_code, answer.json.msg], ['invalid_credentials', 'unsupported_grant_type']);
  });

test('an unknown address takes as long as a wrong password', async () => {
  const bodies = { known: { email, password: 'wrong password' }, unknown: { email: 'nobody@a.example', password: 'wrong password' } };
  const best = { known: Infinity, unknown: Infinity }; // in turns, and the best of each, because others use the machine too
  for (let i = 0; i < 15; i++)
    for (const [name, body] of Object.entries(bodies)) {
      const start = performance.now();
      await grant('password', body);
      best[name] = Math.min(best[name], performance.now() - start);
    }
  assert.ok(best.unknown > best.known * 0.6 && best.unknown < best.known * 1.7, JSON.stringify(best));
});

test('a person who is banned', async () => {
  const person = await s.a.person('banned');
  await s.sql(`update auth.users set banned_until = now() + interval '1 hour' where id = '${person.user.id}'`);
  answers(await grant('password', { email: person.email, password }), 400, 'user_banned');
  answers(await grant('password', { email: person.email, password: 'wrong password' }), 400, 'invalid_credentials');
  answers(await refresh(person.session.refresh_token), 400, 'user_banned');
  answers(await person.request('GET', '/auth/v1/user'), 403, 'user_banned');
});

test('a refresh rotates the token and keeps the session', async () => {
  const first = await tokens('rotates');
  const second = await refresh(first.refresh_token);
  answers(second, 200);
  assert.notEqual(second.json.refresh_token, first.refresh_token);
  const [before, after] = [decode(first.access_token).claims, decode(second.json.access_token).claims];
  assert.deepEqual([after.session_id, after.amr, after.sub], [before.session_id, before.amr, before.sub]);
  assert.equal(second.json.user.id, first.user.id);
  answers(await refresh(second.json.refresh_token), 200);
});

test('the parent of the active token gets the active token again: the answer was lost', async () => {
  const first = await tokens('lost');
  const second = (await refresh(first.refresh_token)).json;
  const again = await refresh(first.refresh_token);
  answers(again, 200);
  assert.equal(again.json.refresh_token, second.refresh_token);
  answers(await refresh(second.refresh_token), 200);
});

test('reuse of an older one revokes the whole family', async () => {
  const first = await tokens('stolen');
  const second = (await refresh(first.refresh_token)).json;
  const third = (await refresh(second.refresh_token)).json;
  const reuse = await refresh(first.refresh_token);
  answers(reuse, 400, 'refresh_token_already_used');
  assert.match(reuse.json.msg, /Invalid Refresh Token|Refresh token is not valid/);
  for (const token of [third.refresh_token, second.refresh_token, first.refresh_token])
    assert.equal((await refresh(token)).status, 400, 'no token of the family works any more');
  const user = await anon.request('GET', '/auth/v1/user', undefined, { headers: { authorization: `Bearer ${third.access_token}` } });
  answers(user, 200); // the session's row stays: the access token is good until it expires
});

test('another session of the same person is not touched by that', async () => {
  const person = await s.a.person('twice');
  const other = (await grant('password', { email: person.email, password })).json;
  const second = (await refresh(person.session.refresh_token)).json;
  await refresh(second.refresh_token);
  answers(await refresh(person.session.refresh_token), 400, 'refresh_token_already_used');
  answers(await refresh(other.refresh_token), 200);
});

test('two refreshes at once with one token both succeed', async () => {
  const first = await tokens('double');
  for (let token = first.refresh_token, round = 0; round < 5; round++) {
    const both = await Promise.all([refresh(token), refresh(token)]);
    assert.deepEqual(both.map((a) => a.status), [200, 200], both.map((a) => a.text).join('\n'));
    assert.equal(both[0].json.refresh_token, both[1].json.refresh_token, 'without a reuse interval both get the same child');
    token = both[0].json.refresh_token;
  }
});

const malformed = [
  { name: 'nothing', token: undefined, code: undefined },
  { name: 'too short', token: 'abc', code: 'validation_failed' },
  { name: 'of the old length, wrong letters', token: 'ABCDEFGHIJK!', code: 'validation_failed' },
  { name: 'unknown, of the old form', token: 'abcdefghij23', code: 'refresh_token_not_found' },
  { name: 'a number', token: 5, code: undefined },
  { name: 'with a NUL', token: 'abcdefghij\u0000', code: undefined },
  { name: 'very long', token: 'a'.repeat(20_000), code: undefined },
];
for (const c of malformed)
  test(`refresh refused: ${c.name}`, async () => {
    const answer = await refresh(c.token);
    answers(answer, 400, c.code);
    if (c.code === 'refresh_token_not_found') assert.match(answer.json.msg, /Invalid Refresh Token|Refresh token is not valid/);
  });

test('a token that looks like ours and was never issued', async () => {
  const { refresh_token } = await tokens('forger');
  const forged = refresh_token.slice(0, -4) + [...refresh_token.slice(-4)].reverse().join('');
  const answer = await refresh(forged === refresh_token ? `${refresh_token.slice(0, -1)}x` : forged);
  assert.equal(answer.status, 400);
  assert.ok(['refresh_token_not_found', 'validation_failed'].includes(answer.json.error_code), answer.text);
});

test('a refresh token of tenant a is unknown in tenant b', async () => {
  const first = await tokens('tenant');
  const answer = await s.b.anon.request('POST', '/auth/v1/token?grant_type=refresh_token', { refresh_token: first.refresh_token });
  answers(answer, 400, 'refresh_token_not_found');
  answers(await refresh(first.refresh_token), 200);
});

test('a session that is gone', async () => {
  const person = await s.a.person('gone');
  await person.request('POST', '/auth/v1/logout?scope=local');
  const answer = await refresh(person.session.refresh_token);
  assert.equal(answer.status, 400);
  assert.ok(['refresh_token_not_found', 'session_not_found'].includes(answer.json.error_code), answer.text);
});

test('a flood of logins leaves the others their time', async () => {
  const person = await s.a.person('flooded');
  let running = true;
  const flood = Promise.all(Array.from({ length: 40 }, async () => {
    while (running) await grant('password', { email, password: 'wrong password' });
  }));
  const times = [];
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    answers(await person.request('GET', '/auth/v1/user'), 200);
    times.push(performance.now() - start);
  }
  running = false;
  await flood;
  times.sort((x, y) => x - y);
  assert.ok(times[10] < 500, `the median of GET /user beside 40 logins was ${times[10]} ms`);
});
