/* t/lib/stack.mjs: a whole Tenon for one test file: database, workers, nginx, tenants, people
 *
 *   const { alice, bob, stranger, a, b, provider, stop } = await stack({ provider: true });
 *
 * alice and bob are people of tenant a, stranger is one of tenant b. `a` and `b` carry id, name, keys
 * and clients: a.anon (publishable key), a.service (secret key), a.person('carol') (signs somebody up).
 * Everything runs on free ports in a temporary folder with the binary of TENON_BIN and the nginx
 * template that quickstart uses, and is ended by process id when the test file ends, also when it fails.
 *
 * Options:
 *   settings   {'chat.flush_ms': 50}: lines of the configuration, over those of baseSettings()
 *   provider   true: starts a provider of t/lib/provider.mjs and configures it as `mock` (OpenAI) and
 *              `claude` (Anthropic); an object: further settings of these two sections
 *   providers  {name: {kind, base_url, …}}: further provider sections
 *   nginxes    2: so many nginx in front of the same workers; their addresses are in `origins`
 *   cluster    a cluster of startCluster() instead of the shared one
 *   through    a port on the loopback address by which the workers reach PostgreSQL, instead of its own
 *   people     false: signs nobody up
 *   prepare    an async function that gets the stack when its database is there and nothing else runs yet
 *   env        variables of the environment for the server and the operator's command
 *   under      a command that `tenon serve` is started with, such as ['prlimit', '--nofile=64']
 */
import { after } from 'node:test';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from './client.mjs';
import { freePort, locked, psql, psqlSync, rows, startCluster, withDatabase, withUser } from './postgres.mjs';
import { startProvider } from './provider.mjs';

const run = promisify(execFile);
const source = path.resolve(import.meta.dirname, '../..');
const sqlDir = process.env.TENON_SQL_DIR ?? path.join(source, 'sql');
const binary = process.env.TENON_BIN ?? path.join(source, 'tenon');
const secret = '5ec2e7'.padEnd(64, '0'); // the same for all stacks, because the template's signing keys are sealed with it

export const password = 'correct horse battery';

/* AddressSanitizer keeps what has been freed: what a worker of such a build has resident says nothing. */
export function keepsFreedMemory() {
  return fs.readFileSync(binary).includes('__asan_init');
}

let sharedCluster;
async function superuserUrl() {
  if (process.env.TENON_TEST_SUPERUSER_URL) return process.env.TENON_TEST_SUPERUSER_URL;
  sharedCluster ??= await startCluster();
  return sharedCluster.url;
}

/* Polls `probe` until it gives something true; rejects after `ms`. For what sends no event. */
export async function eventually(what, probe, ms = 20_000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try {
      const value = await probe();
      if (value) return value;
      last = undefined;
    } catch (error) {
      if (error.final) throw error;
      last = error;
    }
    await delay(20);
  }
  throw new Error(`${what} did not happen within ${ms} ms`, { cause: last });
}

export async function stack(options = {}) {
  const s = new Stack(options);
  after(() => s.stop());
  return begin(s);
}

/* The same outside of tests: who starts it stops it. */
export function startStack(options = {}) {
  return begin(new Stack(options));
}

async function begin(s) {
  try {
    await s.start();
  } catch (error) {
    error.message += `\n${s.tail()}`;
    await s.stop().catch(() => {});
    throw error;
  }
  return s;
}

