// t/fault/data.mjs: the data API while PostgreSQL goes away, hesitates or is cut off: answers in PostgREST's form, never half a write, and afterwards all works
import assert from 'node:assert/strict';
import net from 'node:net';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, stack } from '../lib/stack.mjs';
import { startCluster } from '../lib/postgres.mjs';

const cluster = await startCluster();
after(() => cluster.remove());

/* Stands between the workers and PostgreSQL. While it is armed with a word, connections break whose messages hold it: before PostgreSQL has
 * read them, or as it answers. */
let armed = null;
let cuts = 0;
const proxy = net.createServer((client) => {
  const server = net.connect(cluster.port, '127.0.0.1');
  let doomed = false;
  const end = () => (client.destroy(), server.destroy());
  const cut = () => (cuts++, end());
  client.on('data', (bytes) => {
    if (armed === null || !bytes.includes(armed.word)) return server.write(bytes);
    if (armed.early) return cut();
    doomed = true;
    server.write(bytes);
  });
  server.on('data', (bytes) => (doomed ? cut() : client.write(bytes)));
  for (const socket of [client, server]) socket.on('error', end).on('close', end);
});
proxy.listen(0, '127.0.0.1');
await once(proxy, 'listening');
after(() => proxy.close());

const s = await stack({
  cluster, people: false, through: proxy.address().port,
  settings: { 'server.database_wait_ms': 1000, 'data.max_rows': 0, 'data.service_timeout_ms': 4000, 'data.lock_timeout_ms': 300 },
});
const { service } = s.a;
await s.sql(`
create table public.parcels (id bigint generated always as identity primary key, batch text not null, n int not null);
create table public.scales (id int primary key, weight int not null);
create function public.slowly(name text, seconds float) returns void language plpgsql as $$ begin
  insert into public.parcels (batch, n) values (name, 1); perform pg_sleep(seconds); insert into public.parcels (batch, n) values (name, 2); end $$;
create function public.swap(one int, other int) returns void language plpgsql as $$ begin
  update public.scales set weight = weight + 1 where id = one; perform pg_sleep(0.4); update public.scales set weight = weight + 1 where id = other; end $$;
begin; select set_config('tenon.tenant_id', '${s.a.id}', true);
insert into public.scales values (1, 0), (2, 0);
insert into public.parcels (batch, n) select 'old', i from generate_series(1, 30000) i; commit;`);
const works = (path = '/rest/v1/parcels?batch=eq.old&limit=1') => eventually(`an answer to ${path}`, async () => (await service.request('GET', path)).status === 200);
await works();

const stored = async (batch) => (await s.rows(`select count(*)::int as n from parcels where batch = '${batch}'`))[0].n;
const insert = (batch, count, headers) => service.request('POST', '/rest/v1/parcels', Array.from({ length: count }, (_, n) => ({ batch, n })), { headers });

/* An error as PostgREST tells it; what may be tried again says when. */
function isFault(answer, status, ...codes) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
  assert.deepEqual(Object.keys(answer.json), ['code', 'details', 'hint', 'message']);
  assert.ok(codes.includes(answer.json.code), answer.text);
  assert.equal(answer.headers['retry-after'] !== undefined, status === 503 || status === 504, 'Retry-After');
}

/* All rows of 'old' as lines: {lines, broken}. */
async function exportAll(client = service) {
  const response = await client.send('GET', '/rest/v1/parcels?batch=eq.old', undefined, { headers: { accept: 'application/x-ndjson' } });
  const taken = { status: response.statusCode, headers: response.headers, text: '', broken: false };
  try {
    for await (const chunk of response) taken.text += chunk;
  } catch {
    taken.broken = true;
  }
  return taken;
}

