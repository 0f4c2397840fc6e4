/* t/api/agents-lattice.mjs: whatever the policies and whatever the scopes, an agent sees and changes a part of what its person does
 *
 * Tables with random policies: own rows, a team's, everybody's, restrictive ones, to people and to the public. Each request is made by
 * the person, by an agent of theirs that has all scopes, and by two that have some, and is rolled back each time. The person's rows
 * are the most that the others may have; the agent with all scopes has exactly those, so that agents that see nothing do not
 * pass. TENON_TEST_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';

const seed = Number(process.env.TENON_TEST_SEED ?? 20260);
console.log(`# TENON_TEST_SEED=${seed}`);
let state = seed;
const random = (n) => { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % n;
};
const pick = (list) => list[random(list.length)];
const some = (list) => list.filter(() => random(2) === 0);

const s = await stack({ settings: { 'data.tx_end': 'commit-allow-override' } });
const people = [s.alice, s.bob];
const TABLES = 5;

const own = 'owner = (select auth.uid())', team = 'team in (select m.team from public.members m where m.person = (select auth.uid()))';
const rules = [own, team, 'true', `${own} or shared`, `(select auth.email()) = keeper`, 'shared', "(select auth.role()) <> 'anon'", "(select auth.jwt() ->> 'is_anonymous') = 'false'"];
const limits = ['qty < 5', own, 'not hidden', team, "(select auth.uid()) is not null", "(select auth.jwt() ->> 'aal') is distinct from 'aal2'"];
const commands = ['all', 'select', 'insert', 'update', 'delete'];

function policy(table, number, rule, kind) {
  const command = pick(commands), to = pick(['authenticated', 'authenticated', 'public', 'anon, authenticated']);
  const clauses = `${command === 'insert' ? '' : `using (${rule})`} ${['select', 'delete'].includes(command) ? '' : `with check (${rule})`}`;
  return `create policy p${number} on public.${table} as ${kind} for ${command} to ${to} ${clauses};`;
}

/* A table with a child, and the functions that touch it. */
function make(i) {
  const lines = [`create table public.t${i} (id bigint primary key, owner uuid default auth.uid(), team int, shared boolean default false, hidden boolean default false,
    keeper text, qty int not null default 0);`, `create table public.c${i} (id bigint primary key, parent bigint references public.t${i} on delete cascade, owner uuid default auth.uid(), team int,
    shared boolean default false, hidden boolean default false, keeper text, qty int not null default 0);`];
  for (const table of [`t${i}`, `c${i}`]) {
    let number = 0;
    if (i === 0) lines.push(`create policy everybody on public.${table} to authenticated using (true) with check (true);`); // only scopes are left to keep anybody out
    if (i === 0) continue;
    for (let n = 1 + random(3); n > 0; n--) lines.push(policy(table, number++, pick(rules), 'permissive'));
    for (let n = random(2); n > 0; n--) lines.push(policy(table, number++, pick(limits), 'restrictive'));
  }
  lines.push(`create function public.read${i}() returns setof public.t${i} language sql stable as 'select * from public.t${i}';`,
    `create function public.empty${i}() returns setof public.t${i} language sql as 'delete from public.t${i} returning *';`,
    `create view public.v${i} with (security_invoker = true) as select id, qty from public.t${i}; grant select, update, delete on public.v${i} to authenticated;`);
  return lines.join('\n');
}

await s.sql(`set role tenon_owner;
create table public.members (team int, person uuid); create policy mine on public.members to authenticated using (person = (select auth.uid()));
${Array.from({ length: TABLES }, (_, i) => make(i)).join('\n')}`);
const value = (id) => `(${id}, ${pick([`'${s.alice.user.id}'`, `'${s.bob.user.id}'`, 'null'])}, ${random(3)}, ${random(2) === 0}, ${random(3) === 0}, '${pick(people).email}', ${random(10)})`;
await s.sql(`begin; select set_config('tenon.tenant_id', '${s.a.id}', true);
insert into public.members values (1, '${s.alice.user.id}'), (2, '${s.bob.user.id}'), (0, '${s.bob.user.id}');
${Array.from({ length: TABLES }, (_, i) => `insert into public.t${i} values ${Array.from({ length: 12 }, (_, n) => value(n + 1)).join(', ')};
insert into public.c${i} (id, owner, team, shared, hidden, keeper, qty, parent) select id, owner, team, shared, hidden, keeper, qty, 1 + id % 12 from public.t${i};`).join('\n')} commit`);

/* What there is to hold: `members` is always among them, because the policies read it with the rights of who asks. */
const every = ['data:members:read', ...Array.from({ length: TABLES }, (_, i) => [`data:t${i}:read`, `data:t${i}:write`, `data:c${i}:read`, `data:c${i}:write`, `data:v${i}:read`,
  `data:v${i}:write`, `data:read${i}:call`, `data:empty${i}:call`]).flat()];
async function agent(who, scopes) {
  const made = await who.post('/auth/v1/agents', { name: scopes.length === every.length ? 'all' : 'some', scopes });
  return { scopes, client: s.client({ apikey: (await who.post(`/auth/v1/agents/${made.id}/keys`, {})).key }) };
}

