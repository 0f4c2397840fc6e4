/* t/compat/lib/servers.mjs: PostgREST and Tenon, each on a copy of the same database
 *
 *   const servers = await startServers({ schemas: ['t/compat/schema.sql'] });
 *   servers.theirs.url, servers.ours.url         where requests go, without the path
 *   servers.theirs.sql(text), servers.ours.sql   SQL as the superuser on that side's database
 *   await servers.plain()                        the same with nothing switched on
 *   await servers.stop()
 *
 * `self: true` takes a second PostgREST for Tenon, to see that the requests themselves are deterministic.
 * The cluster is our own, because roles belong to it and because statistics must not change meanwhile.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { psql, startCluster, withDatabase, withUser } from '../../lib/postgres.mjs';
import { startPostgrest } from '../../lib/postgrest.mjs';
import { startStack } from '../../lib/stack.mjs';
import { jwtSecret } from './corpus.mjs';

const folder = path.resolve(import.meta.dirname, '..');

export const full = { schemas: 'town,annex,garden', aggregates: true, plan: true, override: true, maxRows: 1000 };
const bare = { schemas: 'town', aggregates: false, plan: false, override: false, maxRows: 5 };

const forPostgrest = (o) => ({
  'db-config': 'true', // settings of roles are only read with it
  'db-schemas': o.schemas, 'db-anon-role': 'anon', 'db-extra-search-path': 'public,extensions', 'jwt-secret': jwtSecret, 'db-max-rows': o.maxRows,
  'db-tx-end': o.override ? 'commit-allow-override' : 'commit', 'db-aggregates-enabled': o.aggregates, 'db-plan-enabled': o.plan,
});

const onOff = (yes) => (yes ? 'on' : 'off');
const forTenon = (o) => ({
  'data.schemas': o.schemas, 'data.require_rls': 'off', 'data.default_tenant': 'a', 'auth.jwt_secret': jwtSecret, 'data.max_rows': o.maxRows,
  'data.tx_end': o.override ? 'commit-allow-override' : 'commit', 'data.aggregates': onOff(o.aggregates), 'data.plan': onOff(o.plan),
});

/* One session that is kept open: a process for each statement would cost more than the statements. */
export class Session {
  #waiting = [];
  #text = '';

  constructor(url) {
    this.child = spawn('psql', ['-XqAt', '-d', url], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout.setEncoding('utf8').on('data', (text) => this.#read(text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.problem = (this.problem ?? '') + text));
    this.child.on('exit', () => this.#waiting.splice(0).forEach(({ reject }) => reject(new Error(`psql has ended: ${this.problem}`))));
    this.child.stdin.on('error', () => {});
  }

  sql(text) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.child.stdin.write(`${text.replace(/;\s*$/, '')};\n\\warn\n\\echo :end-of-answer:\n`);
    });
  }

  #read(text) {
    this.#text += text;
    for (let end; (end = this.#text.indexOf(':end-of-answer:\n')) >= 0; ) {
      const answer = this.#text.slice(0, end).replace(/\n$/, '');
      this.#text = this.#text.slice(end + 16);
      const { resolve, reject } = this.#waiting.shift();
      setImmediate(() => {
        const problem = (this.problem ?? '').trim();
        this.problem = undefined;
        if (problem) reject(new Error(problem));
        else resolve(answer);
      });
    }
  }

  end() {
    this.child.stdin.end();
  }
}

const roles = `
  do $$ begin
    create role clerk nologin; create role drifter nologin;
  exception when duplicate_object then null; end $$;
  alter role clerk set statement_timeout = '7s';
  grant clerk to tenon_authenticator;`;

/* What `tenon init` has made and the schema needs, where there is no Tenon. */
const substitute = `
  create role tenon_owner createrole; create role tenon_authenticator login noinherit;
  create role anon; create role authenticated; create role service_role;
  grant anon, authenticated, service_role to tenon_authenticator;`;

async function load(url, database, schemas) {
  await psql(url, `\\set database ${database}\n${schemas.map((file) => fs.readFileSync(file, 'utf8')).join('\n')}`);
}

export async function startServers({ self = false, schemas = ['schema.sql', 'garden.sql'].map((file) => path.join(folder, file)), options = full } = {}) {
  const cleanups = [];
  const stop = async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  };
  try {
    const cluster = await startCluster({ settings: { autovacuum: 'off', timezone: "'UTC'", max_connections: 100, synchronous_commit: 'off', full_page_writes: 'off' } });
    cleanups.push(() => cluster.remove());
    const names = { theirs: 'compat_theirs', ours: 'compat_ours' };
    const copy = (name, from) => psql(cluster.url, `create database ${name} template ${from}`);
    const side = (name) => {
      const session = new Session(withDatabase(cluster.url, name));
      cleanups.push(() => session.end());
      return { database: withDatabase(cluster.url, name), login: withUser(withDatabase(cluster.url, name), 'tenon_authenticator'), sql: (text) => session.sql(text) };
    };
    const begin = async (to, o) => {
      const server = await startPostgrest({ url: to.login, settings: forPostgrest(o) });
      cleanups.push(server.stop);
      return server;
    };
    let tenon, theirs, ours;
    if (self) {
      await psql(cluster.url, `${substitute}${roles}create database compat_base`);
      await psql(withDatabase(cluster.url, 'compat_base'), 'create schema extensions');
      await load(withDatabase(cluster.url, 'compat_base'), 'compat_base', schemas);
      await copy(names.theirs, 'compat_base');
      await copy(names.ours, 'compat_base');
      [theirs, ours] = [side(names.theirs), side(names.ours)];
      [theirs.url, ours.url] = (await Promise.all([begin(theirs, options), begin(ours, options)])).map((s) => s.origin);
    } else {
      tenon = await startStack({
        cluster, people: false, settings: forTenon(options),
        prepare: async (s) => {
          await psql(s.admin, roles);
          await load(s.owner, s.database, schemas);
          await copy(names.theirs, s.database);
        },
      });
      cleanups.push(() => tenon.stop());
      theirs = side(names.theirs);
      theirs.url = (await begin(theirs, options)).origin;
      ours = side(tenon.database);
      ours.url = `${tenon.origin}/rest/v1`;
    }
    return {
      theirs, ours, tenon, cluster, stop,
      async plain() {
        const server = await begin(theirs, bare);
        if (self) return { theirs: { ...theirs, url: server.origin }, ours: { ...ours, url: (await begin(ours, bare)).origin } };
        tenon.configure(forTenon(bare));
        await restart(tenon);
        return { theirs: { ...theirs, url: server.origin }, ours };
      },
    };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

/* Tenon once more, with its configuration or its binary as they are now. */
export async function restart(tenon) {
  tenon.master.kill('SIGTERM');
  await Promise.race([tenon.master.left, delay(20_000, undefined, { ref: false })]);
  await tenon.serve();
  await tenon.ready();
}
