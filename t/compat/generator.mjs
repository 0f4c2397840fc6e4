/* t/compat/generator.mjs: random schemas, rows and requests, to PostgREST and to Tenon, with the same comparison
 *
 * Each round makes a schema (tables with random columns and keys, foreign keys, one-to-one, composite, self references,
 * junctions, views, functions), fills it, and sends requests that mostly make sense and sometimes do not. Everything follows from a seed, which
 * is printed. On a difference the request is made smaller as long as the two still differ, and the schema is printed with it.
 *
 *   TENON_COMPAT_SEED=N      this seed, and only its schema
 *   TENON_COMPAT_SECONDS=N   how long (20)
 *   TENON_COMPAT_FOUND=N     goes on until so many are found (1), and leaves the schemas out
 *   node t/compat/generator.mjs --self    two PostgREST, to see that requests are deterministic
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { differences } from './differences.mjs';
import { close, compare, errorOf, send } from './lib/compare.mjs';
import { any } from './lib/corpus.mjs';
import { random } from './lib/random.mjs';
import { makeSchema, schemaSql } from './lib/random-schema.mjs';
import { randomRequest, smaller } from './lib/random-request.mjs';
import { full, startServers } from './lib/servers.mjs';

const self = process.argv.includes('--self');
const seconds = Number(process.env.TENON_COMPAT_SECONDS ?? 20);
const most = Number(process.env.TENON_COMPAT_FOUND ?? 1);
const givenSeed = process.env.TENON_COMPAT_SEED === undefined ? undefined : Number(process.env.TENON_COMPAT_SEED);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-compat-'));
const empty = path.join(folder, 'empty.sql');
fs.writeFileSync(empty, 'alter database :"database" set tenon.auto_protect = off;\n');
const servers = await startServers({ self, schemas: [empty], options: { ...full, schemas: 'random' } });
after(async () => {
  close();
  await servers.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

/* Puts a schema in place on both sides and waits until both servers know it: by a table that is named after the round. */
async function install(schema, round) {
  const sql = `${schemaSql(schema)}\ncreate table random.round_${round} (id int primary key);\ngrant select, insert on random.round_${round} to anon;\nanalyze;\nnotify pgrst;\n`;
  for (const side of [servers.theirs, servers.ours]) await side.sql(sql);
  const probe = any('POST', 201, `/round_${round}`, { body: { id: 1 } });
  for (const side of [servers.theirs, servers.ours]) {
    const end = Date.now() + 10_000;
    while ((await send(side.url, probe)).status !== 201) if (Date.now() > end) throw new Error(`${side.url} does not learn of a new schema`);
  }
  return sql;
}

