/* bench/data.mjs: the data API beside PostgREST; started by `bench/run data`
 *
 * Both serve the same database on the same machine in the same minutes, with a token and row-level security, in turns:
 *   tenon      wrk → nginx → workers → PostgreSQL
 *   postgrest  wrk → PostgREST 12.0.2 → PostgreSQL, with no nginx in between
 *   pgbench    the statements that Tenon's workers sent, prepared, each transaction in a pipeline
 * The round in the middle counts. Numbers of one line compare; numbers of two machines do not.
 *
 * Tenon has the pools that etc/tenon.conf gives it. PostgREST remembers tokens (jwt-cache-max-lifetime) and gets the pool of
 * connections with which it does most, of those that are tried before anything is measured.
 */
import fs from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { hs256, now } from '../t/lib/jwt.mjs';
import { psql, startCluster, withDatabase, withUser } from '../t/lib/postgres.mjs';
import { startPostgrest } from '../t/lib/postgrest.mjs';
import { startStack } from '../t/lib/stack.mjs';
import { captured, cores, CpuGroups, cpuOf, figure, footprint, machine, percent, pgbench, wrk } from './lib.mjs';
import { plot } from './plot.mjs';

const conversations = 2000, messages = 50; // of each
const secret = 'a secret of the benchmark, long enough';
const person = '0190a000-0000-7000-8000-000000000001';
const token = hs256({ role: 'authenticated', sub: person, aud: 'authenticated', exp: now() + 86_400 }, secret);

/* Each as one request of wrk (Lua, with `pick(n)` for a number from 1 to n) and as one of fetch(). `aim`: times PostgREST. */
const shapes = {
  key: { title: 'one row by its key', aim: 6, path: (pick) => `/messages?id=eq.${pick(conversations * messages)}` },
  page: {
    title: '20 rows of a conversation, newest first', aim: 6,
    path: (pick) => `/messages?select=id,role,content,created_at&conversation_id=eq.${pick(conversations)}&order=created_at.desc&limit=20`,
  },
  embed: {
    title: 'an embed of two levels', aim: 3,
    path: (pick) => `/conversations?select=id,title,messages(id,content,attachments(name))&messages.limit=20&id=eq.${pick(conversations)}`,
  },
  count: {
    title: 'a filtered count', aim: 1, headers: { prefer: 'count=exact' }, // not HEAD: wrk would wait for the body that has a length
    path: (pick) => `/messages?select=id&role=eq.user&conversation_id=gt.${pick(conversations)}&limit=1`,
  },
  insert: {
    title: 'insert of one row', aim: 4, method: 'POST', path: () => '/messages',
    body: (pick) => `{"conversation_id":${pick(conversations)},"role":"user","content":"What is a tenon?"}`,
  },
  bulk: {
    title: 'insert of 1,000 rows', aim: 1, method: 'POST', path: () => '/events',
    body: () => JSON.stringify(Array.from({ length: 1000 }, (_, i) => ({ kind: 'click', at: '2026-01-01T00:00:00Z', detail: { n: i } }))),
  },
  update: {
    title: 'update by key', aim: 3, method: 'PATCH', path: (pick) => `/messages?id=eq.${pick(conversations * messages)}`,
    body: () => '{"content":"A tongue of wood that joins two beams."}',
  },
  rpc: { title: 'a function', aim: 3, method: 'POST', path: () => '/rpc/unread', body: (pick) => `{"conversation":${pick(conversations)}}` },
};

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    plot: { type: 'string' },
    'no-groups': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  console.log(`Usage: bench/run data [--seconds 4] [--rounds 5] [--connections 32] [--only ${Object.keys(shapes).join(',')}]
       [--set api.connections=4]… [--no-groups] [--plot FILE.svg] [--json]

Prints requests per second of Tenon, of PostgREST, and of the same statements in pgbench, what a request costs each of them in
processor time, and the memory of both. --set changes a setting of Tenon; --no-groups leaves all in the
sessions that they were started in; --plot draws the ratios.`);
  process.exit(0);
}

