/* t/compat/side-by-side.mjs: the same requests to PostgREST and to Tenon, and in what the answers differ
 *
 * As a test: one TAP test per request, a subtest per section; at the end a list of what differs, grouped by kind. As a
 * command, with a build of Tenon in TENON_BIN:
 *
 *   node t/compat/side-by-side.mjs --only TEXT [--verbose]  the requests whose name or section contains TEXT; both answers
 *   node t/compat/side-by-side.mjs --summary                all, but only the list at the end
 *   node t/compat/side-by-side.mjs --self …                 two PostgREST instead: the requests must be deterministic
 *   node t/compat/side-by-side.mjs --serve                  starts both servers, tells how to use them, and stays; Tenon is
 *                                                           started anew whenever its binary changes
 *   node t/compat/side-by-side.mjs --document               writes the table of docs/compatibility.md
 *
 * TENON_COMPAT_SERVERS, as --serve prints it, names running servers: then a single request takes a fraction of a second.
 * The requests and what PostgREST answers are in requests/, deliberate differences in differences.mjs.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { differences } from './differences.mjs';
import { close, compare, errorOf, send } from './lib/compare.mjs';
import { loadCorpus } from './lib/corpus.mjs';
import { restart, Session, startServers } from './lib/servers.mjs';

const page = path.resolve(import.meta.dirname, '../../docs/compatibility.md');
const [begin, end] = ['<!-- differences: written by t/compat/side-by-side.mjs --document -->', '<!-- end of differences -->'];

/* Sends one request to both and tells: {expected, found, listed, problems, theirs, ours}. */
async function run({ theirs: left, ours: right }, request, used) {
  const [theirs, ours] = await Promise.all([send(left.url, request), send(right.url, request)]);
  const found = compare(request, theirs, ours);
  if (request.writes) found.push(...(await settle(left, right, request)));
  const problems = [];
  const unexpected = expectation(request, theirs);
  if (unexpected) problems.push({ kind: 'corpus', text: unexpected });
  const listed = used && differences.filter((d) => d.matches(request, theirs));
  const applied = new Set();
  for (const difference of found) {
    const entry = listed?.find((d) => d.kinds.includes(difference.kind));
    if (entry) applied.add(entry);
    else problems.push({ kind: difference.kind, text: `${difference.kind}: PostgREST ${short(difference.theirs)}\n${' '.repeat(difference.kind.length)}    Tenon ${short(difference.ours)}` });
  }
  for (const entry of applied)
    if (entry.expect(ours, request, theirs)) used.add(entry.id);
    else problems.push({ kind: 'listed', text: `differs as '${entry.id}' in differences.mjs, but not as expected there: ${ours.status} ${short(ours.text)}` });
  return { request, found, problems, theirs, ours };
}

/* After a request that may write: the same data on both sides, and then everything as it was. */
async function settle(left, right, request) {
  const [theirs, ours] = await Promise.all([left, right].map((s) => s.sql('select fixture.state()')));
  const restore = theirs === initialState && ours === initialState ? 'select fixture.rewind()' : 'select fixture.fill()';
  await Promise.all([left.sql(restore), right.sql(restore)]); // both alike, so that statistics stay the same too
  if (theirs === ours) return [];
  const [a, b] = [JSON.parse(theirs), JSON.parse(ours)];
  return [{ kind: 'state', theirs: 'left other data', ours: `in ${Object.keys(a).filter((table) => a[table] !== b[table])}` }];
}

let initialState;
async function prepare(servers) {
  for (const side of [servers.theirs, servers.ours]) await side.sql('select fixture.fill()');
  initialState = await servers.theirs.sql('select fixture.state()');
}

function expectation(request, answer) {
  const code = request.method === 'HEAD' ? undefined : errorOf(answer)?.code;
  const wanted = request.method === 'HEAD' ? undefined : request.code;
  if (answer.status === request.status && (answer.status < 300 || code === wanted)) return undefined;
  return `PostgREST was expected to answer ${request.status} ${wanted ?? ''} and answers ${answer.status} ${code ?? ''} ${short(answer.text)}`;
}

const short = (value) => {
  const text = String(value);
  return text.length > 700 ? `${text.slice(0, 690)}… (${text.length})` : text;
};

/* What differs, by kind: how many, and the first requests of each. */
function summary(results) {
  const kinds = new Map();
  for (const { request, problems } of results)
    for (const kind of new Set(problems.map((p) => p.kind))) kinds.set(kind, [...(kinds.get(kind) ?? []), request.name]);
  const failed = results.filter((r) => r.problems.length > 0).length;
  const lines = [`${results.length} requests, ${failed} of them differ`];
  for (const [kind, names] of [...kinds].sort((a, b) => b[1].length - a[1].length)) {
    lines.push(`${kind} (${names.length}):`, ...names.slice(0, 12).map((name) => `    ${name}`));
    if (names.length > 12) lines.push(`    … and ${names.length - 12} more`);
  }
  return lines.join('\n');
}

