// t/api/data-idempotency.mjs: a write with an Idempotency-Key is done once, and answered the same each time
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { hs256 } from '../lib/jwt.mjs';
import { garden } from '../lib/garden.mjs';
import { eventually } from '../lib/stack.mjs';

const s = await garden({ ownCluster: true, settings: { 'data.tx_end': 'commit-allow-override', 'data.default_tenant': 'a', 'data.lock_timeout_ms': 6000, 'data.idempotency_body_max': 5000, 'api.processes': 2 } });
const alice = await s.a.person('alice');
const bob = await s.a.person('bob');
const { anon, service } = s.a;
await s.sql(`
  create table public.events (id bigint generated always as identity primary key, label text, at timestamptz not null default clock_timestamp());
  create policy everybody on public.events to anon, authenticated using (true) with check (true);
  create table public.gate (id bigint primary key);
  create function public.slowly(label text) returns text language plpgsql as $$ declare x bigint; begin
    insert into public.events (label) values (label);
    perform pg_advisory_xact_lock(4711);
    return label || clock_timestamp(); end $$;
  create function public.made(label text) returns text language sql as $$
    select set_config('response.status', '207', true), set_config('response.headers', '[{"x-made": "once"}]', true);
    insert into public.events (label) values (label) returning label || at $$;
  create function public.forget_me(label text) returns text language sql as $$
    insert into public.events (label) values (label); select set_config('request.jwt.claims', '{}', true) $$;
  create function public.sleepy(label text) returns text language plpgsql as $$ begin insert into public.events (label) values (label); perform pg_sleep(10); return label; end $$;
  create function public.trusted(label text) returns json language sql security definer as $$ insert into public.events (label) values (label) returning json_build_array(json_build_object('id', id)) $$;
  create role idem_plain nologin; grant idem_plain to tenon_authenticator;
  create role idem_serial nologin; grant idem_serial to tenon_authenticator; grant authenticated to idem_serial;
  alter role idem_serial set default_transaction_isolation = 'serializable';`);

const send = (method, path, body, key, client = anon, headers = {}) => client.request(method, path, body, { headers: { prefer: 'return=representation', 'idempotency-key': key, ...headers } });
/* Holds what slowly() waits for; gives what lets it go. */
const hold = async () => {
  const held = `select pid from pg_locks where locktype = 'advisory' and objid = 4711 and granted`;
  const holder = s.rows('select pg_advisory_lock(4711), pg_sleep(60)').catch(() => undefined);
  await eventually('the lock', async () => (await s.rows(held)).length > 0);
  return async () => {
    await s.rows(`select pg_terminate_backend(pid) from (${held}) h`);
    await holder;
  };
};
const number = async (label) => Number((await s.rows(`select count(*) from public.events where label = '${label}'`))[0].count);
const isReplay = (answer, first) => {
  assert.equal(answer.headers['idempotency-replayed'], 'true', answer.text);
  assert.deepEqual([answer.status, answer.text], [first.status, first.text]);
  for (const name of ['content-type', 'content-range', 'location', 'content-profile', 'preference-applied', 'etag', 'x-made']) assert.equal(answer.headers[name], first.headers[name], name);
};