const results = { machine: await machine(), shapes: {}, memory: [] };
const groups = new CpuGroups();
results.groups = groups.isMade && !args['no-groups'];
say(`${results.machine.text}; ${results.groups ? 'a cpu control group for each server' : 'no control groups'}`);
const cluster = await startCluster({ settings: { fsync: 'on', unix_socket_directories: `'${os.tmpdir()}'`, shared_buffers: "'256MB'", max_wal_size: "'2GB'" } });
cluster.url += `?host=${os.tmpdir()}`; // for everybody: a Unix socket, as in etc/tenon.conf
let s, peer;
const postmaster = Number(fs.readFileSync(`${cluster.data}/postmaster.pid`, 'utf8').split('\n')[0]);
try {
  s = await startStack({
    cluster, people: false,
    settings: {
      'log.level': 'warn', 'server.database_wait_ms': 60_000, 'limits.enabled': 'off', 'auth.jwt_secret': secret,
      'data.require_rls': 'off', 'data.schemas': 'bench', 'data.default_tenant': 'a',
      'api.processes': 0, ...Object.fromEntries(args.set.map((line) => line.split('=', 2))),
    },
  });
  await psql(s.admin, schema());
  place('postgres', postmaster);
  place('tenon', s.master.pid);
  place('nginx', s.nginx.pid);
  results.pool = await bestPool();
  peer = await startPeer(results.pool);
  say(`PostgREST does most with db-pool = ${results.pool}`);
  remember('idle');
  const wanted = args.only?.split(',') ?? Object.keys(shapes);
  for (const name of wanted) {
    results.shapes[name] = await measure(shapes[name]);
    remember(shapes[name].title);
  }
  sayMemory();
  sayTables();
  if (args.plot) fs.writeFileSync(args.plot, plot(results));
} finally {
  await peer?.stop();
  await s?.stop().catch((error) => console.error(error.message));
  cluster.remove();
  await groups.remove();
}
if (args.json) console.log(JSON.stringify(results, null, 2));

/* What docs/performance.md has, in Markdown. */
function sayTables() {
  const all = Object.values(results.shapes);
  const us = ({ us }) => [us.tenon.postgres, us.tenon.tenon, us.tenon.nginx, us.postgrest.postgres, us.postgrest.postgrest].map((value) => value.toFixed(0)).join(' | ');
  say(['| per second | tenon | PostgREST | times | aim | 99 % | PostgREST 99 % | of pgbench |', '|---|---|---|---|---|---|---|---|',
    ...all.map((r) => `| ${r.title} | ${figure(r.tenon).trim()} | ${figure(r.postgrest).trim()} | **${r.times_postgrest.toFixed(1)}** | ${r.aim} | ${r.p99.tenon.toFixed(0)} ms | ${r.p99.postgrest.toFixed(0)} ms | ${percent(r.share_of_pgbench)} |`)].join('\n'));
  say(['| µs of processor time | PostgreSQL | workers | nginx | PostgreSQL, for PostgREST | PostgREST |', '|---|---|---|---|---|---|',
    ...all.map((r) => `| ${r.title} | ${us(r)} |`)].join('\n'));
}

function place(name, pid) {
  if (results.groups) groups.move(name, pid);
}

async function startPeer(pool) {
  const server = await startPostgrest({
    url: withUser(withDatabase(cluster.url, s.database), 'tenon_authenticator'),
    settings: { 'db-schemas': 'bench', 'db-anon-role': 'anon', 'jwt-secret': secret, 'jwt-cache-max-lifetime': '3600', 'db-pool': pool },
  });
  place('postgrest', server.pid);
  return server;
}

/* The size with which rows by key come fastest: 10 is what PostgREST has if nobody says anything. */
async function bestPool() {
  const sizes = [...new Set([cores, 2 * cores, 4 * cores, 10, 16, 32])];
  const rates = [];
  for (const size of sizes) {
    peer = await startPeer(size);
    await load(shapes.key, headersOf(shapes.key), peer.origin, 1);
    rates.push((await load(shapes.key, headersOf(shapes.key), peer.origin, 2)).rate);
    await peer.stop();
  }
  return sizes[rates.indexOf(Math.max(...rates))];
}