for (const early of [true, false]) {
  const when = early ? 'before PostgreSQL has read it' : 'as PostgreSQL answers';

  test(`a connection that breaks ${when}: a read`, async () => {
    armed = { word: 'doomed', early };
    const mark = cuts;
    isFault(await service.request('GET', '/rest/v1/parcels?batch=eq.doomed'), 503, 'PGRST000');
    isFault(await service.request('POST', '/rest/v1/rpc/slowly', { name: 'doomed', seconds: 0 }), 503, 'PGRST000', 'commit_unknown');
    armed = null;
    assert.ok(cuts > mark);
    await works();
  });

  test(`a connection that breaks ${when}: rows to insert are there all or none`, async () => {
    const batch = `doomed-${early}`;
    armed = { word: batch, early };
    isFault(await insert(batch, 50), 503, 'commit_unknown', 'PGRST000');
    armed = null;
    assert.ok([0, early ? 0 : 50].includes(await stored(batch)));
    await works();
  });

  test(`a connection that breaks ${when}: a write with a key happens once`, async () => {
    const batch = `keyed-${early}`;
    const headers = { 'idempotency-key': randomUUID() };
    armed = { word: batch, early };
    isFault(await insert(batch, 7, headers), 503, 'commit_unknown', 'PGRST000');
    armed = null;
    const again = await eventually('it to be taken', async () => [await insert(batch, 7, headers)].find((a) => a.status === 201));
    assert.equal(again.text, '');
    assert.equal((await insert(batch, 7, headers)).status, 201);
    assert.equal(await stored(batch), 7);
  });
}