/* Rows are written to and the answer is what was written; nothing of it stays. */
const undone = { prefer: 'return=representation, tx=rollback' };
const row = () => ({ id: 100 + random(100), team: random(3), qty: random(10), shared: random(2) === 0, hidden: random(3) === 0, keeper: pick(people).email });
const requests = (i) => [
  ['GET', `/rest/v1/t${i}?select=id`], ['GET', `/rest/v1/t${i}?select=id,c${i}(id)`], ['GET', `/rest/v1/c${i}?select=id,t${i}(id)`], ['GET', `/rest/v1/c${i}?select=id,t${i}!inner(id)`],
  ['GET', `/rest/v1/v${i}?select=id`], ['GET', `/rest/v1/rpc/read${i}?select=id`], ['POST', `/rest/v1/rpc/empty${i}?select=id`, {}],
  ['POST', `/rest/v1/t${i}?select=id`, row()], ['POST', `/rest/v1/t${i}?select=id`, { ...row(), owner: pick(people).user.id }],
  ['PATCH', `/rest/v1/t${i}?select=id&id=lt.50`, { qty: random(10) }], ['PATCH', `/rest/v1/v${i}?select=id&id=lt.50`, { qty: 1 }], ['PATCH', `/rest/v1/t${i}?select=id&id=eq.${1 + random(12)}`, { owner: pick(people).user.id }],
  ['DELETE', `/rest/v1/t${i}?select=id&id=lt.50`], ['DELETE', `/rest/v1/c${i}?select=id`],
  ['PATCH', `/rest/v1/c${i}?select=id`, { qty: 3 }],
  ['POST', `/rest/v1/c${i}?select=id`, { ...row(), id: 1 + random(12) }, 'resolution=merge-duplicates'], ['POST', `/rest/v1/c${i}?select=id`, { ...row(), id: 1 + random(12) }, 'resolution=ignore-duplicates'],
];

/* What somebody got: one text per row, embedded ones too; nothing where it is refused. */
async function rowsOf(client, [method, path, body, more]) {
  const answer = await client.request(method, path, body, { headers: { prefer: more ? `${undone.prefer}, ${more}` : undone.prefer } });
  assert.ok(answer.status < 500, `${method} ${path}: ${answer.text}`);
  if (answer.status >= 300 || answer.json === undefined) return { status: answer.status, rows: new Set() };
  const rows = new Set();
  for (const item of [answer.json].flat()) {
    rows.add(`${item.id}`);
    for (const [name, inner] of Object.entries(item)) for (const one of [inner].flat()) if (one?.id !== undefined) rows.add(`${item.id}/${name}/${one.id}`);
  }
  return { status: answer.status, rows };
}
const beyond = (mine, theirs) => [...mine.rows].filter((one) => !theirs.rows.has(one));

for (const [name, who] of [['alice', s.alice], ['bob', s.bob]])
  test(`${name}: rows of an agent are a subset of the person's, for every request`, async () => {
    const full = await agent(who, every), parts = await Promise.all(Array.from({ length: 2 }, () => agent(who, ['data:members:read', ...some(every)])));
    let seen = 0, held = 0;
    for (let i = 0; i < TABLES; i++)
      for (const request of requests(i)) {
        const what = `${request[0]} ${request[1]} ${JSON.stringify(request[2] ?? '')} (TENON_TEST_SEED=${seed})`;
        const answers = [];
        for (const client of [who, full.client, ...parts.map((part) => part.client)]) answers.push(await rowsOf(client, request));
        const [theirs, all, ...less] = answers;
        assert.deepEqual([...all.rows].sort(), [...theirs.rows].sort(), `with all scopes it is the person's: ${what}`);
        for (const [n, mine] of less.entries()) {
          assert.deepEqual(beyond(mine, theirs), [], `an agent with ${parts[n].scopes} goes beyond its person: ${what}`);
          seen += mine.rows.size;
        }
        held += theirs.rows.size;
      }
    assert.ok(held > 100, `people have rows: ${held}`);
    assert.ok(seen > 0 && seen < 2 * held, `agents have some of them, and not all: ${seen} of ${2 * held}`);
  });

test('each scope is the scope of its table: without it there are no rows, and nothing is written', async () => {
  const held = await agent(s.alice, ['data:members:read', ...every.filter((scope) => !/[tc]0:|v0:/.test(scope))]);
  for (const request of requests(0)) {
    const { rows } = await rowsOf(held.client, request);
    assert.deepEqual([...rows], [], `${request[0]} ${request[1]}`);
  }
  const reads = await agent(s.alice, ['data:members:read', 'data:t0:read', 'data:c0:read', 'data:v0:read', 'data:read0:call', 'data:empty0:call']);
  for (const request of requests(0).filter(([method, path]) => method !== 'GET' || path.includes('empty')))
    assert.deepEqual([...(await rowsOf(reads.client, request)).rows], [], `${request[0]} ${request[1]}`);
});

test('a batch is its requests', async () => {
  const mine = await agent(s.alice, ['data:members:read', 'data:t1:read', 'data:c2:read', 'data:t3:write']);
  const operations = ['t1', 'c1', 't2', 'c2', 't3'].map((table) => ({ method: 'GET', path: `/rest/v1/${table}?select=id` }));
  const ids = async (client) => (await client.post('/api/db/batch', operations)).results.map((result) => result.body.map((one) => one.id));
  const theirs = await ids(s.alice), got = await ids(mine.client);
  assert.deepEqual(got, [theirs[0], [], [], theirs[3], []]);
  assert.ok(theirs.every((list) => list.length > 0) || theirs.flat().length > 0);
});
