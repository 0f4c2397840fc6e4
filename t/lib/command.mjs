/* t/lib/command.mjs: the operator's command, run against a database of its own
 *
 *   const c = await commandLine(superuser);   // makes nothing yet: `init` creates c.database
 *   const { code, stdout, stderr, json } = await c.tenon('key', 'list', '--json');
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { after } from 'node:test';
import { psql, withDatabase, withUser } from './postgres.mjs';

const source = path.resolve(import.meta.dirname, '../..');
const binary = process.env.TENON_BIN ?? path.join(source, 'tenon');

/* Only what a command needs; no TENON_… of whoever runs the tests. */
function environment(more) {
  const { PATH, HOME, ASAN_OPTIONS, UBSAN_OPTIONS, LD_LIBRARY_PATH } = process.env;
  return { PATH, HOME, ASAN_OPTIONS, UBSAN_OPTIONS, LD_LIBRARY_PATH, TENON_SQL_DIR: path.join(source, 'sql'), ...more };
}

export async function runTenon(args, { env = {}, input = '' } = {}) {
  const child = spawn(binary, args, { env: environment(env) });
  let stdout = '', stderr = '';
  child.stdout.on('data', (d) => { stdout += d; });
  child.stderr.on('data', (d) => { stderr += d; });
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(input);
  const [code, signal] = await once(child, 'close');
  const last = (text) => { try { return JSON.parse(text); } catch { return undefined; } };
  return { code: code ?? signal, stdout, stderr, json: last(stdout), error: last(stderr)?.error };
}

export async function commandLine(superuser, { settings = {} } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-cmd-'));
  const database = `tenon_cmd_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;
  const url = withDatabase(superuser, database);
  const conf = path.join(dir, 'tenon.conf');
  const all = {
    'server.run_dir': dir, 'server.secret': '5ec2e7'.padEnd(64, '0'), 'server.public_url': 'http://127.0.0.1:9',
    'database.url': withUser(url, 'tenon_authenticator'), 'database.owner_url': withUser(url, 'tenon_admin'), ...settings,
  };
  const sections = {};
  for (const [name, value] of Object.entries(all)) {
    const dot = name.lastIndexOf('.');
    (sections[name.slice(0, dot)] ??= []).push(`${name.slice(dot + 1)} = ${value}`);
  }
  const text = Object.entries(sections).map(([section, lines]) => `[${section.replace('.', ' ')}]\n${lines.join('\n')}\n`).join('\n');
  fs.writeFileSync(conf, text, { mode: 0o600 });
  after(async () => {
    await psql(superuser, `drop database if exists ${database} with (force)`).catch(() => {});
    fs.rmSync(dir, { recursive: true, force: true });
  });
  return {
    dir, conf, database, url, superuser,
    sql: (statement) => psql(url, statement),
    tenon: (...args) => {
      const options = typeof args.at(-1) === 'object' ? args.pop() : {};
      return runTenon(['-c', conf, ...args], options);
    },
  };
}
