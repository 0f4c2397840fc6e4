/* t/lib/postgres.mjs: PostgreSQL for tests: clusters of their own, SQL through psql
 *
 * Tests share one cluster, named by TENON_TEST_SUPERUSER_URL (./check and `make check` start it). A test
 * that is run by hand without it, or that stops and starts PostgreSQL, gets a cluster of its own.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

// A test that is told to end (a time limit of the runner) ends by exit(), so that what waits for 'exit' is cleaned up.
for (const [signal, number] of [['SIGTERM', 15], ['SIGINT', 2], ['SIGHUP', 1]]) process.once(signal, () => process.exit(128 + number));

/* One SQL text; resolves with the lines of output, columns separated by '|'. */
export async function psql(url, text) {
  const child = run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', url, '-f', '-'], { maxBuffer: 64 << 20 });
  child.child.stdin.end(text);
  const { stdout } = await child;
  return stdout.replace(/\n$/, '');
}

/* The rows of one query, as objects. */
export async function rows(url, query) {
  return JSON.parse((await psql(url, `select coalesce(json_agg(q), '[]') from (${query.replace(/;\s*$/, '')}) as q`)) || '[]');
}

export function psqlSync(url, text) {
  return execFileSync('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', url], { input: text, stdio: ['pipe', 'pipe', 'ignore'] }).toString();
}

/* The same URL for another database. */
export function withDatabase(url, name) {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

/* The same URL for another login, without a password. */
export function withUser(url, user) {
  const other = new URL(url);
  other.username = user;
  other.password = '';
  return other.href;
}

/* Holds an advisory lock of the cluster while `work` runs, so that test processes take turns. */
export async function locked(url, name, work) {
  const holder = spawn('psql', ['-XqAt', '-d', url], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    holder.stdin.write(`select 'locked' from pg_advisory_lock(hashtextextended('${name}', 0));\n`);
    await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit').then(() => Promise.reject(new Error(`no connection to ${url}`)))]);
    return await work();
  } finally {
    holder.stdin.end();
  }
}

const givenPorts = new Set();

/* A port that nobody listens on and that this process, or another test of this run, has not been given before: the kernel may name
 * the same one twice while nobody has bound it yet. */
export async function freePort() {
  for (;;) {
    const port = await unboundPort();
    if (givenPorts.has(port) || !claimed(port)) continue;
    givenPorts.add(port);
    return port;
  }
}

function claimed(port) {
  if (!process.env.TENON_TEST_DIR) return true;
  try {
    fs.closeSync(fs.openSync(path.join(process.env.TENON_TEST_DIR, `port-${port}`), 'wx'));
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

async function unboundPort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function binFolder() {
  const versions = fs.readdirSync('/usr/lib/postgresql').map(Number).filter((v) => fs.existsSync(`/usr/lib/postgresql/${v}/bin/initdb`));
  if (versions.length === 0) throw new Error('no PostgreSQL server below /usr/lib/postgresql');
  return `/usr/lib/postgresql/${Math.max(...versions)}/bin`;
}

/* PostgreSQL refuses to run as root, so there its commands run as postgres. */
function asPostgres(command, args) {
  if (process.getuid() !== 0) return [command, args];
  return ['setpriv', ['--reuid=postgres', '--regid=postgres', '--init-groups', '--inh-caps=-all', command, ...args]];
}

/* A running cluster with trust authentication on the loopback address. `settings` are lines of postgresql.conf. */
export async function startCluster({ settings = {} } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-pg-'));
  const data = path.join(dir, 'data');
  const bin = binFolder();
  if (process.getuid() === 0) execFileSync('chown', ['postgres:postgres', dir]);
  const call = (command, args) => execFileSync(...asPostgres(`${bin}/${command}`, args), { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  call('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions']);
  const port = await freePort();
  const lines = { port, listen_addresses: "'127.0.0.1'", unix_socket_directories: "''", fsync: 'off', max_connections: 200, logging_collector: 'off', ...settings };
  fs.appendFileSync(path.join(data, 'postgresql.conf'), `${Object.entries(lines).map(([k, v]) => `${k} = ${v}`).join('\n')}\n`);

  const cluster = {
    dir, data, port, url: `postgresql://postgres@127.0.0.1:${port}/postgres`, running: false,
    start() {
      call('pg_ctl', ['-D', data, '-w', '-s', '-l', path.join(dir, 'log'), 'start']);
      cluster.running = true;
    },
    stop(mode = 'fast') {
      if (cluster.running) call('pg_ctl', ['-D', data, '-w', '-s', '-m', mode, 'stop']);
      cluster.running = false;
    },
    remove() {
      process.off('exit', cluster.remove);
      cluster.stop('immediate');
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
  process.on('exit', cluster.remove);
  cluster.start();
  return cluster;
}