const writes = [
  { name: 'an insert', method: 'POST', path: '/rest/v1/events', body: { label: 'insert' }, count: 1 },
  { name: 'an insert by /api/db', method: 'POST', path: '/api/db/events', body: { label: 'plain' }, count: 1 },
  { name: 'an insert, with its address only', method: 'POST', path: '/rest/v1/events', body: { label: 'address' }, headers: { prefer: 'return=headers-only' }, count: 1 },
  { name: 'an insert that returns nothing', method: 'POST', path: '/rest/v1/events', body: { label: 'nothing' }, headers: { prefer: 'return=minimal' }, count: 1 },
  { name: 'one object', method: 'POST', path: '/rest/v1/events', body: { label: 'object' }, headers: { accept: 'application/vnd.pgrst.object+json' }, count: 1 },
  { name: 'CSV', method: 'POST', path: '/rest/v1/events', body: { label: 'csv' }, headers: { accept: 'text/csv' }, count: 1 },
  { name: 'an update', method: 'PATCH', path: '/rest/v1/stock?id=eq.1', body: { note: 'patched' } },
  { name: 'a put', method: 'PUT', path: '/rest/v1/stock?id=eq.80', body: { id: 80, sku: 'put', qty: 1, note: null } },
  { name: 'a delete', method: 'DELETE', path: '/rest/v1/stock?id=eq.80' },
  { name: 'a call, with status and header fields of its own', method: 'POST', path: '/rest/v1/rpc/made', body: { label: 'call' }, count: 1 },
  { name: 'a call that changes the claims on its way', method: 'POST', path: '/rest/v1/rpc/forget_me', body: { label: 'claims' }, count: 1 },
  { name: 'a call that only reads', method: 'POST', path: '/rest/v1/rpc/whoami', body: {} },
  { name: 'a batch', method: 'POST', path: '/api/db/batch', body: [{ id: 'e', method: 'POST', path: '/events', body: { label: 'batch' } }, { method: 'GET', path: '/events?id=eq.{e/0/id}' }], count: 1 },
];
for (const c of writes)
  test(`done once: ${c.name}`, async () => {
    const key = randomUUID();
    const first = await send(c.method, c.path, c.body, key, anon, c.headers);
    assert.ok(first.status < 300, first.text);
    assert.equal(first.headers['idempotency-replayed'], undefined);
    for (let i = 0; i < 3; i++) isReplay(await send(c.method, c.path, c.body, key, anon, c.headers), first);
    const label = Array.isArray(c.body) ? c.body[0].body.label : c.body?.label;
    if (c.count) assert.equal(await number(label), c.count);
    const other = await send(c.method, c.path, c.body, randomUUID(), anon, c.headers);
    assert.equal(other.headers['idempotency-replayed'], undefined);
    if (c.count) assert.equal(await number(label), c.count + 1);
  });

test('another request with the key', async () => {
  const key = randomUUID();
  assert.equal((await send('POST', '/rest/v1/events', { label: 'x' }, key)).status, 201);
  for (const [method, path, body, headers] of [
    ['POST', '/rest/v1/events', { label: 'y' }], ['POST', '/rest/v1/events?select=id', { label: 'x' }], ['POST', '/api/db/events', { label: 'x' }],
    ['PATCH', '/rest/v1/events', { label: 'x' }], ['POST', '/rest/v1/events', { label: 'x' }, { prefer: 'return=minimal' }], ['POST', '/api/db/batch', [{ method: 'GET', path: '/events' }]],
  ]) {
    const answer = await send(method, path, body, key, anon, headers);
    assert.deepEqual([answer.status, answer.json.code], [422, 'idempotency_key_reused'], answer.text);
  }
  assert.deepEqual([await number('x'), await number('y')], [1, 0]);
});

test('keys that are none', async () => {
  for (const [key, code] of [['k'.repeat(256), 'idempotency_key_too_long'], [Buffer.from('sch\u00f6n').toString('latin1'), 'idempotency_key_malformed'], ['a\tb', 'idempotency_key_malformed']])
    for (const path of ['/rest/v1/events', '/api/db/batch']) {
      const answer = await send('POST', path, path.endsWith('batch') ? [] : { label: 'no key' }, key);
      assert.deepEqual([answer.status, answer.json.code], [400, code], answer.text);
    }
  assert.equal(await number('no key'), 0);
  const long = 'k'.repeat(255);
  assert.equal((await send('POST', '/rest/v1/events', { label: 'long' }, long)).status, 201);
  assert.equal((await send('POST', '/rest/v1/events', { label: 'long' }, long)).headers['idempotency-replayed'], 'true');
});

test('reading has no use for a key', async () => {
  const key = randomUUID();
  for (let i = 0; i < 2; i++) assert.equal((await send('GET', '/rest/v1/events?limit=1', undefined, key)).headers['idempotency-replayed'], undefined);
  assert.equal((await send('POST', '/rest/v1/events', { label: 'free' }, key)).status, 201);
});

test('errors are not kept: the same key may be sent again', async () => {
  const key = randomUUID();
  const body = { id: 90, sku: 'rope' };
  assert.equal((await send('POST', '/rest/v1/stock', body, key)).status, 409);
  await s.sql(`update public.stock set sku = 'cord' where sku = 'rope'`);
  const done = await send('POST', '/rest/v1/stock', body, key);
  assert.deepEqual([done.status, done.headers['idempotency-replayed']], [201, undefined], done.text);
  isReplay(await send('POST', '/rest/v1/stock', body, key), done);
});

