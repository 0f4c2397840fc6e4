// t/api/data-hostile.mjs: text that wants to be SQL in every place of a request, and requests that are too much of something
//
// Whatever comes: an answer below 500, an error in the dialect's form, the database as it was, the same workers, and no more memory than before.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { rawExchange } from '../lib/client.mjs';
import { garden } from '../lib/garden.mjs';
import { eventually, keepsFreedMemory } from '../lib/stack.mjs';

const s = await garden({ settings: { 'api.processes': 1, 'api.threads': 4, 'api.connections': 2, 'data.aggregates': 'on', 'data.plan': 'on', 'data.authenticated_timeout_ms': 20_000, 'data.service_timeout_ms': 20_000 } });
await s.sql(`
create table public.junk (id bigint generated always as identity primary key, a text, n numeric, data jsonb, day date);
create policy everybody on public.junk to anon, authenticated using (true) with check (true);
create function public.echo(word text) returns text language sql immutable as 'select word';
create function public.whole(jsonb) returns text language sql immutable as 'select md5($1::text)';`);
const alice = await s.a.person('alice');
const { service, anon } = s.a;
const mark = 'a-value-nobody-logs';
const workers = s.workers('api');
const port = new URL(s.origin).port;

/* All rows that requests must not touch, and what the database is made of. */
const checksum = async () =>
  (await s.rows(`select md5(concat(
    (select string_agg(x::text, '|' order by x::text) from public.stock x), (select string_agg(x::text, '|' order by x::text) from public.beds x), (select string_agg(x::text, '|' order by x::text) from public.notes x),
    (select string_agg(x::text, '|' order by x::text) from public.vault x), (select string_agg(x::text, '|' order by x::text) from tenon.tenants x), (select string_agg(x.id::text, '|' order by x.id) from auth.users x),
    (select string_agg(c.oid || c.relname || c.relacl::text, '|' order by c.oid) from pg_class c where c.relnamespace::regnamespace::text in ('public', 'annex', 'tenon', 'auth')),
    (select string_agg(p.proname || md5(p.prosrc), '|' order by p.oid) from pg_proc p where p.pronamespace::regnamespace::text in ('public', 'tenon', 'auth')),
    (select string_agg(p::text, '|' order by p.oid) from pg_policy p), (select string_agg(r.rolname || r.rolsuper || r.rolbypassrls, '|' order by r.oid) from pg_roles r))) as sum`))[0].sum;

