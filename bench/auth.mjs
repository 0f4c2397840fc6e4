/* bench/auth.mjs: what accounts cost, beside what PostgreSQL and argon2id cost without us; started by `bench/run auth`
 *
 *   token     checking an access token, remembered and not (bench/cost.c), beside the processor time of a whole request
 *   refresh   POST /token?grant_type=refresh_token beside the same SQL in pgbench
 *   sign-in   POST /token?grant_type=password beside argon2id alone, as many at once as auth.hash_parallel lets
 *   flood     other requests while ten times as many people sign in as the machine can hash passwords
 *
 * Numbers of one line compare; numbers of two machines do not. What limits a caller is off: it would be what is measured.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { password, startStack } from '../t/lib/stack.mjs';
import { startCluster } from '../t/lib/postgres.mjs';
import { captured, cores, CpuGroups, cpuOf, figure, machine, percent, pgbench, wrk } from './lib.mjs';

const run = promisify(execFile);
const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '16' },
    only: { type: 'string' },
    'no-groups': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  console.log(`Usage: bench/run auth [--seconds 4] [--rounds 5] [--connections 16] [--only token,refresh,sign-in,flood] [--no-groups] [--json]

Prints what checking a token costs, how many refreshes and sign-ins per second there are beside what PostgreSQL and
argon2id do alone, and how long other requests take during a flood of sign-ins. Needs \`make bench/cost\`. --no-groups leaves
all servers in the control group of the shell.`);
  process.exit(0);
}
const wanted = args.only?.split(',') ?? ['token', 'refresh', 'sign-in', 'flood'];
const seconds = Number(args.seconds);
const cost = path.join(path.dirname(process.env.TENON_BIN ?? path.resolve(import.meta.dirname, '../tenon')), 'bench/cost');
const argon2 = { memory: 19456, passes: 2, lanes: 1 }; // as etc/tenon.conf has them
const places = Math.max(1, cores >> 1); // of auth.hash_parallel = 0
const signInPath = '/auth/v1/token?grant_type=password';
const groups = new CpuGroups();
const results = { machine: await machine(), groups: groups.isMade && !args['no-groups'] };
say(`${results.machine.text}; ${results.groups ? 'a cpu control group for each server' : 'no control groups'}`);

const cluster = await startCluster({ settings: { fsync: 'on', shared_buffers: "'256MB'", max_wal_size: "'2GB'" } });
let s;
let people;
try {
  s = await startStack({
    cluster,
    settings: {
      // What tests have smaller is here as it comes: etc/tenon.conf.
      'auth.argon2_memory_kib': argon2.memory, 'auth.argon2_passes': argon2.passes, 'auth.argon2_lanes': argon2.lanes, 'auth.hash_parallel': 0,
      'log.level': 'warn', 'server.database_wait_ms': 60_000, 'api.processes': cores, 'api.threads': 16, 'api.connections': 4, 'stream.processes': 1,
    },
  });
  if (results.groups) {
    groups.move('postgres', Number(fs.readFileSync(`${cluster.data}/postmaster.pid`, 'utf8').split('\n')[0]));
    groups.move('tenon', s.master.pid);
    groups.move('nginx', s.nginx.pid);
  }
  people = [];
  for (let i = 0; i < 16; i++) people.push(await s.a.person(`person${i}`));
  if (wanted.includes('token')) await token();
  if (wanted.includes('refresh')) await refresh();
  if (wanted.includes('sign-in')) await signIn();
  if (wanted.includes('flood')) await flood();
} finally {
  await s?.stop().catch((error) => console.error(error.message));
  cluster.remove();
  await groups.remove();
}
if (args.json) console.log(JSON.stringify(results, null, 2));

/* The round in the middle, by the number that `of` gives. */
function middle(rounds, of = (x) => x) {
  return rounds.map(of).sort((x, y) => x - y)[rounds.length >> 1];
}

async function times(count, measure) {
  const rounds = [];
  for (let i = 0; i < count; i++) rounds.push(await measure());
  return rounds;
}

