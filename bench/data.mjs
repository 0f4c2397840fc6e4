/* bench/data.mjs: the data API beside PostgREST; started by `bench/run data`
 *
 * Both serve the same database on the same machine in the same minutes, with a token and row-level security, in turns:
 *   tenon      wrk → nginx → workers → PostgreSQL
 *   postgrest  wrk → PostgREST 12.0.2 → PostgreSQL, with no nginx in between
 *   pgbench    the statements that Tenon's workers sent, prepared, each transaction in a pipeline
 * The round in the middle counts. Numbers of one line compare; numbers of two machines do not.
 */
import { parseArgs } from 'node:util';
import { hs256, now } from '../t/lib/jwt.mjs';
import { psql, startCluster, withDatabase, withUser } from '../t/lib/postgres.mjs';
import { startPostgrest } from '../t/lib/postgrest.mjs';
import { startStack } from '../t/lib/stack.mjs';
import { captured, cores, figure, footprint, machine, percent, pgbench, wrk } from './lib.mjs';

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
    title: 'a filtered count', aim: 1, method: 'HEAD', headers: { prefer: 'count=exact' },
    path: (pick) => `/messages?select=id&role=eq.user&conversation_id=gt.${pick(conversations)}`,
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
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  console.log(`Usage: bench/run data [--seconds 4] [--rounds 5] [--connections 32] [--only ${Object.keys(shapes).join(',')}] [--json]

Prints requests per second of Tenon, of PostgREST, and of the same statements in pgbench, and the memory of both.`);
  process.exit(0);
}

const results = { machine: await machine(), shapes: {} };
say(results.machine.text);
const cluster = await startCluster({ settings: { fsync: 'on', shared_buffers: "'256MB'", max_wal_size: "'2GB'" } });
let s, peer;
try {
  s = await startStack({
    cluster, people: false,
    settings: {
      'log.level': 'warn', 'server.database_wait_ms': 60_000, 'limits.enabled': 'off', 'auth.jwt_secret': secret,
      'data.require_rls': 'off', 'data.schemas': 'bench', 'data.default_tenant': 'a',
      'api.processes': cores, 'api.threads': 16, 'api.connections': 4,
    },
  });
  await psql(s.admin, schema());
  peer = await startPostgrest({
    url: withUser(withDatabase(cluster.url, s.database), 'tenon_authenticator'),
    settings: { 'db-schemas': 'bench', 'db-anon-role': 'anon', 'jwt-secret': secret, 'db-pool': String(4 * cores) },
  });
  const wanted = args.only?.split(',') ?? Object.keys(shapes);
  for (const name of wanted) results.shapes[name] = await measure(shapes[name]);
  results.memory = { tenon: footprint(s.master.pid), nginx: footprint(s.nginx.pid), postgrest: footprint(peer.pid) };
  const mb = (kb) => `${(kb / 1024).toFixed(1)} MB`;
  const share = (results.memory.tenon + results.memory.nginx) / results.memory.postgrest;
  say(`Memory after all that (PSS): tenon ${mb(results.memory.tenon)}, nginx ${mb(results.memory.nginx)}; PostgREST ${mb(results.memory.postgrest)}: together ${percent(share)} of it (aim: 25 %)`);
} finally {
  await peer?.stop();
  await s?.stop().catch((error) => console.error(error.message));
  cluster.remove();
}
if (args.json) console.log(JSON.stringify(results, null, 2));

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

async function measure(shape) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...shape.headers };
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
  const load = (origin) => wrk({ dir: s.dir, script: lua(shape, headers, new URL(origin).pathname.replace(/\/$/, '')), url: new URL(origin).origin, seconds: args.seconds, connections: args.connections });
  for (let i = 0; i < Number(args.rounds); i++) {
    const round = { tenon: await load(ours), postgrest: await load(peer.origin) };
    round.pgbench = await pgbench({ dir: s.dir, scripts, seconds: args.seconds, url: s.admin });
    rounds.push(round);
  }
  const middle = (of) => rounds.map(of).sort((x, y) => x - y)[rounds.length >> 1];
  const by = (who, what) => middle((r) => r[who][what]);
  const r = {
    title: shape.title, aim: shape.aim, rounds,
    tenon: by('tenon', 'rate'), postgrest: by('postgrest', 'rate'), pgbench: by('pgbench', 'rate'),
    p99: { tenon: middle((x) => ms(x.tenon.p99)), postgrest: middle((x) => ms(x.postgrest.p99)) },
    times_postgrest: middle((x) => x.tenon.rate / x.postgrest.rate), share_of_pgbench: middle((x) => x.tenon.rate / x.pgbench.rate),
  };
  const errors = rounds.reduce((sum, x) => sum + x.tenon.errors + x.postgrest.errors, 0);
  say(`${shape.title}
  tenon      ${figure(r.tenon)}/s   99 % ${r.p99.tenon.toFixed(1)} ms${errors ? `   ${errors} errors` : ''}
  postgrest  ${figure(r.postgrest)}/s   99 % ${r.p99.postgrest.toFixed(1)} ms   tenon does ${r.times_postgrest.toFixed(1)} times as many (aim: ${shape.aim})
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
