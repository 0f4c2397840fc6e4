/* bench/measure.mjs: what Tenon costs beside what PostgreSQL and nginx cost without it; started by bench/run
 *
 * Throughput is measured three times on the same machine, in the same minute, with as many connections:
 *   tenon     wrk → nginx → workers → PostgreSQL
 *   pgbench   the same transactions in pgbench: prepared, and in a pipeline as the workers send them
 *   nginx     wrk → nginx, which returns a constant of the same size
 * What pgbench runs is not written down here: it is read out of PostgreSQL's log while Tenon serves one
 * request, so it cannot drift from the code. Numbers of one line compare; numbers of two machines do not.
 */
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { parseArgs, promisify } from 'node:util';
import { childrenOf, eventually, startStack } from '../t/lib/stack.mjs';
import { freePort, psql, startCluster } from '../t/lib/postgres.mjs';

const run = promisify(execFile);
const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '32' },
    streams: { type: 'string', default: '2000' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  console.log(`Usage: bench/run [--seconds 4] [--rounds 5] [--connections 32] [--streams 2000] [--only user,chat,start,memory] [--json]

Prints requests per second of Tenon, of the same transactions in pgbench, and of nginx alone; the memory of
nginx and the workers idle and with open streams; and the time from \`tenon serve\` to the first answer.`);
  process.exit(0);
}
const wanted = args.only?.split(',') ?? ['user', 'chat', 'start', 'memory'];
const cores = os.availableParallelism();
const results = { machine: await machine() };

const cluster = await startCluster({ settings: { fsync: 'on', shared_buffers: "'256MB'", max_wal_size: "'2GB'" } });
let s;
let people; // who ask, in turn: what one person uses is counted in one row, which would be what is measured
try {
  s = await startStack({
    cluster, provider: true,
    settings: {
      // What tests have smaller is here as it comes: etc/tenon.conf.
      'chat.provider': 'echo', 'chat.model': '', 'chat.flush_ms': 500, 'log.level': 'warn', 'server.database_wait_ms': 60_000,
      'api.processes': cores, 'api.threads': 16, 'api.connections': 4, 'stream.processes': 2, 'stream.threads': 1200, 'stream.connections': 8,
    },
  });
  people = await Promise.all(Array.from({ length: 16 }, (_, i) => s.a.person(`person${i}`)));
  if (wanted.includes('user')) await throughput('user', 'GET /auth/v1/user', '/auth/v1/user');
  if (wanted.includes('chat')) await throughput('chat', 'POST /api/chats/messages (echo)', '/api/chats/messages', { content: 'hello there' });
  if (wanted.includes('start')) await firstAnswer();
  if (wanted.includes('memory')) await memory();
} finally {
  await s?.stop().catch((error) => console.error(error.message));
  cluster.remove();
}
if (args.json) console.log(JSON.stringify(results, null, 2));

/* --- throughput ------------------------------------------------------------------------------------ */

async function throughput(name, title, where, body) {
  const ask = (person) => (body ? person.post(where, body) : person.get(where));
  for (const person of people) await ask(person); // the statements are prepared, keys and tokens are known
  const { scripts, transactions } = await captured(ask);
  const size = JSON.stringify(await ask(people[0])).length;
  // In turns, so that what else the machine does meanwhile falls upon all three; the round in the middle counts.
  const rounds = [];
  for (let i = 0; i < Number(args.rounds); i++)
    rounds.push({ tenon: await wrk(lua(body), s.origin + where), postgres: await pgbench(scripts), constant: await nginxConstant(size) });
  const middle = (of) => rounds.map(of).sort((x, y) => x.rate - y.rate)[rounds.length >> 1];
  const [tenon, postgres, constant] = [middle((x) => x.tenon), middle((x) => x.postgres), middle((x) => x.constant)];
  const share = (of) => middle((x) => ({ rate: x.tenon.rate / of(x).rate })).rate;
  const r = (results[name] = { tenon, pgbench: postgres, nginx: constant, transactions, share_of_pgbench: share((x) => x.postgres), share_of_nginx: share((x) => x.constant), rounds });
  say(`${title}
  tenon    ${figure(tenon.rate)}/s   median ${tenon.p50}, 99 % ${tenon.p99}${tenon.errors ? `, ${tenon.errors} errors` : ''}
  pgbench  ${figure(postgres.rate)}/s   the same ${transactions} transaction${transactions > 1 ? 's' : ''}, prepared, in a pipeline: tenon is ${percent(r.share_of_pgbench)} of it
  nginx    ${figure(constant.rate)}/s   a constant of ${size} bytes: tenon is ${percent(r.share_of_nginx)} of it`);
}