/* Of several faults of one request either server may tell another. */
const faults = ['PGRST200', 'PGRST201', 'PGRST119', '42712', '42803', '22P02', '42883', '42703'];
function tellsAnotherFault(request, theirs, ours) {
  const [one, other] = [theirs, ours].map((answer) => errorOf(answer));
  const several = (decodeURIComponent(request.path).match(/\(|=/g) ?? []).length > 2 || (String(request.body ?? '').match(/:/g) ?? []).length > 1;
  return several && faults.includes(one?.code) && faults.includes(other?.code) && (one.message !== other.message || one.details !== other.details);
}

/* With missing=default rows are made one after the other here and all at once there, so of several rows that cannot be stored
 * the first is told here and another one, perhaps, there. */
function tellsAnotherRow(request, theirs, ours) {
  const isOfRow = (answer) => /^(22...|23502|23514)$/.test(errorOf(answer)?.code);
  return /missing=default/.test(request.headers.prefer ?? request.headers.Prefer) && String(request.body ?? '').startsWith('[') && isOfRow(theirs) && isOfRow(ours);
}

/* A fault of its own that PostgREST has no words for; and of HEAD, which has no body, which of several faults it was. */
function tellsNothing(request, theirs, ours) {
  return (theirs.status === 500 && theirs.text === 'Something went wrong' && ours.status < 500) || (request.method === 'HEAD' && [theirs, ours].every(({ status }) => status === 300 || status === 400));
}

/* What is not listed in differences.mjs. */
async function differs(description) {
  const request = any(description.method, 0, `/${description.path}${query(description)}`, description);
  const [theirs, ours] = await Promise.all([send(servers.theirs.url, request), send(servers.ours.url, request)]);
  if (request.writes) for (const side of [servers.theirs, servers.ours]) await side.sql('select random.rewind()');
  const listed = differences.filter((d) => d.matches(request, theirs, description));
  if (tellsAnotherFault(request, theirs, ours) || tellsAnotherRow(request, theirs, ours) || tellsNothing(request, theirs, ours)) return { request, theirs, ours, found: [] };
  const found = compare(request, theirs, ours).filter((d) => !listed.some((l) => l.kinds.includes(d.kind) && l.expect(ours, request, theirs)));
  return { request, theirs, ours, found };
}

const query = ({ parameters }) => (parameters.length ? `?${parameters.map(({ key, value }) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&')}` : '');

/* As long as both go on answering with the same status: else it could become another difference. */
async function shrink(description) {
  let best = description;
  const { theirs, ours } = await differs(description);
  for (let again = true; again; ) {
    again = false;
    for (const candidate of smaller(best)) {
      const now = await differs(candidate);
      if (now.found.length === 0 || now.theirs.status !== theirs.status || now.ours.status !== ours.status) continue;
      best = candidate;
      again = true;
      break;
    }
  }
  return best;
}

/* Where in this file it was found tells nobody anything. */
function withoutStack(message) {
  const error = new Error(message);
  error.stack = message;
  return error;
}

async function report(description, sql, seed) {
  const small = await shrink(description);
  const { request, theirs, ours, found } = await differs(small);
  const plain = `${request.method} /${small.path}${small.parameters.length ? '?' : ''}${small.parameters.map(({ key, value }) => `${key}=${value}`).join('&')}`;
  return [
    `TENON_COMPAT_SEED=${seed}`, plain, ...Object.entries(request.headers).map(([k, v]) => `    ${k}: ${v}`), `    ${request.body ?? ''}`,
    ...found.map((d) => `${d.kind}: PostgREST ${String(d.theirs).slice(0, 800)}\n${' '.repeat(d.kind.length)}    Tenon ${String(d.ours).slice(0, 800)}`),
    `PostgREST ${theirs.status} ${theirs.text.slice(0, 800)}`, `Tenon     ${ours.status} ${ours.text.slice(0, 800)}`, ...(most > 1 ? [''] : ['in the schema', sql]),
  ].join('\n');
}

test('random schemas and requests', { timeout: (seconds + 60) * 1000 }, async (t) => {
  const end = Date.now() + seconds * 1000;
  const first = givenSeed ?? 1; // the same for everybody: who wants others sets TENON_COMPAT_SEED
  const statuses = new Map();
  const reports = [];
  let requests = 0;
  for (let round = 0; Date.now() < end && (round === 0 || givenSeed === undefined); round += 1) {
    const seed = first + round;
    t.diagnostic(`TENON_COMPAT_SEED=${seed}`);
    const dice = random(seed);
    const schema = makeSchema(dice);
    const sql = await install(schema, round);
    for (let i = 0; i < 150 && Date.now() < end; i += 1) {
      const description = randomRequest(dice, schema);
      const { found, theirs } = await differs(description);
      requests += 1;
      statuses.set(theirs.status, (statuses.get(theirs.status) ?? 0) + 1);
      if (found.length > 0) reports.push(await report(description, sql, seed));
      if (reports.length >= most) throw withoutStack(reports.join('\n'));
    }
  }
  t.diagnostic(`${requests} requests; statuses ${[...statuses].sort((a, b) => a[0] - b[0]).map(([s, n]) => `${s}: ${n}`).join(', ')}`);
  if (reports.length > 0) throw withoutStack(reports.join('\n'));
  assert.ok((statuses.get(200) ?? 0) > requests / 4, 'too few of the requests are answered with rows');
});