async function costOf(...what) {
  const { stdout } = await run(cost, what.map(String)).catch((error) => {
    throw new Error(error.code === 'ENOENT' ? `${cost} is not there: make bench/cost` : error.stderr);
  });
  return JSON.parse(stdout);
}

/* --- token ------------------------------------------------------------------------------------------ */

async function token() {
  const script = `wrk.headers["apikey"] = "${s.a.publishable}"\nwrk.headers["authorization"] = "${people[0].headers.authorization}"`;
  await load(script, '/auth/v1/user', 1);
  const rounds = await times(Number(args.rounds), async () => {
    const bare = await costOf('token', s.conf, people[0].session.access_token);
    const before = cpuOf(s.master.pid);
    const { requests } = await load(script, '/auth/v1/user');
    return { ...bare, request: (cpuOf(s.master.pid) - before) / requests };
  });
  const [cached, uncached, request] = ['cached_us', 'uncached_us', 'request'].map((what) => middle(rounds, (r) => r[what]));
  results.token = { cached_us: cached, uncached_us: uncached, request_us: request, rounds };
  say(`Checking an access token (ES256)
  remembered    ${us(cached)}   ${percent(cached / request)} of what GET /auth/v1/user takes the workers in processor time (${us(request).trim()})
  not           ${us(uncached)}`);
}

/* --- refresh ---------------------------------------------------------------------------------------- */

/* Every answer's token is the next request's. wrk has one Lua for the connections of a thread, so they share a stock of tokens. */
function refreshing(tokens) {
  return `local stocks, n = { ${[0, 1].map((thread) => `[[${tokens.filter((_, i) => i % 2 === thread).join(' ')}]]`).join(', ')} }, 0
wrk.method, wrk.headers["apikey"], wrk.headers["content-type"] = "POST", "${s.a.publishable}", "application/json"
function setup(thread) n = n + 1; thread:set("stock", stocks[n]) end
function init() tokens = {}; for t in stock:gmatch("%S+") do tokens[#tokens + 1] = t end end
function request() return wrk.format(nil, nil, nil, '{"refresh_token":"' .. table.remove(tokens, 1) .. '"}') end
function response(status, headers, body)
  local t = body:match('"refresh_token": ?"([^"]+)"')
  if t then tokens[#tokens + 1] = t end
end`;
}

async function refresh() {
  const where = '/auth/v1/token?grant_type=refresh_token';
  const open = async (person) => (await s.a.anon.post(signInPath, { email: person.email, password })).refresh_token;
  for (const person of people) person.refresh = (await s.a.anon.post(where, { refresh_token: await open(person) })).refresh_token; // prepared
  const { scripts, transactions } = await captured(cluster, [people[0]], async (person) => {
    const answer = await s.a.anon.post(where, { refresh_token: person.refresh });
    person.refresh = answer.refresh_token;
    person.user = answer.user;
    return undefined;
  });
  const script = await chained(scripts[0], people[0]);
  const rounds = await times(Number(args.rounds), async () => {
    const stock = [];
    for (let i = 0; i < 2 * Number(args.connections); i++) stock.push(await open(people[i % people.length]));
    const tenon = await load(refreshing(stock), where);
    await prepareChains();
    return { tenon, pgbench: await pgbench({ dir: s.dir, scripts: [script], seconds, url: s.admin, define: { counter: -1 } }) };
  });
  const [tenon, postgres] = [middle(rounds, (r) => r.tenon.rate), middle(rounds, (r) => r.pgbench.rate)];
  const share = middle(rounds, (r) => r.tenon.rate / r.pgbench.rate);
  results.refresh = { tenon, pgbench: postgres, share_of_pgbench: share, rounds };
  say(`POST /auth/v1/token?grant_type=refresh_token
  tenon    ${figure(tenon)}/s   99 % ${rounds.map((r) => r.tenon.p99).join(', ')}${errorsOf(rounds)}
  pgbench  ${figure(postgres)}/s   the same ${transactions} transaction${transactions > 1 ? 's' : ''}, prepared, in a pipeline: tenon is ${percent(share)} of it`);
}