/* What both take by now, in KiB. */
function remember(after) {
  results.memory.push({ after, tenon: footprint(s.master.pid), nginx: footprint(s.nginx.pid), postgrest: footprint(peer.pid) });
}

function sayMemory() {
  const mb = (kb) => `${(kb / 1024).toFixed(1)} MB`.padStart(9);
  say(['Memory (PSS)                                tenon     nginx  PostgREST', ...results.memory.map((m) =>
    `  after ${m.after.padEnd(34)} ${mb(m.tenon)} ${mb(m.nginx)}  ${mb(m.postgrest)}   together ${percent((m.tenon + m.nginx) / m.postgrest)} of it (aim: 25 %)`)].join('\n').replace('after idle ', 'idle       '));
}

function schema() {
  return `alter database ${s.database} set tenon.auto_protect = off;
set tenon.auto_protect = off;
create schema bench;
create table bench.conversations (id bigint generated always as identity primary key, owner uuid not null default auth.uid(), title text not null);
create table bench.messages (
  id bigint generated always as identity primary key, owner uuid not null default auth.uid(),
  conversation_id bigint not null references bench.conversations, role text not null, content text not null,
  created_at timestamptz not null default now());
create index on bench.messages (conversation_id, created_at);
create table bench.attachments (id bigint generated always as identity primary key, owner uuid not null default auth.uid(),
  message_id bigint not null references bench.messages, name text not null);
create index on bench.attachments (message_id);
create table bench.events (id bigint generated always as identity primary key, owner uuid not null default auth.uid(), kind text, at timestamptz, detail jsonb);
insert into bench.conversations (owner, title) select '${person}', 'conversation ' || i from generate_series(1, ${conversations}) i;
insert into bench.messages (owner, conversation_id, role, content, created_at)
  select '${person}', c, case when m % 2 = 1 then 'user' else 'assistant' end, repeat('words and words ', 1 + m % 20), now() - m * interval '1 minute'
    from generate_series(1, ${conversations}) c, generate_series(1, ${messages}) m;
insert into bench.attachments (owner, message_id, name) select '${person}', id, 'file ' || id from bench.messages where id % 5 = 0;
${['conversations', 'messages', 'attachments', 'events'].map((t) => `alter table bench.${t} enable row level security;
create policy mine on bench.${t} to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));`).join('\n')}
create function bench.unread(conversation bigint) returns bigint language sql stable
  as $$ select count(*) from bench.messages where conversation_id = conversation and role = 'user' $$;
grant usage on schema bench to authenticated, anon;
grant select, insert, update, delete on all tables in schema bench to authenticated;
vacuum analyze;
notify pgrst;
notify tenon, 'catalog';`;
}

function headersOf(shape) {
  return { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...shape.headers };
}

function load(shape, headers, origin, seconds = args.seconds) {
  const { pathname, origin: url } = new URL(origin);
  return wrk({ dir: s.dir, script: lua(shape, headers, pathname.replace(/\/$/, '')), url, seconds, connections: args.connections });
}

/* The same, with what a request costs the processes of `trees` in processor time, in microseconds. */
async function loadAndCount(shape, headers, origin, trees) {
  const spent = () => Object.fromEntries(Object.entries(trees).map(([name, pid]) => [name, cpuOf(pid)]));
  const before = spent();
  const round = await load(shape, headers, origin);
  const after = spent();
  round.us = Object.fromEntries(Object.keys(trees).map((name) => [name, (after[name] - before[name]) / Math.max(round.requests, 1)]));
  return round;
}