function shown({ request, theirs, ours, problems }, verbose) {
  const lines = [`${problems.length ? 'not ok' : 'ok'} - ${request.name}`];
  if (verbose) {
    const answer = (a) => `${a.status} ${a.reason}\n${Object.entries(a.headers).map(([k, v]) => `    ${k}: ${v}`).join('\n')}\n    ${a.text.slice(0, 4000)}`;
    lines.push(`  ${request.method} ${request.path}`, ...Object.entries(request.headers).map(([k, v]) => `    ${k}: ${v}`), `    ${request.body ?? ''}`, `  PostgREST ${answer(theirs)}`, `  Tenon ${answer(ours)}`);
  }
  lines.push(...problems.map((p) => `  ${p.text.replaceAll('\n', '\n  ')}`));
  return lines.join('\n');
}

/* Where in this file it was found tells nobody anything. */
function withoutStack(message) {
  const error = new Error(message);
  error.stack = message;
  return error;
}

/* The table of deliberate differences, for docs/compatibility.md. */
function table() {
  return ['| what Tenon does | why |', '| --- | --- |', ...differences.map((d) => `| ${d.what} | ${d.reason} |`)].join('\n');
}

function document(text) {
  return `${text.slice(0, text.indexOf(begin) + begin.length)}\n${table()}\n${text.slice(text.indexOf(end))}`;
}

/* Servers that --serve has started, or new ones. */
async function connect(self) {
  if (!process.env.TENON_COMPAT_SERVERS) return startServers({ self });
  const known = JSON.parse(fs.readFileSync(process.env.TENON_COMPAT_SERVERS, 'utf8'));
  const sessions = [];
  for (const side of [known.theirs, known.ours]) {
    const session = new Session(side.database);
    sessions.push(session);
    side.sql = (text) => session.sql(text);
  }
  return { ...known, stop: () => sessions.forEach((s) => s.end()) };
}

async function serve(self) {
  const servers = await startServers({ self });
  await prepare(servers);
  const file = `/tmp/tenon-compat-${process.pid}.json`;
  fs.writeFileSync(file, JSON.stringify({ theirs: servers.theirs, ours: servers.ours }));
  console.log(`export TENON_COMPAT_SERVERS=${file}\n# PostgREST ${servers.theirs.url}\n# Tenon     ${servers.ours.url}\n# both end with this process (Ctrl-C)`);
  process.on('exit', () => fs.rmSync(file, { force: true }));
  const binary = process.env.TENON_BIN;
  if (!servers.tenon || !binary) return;
  let changed = fs.statSync(binary).mtimeMs;
  for (;;) {
    await delay(500);
    const now = fs.statSync(binary, { throwIfNoEntry: false })?.mtimeMs;
    if (now === undefined || now === changed) continue;
    changed = now;
    await delay(500); // the linker may not be through
    await restart(servers.tenon).then(() => console.log('# Tenon was started anew'), (error) => console.log(`# ${error.message}`));
  }
}

async function command(args) {
  const self = args.includes('--self');
  if (args.includes('--document')) return fs.writeFileSync(page, document(fs.readFileSync(page, 'utf8')));
  if (args.includes('--serve')) return serve(self);
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] : '';
  const wanted = (await loadCorpus()).flatMap((s) => s.requests).filter((r) => r.name.includes(only) || r.section.includes(only));
  const servers = await connect(self);
  const results = [];
  const used = self ? undefined : new Set();
  try {
    await prepare(servers);
    const groups = [[servers, wanted.filter((r) => !r.plain)]];
    if (wanted.some((r) => r.plain) && servers.plain) groups.push([servers, wanted.filter((r) => r.plain), true]);
    for (const [main, requests, plain] of groups) {
      const pair = plain ? await main.plain() : main;
      for (const request of requests) {
        const result = await run(pair, request, used);
        results.push(result);
        if (!args.includes('--summary') && (result.problems.length > 0 || args.includes('--verbose') || only)) console.log(shown(result, args.includes('--verbose')));
      }
    }
  } finally {
    close();
    await servers.stop();
  }
  console.log(`\n${summary(results)}`);
  process.exitCode = results.some((r) => r.problems.length) ? 1 : 0;
}

async function asTest() {
  const sections = await loadCorpus();
  const servers = await startServers();
  after(async () => {
    close();
    await servers.stop();
  });
  await prepare(servers);
  const results = [];
  const used = new Set();
  const group = (pair, plain) => {
    for (const { title, requests } of sections) {
      const chosen = requests.filter((r) => Boolean(r.plain) === plain);
      if (chosen.length === 0) continue;
      describe(plain ? `${title}, nothing switched on` : title, () => {
        for (const request of chosen)
          test(request.name, async () => {
            const result = await run(await pair(), request, used);
            results.push(result);
            if (result.problems.length) throw withoutStack(result.problems.map((p) => p.text).join('\n'));
          });
      });
    }
  };
  let bare;
  group(() => servers, false);
  group(() => (bare ??= servers.plain()), true);
  test('every listed difference still occurs', (t) => {
    for (const line of summary(results).split('\n')) t.diagnostic(line);
    assert.deepEqual(differences.map((d) => d.id).filter((id) => !used.has(id)), []);
  });
  test('docs/compatibility.md has the list of differences', () => {
    const text = fs.readFileSync(page, 'utf8');
    assert.equal(document(text), text, 'run: node t/compat/side-by-side.mjs --document');
  });
}

if (process.argv.length > 2) await command(process.argv.slice(2));
else await asTest();