const pss = () => workers.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]), 0) / 1024;
const peak = () => Math.max(...workers.map((pid) => Number(/^VmHWM:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024));

/* What was freed goes back to the system with the next heartbeat, every five seconds. */
const givesBack = (small) => eventually(`no more than ${Math.round(small)} MB and a little`, () => pss() - small < 64, 12_000).catch((error) => assert.fail(`${error.message}: ${Math.round(pss())} MB`));

/* Of errors: the dialect's form, from the workers and from nginx alike. */
function isFormed(answer, what) {
  assert.ok(answer.status < 500, `${what}: ${answer.status} ${answer.text.slice(0, 300)}`);
  if (answer.status < 400 || answer.text === '') return;
  assert.ok(answer.json, `${what}: no JSON: ${answer.text.slice(0, 200)}`);
  for (const member of ['code', 'message', 'details', 'hint']) assert.ok(member in answer.json, `${what}: ${answer.text.slice(0, 200)}`);
  assert.match(answer.json.code, /^(PGRST(X00|[0-3]\d\d)|[0-9A-Z]{5}|[a-z]+(_[a-z0-9]+)*)$/, what);
  if (!/^([0-9A-Z]{5}|PGRST204)$/.test(answer.json.code)) assert.ok(answer.text.length < 60_000, `${what}: an error of ${answer.text.length} bytes`); // values and names are quoted whole
}

// --- text that wants to be SQL

const payloads = [
  `'; drop table stock; --`, `"; drop table stock; --`, `') or 1=1 --`, `" or ""="`, `id) from public.stock; delete from public.stock; --`, `$$; drop table stock; $$`, `1; select pg_sleep(15)`, `pg_sleep(15)`, `(select pg_sleep(15))`, `\\'; drop table stock;--`, `\\"; drop table stock;--`, `\\`, `"`, `'`, `""`, `''`,
  `stock" cascade; drop table "stock`, `*/ drop table stock /*`, `--`, `/*`, `$1`, `$1$2`, `$tag$`, `%s%n%x`, `%I`, `?`, `{`, `}`, `(`, `)`, `,`, `.`, `->`, `::`, `!`, `*`, `;commit;drop table stock;`, `E'\\047'`, `U&"\\0061"`, `’ or 1=1`, `＇; drop table stock`, `id\n;drop table stock`, `\tid`, `id\r\nx-injected: yes`, `current_user`, `tenon.tenant_id()`, `(select secret from vault)`,
  `coalesce((select 1),pg_terminate_backend(0))`, `stock,vault`, `null`, `default`, `true or true`, `${'x'.repeat(300)}`, `public.stock`, `xmin`, `ctid`, `tableoid`, `stock.*`, `{"a":1}`, `[1]`, '\u202e', '😀', 'É',
];
const e = encodeURIComponent;
const headerSafe = (text) => text.replace(/[^\x20-\x7e\xa0-\xff]/g, '?');
const quoted = (text) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
const get = (path, headers) => ['GET', path, undefined, headers];
const places = {
  'a table': (p) => get(`/${e(p)}`),
  'a function': (p) => get(`/rpc/${e(p)}`),
  'a table to write to': (p) => ['POST', `/${e(p)}`, { id: 1 }],
  'select': (p) => get(`/stock?select=${e(p)}`),
  'select, quoted': (p) => get(`/stock?select=${e(quoted(p))}`),
  'an alias': (p) => get(`/stock?select=${e(`${p}:id`)}`),
  'an alias, quoted': (p) => get(`/stock?select=${e(`${quoted(p)}:id`)}`),
  'a cast': (p) => get(`/stock?select=${e(`id::${p}`)}`),
  'an aggregate': (p) => get(`/stock?select=${e(`id.${p}()`)}`),
  'a path': (p) => get(`/junk?select=${e(`data->${p}`)}`),
  'a path, quoted': (p) => get(`/junk?select=${e(`data->>${quoted(p)}`)}&order=${e(`data->${quoted(p)}`)}`),
  'a hint': (p) => get(`/stock?select=${e(`beds!${p}(code)`)}`),
  'an embed': (p) => get(`/stock?select=${e(`${p}(code)`)}`),
  'an embed, quoted': (p) => get(`/stock?select=${e(`${quoted(p)}:beds!${quoted(p)}(code)`)}`),
  'an alias of an embed, with order': (p) => get(`/stock?select=${e(`${quoted(p)}:beds(code)`)}&${e(quoted(p))}.order=code&${e(quoted(p))}.code=eq.x`),
  'a filter': (p) => get(`/stock?${e(p)}=eq.1`),
  'a filter, quoted': (p) => get(`/stock?${e(quoted(p))}=eq.1`),
  'an operator': (p) => get(`/stock?id=${e(p)}.1`),
  'a value': (p) => get(`/stock?sku=eq.${e(p)}`),
  'a value of a number': (p) => get(`/stock?id=eq.${e(p)}`),
  'a list': (p) => get(`/stock?sku=in.(${e(p)})`),
  'a list, quoted': (p) => get(`/stock?sku=in.(${e(quoted(p))})`),
  'an array': (p) => get(`/stock?sku=eq(any).{${e(p)}}`),
  'a pattern': (p) => get(`/stock?sku=like.${e(p)}&note=imatch.${e(p.replace(/[()*+?{}[\]|\\]/g, ''))}`),
  'a regular expression': (p) => get(`/stock?sku=match.${e(p)}`),
  'a configuration of full text': (p) => get(`/stock?note=fts(${e(p)}).x`),
  'a search': (p) => get(`/stock?note=fts.${e(p)}`),
  'is': (p) => get(`/stock?note=is.${e(p)}`),
  'logic': (p) => get(`/stock?or=(sku.eq.${e(p)},id.eq.1)`),
  'logic, quoted': (p) => get(`/stock?and=(sku.eq.${e(quoted(p))},${e(quoted(p))}.eq.1)`),
  'order': (p) => get(`/stock?order=${e(p)}`),
  'order, quoted': (p) => get(`/stock?order=${e(quoted(p))}.desc.nullslast`),
  'order by an embed': (p) => get(`/beds?select=id,stock(sku)&order=${e(`stock(${p})`)}`),
  'limit': (p) => get(`/stock?limit=${e(p)}&offset=${e(p)}`),
  'a key of the query': (p) => get(`/stock?${e(p)}`),
  'columns': (p) => ['POST', `/junk?columns=${e(p)}`, { a: 'x' }],
  'columns, quoted': (p) => ['POST', `/junk?columns=${e(quoted(p))}`, { [p]: 'x' }],
  'on_conflict': (p) => ['POST', `/junk?on_conflict=${e(p)}`, { a: 'x' }, { prefer: 'resolution=merge-duplicates' }],
  'on_conflict, quoted': (p) => ['POST', `/junk?on_conflict=${e(quoted(p))}`, { a: 'x' }, { prefer: 'resolution=merge-duplicates' }],
  'Range': (p) => get('/stock', { range: headerSafe(p) }),
  'a time zone': (p) => get('/stock', { prefer: `timezone=${headerSafe(p)}` }),
  'a time zone, strictly': (p) => get('/stock', { prefer: `handling=strict, timezone=${headerSafe(p)}` }),
  'Prefer': (p) => ['POST', '/junk', { a: 'x' }, { prefer: headerSafe(p) }],
  'Accept': (p) => get('/stock', { accept: headerSafe(p) }),
  'Accept of a plan': (p) => get('/stock', { accept: `application/vnd.pgrst.plan; for="${headerSafe(p)}"; options=${headerSafe(p)}` }),
  'Content-Type': (p) => ['POST', '/junk', '{"a":"x"}', { 'content-type': headerSafe(p) }],
  'Accept-Profile': (p) => get('/stock', { 'accept-profile': headerSafe(p) }),
  'Content-Profile': (p) => ['POST', '/junk', { a: 'x' }, { 'content-profile': headerSafe(p) }],
  'If-Match': (p) => ['PATCH', '/junk?id=eq.1', { a: 'x' }, { 'if-match': headerSafe(p) }],
  'If-None-Match': (p) => get('/stock?id=eq.1', { 'if-none-match': headerSafe(p) }),
  'Idempotency-Key': (p) => ['POST', '/junk', { a: 'x' }, { 'idempotency-key': headerSafe(p) }],
  'a cookie and other header fields': (p) => get('/stock', { cookie: `${headerSafe(p)}=${headerSafe(p)}`, 'x-mine': headerSafe(p), 'user-agent': headerSafe(p) }),
  'a member of the body': (p) => ['POST', '/junk', { [p]: 'x' }],
  'a value of the body': (p) => ['POST', '/junk', { a: p, data: { [p]: p } }],
  'a number of the body': (p) => ['POST', '/junk', { n: p }],
  'a date of the body': (p) => ['POST', '/junk', [{ day: p }]],
  'the body': (p) => ['POST', '/junk', p],
  'a change': (p) => ['PATCH', '/junk?id=eq.0', { [p]: p, a: p }],
  'a put': (p) => ['PUT', `/junk?id=eq.${e(p)}`, { id: p }],
  'a header line of CSV': (p) => ['POST', '/junk', `${p}\nx\n`, { 'content-type': 'text/csv' }],
  'a value of CSV': (p) => ['POST', '/junk', `a,n\n${p},1\n"${p.replaceAll('"', '""')}",2\n`, { 'content-type': 'text/csv' }],
  'a form': (p) => ['POST', '/junk', `${e(p)}=${e(p)}`, { 'content-type': 'application/x-www-form-urlencoded' }],
  'a name of an argument': (p) => get(`/rpc/echo?${e(p)}=x`),
  'a name of an argument in the body': (p) => ['POST', '/rpc/echo', { [p]: 'x' }],
  'an argument': (p) => get(`/rpc/echo?word=${e(p)}`),
  'an argument in the body': (p) => ['POST', '/rpc/echo', { word: p }],
  'a filter of a function': (p) => ['POST', `/rpc/numbers?${e(quoted(p))}=eq.${e(p)}&select=${e(quoted(p))}`, { n: 1 }],
};

const before = await checksum();
for (const [turn, [name, build]] of Object.entries(places).entries())
  test(`SQL in ${name}`, async () => {
    const answers = await Promise.all(payloads.map(async (payload, i) => {
      const [base, client] = (i + turn) % 2 ? ['/rest/v1', service] : ['/api/db', anon];
      const [method, path, body, headers] = build(payload);
      const started = Date.now();
      const answer = await client.request(method, `${base}${path}`, body, { headers });
      isFormed(answer, `${method} ${base}${path}`);
      if (payload.includes('sleep')) assert.ok(Date.now() - started < 14_000, `${path} slept`);
      assert.equal(answer.headers['x-injected'], undefined);
      return answer;
    }));
    assert.equal(await checksum(), before, 'the database is as it was');
    assert.ok(answers.some((a) => a.status < 500));
    assert.equal((await service.request('GET', '/rest/v1/stock?id=eq.1&select=sku')).text, '[{"sku":"rope"}]');
  });

test('what is a value stays one', async () => {
  for (const payload of payloads.filter((p) => !/[\r\n]/.test(p))) {
    assert.equal((await service.request('GET', `/rest/v1/rpc/echo?word=${e(payload)}`)).json, payload);
    const [row] = (await service.request('POST', '/rest/v1/junk?select=a,data', [{ a: payload, data: { [payload]: payload } }], { headers: { prefer: 'return=representation' } })).json;
    assert.deepEqual(row, { a: payload, data: { [payload]: payload } });
    assert.deepEqual((await service.request('GET', `/rest/v1/junk?select=a&a=eq.${e(payload)}&limit=1`)).json, [{ a: payload }]);
    assert.deepEqual((await service.request('GET', `/rest/v1/junk?select=a&a=in.(${e(quoted(payload))})&limit=1`)).json, [{ a: payload }]);
    const [named] = (await service.request('GET', `/rest/v1/junk?select=${e(quoted(payload))}:id&limit=1`)).json;
    assert.deepEqual(Object.keys(named), [payload.slice(0, 63)]); // as long as a name may be
  }
});

// --- too much of something, and bytes that are no text

const many = (count, text) => Array.from({ length: count }, () => text).join('');
const csv = { 'content-type': 'text/csv' };
const MB = 1024 * 1024;
const objects = (bytes, one) => `[${many(Math.floor(bytes / (one.length + 1)), `${one},`)}${one}]`;
const cases = [
  ...['%ff', '%c0%af', '%e0%80%af', '%ed%a0%80', '%f5%80%80%80', '%80', '%c3', '%f0%9f%98', '%00', 'a%00b', '%c0%80', '%fe%ff'].flatMap((bytes) => [
    [`${bytes} in a value`, 'GET', `/stock?sku=eq.${bytes}`], [`${bytes} in a key`, 'GET', `/stock?${bytes}=eq.1`], [`${bytes} in select`, 'GET', `/stock?select=${bytes}`], [`${bytes} in a list`, 'GET', `/stock?sku=in.(${bytes})`], [`${bytes} in a path`, 'GET', `/${bytes}`],
    [`${bytes} in order`, 'GET', `/stock?order=${bytes}`], [`${bytes} in an argument`, 'GET', `/rpc/echo?word=${bytes}`], [`${bytes} in a form`, 'POST', '/junk', `a=${bytes}`, { 'content-type': 'application/x-www-form-urlencoded' }],
  ]),
  ...['\xff', '\xc0\xaf', '\xed\xa0\x80', '\xf5\x80\x80\x80', '\x80', '\0'].flatMap((bytes) => [
    [`${escape(bytes)} in JSON`, 'POST', '/junk', Buffer.from(`{"a":"${bytes}"}`, 'latin1')], [`${escape(bytes)} in a member`, 'POST', '/junk', Buffer.from(`{"${bytes}":"x"}`, 'latin1')], [`${escape(bytes)} in CSV`, 'POST', '/junk', Buffer.from(`a\n${bytes}\n`, 'latin1'), csv],
    [`${escape(bytes)} in a header line`, 'POST', '/junk', Buffer.from(`${bytes}\nx\n`, 'latin1'), csv], [`${escape(bytes)} to a function`, 'POST', '/rpc/echo', Buffer.from(`{"word":"${bytes}"}`, 'latin1')],
  ]),
  ['an escaped NUL', 'POST', '/junk', '{"a":"\\u0000"}'], ['an escaped NUL in a member', 'POST', '/junk', '{"\\u0000":"x"}'], ['half a surrogate', 'POST', '/junk', '{"a":"\\ud800"}'], ['the other half', 'POST', '/junk', '{"data":{"\\udc00":1}}'],
  ...['99999999999999999999', '1e400', '-99999999999999999999', '9'.repeat(5000), '0x7fffffffffffffff1', 'NaN', '-Infinity'].flatMap((n) => [
    [`id is ${n.slice(0, 20)}`, 'GET', `/stock?id=eq.${n}`], [`id is one of ${n.slice(0, 20)}`, 'GET', `/stock?id=in.(1,${n})`], [`id in the body is ${n.slice(0, 20)}`, 'POST', '/stock', `{"id":${/^-?\d/.test(n) ? n : JSON.stringify(n)}}`], [`an argument is ${n.slice(0, 20)}`, 'GET', `/rpc/add?a=${n}`],
  ]),
  ['an offset beyond all numbers', 'GET', `/stock?offset=${'9'.repeat(40)}`], ['a limit beyond all numbers', 'GET', `/stock?limit=${'9'.repeat(400)}`], ['a number of many digits', 'POST', '/stock', `{"id":${'9'.repeat(300_000)}}`], ['an exponent', 'POST', '/stock', '{"id":1e999999999}'],
  ['100,000 items', 'GET', `/stock?id=in.(${many(99_999, '1,')}1)`, undefined, undefined, [414]], ['10,000 columns', 'GET', `/stock?select=${many(9_999, 'id,')}id`, undefined, undefined, [414]], ['9,000 columns', 'GET', `/stock?select=${many(8_999, 'id,')}id`], ['9,000 orders', 'GET', `/stock?order=${many(8_999, 'id,')}id`, undefined, undefined, [200]],
  ['9,000 conflicts', 'POST', `/junk?on_conflict=${many(8_999, 'id,')}id`, { a: 'x' }, { prefer: 'resolution=merge-duplicates' }, [201, 400]], ['9,000 columns to write', 'POST', `/junk?columns=${many(8_999, 'a,')}b`, { a: 'x' }], ['3,000 filters', 'GET', `/stock?${many(2_999, 'id=gt.0&')}id=gt.0`], ['3,000 terms', 'GET', `/stock?or=(${many(2_999, 'id.gt.0,')}id.gt.0)`],
  ['1,000 embeds', 'GET', `/stock?select=${Array.from({ length: 1000 }, (_, i) => `a${i}:beds(id)`).join()}`], ['1,000 spreads', 'GET', `/beds?select=${many(999, '...stock(x:id),')}...stock(id)`], ['1,000 parentheses of logic', 'GET', `/stock?and=(${many(1000, 'and(')}id.eq.1${many(1000, ')')})`], ['1,000 nots', 'GET', `/stock?and=(${many(1000, 'not.or(')}id.eq.1${many(1000, ')')})`],
  ['1,000 open parentheses', 'GET', `/stock?and=${many(1000, '(')}`], ['10,000 open parentheses', 'GET', `/stock?select=${many(10_000, '(')}`, undefined, undefined, [200]], ['1,000 embeds deep', 'GET', `/stock?select=${many(500, 'beds(stock(')}id${many(1000, ')')}`], ['1,000 spreads deep', 'GET', `/beds?select=${many(500, '...stock(...beds(')}id${many(1000, ')')}`],
  ['1,000 words of a path', 'GET', `/stock?${many(1000, 'beds.')}id=eq.1`], ['5,000 keys of JSON', 'GET', `/junk?select=data${many(5000, '->a')}`], ['5,000 keys of JSON in a filter', 'GET', `/junk?data${many(5000, '->a')}=eq.1`], ['an alias of 20,000 letters', 'GET', `/stock?select=${'a'.repeat(20_000)}:id`, undefined, undefined, [200, 400]],
  ['a table of 20,000 letters', 'GET', `/${'a'.repeat(20_000)}`], ['a function of 20,000 letters', 'GET', `/rpc/${'a'.repeat(20_000)}`], ['a cast of 20,000 letters', 'GET', `/stock?select=id::${'a'.repeat(20_000)}`], ['a hint of 20,000 letters', 'GET', `/stock?select=beds!${'a'.repeat(20_000)}(id)`], ['5,000 arguments', 'GET', `/rpc/echo?${many(4999, 'a=1&')}a=1`],
  ['a path of 1,000 segments', 'GET', many(1000, '/a')], ['an address of 40 KB', 'GET', `/stock?sku=eq.${'a'.repeat(40_000)}`, undefined, undefined, [414]], ['an address of 200 KB', 'GET', `/stock?sku=eq.${'a'.repeat(200_000)}`, undefined, undefined, [414]],
  ['5,000 header fields', 'GET', '/stock', undefined, Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x-${i}`, 'y'])), [431, 400]], ['a header field of 60 KB', 'GET', '/stock', undefined, { 'x-long': 'a'.repeat(60_000) }, [431, 400]], ['a long Prefer', 'GET', '/stock', undefined, { prefer: `handling=strict, ${many(3000, 'a=b, ')}c=d` }],
  ['a long Accept', 'GET', '/stock', undefined, { accept: many(3000, 'a/b, ') + 'c/d' }], ['a long Range', 'GET', '/stock', undefined, { range: `0-${'9'.repeat(9000)}` }, [200, 416]], ['a Range from beyond', 'GET', '/stock', undefined, { range: `${'9'.repeat(50)}-` }, [200, 416]], ['a long profile', 'GET', '/stock', undefined, { 'accept-profile': 'a'.repeat(20_000) }],
  ['a long If-Match', 'PATCH', '/stock?id=eq.1', { note: 'x' }, { 'if-match': `"${'a'.repeat(20_000)}"` }],
  ['50 MB of JSON', 'POST', '/junk', Buffer.alloc(50 * MB, '[{"a":1},'), undefined, [413]], ['50 MB of CSV', 'POST', '/junk', Buffer.alloc(50 * MB, 'a,b\n'), csv, [413]], ['15 MB of JSON', 'POST', '/junk', objects(15 * MB, '{"a":"x"}'), undefined, [413]], ['15 MB of CSV', 'POST', '/junk', Buffer.alloc(15 * MB, 'a\n'), csv, [413]],
  ['15 MB to a function', 'POST', '/rpc/whole', objects(15 * MB, '{"a":"x"}'), undefined, [413]], ['9 MB of uneven objects', 'POST', '/junk', `${objects(9 * MB, '{"a":"x"}').slice(0, -1)},{"n":1}]`], ['9 MB of unknown members', 'POST', '/junk', `{${Array.from({ length: 600_000 }, (_, i) => `"k${i}":1`).join()}}`], ['9 MB of open arrays', 'POST', '/junk', '['.repeat(9 * MB)],
  ['9 MB of open objects', 'POST', '/junk', many(MB, '{"a":')], ['deep JSON that ends', 'POST', '/junk', `{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`], ['deep JSON to a function', 'POST', '/rpc/whole', `${'['.repeat(100_000)}${']'.repeat(100_000)}`], ['9 MB in quotes that do not end', 'POST', '/junk', `{"a":"${'x'.repeat(9 * MB)}`], ['9 MB of backslashes', 'POST', '/junk', `{"a":"${'\\'.repeat(9 * MB)}`],
  ['9 MB of blanks', 'POST', '/junk', ' '.repeat(9 * MB)], ['one member of 9 MB', 'POST', '/junk', `{"${'k'.repeat(9 * MB)}":1}`], ['a member 600,000 times', 'POST', '/junk', `{${many(600_000, '"nope":1,')}"nope":2}`], ['9 MB of empty objects', 'POST', '/stock', objects(9 * MB, '{}')], ['no JSON at all', 'POST', '/junk', Buffer.alloc(9 * MB, 'x')],
  ['a header line of 3,000,000 columns', 'POST', '/junk', `${','.repeat(3_000_000)}\nx\n`, csv], ['a header line of 500,000 names', 'POST', '/junk', `${Array.from({ length: 500_000 }, (_, i) => `c${i}`).join()}\nx\n`, csv], ['CSV that grows', 'POST', '/junk', `${'a'.repeat(50_000)},b\n${many(2_000_000, 'x,\n')}`, csv], ['a quote that does not end', 'POST', '/junk', `a\n"${'x'.repeat(9 * MB)}`, csv],
  ['CSV of 9 MB of commas', 'POST', '/junk', `a\n${','.repeat(9 * MB)}\n`, csv, [201]], ['CSV of quotes', 'POST', '/junk', `a,b\n${'"'.repeat(9 * MB + 1)}`, csv], ['CSV of unknown columns', 'POST', '/junk', `nope\n${many(3_000_000, 'x\n')}`, csv], ['a form of 9 MB', 'POST', '/junk', many(3_000_000, 'b=&'), { 'content-type': 'application/x-www-form-urlencoded' }], ['multipart', 'POST', '/junk', '--x\r\n', { 'content-type': 'multipart/form-data; boundary=x' }],
];

test('too much of something, and bytes that are no text: an error with a code, and no memory kept', async (t) => {
  const small = pss();
  const slow = [];
  const wrong = [];
  for (const [name, method, path, body, headers, statuses] of cases) {
    const started = Date.now();
    const answer = await service.request(method, `/rest/v1${path}`, body, { headers }).catch((error) => ({ error }));
    if (answer.error) {
      // nginx may close while a body that is too long is still being sent
      if (!statuses?.includes(413) || !['EPIPE', 'ECONNRESET'].includes(answer.error.code)) wrong.push(`${name}: ${answer.error.message}`);
      continue;
    }
    try {
      isFormed(answer, name);
    } catch (error) {
      wrong.push(error.message);
    }
    if (!(statuses ? statuses.includes(answer.status) : answer.status >= 400 && answer.status < 500)) wrong.push(`${name}: ${answer.status} ${answer.text.slice(0, 200)}`);
    if (Date.now() - started > 4000) slow.push(`${name}: ${Date.now() - started} ms`);
  }
  for (const line of slow) t.diagnostic(line);
  t.diagnostic(`${Math.round(small)} MB before, ${Math.round(peak())} MB at most`);
  assert.ok(keepsFreedMemory() || peak() < 256, `${peak()} MB at most`);
  if (!keepsFreedMemory()) await givesBack(small);
  assert.deepEqual(wrong, []);
  assert.equal(await checksum(), before);
});

test('raw bytes that a well-behaved client does not send', async () => {
  const head = `Host: x\r\napikey: ${s.a.secret}\r\nConnection: close\r\n`;
  for (const request of [
    `GET /rest/v1/stock?sku=eq.\xff\xfe HTTP/1.1\r\n${head}\r\n`, `GET /rest/v1/stock?select=\x01\x02 HTTP/1.1\r\n${head}\r\n`, `GET /rest/v1/\xff HTTP/1.1\r\n${head}\r\n`, `GET /rest/v1/stock HTTP/1.1\r\n${head}Prefer: \xff\xfe=\x7f\r\n\r\n`, `GET /rest/v1/stock HTTP/1.1\r\n${head}Accept-Profile: \xc3\r\n\r\n`,
    `GET /rest/v1/stock HTTP/1.1\r\n${head}Accept: \xff/\xff\r\n\r\n`, `POST /rest/v1/junk HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{"a":`, `POST /rest/v1/junk HTTP/1.1\r\n${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n0\r\n\r\n`,
    `GET /rest/v1/stock?a=%zz&%=1&sku=eq.% HTTP/1.1\r\n${head}\r\n`, `GET /rest/v1/../v1/nope/../../x HTTP/1.1\r\n${head}\r\n`, `GET /rest/v1/stock HTTP/1.1\r\n${head}Cookie: \xff=\xfe; a\r\nX-Bin: \xff\r\n\r\n`, `GET /rest/v1/stock HTTP/1.1\r\n${head}Prefer: timezone=\xff\r\n\r\n`,
  ]) {
    const answer = (await rawExchange(Number(port), Buffer.from(request, 'latin1'), { end: false })).toString();
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
    assert.ok(status >= 200 && status < 500, `${request}: ${answer}`);
    if (status >= 400) isFormed({ status, text: answer.split('\r\n\r\n')[1], json: JSON.parse(answer.split('\r\n\r\n').slice(1).join('').replace(/^[0-9a-f]+\r\n|\r\n0\r\n$/g, '')) }, request);
  }
});

test('large things that are allowed take memory only while they are there', async () => {
  const small = pss();
  for (let i = 0; i < 2; i++) {
    assert.equal((await service.request('POST', '/rest/v1/rpc/whole', objects(4 * MB, '{"a":"x"}'))).status, 200);
    assert.equal((await service.request('POST', '/rest/v1/junk?columns=a', objects(2 * MB, `{"a":"${'y'.repeat(500)}"}`))).status, 201);
    assert.equal((await service.request('GET', '/rest/v1/junk?select=a&a=like.y*')).status, 200);
  }
  await givesBack(small);
});

test('after all that: the same workers, and everybody is served', async () => {
  assert.deepEqual(s.workers('api'), workers);
  for (const client of [service, anon, alice]) assert.equal((await client.request('GET', '/rest/v1/stock?id=eq.1&select=sku')).text, '[{"sku":"rope"}]');
  assert.equal(await checksum(), before);
});

test('the log has no secret and no value', async () => {
  await alice.request('GET', `/rest/v1/stock?sku=eq.${mark}&nope=eq.${mark}`);
  await alice.request('POST', '/rest/v1/stock', { id: mark, note: mark });
  await alice.request('POST', '/rest/v1/junk', { n: mark });
  await alice.request('GET', `/rest/v1/rpc/echo?word=${mark}`, undefined, { headers: { cookie: `session=${mark}`, prefer: `timezone=${mark}` } });
  const log = fs.readFileSync(s.logFile, 'utf8');
  for (const secret of [s.a.secret, s.a.publishable, s.b.secret, alice.session.access_token, alice.session.refresh_token, s.settings['auth.jwt_secret'], alice.password]) assert.ok(!log.includes(secret), secret.slice(0, 12));
  const line = log.split('\n').find((text) => text.includes(mark));
  assert.equal(line, undefined);
  assert.ok(!/drop table|ash handle/.test(log), log.split('\n').find((text) => /drop table|ash handle/.test(text)));
});