async function measure(shape) {
  const headers = headersOf(shape);
  const send = (origin) => async (n) => {
    const pick = (limit) => 1 + ((n * 7919) % limit);
    const answer = await fetch(origin + shape.path(pick), { method: shape.method ?? 'GET', headers, body: shape.body?.(pick) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${text}`);
    return undefined;
  };
  const ours = `${s.origin}/rest/v1`;
  for (const origin of [ours, peer.origin]) for (let n = 0; n < 64; n++) await send(origin)(n); // warm: prepared, cached
  const askers = Array.from({ length: 8 }, (_, i) => i * 31 + 1);
  const { scripts } = await captured(cluster, askers, send(ours));
  const rounds = [];
  for (let i = 0; i < Number(args.rounds); i++) {
    const round = {
      tenon: await loadAndCount(shape, headers, ours, { tenon: s.master.pid, nginx: s.nginx.pid, postgres: postmaster }),
      postgrest: await loadAndCount(shape, headers, peer.origin, { postgrest: peer.pid, postgres: postmaster }),
    };
    round.pgbench = await pgbench({ dir: s.dir, scripts, seconds: args.seconds, url: s.admin });
    rounds.push(round);
  }
  const middle = (of) => rounds.map(of).sort((x, y) => x - y)[rounds.length >> 1];
  const by = (who, what) => middle((r) => r[who][what]);
  const us = (who) => Object.fromEntries(Object.keys(rounds[0][who].us).map((name) => [name, middle((r) => r[who].us[name])]));
  const r = {
    title: shape.title, aim: shape.aim, rounds,
    tenon: by('tenon', 'rate'), postgrest: by('postgrest', 'rate'), pgbench: by('pgbench', 'rate'),
    p99: { tenon: middle((x) => ms(x.tenon.p99)), postgrest: middle((x) => ms(x.postgrest.p99)) },
    times_postgrest: middle((x) => x.tenon.rate / x.postgrest.rate), share_of_pgbench: middle((x) => x.tenon.rate / x.pgbench.rate),
    p99_of_postgrest: middle((x) => ms(x.tenon.p99) / ms(x.postgrest.p99)), us: { tenon: us('tenon'), postgrest: us('postgrest') },
  };
  const errors = rounds.reduce((sum, x) => sum + x.tenon.errors + x.postgrest.errors, 0);
  const costs = (of) => Object.entries(of).map(([name, value]) => `${name} ${value.toFixed(0)}`).join(', ');
  say(`${shape.title}
  tenon      ${figure(r.tenon)}/s   99 % ${r.p99.tenon.toFixed(1)} ms   µs: ${costs(r.us.tenon)}${errors ? `   ${errors} errors` : ''}
  postgrest  ${figure(r.postgrest)}/s   99 % ${r.p99.postgrest.toFixed(1)} ms   µs: ${costs(r.us.postgrest)}
             tenon does ${r.times_postgrest.toFixed(1)} times as many (aim: ${shape.aim}), its 99 % is ${r.p99_of_postgrest.toFixed(1)} times theirs (aim: at most 1)
  pgbench    ${figure(r.pgbench)}/s   the same statements: tenon is ${percent(r.share_of_pgbench)} of it (aim: 30 %)`);
  return r;
}

/* wrk's script: the same request as fetch() sends, with other numbers each time. */
function lua(shape, headers, prefix) {
  const number = '\u0001'; // stands for pick(…) in what the shape gives
  const limits = [];
  const pick = (limit) => (limits.push(limit), number);
  const expression = (text) => {
    const parts = text.split(number).map((part) => `[==[${part}]==]`);
    return parts.reduce((sum, part) => `${sum} .. math.random(${limits.shift()}) .. ${part}`);
  };
  const path = expression(prefix + shape.path(pick));
  const body = shape.body ? expression(shape.body(pick)) : 'nil';
  return `wrk.method = "${shape.method ?? 'GET'}"
${Object.entries(headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`).join('\n')}
function init() math.randomseed(os.time() + tonumber(tostring({}):sub(8), 16) % 100000) end
function request() return wrk.format(nil, ${path}, nil, ${body}) end`;
}

function ms(text) {
  const [, value, unit] = /([\d.]+)(us|ms|s)/.exec(text);
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit];
}

function say(text) {
  if (!args.json) console.log(`${text}\n`);
}