class Stack {
  #children = [];
  #clients = [];
  #nginxes = [];
  #exit = () => this.#stopHard();
  stop = once_(() => this.#stop()); // may be taken out of the object and called twice

  constructor(options) {
    this.options = options;
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-t-'));
    fs.chmodSync(this.dir, 0o755);
    this.conf = path.join(this.dir, 'tenon.conf');
    this.runDir = path.join(this.dir, 'run');
    this.logFile = path.join(this.dir, 'tenon.log');
    this.storageDir = path.join(this.dir, 'storage');
    fs.mkdirSync(this.storageDir);
    if (process.getuid() === 0) execFileSync('chown', ['www-data', this.storageDir]);
    process.on('exit', this.#exit);
  }

  async start() {
    const { options } = this;
    this.superuser = options.cluster?.url ?? (await superuserUrl());
    const template = await ensureTemplate(this.superuser);
    this.database = `tenon_t_${process.pid}_${randomBytes(4).toString('hex')}`;
    await psql(this.superuser, `create database ${this.database} template ${template.name} owner tenon_owner`);
    this.owner = withUser(withDatabase(this.superuser, this.database), 'tenon_admin');
    this.admin = withDatabase(this.superuser, this.database); // sees and may do everything
    await options.prepare?.(this);

    if (options.provider) this.provider = await startProvider();
    this.ports = await Promise.all(Array.from({ length: options.nginxes ?? 1 }, freePort));
    this.metricsPorts = await Promise.all(this.ports.map(() => freePort()));
    this.metrics = `http://127.0.0.1:${this.metricsPorts[0]}/metrics`;
    this.origins = this.ports.map((port) => `http://127.0.0.1:${port}`);
    [this.origin] = this.origins;
    this.settings = { ...this.#baseSettings(), ...options.settings };
    this.configure();
    await Promise.all([this.serve(), ...this.ports.map((port, i) => this.#startNginx(port, i))]);
    await this.ready();

    this.a = this.#tenant(template.tenants.a);
    this.b = this.#tenant(template.tenants.b);
    if (options.people !== false)
      [this.alice, this.bob, this.stranger] = await Promise.all([this.a.person('alice'), this.a.person('bob'), this.b.person('stranger')]);
  }

  #baseSettings() {
    return {
      ...databaseSettings(this.superuser, this.database, this.options.through),
      'server.run_dir': this.runDir, 'server.secret': secret, 'server.public_url': this.origin, 'server.drain_timeout_s': 5, 'storage.dir': this.storageDir,
      'server.user': process.getuid() === 0 ? 'www-data' : '',
      'api.processes': 1, 'api.threads': 8, 'api.connections': 4,
      'stream.processes': 2, 'stream.threads': 16, 'stream.connections': 4,
      'auth.autoconfirm': 'on', 'auth.argon2_memory_kib': 8192, 'auth.argon2_passes': 1, 'auth.jwt_secret': 'a secret of at least thirty-two characters',
      ...section('echo', { kind: 'echo' }),
      'chat.flush_ms': 50, 'chat.provider': 'echo', 'limits.enabled': 'off', 'data.default_tenant': 'a',
      ...(this.options.provider && this.#providerSettings()),
      ...Object.assign({}, ...Object.entries(this.options.providers ?? {}).map(([name, p]) => section(name, p))),
    };
  }

  #providerSettings() {
    const common = { allow_private: 'on', retries: 2, ...(this.options.provider === true ? {} : this.options.provider) };
    return {
      ...section('mock', { kind: 'openai', base_url: this.provider.openai, key: 'sk-mock-0123456789', ...common }),
      ...section('claude', { kind: 'anthropic', base_url: this.provider.anthropic, key: 'sk-ant-mock-0123456789', ...common }),
      'chat.provider': 'mock', 'chat.model': 'mock-large',
    };
  }

  /* Writes the configuration, with `changes` to the settings so far; `tenon reload` makes it take effect. */
  configure(changes = {}) {
    Object.assign(this.settings, changes);
    writeConfiguration(this.conf, this.settings);
  }

  async serve() {
    fs.mkdirSync(this.runDir, { recursive: true });
    if (process.getuid() === 0) execFileSync('chown', ['www-data', this.runDir]);
    const [command, ...args] = [...(this.options.under ?? []), binary, 'serve', '-c', this.conf];
    const log = fs.openSync(this.logFile, 'a');
    this.master = this.#spawn(command, args, log);
    fs.closeSync(log);
    return this.master;
  }

  async #startNginx(port, index) {
    const dir = path.join(this.dir, `nginx${index}`);
    fs.mkdirSync(dir);
    if (process.getuid() === 0) execFileSync('chown', ['www-data', dir]);
    const conf = path.join(dir, 'nginx.conf');
    fs.writeFileSync(conf, nginxConfiguration({ dir, port, metricsPort: this.metricsPorts[index], runDir: this.runDir, storageDir: this.storageDir }));
    fs.symlinkSync(path.join(source, 'nginx'), path.join(dir, 'tenon'));
    const log = fs.openSync(path.join(dir, 'stderr.log'), 'a');
    const nginx = this.#spawn('nginx', ['-e', path.join(dir, 'error.log'), '-p', dir, '-c', conf, '-g', 'daemon off;'], log);
    fs.closeSync(log);
    this.#nginxes.push(nginx);
    this.nginx ??= nginx;
  }

  #spawn(command, args, log) {
    const child = spawn(command, args, { stdio: ['ignore', log, log], cwd: this.dir, env: cleanEnvironment(this.options.env) });
    child.left = once(child, 'exit');
    child.on('exit', () => (child.gone = true)).on('error', (error) => (child.gone = error));
    this.#children.push(child);
    return child;
  }

  /* Resolves when every nginx gives the workers' answer. */
  async ready() {
    for (const origin of this.origins)
      await eventually(`an answer of ${origin}`, async () => {
        for (const child of [this.master, ...this.#nginxes]) if (child.gone) throw Object.assign(new Error(`${child.spawnargs.join(' ')} is gone`), { final: true });
        return (await fetch(`${origin}/auth/v1/health`)).status === 200;
      });
  }

  #tenant({ id, name, publishable, secret: secretKey }) {
    const anon = this.client({ apikey: publishable });
    const tenant = {
      id, name, publishable, secret: secretKey, anon,
      service: this.client({ apikey: secretKey }),
      /* Signs somebody up; the client carries user, session, email and password. */
      person: async (who, extra = {}) => {
        const email = extra.email ?? `${who}@${name}.example`;
        const session = await anon.post('/auth/v1/signup', { email, password, ...extra });
        return tenant.signedIn(session, { email, password, tenant });
      },
      signedIn: (session, extras = {}) => anon.with({ authorization: `Bearer ${session.access_token}` }, { user: session.user, session, ...extras }),
    };
    return tenant;
  }

  client(headers = {}, origin = this.origin) {
    const client = new Client(origin, headers);
    this.#clients.push(client);
    return client;
  }

  /* SQL as the superuser: rows of one query, or any text. */
  rows(query) {
    return rows(this.admin, query);
  }

  sql(text) {
    return psql(this.admin, text);
  }

  /* The same for what changes the schema: returns when the workers of the api pool know of it. The notices of PostgreSQL come in the
   * order of the commits, so who knows the function that is made last knows everything before it. */
  async ddl(text) {
    await this.sql(text);
    const mark = `known_${randomBytes(6).toString('hex')}`;
    await this.sql(`create function public.${mark}() returns int language sql stable as 'select 1'`);
    await eventually('the schema to be known', async () => (await this.a.anon.request('GET', `/rest/v1/rpc/${mark}`)).status !== 404);
  }

  /* The operator's command on this stack: {code, stdout, stderr, json}. */
  async tenon(...args) {
    try {
      const { stdout, stderr } = await run(binary, ['-c', this.conf, ...args], { env: cleanEnvironment(this.options.env) });
      return { code: 0, stdout, stderr, json: parse(stdout) };
    } catch (error) {
      return { code: error.code, stdout: error.stdout, stderr: error.stderr, json: parse(error.stdout) };
    }
  }

  /* What the workers have logged: objects, one per line. */
  log() {
    return fs.readFileSync(this.logFile, 'utf8').split('\n').filter(Boolean).map((line) => parse(line) ?? { text: line });
  }

  /* Process ids of the workers: children of the master but tenon-image, all or those of one pool. */
  workers(pool) {
    return childrenOf(this.master.pid).filter((pid) => nameOf(pid).trim() !== 'tenon-image' && (pool === undefined || nameOf(pid).includes(pool)));
  }

  tail() {
    const files = [this.logFile, ...this.ports?.map((_, i) => path.join(this.dir, `nginx${i}`, 'error.log')) ?? [], ...this.ports?.map((_, i) => path.join(this.dir, `nginx${i}`, 'stderr.log')) ?? []];
    return files.filter((f) => fs.existsSync(f)).map((f) => `--- ${path.basename(f)}\n${fs.readFileSync(f, 'utf8').slice(-3000)}`).join('\n');
  }

  async #stop() {
    for (const client of this.#clients) client.close();
    this.provider?.release();
    for (const child of this.#children) if (!child.gone) child.kill('SIGTERM');
    const stuck = [];
    for (const child of this.#children) {
      if (child.gone) continue;
      if ((await Promise.race([child.left, delay(15_000, 'late', { ref: false })])) === 'late') {
        stuck.push(child.spawnargs.join(' '));
        killTree(child.pid);
        await child.left;
      }
    }
    await this.provider?.close();
    const log = fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
    const report = /^.*(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion).*$/m.exec(log);
    const tail = this.tail();
    this.#forget();
    if (this.database) await psql(this.superuser, `drop database if exists ${this.database} with (force)`).catch(() => {});
    if (sharedCluster) {
      sharedCluster.remove();
      sharedCluster = undefined;
    }
    if (stuck.length) throw new Error(`did not end after SIGTERM: ${stuck.join(', ')}\n${tail}`);
    if (report) throw new Error(`the workers' log has a finding: ${log.slice(report.index, report.index + 6000)}`);
  }

  #forget() {
    process.off('exit', this.#exit);
    if (!process.env.TENON_TEST_KEEP) fs.rmSync(this.dir, { recursive: true, force: true });
  }

  /* The process ends without after(): nothing may be left, and only synchronous calls work. */
  #stopHard() {
    for (const child of this.#children) if (!child.gone) killTree(child.pid);
    try {
      if (this.database) psqlSync(this.superuser, `drop database if exists ${this.database} with (force)`);
    } catch {
      // the cluster may be gone before us
    }
    this.#forget();
  }
}

/* The database that all stacks of a run are copied from: migrated, with tenants a and b. Its name tells the
 * binary and the SQL it was made with; what a stack must know about it is kept as its comment. */
async function ensureTemplate(superuser) {
  const name = `tenon_template_${fingerprint()}`;
  const find = async () => {
    const [found] = await rows(superuser, `select shobj_description(oid, 'pg_database') as tenants from pg_database where datname = '${name}'`);
    return found?.tenants ? { name, tenants: JSON.parse(found.tenants) } : undefined;
  };
  return (await find()) ?? locked(superuser, 'tenon test template', async () => (await find()) ?? makeTemplate(superuser, name));
}

async function makeTemplate(superuser, name) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-template-'));
  try {
    const conf = path.join(dir, 'tenon.conf');
    writeConfiguration(conf, { ...databaseSettings(superuser, name), 'server.run_dir': dir, 'server.secret': secret, 'server.public_url': 'http://127.0.0.1' });
    await psql(superuser, `drop database if exists ${name}`);
    const tenon = async (...args) => parse((await run(binary, args, { env: cleanEnvironment() })).stdout);
    await tenon('init', '-c', conf, '--superuser-url', superuser);
    const tenants = {};
    for (const tenant of ['a', 'b']) {
      const { id } = await tenon('tenant', 'create', tenant, '-c', conf, '--json');
      tenants[tenant] = { id, name: tenant };
      for (const kind of ['publishable', 'secret'])
        tenants[tenant][kind] = (await tenon('key', 'create', '-c', conf, '--tenant', tenant, '--kind', kind, '--json')).key;
    }
    await psql(superuser, `comment on database ${name} is '${JSON.stringify(tenants)}'`);
    return { name, tenants };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

export function fingerprint() {
  const hash = createHash('sha256').update(fs.readFileSync(fs.realpathSync(binary)));
  for (const folder of [sqlDir, path.join(sqlDir, 'migrations')])
    for (const file of fs.readdirSync(folder).sort())
      if (file.endsWith('.sql')) hash.update(fs.readFileSync(path.join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

function databaseSettings(superuser, database, through) {
  const url = withDatabase(superuser, database);
  const workers = new URL(withUser(url, 'tenon_authenticator'));
  if (through) workers.port = through;
  return { 'database.url': workers.href, 'database.owner_url': withUser(url, 'tenon_admin') };
}

function section(name, settings) {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [`provider ${name}.${key}`, value]));
}

function writeConfiguration(file, settings) {
  const sections = new Map();
  for (const [name, value] of Object.entries(settings)) {
    const dot = name.lastIndexOf('.');
    const lines = sections.get(name.slice(0, dot)) ?? [];
    sections.set(name.slice(0, dot), [...lines, `${name.slice(dot + 1)} = ${value}`]);
  }
  fs.writeFileSync(file, [...sections].map(([title, lines]) => `[${title}]\n${lines.join('\n')}\n`).join('\n'), { mode: 0o644 });
}

/* The template of quickstart, filled in: @NAME@ for each value. */
function nginxConfiguration({ dir, port, metricsPort, runDir, storageDir }) {
  const values = { DIR: dir, PORT: port, METRICS_PORT: metricsPort, RUN_DIR: runDir, STORAGE: storageDir };
  return fs.readFileSync(path.join(source, 'nginx/quickstart.conf.in'), 'utf8').replace(/@([A-Z_]+)@/g, (_, name) => {
    if (!(name in values)) throw new Error(`nginx/quickstart.conf.in wants ${name}`);
    return values[name];
  });
}

/* Our own settings in the environment must not reach the stack under test. */
function cleanEnvironment(more = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('TENON_') && !name.startsWith('PG'));
  return { ...Object.fromEntries(kept), TENON_SQL_DIR: sqlDir, GLIBC_TUNABLES: 'glibc.malloc.tcache_count=1', ...more };
}

export function childrenOf(pid) {
  return fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n)).filter((n) => {
    try {
      return Number(/^\d+ \(.*\) \S (\d+)/s.exec(fs.readFileSync(`/proc/${n}/stat`, 'latin1'))[1]) === pid;
    } catch {
      return false; // it has ended meanwhile
    }
  }).map(Number);
}

function nameOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'latin1');
  } catch {
    return '';
  }
}

function killTree(pid) {
  const children = childrenOf(pid);
  for (const one of [pid, ...children]) {
    try {
      process.kill(one, 'SIGKILL');
    } catch {
      // it has ended by itself
    }
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function once_(work) {
  let result;
  return () => (result ??= work());
}
