// t/api/data-export.mjs: rows as CSV and NDJSON: few as every answer, a million in constant memory, and never a part for the whole
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { Agent } from 'node:http';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { garden } from '../lib/garden.mjs';
import { eventually, keepsFreedMemory } from '../lib/stack.mjs';

const million = 1_000_000;
const csv = { accept: 'text/csv' };
const ndjson = { accept: 'application/x-ndjson' };
const s = await garden({ settings: { 'stream.processes': 1, 'data.max_rows': 2 } });
const { anon, service } = s.a;
await s.sql(`
create table public.events (id bigint primary key, at timestamptz not null, digest text not null, note text);
begin;
select set_config('tenon.tenant_id', '${s.a.id}', true);
insert into public.events (id, at, digest, note)
select i, timestamptz '2026-01-01 00:00+00' + i * interval '1 second', md5(i::text), case when i % 7 = 0 then 'a, "b"' end from generate_series(1, ${million}) i;
commit;
analyze public.events;
create view public.drip with (security_invoker = true) as select id, repeat(digest, 30) as digest, (pg_sleep(0.0001) is null)::text as slept from public.events;
create view public.breaks with (security_invoker = true) as select id, digest, 1 / (400000 - id) as quotient from public.events;
create view public.breaks_at_once with (security_invoker = true) as select id, 1 / (5 - id) as quotient from public.events;
create function public.letters() returns setof text language sql stable as $$ values ('a'), ('b, c'), (null), ('"') $$;
create function public.headed(n int) returns table (i int) language plpgsql stable as $$ begin
  perform set_config('response.headers', '[{"Content-Disposition":"attachment"}]', true); return query select generate_series(1, n); end $$;
grant select on public.events, public.drip, public.breaks, public.breaks_at_once to service_role;
notify pgrst, 'reload schema';
`);

const get = (path, headers, client = service) => client.request('GET', `/rest/v1/${path}`, undefined, { headers });
const open = async (path, headers) => {
  const response = await service.send('GET', `/rest/v1/${path}`, undefined, { headers, agent: new Agent() }); // a connection of its own
  return response.on('error', () => {}); // it may break off before anybody reads it
};
const worker = () => s.workers('stream')[0];
const active = async () => (await s.rows("select application_name as name from pg_stat_activity where datname = current_database() and state = 'active' and application_name like 'tenon/%'")).map((r) => r.name);
const idle = (ms) => eventually('the end of the query', async () => (await active()).length === 0, ms);

/* Reads it to its end, or to where it broke off. */
async function take(response) {
  let bytes = 0;
  let broken = false;
  const hash = createHash('md5');
  try {
    for await (const piece of response) {
      bytes += piece.length;
      hash.update(piece);
    }
  } catch {
    broken = true;
  }
  return { bytes, digest: hash.digest('hex'), broken: broken || !response.complete };
}

const few = [
  { name: 'CSV', path: 'stock?select=id,sku,note&order=id', headers: csv, text: 'id,sku,note\n1,rope,\n2,spade,"ash handle"\n3,lamp,""', range: '0-2/*' },
  { name: 'NDJSON', path: 'stock?select=id,sku&order=id', headers: ndjson, text: '{"id":1,"sku":"rope"}\n{"id":2,"sku":"spade"}\n{"id":3,"sku":"lamp"}\n', range: '0-2/*' },
  { name: 'a page of it, counted', path: 'stock?select=id&order=id&limit=1&offset=1', headers: { ...csv, prefer: 'count=exact' }, status: 206, text: 'id\n2', range: '1-1/3' },
  { name: 'all of it, counted', path: 'stock?select=id&order=id', headers: { ...ndjson, prefer: 'count=exact' }, text: '{"id":1}\n{"id":2}\n{"id":3}\n', range: '0-2/3' },
  { name: 'a range', path: 'stock?select=id&order=id', headers: { ...ndjson, range: '1-2' }, text: '{"id":2}\n{"id":3}\n', range: '1-2/*' },
  { name: 'no rows as NDJSON', path: 'stock?id=eq.99', headers: ndjson, text: '', range: '*/*' },
  { name: 'with what hangs at them', path: 'stock?select=id,beds(code)&order=id&beds.order=code&limit=1', headers: ndjson, text: '{"id":1,"beds":[{"code":"A1"},   {"code":"A2"}]}\n', range: '0-0/*' },
  { name: 'a row by its key', path: 'stock?select=id&id=eq.1', headers: ndjson, text: '{"id":1}\n', range: '0-0/*' },
  { name: 'of a function', path: 'rpc/numbers?n=3', headers: csv, text: 'i,square\n1,1\n2,4\n3,9', range: '0-2/*' },
  { name: 'of a function, a page of it counted', path: 'rpc/numbers?n=3&limit=2', headers: { ...ndjson, prefer: 'count=exact' }, status: 206, text: '{"i":1,"square":1}\n{"i":2,"square":4}\n', range: '0-1/3' },
  { name: 'values of a function as CSV', path: 'rpc/letters', headers: csv, text: 'pgrst_scalar\na\n"b, c"\n\n""""', range: '0-3/*' },
  { name: 'of a function, estimated', path: 'rpc/letters?limit=1', headers: { ...csv, prefer: 'count=estimated' }, status: 206, text: 'pgrst_scalar\na', range: '0-0/4' },
  { name: 'values of a function', path: 'rpc/letters', headers: ndjson, text: '"a"\n"b, c"\nnull\n"\\""\n', range: '0-3/*' },
  { name: 'one value', path: 'rpc/add?a=1', headers: ndjson, text: '11\n', range: '0-0/*' },
];
for (const c of few)
  test(`few rows: ${c.name}`, async () => {
    const answer = await get(c.path, c.headers);
    assert.deepEqual([answer.status, answer.text, answer.headers['content-range']], [c.status ?? 200, c.text, c.range]);
    assert.equal(answer.headers['content-length'], String(answer.bytes.length));
    assert.equal(answer.headers['content-type'], `${c.headers.accept}; charset=utf-8`);
  });