/* Sessions of pgbench's clients, whose tokens are h<client>-0, h<client>-1 and so on. */
function session(client) {
  return `('00000000-0000-4000-8000-' || lpad(${client}, 12, '0'))`;
}

async function prepareChains() {
  await s.sql(`delete from auth.sessions where id::text like '00000000-0000-4000-8000-%';
    insert into auth.sessions (tenant_id, id, user_id) select '${s.a.id}', ${session('c::text')}::uuid, '${people[0].user.id}' from generate_series(0, 63) c;
    insert into auth.mfa_amr_claims (tenant_id, session_id, authentication_method) select '${s.a.id}', ${session('c::text')}::uuid, 'password' from generate_series(0, 63) c;
    insert into auth.refresh_tokens (tenant_id, token, user_id, session_id) select '${s.a.id}', 'h' || c || '-0', '${people[0].user.id}', ${session('c::text')}::uuid
      from generate_series(0, 63) c;`);
}

/* The statements of one refresh, with a session for each client and the next counter each time: a token is good once. */
async function chained(script, person) {
  const [newest] = await s.rows(`select t.token, t.parent, t.session_id::text as session, x.refresh_token_counter as counter
      from auth.refresh_tokens t join auth.sessions x on x.tenant_id = t.tenant_id and x.id = t.session_id
     where t.user_id = '${person.user.id}' and not t.revoked and t.parent is not null order by t.id desc limit 1`);
  const replacements = [
    [newest.token, `('h' || :client_id::text || '-' || (:counter::bigint + 1)::text)`],
    [newest.parent, `('h' || :client_id::text || '-' || :counter::text)`],
    [newest.session, `${session(':client_id::text')}::uuid`],
    [String(newest.counter - 1), ':counter::bigint'],
  ];
  for (const [value, expression] of replacements.slice(0, 3)) {
    if (!script.includes(`E'${value}'`)) throw new Error(`the statement does not have ${value}`);
    script = script.replaceAll(`E'${value}'`, expression);
  }
  const [counter, expression] = replacements[3];
  script = script.replace(`${replacements[2][1]}, E'${counter}'`, `${replacements[2][1]}, ${expression}`);
  if (!script.includes(`, ${expression},`)) throw new Error('the statement has its counter elsewhere');
  return `\\set counter :counter + 1\n${script}`;
}

/* --- sign-in ---------------------------------------------------------------------------------------- */

function credentials() {
  return people.map(({ email }) => JSON.stringify({ email, password }));
}

function signingIn() {
  return `local bodies, n = { ${credentials().map((body) => `[[${body}]]`).join(', ')} }, 0
wrk.method, wrk.headers["apikey"], wrk.headers["content-type"] = "POST", "${s.a.publishable}", "application/json"
function request()
  n = n % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[n])
end`;
}

function bareHashes() {
  return costOf('argon2', argon2.memory, argon2.passes, argon2.lanes, places, seconds);
}

async function signIn() {
  const rounds = await times(Number(args.rounds), async () => ({
    tenon: await wrk({ dir: s.dir, script: signingIn(), url: s.origin + signInPath, seconds, connections: 4 * places }),
    bare: await bareHashes(),
  }));
  const [tenon, bare] = [middle(rounds, (r) => r.tenon.rate), middle(rounds, (r) => r.bare.rate)];
  const share = middle(rounds, (r) => r.tenon.rate / r.bare.rate);
  results.sign_in = { tenon, bare, share_of_bare: share, rounds };
  say(`POST /auth/v1/token?grant_type=password, ${places} at a time
  tenon     ${tenon.toFixed(1).padStart(8)}/s   median ${rounds[0].tenon.p50}${errorsOf(rounds)}
  argon2id  ${bare.toFixed(1).padStart(8)}/s   alone, with ${argon2.memory} KiB and ${argon2.passes} passes: tenon is ${percent(share)} of it (aim: 90 %)`);
}