/* Readers, writers and exports beside each other, until stop(); what is wrong with an answer is collected. */
function startLoad() {
  const load = { running: true, taken: [], unknown: [], statuses: new Map(), cut: 0, whole: 0, bad: [] };
  const note = (answer, kind) => {
    load.statuses.set(answer.status, (load.statuses.get(answer.status) ?? 0) + 1);
    if ([200, 201, 206].includes(answer.status)) return;
    try {
      isFault(answer, 503, 'PGRST000', 'PGRST002', '57P01', '57P03', 'commit_unknown');
    } catch (error) {
      load.bad.push(`${kind}: ${answer.status} ${answer.text.slice(0, 200)} ${error.message.slice(0, 100)}`);
    }
  };
  const until = async (work) => {
    while (load.running) {
      await work().catch((error) => load.bad.push(String(error)));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const write = async () => {
    const batch = randomUUID();
    const answer = await insert(batch, 10);
    note(answer, 'write');
    (answer.status === 201 ? load.taken : load.unknown).push(batch);
  };
  const read = async () => note(await service.request('GET', '/rest/v1/parcels?batch=eq.old&limit=3&order=id', undefined, { headers: { prefer: 'count=exact' } }), 'read');
  const many = async () => {
    const taken = await exportAll();
    if (taken.status === 200 && !taken.broken && taken.text.split('\n').length - 1 !== 30000) load.bad.push(`an export that seems whole has ${taken.text.length} bytes`);
    if (taken.status !== 200) note({ ...taken, json: JSON.parse(taken.text) }, 'export');
    else taken.broken ? load.cut++ : load.whole++;
    await delay(20);
  };
  load.done = Promise.all([write, write, read, read, many].map(until));
  load.stop = () => ((load.running = false), load.done);
  return load;
}

for (const mode of ['fast', 'immediate'])
  test(`PostgreSQL is stopped (${mode}), the catalog expires meanwhile, and it is started again, under load`, async () => {
    const load = startLoad();
    await eventually('answers', () => load.taken.length > 20 && load.whole > 0);
    await s.sql(`create table public.made_${mode} (id int primary key)`); // the catalog is to be read anew, now or when it can be
    cluster.stop(mode);
    await eventually('503', () => (load.statuses.get(503) ?? 0) > 20);
    isFault(await service.request('GET', '/rest/v1/parcels?limit=1'), 503, 'PGRST000', 'PGRST002');
    isFault(await service.request('PATCH', '/rest/v1/parcels?id=eq.1', { n: 0 }), 503, 'PGRST000', 'PGRST002');
    const workers = s.workers();
    cluster.start();
    const mark = load.taken.length;
    await eventually('rows are taken again', () => load.taken.length > mark + 20);
    await load.stop();
    assert.deepEqual(load.bad, []);
    assert.deepEqual(s.workers(), workers, 'no worker had to be restarted');
    const counts = new Map((await s.rows('select batch, count(*)::int as n from parcels group by batch')).map((row) => [row.batch, row.n]));
    for (const batch of load.taken) assert.equal(counts.get(batch), 10, 'what was taken is there');
    for (const batch of load.unknown) assert.ok([undefined, 10].includes(counts.get(batch)), `half a write: ${counts.get(batch)} of 10`);
    await works(`/rest/v1/made_${mode}`);
  });

test('a worker that begins while the database is away', async () => {
  cluster.stop();
  const [pid] = s.workers('api');
  process.kill(pid, 'SIGKILL');
  const answer = await eventually('an answer of the next one', async () => [await service.request('GET', '/rest/v1/parcels?limit=1')].find((a) => s.workers('api').length > 0 && !s.workers('api').includes(pid) && a.status === 503 && a.json));
  isFault(answer, 503, 'PGRST000', 'PGRST002');
  cluster.start();
  await works();
  assert.equal((await insert('afterwards', 3)).status, 201);
});

test('a worker that is killed in the middle of a write: all of it or nothing', async () => {
  const asked = service.request('POST', '/rest/v1/rpc/slowly', { name: 'killed', seconds: 1 });
  await eventually('the first half', async () => (await s.rows(`select 1 as x from pg_stat_activity where wait_event = 'PgSleep'`)).length === 1);
  for (const pid of s.workers('api')) process.kill(pid, 'SIGKILL');
  const answer = await asked;
  assert.ok([502, 503].includes(answer.status), `${answer.status} ${answer.text}`);
  await eventually('PostgreSQL is through with it', async () => (await s.rows(`select 1 as x from pg_stat_activity where wait_event = 'PgSleep'`)).length === 0);
  assert.ok([0, 2].includes(await stored('killed')), `half a write: ${await stored('killed')} of 2`);
  await works();
});

/* PostgREST answers these three with 500, so that clients do not take them for a server that is away. */
test('a statement that takes too long: nothing of it stays', async () => {
  isFault(await service.request('POST', '/rest/v1/rpc/slowly', { name: 'late', seconds: 10 }), 500, '57014');
  assert.equal(await stored('late'), 0);
  await works();
});

test('a lock that others hold: nothing of it stays', async () => {
  const session = spawn('psql', ['-XqAt', '-d', s.admin], { stdio: ['pipe', 'pipe', 'inherit'] });
  session.stdin.write(`begin; update public.scales set weight = 100 where id = 2; select 'held';\n`);
  await once(session.stdout, 'data');
  isFault(await service.request('PATCH', '/rest/v1/scales?id=gt.0', { weight: 7 }), 500, '55P03');
  session.stdin.end('rollback;\n');
  await once(session, 'exit');
  assert.deepEqual(await s.rows('select id, weight from scales order by id'), [{ id: 1, weight: 0 }, { id: 2, weight: 0 }]);
  assert.equal((await service.request('PATCH', '/rest/v1/scales?id=gt.0', { weight: 0 })).status, 204);
});

test('a deadlock: who loses is tried again, and nothing happens twice', async () => {
  await s.sql(`alter database ${s.database} set deadlock_timeout = '100ms'; select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'tenon_authenticator'`);
  await works();
  const swap = (one, other) => service.request('POST', '/rest/v1/rpc/swap', { one, other });
  const answers = await Promise.all([swap(1, 2), swap(2, 1)]);
  const done = answers.filter((a) => a.status === 204).length;
  for (const answer of answers.filter((a) => a.status !== 204)) isFault(answer, 500, '40P01', '55P03');
  assert.ok(done >= 1, answers.map((a) => a.text).join());
  assert.deepEqual((await s.rows('select weight from scales order by id')).map((row) => row.weight), [done, done]);
  await eventually('the deadlock in the statistics', async () => (await s.rows(`select deadlocks::int as n from pg_stat_database where datname = current_database()`))[0].n >= 1);
});
