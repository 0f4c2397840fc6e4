/* bench/lib.mjs: what the benchmarks share: load by wrk, the same statements in pgbench, sizes, the machine
 *
 * What pgbench runs is not written down anywhere: it is read out of PostgreSQL's log while Tenon serves one
 * request, so it cannot drift from the code.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { psql } from '../t/lib/postgres.mjs';
import { childrenOf, eventually } from '../t/lib/stack.mjs';

const run = promisify(execFile);
export const cores = os.availableParallelism();

/* Load on `url` with a script in Lua, which lies in `dir` meanwhile. */
export async function wrk({ dir, script, url, seconds, connections }) {
  const file = path.join(dir, 'bench.lua');
  fs.writeFileSync(file, script);
  const { stdout } = await run('wrk', ['-t2', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '--latency', '-s', file, url]);
  const value = (pattern) => pattern.exec(stdout)?.[1];
  return {
    rate: Number(value(/Requests\/sec:\s+([\d.]+)/)), requests: Number(value(/(\d+) requests in/)), p50: value(/^\s+50%\s+(\S+)/m), p99: value(/^\s+99%\s+(\S+)/m),
    errors: Number(value(/Non-2xx or 3xx responses: (\d+)/) ?? 0),
  };
}

/* --- the same transactions in pgbench --------------------------------------------------------------- */

/* Lets each of `askers` ask once while PostgreSQL logs every statement, and makes pgbench scripts of what the workers sent.
 * `ask` sends the request and gives the answer. */
export async function captured(cluster, askers, ask) {
  const log = path.join(cluster.dir, 'log');
  const set = (value) => psql(cluster.url, `alter system set log_min_duration_statement = ${value};\nalter system set log_line_prefix = '@%p@%a@';\nselect pg_reload_conf()`);
  await set(0);
  await eventually('the setting', async () => (await psql(cluster.url, 'show log_min_duration_statement')) === '0');
  for (let i = 0; i < 8 * cores; i++) await ask(askers[0]); // a backend looks at its settings between two statements
  const scripts = [];
  let transactions;
  for (const asker of askers) {
    const from = fs.statSync(log).size;
    const answer = await ask(asker);
    let size;
    await eventually('a quiet log', async () => {
      size = fs.statSync(log).size;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return fs.statSync(log).size === size;
    });
    const made = scriptOf(transactionsOf(fs.readFileSync(log, 'utf8').slice(from, size)), answer?.run?.id);
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
  return all.filter((list) => list.some(({ sql }) => /^commit/i.test(sql)) && !list.some(({ sql }) => /tenon\.workers|sweep|fail_lost_runs|pg_rewrite/.test(sql)));
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

/* As the superuser, because pgbench prepares statements before the transaction has taken its role. `define`: variables that
 * each client begins with. */
export async function pgbench({ dir, scripts, seconds, url, define = {} }) {
  const files = scripts.flatMap((script, i) => {
    const file = path.join(dir, `bench${i}.pgbench`);
    fs.writeFileSync(file, script);
    return ['-f', file];
  });
  const pgbenching = run('pgbench', ['-n', '-M', 'prepared', '-c', String(8 * cores), '-j', String(cores), '-T', String(seconds),
    ...Object.entries(define).flatMap(([name, value]) => ['-D', `${name}=${value}`]), ...files, url], { maxBuffer: 1 << 26 });
  const { stdout } = await pgbenching.catch((error) => {
    throw new Error(`pgbench: ${/^.*error: .*$/m.exec(error.stderr)}`);
  });
  return { rate: Number(/tps = ([\d.]+)/.exec(stdout)[1]), p50: `${/latency average = ([\d.]+)/.exec(stdout)[1]}ms` };
}

/* Proportional set size of a process tree in KiB. */
export function footprint(pid) {
  return treeOf(pid).reduce((sum, p) => sum + Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${p}/smaps_rollup`, 'utf8'))[1]), 0);
}

/* Processor time that a process tree has taken so far, its ended children included, in microseconds. */
export function cpuOf(pid) {
  return treeOf(pid).reduce((sum, p) => {
    const fields = fs.readFileSync(`/proc/${p}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
    return sum + [11, 12, 13, 14].reduce((ticks, i) => ticks + Number(fields[i]), 0) * 10_000;
  }, 0);
}

/* A cpu control group for each server, as systemd makes them for services with a CPUWeight. Without one each session is a
 * scheduling group of its own (autogroup), which each backend of PostgreSQL is, and some of them wait long for a processor.
 * `isMade` is false where we may not make any; then nothing is moved. */
export class CpuGroups {
  #made = new Set();
  #root = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup'].find((root) => {
    try {
      fs.accessSync(`${root}/cgroup.procs`, fs.constants.W_OK);
      return fs.existsSync(`${root}/cpu.shares`) || fs.readFileSync(`${root}/cgroup.subtree_control`, 'utf8').split(/\s/).includes('cpu');
    } catch {
      return false; // another version of control groups, or not ours to write
    }
  });
  isMade = this.#root !== undefined;

  /* Moves a process tree; what it starts later is there as well. */
  move(name, pid) {
    if (!this.isMade) return;
    if (this.#made.size === 0) this.#removeOld();
    const folder = `${this.#root}/tenon-bench-${process.pid}-${name}`;
    fs.mkdirSync(folder, { recursive: true });
    this.#made.add(folder);
    for (const p of treeOf(pid)) {
      try {
        fs.writeFileSync(`${folder}/cgroup.procs`, String(p));
      } catch (error) {
        if (error.code !== 'ESRCH') throw error; // it has ended meanwhile
      }
    }
  }

  /* Those of a run that was ended before it could. */
  #removeOld() {
    for (const name of fs.readdirSync(this.#root)) {
      const pid = /^tenon-bench-(\d+)-/.exec(name)?.[1];
      if (pid && !fs.existsSync(`/proc/${pid}`)) fs.rmdirSync(`${this.#root}/${name}`);
    }
  }

  async remove() {
    for (const folder of this.#made) await eventually('an empty control group', () => (fs.rmdirSync(folder), true));
  }
}

function treeOf(pid) {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

function hasAutogroup() {
  try {
    return fs.readFileSync('/proc/sys/kernel/sched_autogroup_enabled', 'utf8').trim() === '1';
  } catch {
    return false; // a kernel without it
  }
}

export async function machine() {
  const { stdout: postgres } = await run('psql', ['--version']);
  const nginx = await run('nginx', ['-v']);
  const release = /PRETTY_NAME="(.*)"/.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1];
  const m = { cpu: os.cpus()[0].model, cores, memory_gb: Math.round(os.totalmem() / 2 ** 30), system: release, kernel: os.release(), postgres: postgres.trim(), nginx: nginx.stderr.trim(), autogroup: hasAutogroup() };
  m.text = `${m.cpu}, ${m.cores} cores, ${m.memory_gb} GB; ${m.system}, Linux ${m.kernel}; ${m.postgres}; ${m.nginx}; autogroup ${m.autogroup ? 'on' : 'off'}`;
  return m;
}

export function figure(rate) {
  return Math.round(rate).toLocaleString('en').padStart(9);
}

export function percent(share) {
  return `${(share * 100).toFixed(0)} %`;
}