/* wrk's script: the people in turn. */
function lua(body) {
  const tokens = people.map((p) => `"${p.headers.authorization}"`).join(', ');
  return `local tokens, n = { ${tokens} }, 0
wrk.headers["apikey"] = "${s.a.publishable}"
${body ? `wrk.method, wrk.body = "POST", [[${JSON.stringify(body)}]]\nwrk.headers["content-type"] = "application/json"` : ''}
function request()
  n = n % #tokens + 1
  wrk.headers["authorization"] = tokens[n]
  return wrk.format()
end`;
}

async function wrk(script, url) {
  const file = path.join(s.dir, 'bench.lua');
  fs.writeFileSync(file, script);
  const { stdout } = await run('wrk', ['-t2', `-c${args.connections}`, `-d${args.seconds}s`, '--timeout', '30s', '--latency', '-s', file, url]);
  const value = (pattern) => pattern.exec(stdout)?.[1];
  return {
    rate: Number(value(/Requests\/sec:\s+([\d.]+)/)), p50: value(/^\s+50%\s+(\S+)/m), p99: value(/^\s+99%\s+(\S+)/m),
    errors: Number(value(/Non-2xx or 3xx responses: (\d+)/) ?? 0),
  };
}

async function nginxConstant(size) {
  const port = await freePort();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-bench-'));
  const conf = path.join(dir, 'nginx.conf');
  fs.writeFileSync(conf, `worker_processes 2; pid ${dir}/pid; error_log ${dir}/error.log; events { worker_connections 4096; }
http { access_log ${dir}/access.log; client_body_temp_path ${dir}/b; fastcgi_temp_path ${dir}/f; proxy_temp_path ${dir}/p; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
server { listen 127.0.0.1:${port}; default_type application/json; location / { return 200 '${'x'.repeat(size)}'; } } }`);
  const nginx = spawn('nginx', ['-e', `${dir}/error.log`, '-p', dir, '-c', conf, '-g', 'daemon off;'], { stdio: 'ignore' });
  try {
    await eventually('nginx', async () => (await fetch(`http://127.0.0.1:${port}/`)).ok);
    return await wrk(lua(), `http://127.0.0.1:${port}/`);
  } finally {
    nginx.kill('SIGTERM');
    await once(nginx, 'exit');
    fs.rmSync(dir, { recursive: true });
  }
}

/* --- the same transactions in pgbench --------------------------------------------------------------- */

/* Lets each person ask once while PostgreSQL logs every statement, and makes pgbench scripts of what the workers sent. */
async function captured(ask) {
  const log = path.join(cluster.dir, 'log');
  const set = (value) => psql(cluster.url, `alter system set log_min_duration_statement = ${value};\nalter system set log_line_prefix = '@%p@%a@';\nselect pg_reload_conf()`);
  await set(0);
  await eventually('the setting', async () => (await psql(cluster.url, 'show log_min_duration_statement')) === '0');
  for (let i = 0; i < 8 * cores; i++) await ask(people[0]); // a backend looks at its settings between two statements
  const scripts = [];
  let transactions;
  for (const person of people) {
    const from = fs.statSync(log).size;
    const answer = await ask(person);
    let size;
    await eventually('a quiet log', async () => {
      size = fs.statSync(log).size;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return fs.statSync(log).size === size;
    });
    const made = scriptOf(transactionsOf(fs.readFileSync(log, 'utf8').slice(from, size)), answer.run?.id);
    scripts.push(made.script);
    transactions = made.transactions;
  }
  await set(-1);
  return { scripts, transactions };
}