/* --- flood ------------------------------------------------------------------------------------------ */

/* So many requests per second, whether or not the ones before are answered; gives their statuses and milliseconds. */
async function paced(perSecond, forSeconds, make) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
  const answers = [];
  const start = performance.now();
  const all = perSecond * forSeconds;
  for (let sent = 0; sent < all;) {
    const due = Math.min(all, Math.floor(((performance.now() - start) / 1000) * perSecond) + 1);
    for (; sent < due; sent++) answers.push(ask(agent, make(sent)));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const done = await Promise.all(answers);
  agent.destroy();
  return done;
}

function ask(agent, { method = 'GET', where, headers, body }) {
  return new Promise((resolve) => {
    const begun = performance.now();
    const request = http.request(s.origin + where, { method, agent, headers }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode, ms: performance.now() - begun }));
    });
    request.on('error', () => resolve({ status: 0, ms: performance.now() - begun }));
    request.end(body);
  });
}

function quantile(answers, q) {
  return answers.map((a) => a.ms).sort((x, y) => x - y)[Math.min(answers.length - 1, Math.floor(answers.length * q))];
}

async function flood() {
  const { rate } = await bareHashes();
  const offered = Math.ceil(10 * rate);
  const bodies = credentials();
  const others = () => paced(200, 2 * seconds, (i) => ({ where: '/auth/v1/user', headers: people[i % people.length].headers }));
  const attack = () => paced(offered, 2 * seconds, (i) => ({
    method: 'POST', where: signInPath, body: bodies[i % bodies.length], headers: { apikey: s.a.publishable, 'content-type': 'application/json' } }));
  await others();
  const rounds = await times(Number(args.rounds), async () => {
    const quiet = await others();
    const [busy, attacked] = await Promise.all([others(), attack()]);
    return {
      quiet_p99: quantile(quiet, 0.99), flood_p99: quantile(busy, 0.99), quiet_p50: quantile(quiet, 0.5), flood_p50: quantile(busy, 0.5),
      failed: busy.filter((a) => a.status !== 200).length, signed_in: attacked.filter((a) => a.status === 200).length / (2 * seconds),
      turned_away: attacked.filter((a) => a.status === 503).length / attacked.length,
    };
  });
  const [quiet, busy] = [middle(rounds, (r) => r.quiet_p99), middle(rounds, (r) => r.flood_p99)];
  const factor = middle(rounds, (r) => r.flood_p99 / r.quiet_p99);
  results.flood = { offered, quiet_p99_ms: quiet, flood_p99_ms: busy, factor, rounds };
  say(`GET /auth/v1/user, 200 a second, while ${offered} a second sign in (${middle(rounds, (r) => r.signed_in).toFixed(0)} of them do, ${percent(middle(rounds, (r) => r.turned_away))} get 503)
  quiet   99 % ${quiet.toFixed(1)} ms, median ${middle(rounds, (r) => r.quiet_p50).toFixed(1)} ms
  flood   99 % ${busy.toFixed(1)} ms, median ${middle(rounds, (r) => r.flood_p50).toFixed(1)} ms: ${factor.toFixed(1)} times (aim: 2)${rounds.some((r) => r.failed) ? `, ${rounds.map((r) => r.failed).join(' ')} failed` : ''}`);
}

/* --- shared ----------------------------------------------------------------------------------------- */

function load(script, where, forSeconds = seconds) {
  return wrk({ dir: s.dir, script, url: s.origin + where, seconds: forSeconds, connections: Number(args.connections) });
}

function errorsOf(rounds) {
  const errors = rounds.reduce((sum, r) => sum + r.tenon.errors, 0);
  return errors > 0 ? `, ${errors} errors` : '';
}

function us(value) {
  return `${value.toFixed(1)} µs`.padStart(10);
}

function say(text) {
  if (!args.json) console.log(`${text}\n`);
}
