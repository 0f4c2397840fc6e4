// t/api/limits.mjs: token buckets: 429 with Retry-After, one caller does not use up another's
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const s = await stack({ people: false, settings: { 'limits.enabled': 'on', 'limits.exempt': '', 'limits.signup': '5/3600:5', 'limits.token': '8/3600:8', 'limits.read': '1000/1:1000', 'limits.write': '1000/1:1000', 'limits.chat': '3/3600:3' } });
const { anon } = s.a;

test('sign-ups of one address', async () => {
  const statuses = [];
  let last;
  for (let i = 0; i < 8; i++) {
    last = await anon.request('POST', '/auth/v1/signup', { email: `p${i}@example.com`, password: 'correct horse battery' });
    statuses.push(last.status);
  }
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
  answers(last, 429, 'over_request_rate_limit');
  assert.ok(Number(last.headers['retry-after']) > 0);
});

test('messages of one person do not use up those of another', async () => {
  const sign = async (n) => s.a.signedIn(await anon.post('/auth/v1/token?grant_type=password', { email: `p${n}@example.com`, password: 'correct horse battery' }));
  const [one, two] = [await sign(0), await sign(1)];
  const send = async (who) => (await who.request('POST', '/api/chats/messages', { content: 'x' })).status;
  assert.deepEqual([await send(one), await send(one), await send(one), await send(one)], [200, 200, 200, 429]);
  const other = await send(two);
  assert.ok([200, 429].includes(other));
});

test('a flood of passwords is slowed down', async () => {
  const statuses = [];
  for (let i = 0; i < 12; i++) statuses.push((await anon.request('POST', '/auth/v1/token?grant_type=password', { email: 'p0@example.com', password: 'wrong' })).status);
  assert.equal(statuses.at(-1), 429);
});