/* The transactions of the request in their order, each a list of {sql, parameters}; not those of the workers' own housekeeping. */
function transactionsOf(text) {
  const all = [];
  const open = new Map(); // by process id: the transaction that it is in
  let latest; // the statement whose parameters the next entry tells
  for (const entry of text.split(/^(?=@\d+@)/m)) {
    const executed = /^@(\d+)@tenon\/(?:api|stream)@LOG: {2}duration: [\d.]+ ms {2}(?:execute [^:]*|statement): (.*)$/s.exec(entry);
    if (executed) {
      const [, pid, sql] = executed;
      if (/^begin/i.test(sql)) all.push(open.set(pid, []).get(pid));
      latest = { pid, sql: sql.trimEnd(), parameters: [] };
      open.get(pid)?.push(latest);
      continue;
    }
    const detail = /^@(\d+)@tenon\/(?:api|stream)@DETAIL: {2}[Pp]arameters: (.*)$/s.exec(entry);
    if (detail && latest?.pid === detail[1]) latest.parameters = parameters(detail[2].trimEnd());
    latest = undefined;
  }
  return all.filter((list) => list.some(({ sql }) => /^commit/i.test(sql)) && !list.some(({ sql }) => /tenon\.workers|sweep|fail_lost_runs/.test(sql)));
}