test('with tx=rollback the key means nothing', async () => {
  const key = randomUUID();
  for (let i = 0; i < 2; i++) {
    const answer = await send('POST', '/rest/v1/events', { label: 'tried' }, key, anon, { prefer: 'tx=rollback' });
    assert.deepEqual([answer.status, answer.headers['idempotency-replayed']], [201, undefined]);
  }
  assert.equal((await send('POST', '/api/db/batch', [{ method: 'POST', path: '/events', body: { label: 'tried' } }], key, anon, { prefer: 'tx=rollback' })).status, 200);
  assert.equal(await number('tried'), 0);
  assert.equal((await send('POST', '/rest/v1/events', { label: 'tried' }, key)).status, 201);
});

test('the answer of then, whatever has become of the row', async () => {
  const key = randomUUID();
  const first = await send('POST', '/rest/v1/stock', { id: 91, note: 'then' }, key);
  await send('PATCH', '/rest/v1/stock?id=eq.91', { note: 'now' }, randomUUID());
  isReplay(await send('POST', '/rest/v1/stock', { id: 91, note: 'then' }, key), first);
  await s.sql('delete from public.stock where id = 91');
  isReplay(await send('POST', '/rest/v1/stock', { id: 91, note: 'then' }, key), first);
});

test('a key is of the one who sends it', async () => {
  const key = randomUUID();
  const token = (claims) => s.client({ authorization: `Bearer ${hs256(claims, s.settings['auth.jwt_secret'])}` });
  const callers = [anon, alice, bob, service, s.b.anon, s.b.service, token({ role: 'idem_plain' }), token({ role: 'idem_serial' }), token({ role: 'idem_plain', sub: 'not a uuid' }), s.client()];
  const ids = new Set();
  for (const client of callers) {
    const first = await send('POST', '/rest/v1/rpc/trusted', { label: 'whose' }, key, client);
    assert.deepEqual([first.status, first.headers['idempotency-replayed']], [200, undefined], first.text);
    isReplay(await send('POST', '/rest/v1/rpc/trusted', { label: 'whose' }, key, client), first);
    ids.add(first.json[0].id);
  }
  assert.equal(ids.size, callers.length);
  assert.equal((await send('POST', '/rest/v1/events', { label: 'whose' }, key, s.client({ apikey: 'tnp_nonsense' }))).status, 401);
});

test('who may not come in any more is not answered from then either', async () => {
  const { json } = await s.tenon('key', 'create', '--kind', 'secret', '--tenant', 'a', '--json');
  const client = s.client({ apikey: json.key });
  const key = randomUUID();
  assert.equal((await send('POST', '/rest/v1/events', { label: 'revoked' }, key, client)).status, 201);
  assert.equal((await s.tenon('key', 'revoke', json.id)).code, 0);
  await eventually('the end of the key', async () => (await send('POST', '/rest/v1/events', { label: 'revoked' }, key, client)).status === 401);
});

test('several at once, in both workers: one does it, the others wait and are told', async () => {
  const key = randomUUID();
  const release = await hold();
  const answers = [];
  await eventually('waiting in both workers', async () => {
    if (answers.length < 24) answers.push(send('POST', '/rest/v1/rpc/slowly', { label: 'at once' }, key, s.client({ apikey: s.a.publishable })));
    const waiting = await s.rows(`select client_port as port from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`);
    return new Set(waiting.map(({ port }) => ownerOf(port)).filter(Boolean)).size === 2;
  });
  await release();
  const done = await Promise.all(answers);
  const told = done.filter((a) => a.headers['idempotency-replayed'] === 'true');
  const first = done.filter((a) => a.status === 200 && !told.includes(a));
  assert.equal(first.length, 1, done.map((a) => a.text).join());
  for (const answer of told) isReplay(answer, first[0]);
  for (const answer of done) if (answer.status !== 200) assert.equal(answer.json.code, 'request_in_progress', answer.text); // a slow machine
  assert.ok(told.length > 0);
  assert.equal(await number('at once'), 1);
});