test('few rows: a page behind the last one', async () => {
  const answer = await get('stock?offset=9', { ...csv, prefer: 'count=exact' });
  assert.deepEqual([answer.status, answer.json.code, answer.headers['content-range']], [416, 'PGRST103', '*/3']);
});

test('few rows: HEAD has the same head', async () => {
  const answer = await service.request('HEAD', '/rest/v1/stock?order=id', undefined, { headers: { ...csv, prefer: 'count=exact' } });
  assert.deepEqual([answer.status, answer.headers['content-range'], answer.headers['content-type'], answer.text], [200, '0-2/3', 'text/csv; charset=utf-8', '']);
});

test('an error among the first rows is an ordinary answer', async () => {
  const answer = await get('breaks_at_once', csv);
  assert.deepEqual([answer.status, answer.json.code], [400, '22012'], answer.text);
});

test('who may not read gets no row', async () => {
  const answer = await get('vault', ndjson, anon);
  assert.deepEqual([answer.status, answer.json.code], [401, '42501'], answer.text);
  assert.equal((await get('events?limit=3', ndjson, s.b.service)).text, '', "another tenant's rows");
});

function peak(pid) {
  const of = (file, name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${pid}/${file}`, 'utf8'))[1]) / 1024;
  return { peak: of('status', 'VmHWM'), pss: of('smaps_rollup', 'Pss') };
}

const forms = {
  csv: {
    headers: csv,
    lines: million + 1,
    row: (line, i) => i === 0 ? line === 'id,at,digest,note' : line.startsWith(`${i},"2026-01-`) && line.endsWith(i % 7 === 0 ? ',"a, ""b"""' : ',') && (i % 1000 > 0 || line.includes(createHash('md5').update(String(i)).digest('hex'))),
  },
  ndjson: {
    headers: ndjson,
    lines: million,
    row(line, at) {
      const i = at + 1;
      if (i % 1000 > 0) return line.startsWith(`{"id":${i},"at":"2026-`) && line.endsWith('}');
      const row = JSON.parse(line);
      return row.id === i && row.digest === createHash('md5').update(String(i)).digest('hex') && row.note === (i % 7 === 0 ? 'a, "b"' : null);
    },
  },
};
for (const [name, form] of Object.entries(forms))
  test(`a million rows as ${name}`, async (t) => {
    const started = Date.now();
    const response = await open('events?order=id', { ...form.headers, prefer: 'count=exact' });
    assert.deepEqual([response.statusCode, response.headers['content-range'], response.headers['content-length']], [200, `0-${million - 1}/${million}`, undefined]);
    let lines = 0, bytes = 0;
    response.on('data', (piece) => (bytes += piece.length));
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      if (name === 'csv' && lines > 0 ? !form.row(line, lines) && !line.startsWith(`${lines},"2026-`) : !form.row(line, lines)) assert.fail(`line ${lines}: ${line}`);
      lines++;
    }
    const seconds = (Date.now() - started) / 1000;
    assert.deepEqual([lines, response.complete], [form.lines, true]);
    const memory = peak(worker());
    t.diagnostic(`${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s, ${Math.round(million / seconds)} rows/s; worker: peak ${memory.peak.toFixed(1)} MB resident, ${memory.pss.toFixed(1)} MB of its own`);
    assert.ok(keepsFreedMemory() || memory.peak < 32, `the worker had ${memory.peak} MB`);
    assert.ok(seconds < 120, `it took ${seconds} s`);
  });

test('a large page of what has been counted', async () => {
  const response = await open('events?select=id,digest&order=id&offset=100&limit=20000', { ...csv, prefer: 'count=exact' });
  assert.deepEqual([response.statusCode, response.headers['content-range']], [206, `100-20099/${million}`]);
  assert.equal((await take(response)).broken, false);
});

test('large and not counted: nothing is said of the range', async () => {
  const response = await open('events?select=id,digest&limit=20000', csv);
  assert.deepEqual([response.statusCode, response.headers['content-range'], response.headers['content-type']], [200, undefined, 'text/csv; charset=utf-8']);
  assert.equal((await take(response)).broken, false);
});

test('a function sets header fields', async () => {
  const answer = await get('rpc/headed?n=2', csv);
  assert.deepEqual([answer.status, answer.text, answer.headers['content-disposition']], [200, 'i\n1\n2', 'attachment']);
});

test('many rows of a function', async () => {
  const response = await open('rpc/headed?n=200000', ndjson);
  assert.equal(response.headers['content-disposition'], 'attachment');
  const { bytes, broken } = await take(response);
  assert.deepEqual([broken, bytes], [false, '{"i":}\n'.length * 200000 + Array.from({ length: 200000 }, (_, i) => String(i + 1).length).reduce((a, b) => a + b)]);
});

test('the client goes: the query is cancelled and its connection serves on', async () => {
  const response = await open('drip', csv);
  for await (const _ of response) break;
  response.destroy();
  await idle(5000);
  assert.equal((await get('stock?limit=1', csv)).status, 200);
  await eventually('the line of the log', () => s.log().some((l) => l.event === 'http.request' && l.path === '/rest/v1/drip' && l.client_gone === true));
});

test('PostgreSQL fails in the middle: the answer is cut off', async () => {
  const response = await open('breaks?order=id', csv);
  assert.equal(response.statusCode, 200);
  const { bytes, broken } = await take(response);
  assert.ok(broken && bytes > 1e6, `${bytes} bytes, broken: ${broken}`);
  await eventually('the line of the log', () => s.log().some((l) => l.event === 'http.request' && l.path === '/rest/v1/breaks' && l.code === '22012'));
});

test('the connection to PostgreSQL breaks in the middle: the answer is cut off', async () => {
  const response = await open('drip', ndjson);
  const taken = take(response);
  await s.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'active' and application_name = 'tenon/stream'");
  assert.equal((await taken).broken, true);
  assert.equal((await get('stock?limit=1', csv)).status, 200);
});

test('a client that takes nothing holds no connection of the database', async () => {
  const response = await open('events?order=id', ndjson);
  assert.equal(response.statusCode, 200);
  await idle(20_000);
  const whole = createHash('md5');
  let lines = 0;
  for await (const piece of response) {
    whole.update(piece);
    for (const byte of piece) if (byte === 10) lines++;
  }
  assert.deepEqual([lines, response.complete], [million, true]);
});

test('large exports are few at a time, and requests beside them do not wait', async () => {
  const first = await open('drip', csv);
  for await (const _ of first.iterator({ destroyOnReturn: false })) break;
  assert.deepEqual(await active(), ['tenon/stream']);
  const second = await get('events?limit=50000', ndjson);
  assert.deepEqual([second.status, second.json.code, second.headers['retry-after']], [503, 'too_many_exports', '5'], second.text.slice(0, 200));
  const started = Date.now();
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => get(`stock?id=eq.${(i % 3) + 1}`, i % 10 === 0 ? csv : {})));
  assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
  assert.ok(Date.now() - started < 5000);
  first.destroy();
  await idle(5000);
  assert.equal((await get('events?limit=50000', ndjson)).status, 200);
});

test('data.export_timeout_ms', async () => {
  s.configure({ 'data.export_timeout_ms': 700 });
  assert.equal((await s.tenon('reload')).code, 0);
  await delay(500);
  const early = await get('drip?slept=eq.never', csv);
  assert.deepEqual([early.status, early.json.code], [500, '57014'], early.text);
  const late = await open('drip', csv);
  assert.equal((await take(late)).broken, true);
  assert.equal((await get('rpc/sleep?seconds=1', {})).status, 204, 'other answers have other limits');
});