/* $1 = 'a''b', $2 = NULL → ["a'b", null] */
function parameters(text) {
  return [...text.matchAll(/\$\d+ = (NULL|'(?:[^']|'')*')/g)].map(([, value]) => (value === 'NULL' ? null : value.slice(1, -1).replaceAll("''", "'")));
}

/* A value as SQL. pgbench takes every :name for a variable, also in a text, so colons are written in hexadecimal. */
function literal(value, run) {
  if (value === null || value === undefined) return 'null';
  const quote = (text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll(':', '\\x3a').replaceAll('\n', '\\n')}'`;
  return run && value.includes(run) ? `(${value.split(run).map(quote).join(` || ${quote(run.slice(0, 24))} || lpad(to_hex(:run::bigint), 12, '0') || `)})` : quote(value);
}

/* One pipeline for each transaction. The run has an identifier of its own each time, so that every repetition does the whole
 * work and not that of a row that is there already. */
function scriptOf(transactions, run) {
  const lines = run ? [`\\set run random(1, ${2 ** 48 - 1})`] : [];
  for (const list of transactions) {
    lines.push('\\startpipeline');
    for (const { sql, parameters: values } of list)
      lines.push(`${sql.replace(/--[^\n]*/g, '').replace(/\s+/g, ' ').replace(/\$(\d+)/g, (_, n) => literal(values[n - 1], run))};`);
    lines.push('\\endpipeline');
  }
  return { script: lines.join('\n'), transactions: transactions.length };
}

/* As the superuser, because pgbench prepares statements before the transaction has taken its role. */
async function pgbench(scripts) {
  const files = scripts.flatMap((script, i) => {
    const file = path.join(s.dir, `bench${i}.pgbench`);
    fs.writeFileSync(file, script);
    return ['-f', file];
  });
  const pgbenching = run('pgbench', ['-n', '-M', 'prepared', '-c', String(8 * cores), '-j', String(cores), '-T', args.seconds, ...files, s.admin], { maxBuffer: 1 << 26 });
  const { stdout } = await pgbenching.catch((error) => {
    throw new Error(`pgbench: ${/^.*error: .*$/m.exec(error.stderr)}`);
  });
  return { rate: Number(/tps = ([\d.]+)/.exec(stdout)[1]), p50: `${/latency average = ([\d.]+)/.exec(stdout)[1]}ms` };
}

/* --- start and memory ------------------------------------------------------------------------------- */

/* From the start of the process to the first answer through nginx, the median of nine starts. */
async function firstAnswer() {
  const times = [];
  for (let i = 0; i < 9; i++) {
    s.master.kill('SIGTERM');
    await s.master.left;
    const start = performance.now();
    await s.serve();
    while ((await status('/auth/v1/health')) !== 200) await new Promise(setImmediate);
    times.push(performance.now() - start);
    await s.alice.get('/auth/v1/user');
  }
  times.sort((a, b) => a - b);
  results.first_answer_ms = times[4];
  say(`First answer after \`tenon serve\`: ${times[4].toFixed(0)} ms (median of nine, ${times[0].toFixed(0)} to ${times[8].toFixed(0)})`);
}

function status(where) {
  return new Promise((resolve) => http.get(s.origin + where, (r) => r.resume() && resolve(r.statusCode)).on('error', () => resolve(0)));
}

async function memory() {
  s.master.kill('SIGTERM');
  await s.master.left;
  await s.serve();
  await s.ready();
  await s.alice.get('/auth/v1/user');
  const idle = footprint();
  const streams = [];
  let wantedStreams = Number(args.streams);
  await Promise.all(Array.from({ length: 32 }, async () => {
    while (wantedStreams-- > 0) {
      const stream = await s.alice.stream('POST', '/api/chats/messages', { content: 'one two three four', stream: true, model: 'mock/stall-middle' });
      if (stream.status !== 200) throw new Error(await stream.body);
      await stream.next('delta');
      streams.push(stream);
    }
  }));
  const busy = footprint();
  s.provider.release();
  await Promise.all(streams.map((x) => x.finish()));
  Object.assign(results, { memory_idle: idle, memory_streams: { streams: streams.length, ...busy } });
  const mb = (kb) => `${(kb / 1024).toFixed(1)} MB`;
  say(`Memory of nginx and the workers (PSS), without PostgreSQL
  idle                 ${mb(idle.tenon + idle.nginx)}   (tenon ${mb(idle.tenon)}, nginx ${mb(idle.nginx)})
  ${String(streams.length).padEnd(5)} open streams   ${mb(busy.tenon + busy.nginx)}   (tenon ${mb(busy.tenon)}, nginx ${mb(busy.nginx)})`);
}

/* Proportional set sizes in KiB, of the process trees. */
function footprint() {
  const tree = (pid) => [pid, ...childrenOf(pid).flatMap(tree)];
  const pss = (pid) => tree(pid).reduce((sum, p) => sum + Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${p}/smaps_rollup`, 'utf8'))[1]), 0);
  return { tenon: pss(s.master.pid), nginx: pss(s.nginx.pid) };
}

/* --- output ----------------------------------------------------------------------------------------- */

async function machine() {
  const { stdout: postgres } = await run('psql', ['--version']);
  const nginx = await run('nginx', ['-v']);
  const release = /PRETTY_NAME="(.*)"/.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1];
  const m = { cpu: os.cpus()[0].model, cores, memory_gb: Math.round(os.totalmem() / 2 ** 30), system: release, kernel: os.release(), postgres: postgres.trim(), nginx: nginx.stderr.trim() };
  say(`${m.cpu}, ${m.cores} cores, ${m.memory_gb} GB; ${m.system}, Linux ${m.kernel}; ${m.postgres}; ${m.nginx}`);
  return m;
}

function say(text) {
  if (!args.json) console.log(`${text}\n`);
}

function figure(rate) {
  return Math.round(rate).toLocaleString('en').padStart(9);
}

function percent(share) {
  return `${(share * 100).toFixed(0)} %`;
}
