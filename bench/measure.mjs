/* bench/measure.mjs: what Tenon costs beside what PostgreSQL and nginx cost without it; started by bench/run
 *
 * Throughput is measured three times on the same machine, in the same minute, with as many connections:
 *   tenon     wrk → nginx → workers → PostgreSQL
 *   pgbench   the same transactions in pgbench: prepared, and in a pipeline as the workers send them
 *   nginx     wrk → nginx, which returns a constant of the same size
 * Numbers of one line compare; numbers of two machines do not.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { eventually, startStack } from '../t/lib/stack.mjs';
import { freePort, startCluster } from '../t/lib/postgres.mjs';
import { captured, cores, figure, footprint, machine, percent, pgbench, wrk } from './lib.mjs';

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
const results = { machine: await machine() };
say(results.machine.text);

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
  const { scripts, transactions } = await captured(cluster, people, ask);
  const size = JSON.stringify(await ask(people[0])).length;
  // In turns, so that what else the machine does meanwhile falls upon all three; the round in the middle counts.
  const rounds = [];
  for (let i = 0; i < Number(args.rounds); i++)
    rounds.push({ tenon: await load(lua(body), s.origin + where), postgres: await pgbench({ dir: s.dir, scripts, seconds: args.seconds, url: s.admin }), constant: await nginxConstant(size) });
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

function load(script, url) {
  return wrk({ dir: s.dir, script, url, seconds: args.seconds, connections: args.connections });
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
    return await load(lua(), `http://127.0.0.1:${port}/`);
  } finally {
    nginx.kill('SIGTERM');
    await once(nginx, 'exit');
    fs.rmSync(dir, { recursive: true });
  }
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
  const idle = footprints();
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
  const busy = footprints();
  s.provider.release();
  await Promise.all(streams.map((x) => x.finish()));
  Object.assign(results, { memory_idle: idle, memory_streams: { streams: streams.length, ...busy } });
  const mb = (kb) => `${(kb / 1024).toFixed(1)} MB`;
  say(`Memory of nginx and the workers (PSS), without PostgreSQL
  idle                 ${mb(idle.tenon + idle.nginx)}   (tenon ${mb(idle.tenon)}, nginx ${mb(idle.nginx)})
  ${String(streams.length).padEnd(5)} open streams   ${mb(busy.tenon + busy.nginx)}   (tenon ${mb(busy.tenon)}, nginx ${mb(busy.nginx)})`);
}

function footprints() {
  return { tenon: footprint(s.master.pid), nginx: footprint(s.nginx.pid) };
}

/* --- output ----------------------------------------------------------------------------------------- */

function say(text) {
  if (!args.json) console.log(`${text}\n`);
}

