// t/fault/reload.mjs: SIGHUP under load drops no request, streams that are open end with the workers that began them
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack({ provider: true, settings: { 'server.drain_timeout_s': 60 } });
const { alice, bob } = s;
const generation = s.workers().length;

test('three reloads under load', async () => {
  let running = true;
  let served = 0;
  const bad = [];
  const beside = async (person, method, path, body) => {
    while (running) {
      const answer = await person.request(method, path, body).catch((error) => ({ status: 0, text: String(error) }));
      served++;
      if (answer.status !== 200) bad.push(`${method} ${path}: ${answer.status} ${answer.text?.slice(0, 200)}`);
    }
  };
  const held = await alice.stream('POST', '/api/chats/messages', { content: 'through it all', stream: true, model: 'stall-middle' });
  await held.next('delta');
  const load = Promise.all([
    ...Array.from({ length: 6 }, () => beside(alice, 'GET', '/auth/v1/user')),
    ...Array.from({ length: 3 }, () => beside(bob, 'GET', '/api/chats?limit=3')),
    ...Array.from({ length: 3 }, () => beside(bob, 'POST', '/api/chats/messages', { content: 'hello', model: 'ok' })),
  ]);
  const first = s.workers();
  for (const ttl of [1800, 900, 450]) {
    const mark = served;
    await eventually('answers before the reload', () => served > mark + 100);
    s.configure({ 'auth.jwt_ttl_s': ttl });
    s.master.kill('SIGHUP');
    await eventually('the new setting', async () => (await s.a.anon.post('/auth/v1/token?grant_type=password', { email: alice.email, password: alice.password })).expires_in === ttl);
  }
  const mark = served;
  await eventually('answers after the last', () => served > mark + 300);
  running = false;
  await load;
  assert.deepEqual(bad, [], `${bad.length} of ${served} failed`);

  const holder = first.filter((pid) => s.workers().includes(pid));
  assert.ok(holder.length >= 1, 'the worker with the open stream is still there');
  s.provider.release();
  const events = await held.finish();
  assert.equal(events.at(-1).event, 'done');
  assert.equal(held.text, 'You said: through it all');
  await eventually('the old generations are gone', () => s.workers().length === first.length && first.every((pid) => !s.workers().includes(pid)));
});

test('a configuration with a mistake changes nothing', async () => {
  const before = s.workers();
  const right = s.settings['auth.jwt_ttl_s'];
  s.configure({ 'auth.jwt_ttl_s': 'soon' });
  const reload = await s.tenon('reload');
  s.master.kill('SIGHUP');
  await eventually('a word about it in the log', () => s.log().some((line) => JSON.stringify(line).includes('jwt_ttl_s')));
  assert.deepEqual(s.workers(), before);
  assert.equal((await alice.request('GET', '/auth/v1/user')).status, 200);
  assert.notEqual(reload.code, 0, 'tenon reload says so too');
  s.configure({ 'auth.jwt_ttl_s': right });
});

test('tenon reload need not wait for a server that has refused', { timeout: 20_000 }, async () => {
  const right = s.settings['server.secret'];
  s.configure({ 'server.secret': '' }); // reads well, and cannot be served
  const { code, stderr } = await s.tenon('reload');
  s.configure({ 'server.secret': right });
  assert.equal(code, 1, stderr);
  assert.equal((await alice.request('GET', '/auth/v1/user')).status, 200);
});

test('tenon reload makes an edited configuration take effect', async () => {
  s.configure({ 'auth.signup': 'off' });
  const { code, stderr } = await s.tenon('reload');
  assert.equal(code, 0, stderr);
  await eventually('the new setting', async () => (await s.a.anon.get('/auth/v1/settings')).disable_signup);
});

test('what is asked after tenon reload is answered by the new configuration, also on kept connections', async () => {
  for (const on of [true, false]) {
    const ask = () => s.client().get('/auth/v1/settings');
    await Promise.all(Array.from({ length: 16 }, ask)); // nginx keeps connections to the workers
    s.configure({ 'auth.anonymous': on ? 'on' : 'off' });
    const { code, stderr } = await s.tenon('reload');
    assert.equal(code, 0, stderr);
    for (const { external } of await Promise.all(Array.from({ length: 16 }, ask))) assert.equal(external.anonymous_users, on);
  }
});

for (const [name, settings] of [
  ['a user that is not there', { 'server.user': 'nobody-of-that-name' }],
  ['a log that cannot be opened', { 'log.file': '/proc/none/tenon.log' }],
])
  test(`${name}: the reload is refused at once, and the old workers go on`, { timeout: 25_000, skip: name.includes('user') && process.getuid() !== 0 && 'only root changes users' }, async () => {
    await eventually('earlier generations are gone', () => s.workers().length === generation);
    const before = s.workers();
    const right = Object.fromEntries(Object.keys(settings).map((key) => [key, s.settings[key] ?? '']));
    s.configure(settings);
    const reload = await s.tenon('reload');
    assert.notEqual(reload.code, 0);
    await eventually('only the old workers are there', () => before.every((pid) => s.workers().includes(pid)) && s.workers().length === before.length);
    assert.equal((await alice.request('GET', '/auth/v1/user')).status, 200);
    s.configure(right);
    assert.equal((await s.tenon('reload')).code, 0, 'and a right one is taken');
  });