test('who waits too long is told that it is being done', async () => {
  const key = randomUUID();
  const first = send('POST', '/rest/v1/rpc/sleepy', { label: 'long' }, key, service);
  await eventually('the first one works', async () => (await s.rows(`select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`)).length >= 1);
  const second = await send('POST', '/rest/v1/rpc/sleepy', { label: 'long' }, key, service);
  assert.deepEqual([second.status, second.json.code, second.headers['retry-after']], [409, 'request_in_progress', '1'], second.text);
  isReplay(await send('POST', '/rest/v1/rpc/sleepy', { label: 'long' }, key, service), await first);
});

test('with isolation, a second one that began too early is told so', async () => {
  const key = randomUUID();
  const baker = s.client({ authorization: `Bearer ${hs256({ role: 'idem_serial' }, s.settings['auth.jwt_secret'])}` });
  const answers = await Promise.all(Array.from({ length: 8 }, () => send('POST', '/rest/v1/events', { label: 'serial' }, key, baker)));
  for (const answer of answers) assert.ok(answer.status === 201 || answer.json.code === 'request_in_progress', answer.text);
  assert.equal(await number('serial'), 1);
  assert.equal((await send('POST', '/rest/v1/events', { label: 'serial' }, key, baker)).headers['idempotency-replayed'], 'true');
});

test('an answer that is too large to keep: done, and said so', async () => {
  for (const [path, body] of [['/rest/v1/events?select=label', { label: 'x'.repeat(6000) }], ['/api/db/batch', [{ method: 'POST', path: '/events?select=label', body: { label: 'y'.repeat(6000) } }]]]) {
    const key = randomUUID();
    const first = await send('POST', path, body, key);
    assert.deepEqual([first.status < 300, first.headers['idempotency-kept']], [true, 'false'], first.text);
    const again = await send('POST', path, body, key);
    assert.deepEqual([again.status, again.json.code], [409, 'answer_not_kept'], again.text);
  }
  assert.equal(await number('x'.repeat(6000)), 1);
});

test('a worker that dies between the write and COMMIT leaves nothing, and the key is free', async () => {
  const key = randomUUID();
  const release = await hold();
  const broken = send('POST', '/rest/v1/rpc/slowly', { label: 'killed' }, key).catch((error) => ({ status: 0, text: String(error) }));
  const [{ client_port: port }] = await eventually('the write', async () => {
    const found = await s.rows(`select client_port from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`);
    return found.length === 1 && found;
  });
  const victim = await eventually('the worker of that connection', () => ownerOf(port));
  process.kill(victim, 'SIGKILL');
  assert.ok([0, 502, 503, 504].includes((await broken).status), (await broken).text);
  await release();
  assert.equal(await number('killed'), 0);
  await eventually('a new worker', async () => (await anon.request('GET', '/rest/v1/stock?limit=1')).status === 200);
  const again = await eventually('the second attempt', async () => {
    const answer = await send('POST', '/rest/v1/rpc/slowly', { label: 'killed' }, key);
    return answer.status === 200 && answer;
  });
  assert.equal(again.headers['idempotency-replayed'], undefined);
  assert.equal(await number('killed'), 1);
});

test('after a reload the answers are still there', async () => {
  const key = randomUUID();
  const first = await send('POST', '/rest/v1/events', { label: 'reload' }, key);
  assert.equal((await s.tenon('reload')).code, 0);
  isReplay(await send('POST', '/rest/v1/events', { label: 'reload' }, key), first);
  assert.equal(await number('reload'), 1);
});

test('after a day the key is free', async () => {
  const key = randomUUID();
  assert.equal((await send('POST', '/rest/v1/events', { label: 'day' }, key)).status, 201);
  await s.sql(`update tenon.request_answers set expires_at = now() - interval '1 second' where idempotency_key = '${key}'`);
  const later = await send('POST', '/rest/v1/events', { label: 'another day' }, key);
  assert.deepEqual([later.status, later.headers['idempotency-replayed']], [201, undefined], later.text);
});

/* The worker whose connection to PostgreSQL has this local port. */
function ownerOf(port) {
  const hex = Number(port).toString(16).toUpperCase().padStart(4, '0');
  const sockets = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/));
  const inode = sockets.find((f) => f[1]?.endsWith(`:${hex}`) && f[3] === '01' && f[9] !== '0')?.[9];
  return s.workers().find((pid) => {
    try {
      return fs.readdirSync(`/proc/${pid}/fd`).some((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`);
    } catch {
      return false; // a descriptor or a worker that has just gone
    }
  });
}
