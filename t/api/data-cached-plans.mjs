// t/api/data-cached-plans.mjs: one connection, the same statements over and over, callers in any order: plans that PostgreSQL keeps show nobody another's rows
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack({ settings: { 'api.processes': 1, 'api.connections': 1, 'data.aggregates': 'on' } });
const { a, b, alice, bob, stranger } = s;

await s.sql(`
create table public.papers (id bigint primary key, owner uuid, is_open boolean not null, title text, touched int not null default 0);
create table public.pages (id bigint primary key, paper_id bigint not null references public.papers (id), n int);
create policy own on public.papers to authenticated using (owner = (select auth.uid()));
create policy open on public.papers to anon using (is_open);
create policy of_papers on public.pages to authenticated, anon using (exists (select from public.papers p where p.id = paper_id));
create view public.titles with (security_invoker = true) as select id, title, (select count(*) from public.pages g where g.paper_id = p.id) as pages from public.papers p;
grant select on public.titles to anon, authenticated, service_role;
create function public.titled(part text) returns setof public.papers language sql stable as $$ select * from public.papers where title like part || '%' $$;
create function public.ids_of(part text) returns setof bigint language plpgsql stable as $$ begin return query select p.id from public.papers p where p.title like part || '%' order by p.id; end $$;
create function public.how_many() returns bigint language sql stable as 'select count(*) from public.papers';
create function public.summed() returns bigint language plpgsql stable as $$ declare n bigint; begin select coalesce(sum(id), 0) into n from public.papers; return n; end $$;
create function public.first_title(public.papers) returns text language sql stable as 'select t.title from public.titles t where t.id = $1.id';
create function public.kept_plans() returns json language sql stable as
  $$ select json_agg(json_build_object('generic', generic_plans, 'custom', custom_plans)) from pg_prepared_statements where statement like '%papers%' $$;`);

/* Of each tenant a hundred papers in turn: of its people, and of nobody; each third is open. */
const papers = [];
for (const [tenant, owners] of [[a, [alice.user.id, bob.user.id, null]], [b, [stranger.user.id, null]]])
  for (let i = 0; i < 100; i++) papers.push({ id: papers.length + 1, tenant, owner: owners[i % owners.length], open: i % 3 === 1, title: `${tenant.name}${i}` });
for (const tenant of [a, b]) {
  const rows = papers.filter((p) => p.tenant === tenant);
  await s.sql(`begin; select set_config('tenon.tenant_id', '${tenant.id}', true);
    insert into public.papers (id, owner, is_open, title) values ${rows.map((p) => `(${p.id}, ${p.owner ? `'${p.owner}'` : 'null'}, ${p.open}, '${p.title}')`)};
    insert into public.pages (id, paper_id, n) values ${rows.map((p) => `(${p.id}, ${p.id}, ${p.id * 7})`)}; commit;`);
}
await s.sql('analyze');

const callers = [
  ['anon of a', a.anon, (p) => p.tenant === a && p.open], ['anon of b', b.anon, (p) => p.tenant === b && p.open],
  ['alice', alice, (p) => p.owner === alice.user.id], ['bob', bob, (p) => p.owner === bob.user.id], ['stranger', stranger, (p) => p.owner === stranger.user.id],
  ['service of a', a.service, (p) => p.tenant === a], ['service of b', b.service, (p) => p.tenant === b],
].map(([name, client, sees]) => ({ name, client, rows: papers.filter(sees) }));

const ids = (rows) => rows.map((p) => p.id);
const change = { headers: { prefer: 'return=representation' } };
const texts = {
  'a table': { path: '/papers?select=id&order=id', expected: (rows) => rows.map(({ id }) => ({ id })) },
  'keys of all': { path: `/papers?select=id,title&order=id&id=in.(${ids(papers)})`, expected: (rows) => rows.map(({ id, title }) => ({ id, title })) },
  'one key': { path: '/papers?select=title&id=eq.2', expected: (rows) => rows.filter((p) => p.id === 2).map(({ title }) => ({ title })) },
  'an embed': { path: '/papers?select=id,pages(n)&order=id&limit=5', expected: (rows) => rows.slice(0, 5).map(({ id }) => ({ id, pages: [{ n: id * 7 }] })) },
  'a policy that asks another table': { path: '/pages?select=id&order=id', expected: (rows) => rows.map(({ id }) => ({ id })) },
  'a count': { path: '/papers?select=id&limit=1', options: { headers: { prefer: 'count=exact' } }, range: true, expected: (rows) => rows.length },
  'an aggregate': { path: '/papers?select=id.sum()', expected: (rows) => [{ sum: rows.reduce((sum, p) => sum + p.id, 0) }] },
  'a view': { path: '/titles?select=id,pages&order=id', expected: (rows) => rows.map(({ id }) => ({ id, pages: 1 })) },
  'a function that is inlined': { path: '/rpc/titled?part=&select=id&order=id', expected: (rows) => rows.map(({ id }) => ({ id })) },
  'a function of one value': { path: '/rpc/how_many', expected: (rows) => rows.length },
  'a function with plans of its own': { path: '/rpc/ids_of?part=', expected: ids },
  'a value of such a function': { path: '/rpc/summed', expected: (rows) => rows.reduce((sum, p) => sum + p.id, 0) },
  'a computed field': { path: '/papers?select=first_title&order=id&limit=3', expected: (rows) => rows.slice(0, 3).map(({ title }) => ({ first_title: title })) },
  'lines of an export': { path: '/papers?select=id&order=id', options: { headers: { accept: 'application/x-ndjson' } }, lines: true, expected: ids },
  'an update': { method: 'PATCH', path: '/papers?select=id&id=lt.1000', body: { touched: 1 }, options: change, sorted: true, expected: (rows) => rows.map(({ id }) => ({ id })) },
  'a call by POST': { method: 'POST', path: '/rpc/titled?select=id&order=id', body: { part: '' }, expected: (rows) => rows.map(({ id }) => ({ id })) },
};

async function ask({ client }, { method = 'GET', path, body, options, range, lines, sorted }) {
  const answer = await client.request(method, `/rest/v1${path}`, body, options);
  assert.ok([200, 206].includes(answer.status), `${answer.status} ${answer.text.slice(0, 300)}`);
  if (range) return Number(answer.headers['content-range'].split('/')[1]);
  if (sorted) return answer.json.sort((one, other) => one.id - other.id);
  return lines ? answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line).id) : answer.json;
}

await eventually('the tables', async () => (await a.service.request('GET', '/rest/v1/papers?limit=1')).status === 200);
let seed = 20_250;
const random = (n) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % 65_536 % n;

for (const [name, text] of Object.entries(texts))
  test(`${name}, 200 times, one after the other and at once`, async () => {
    for (let asked = 0; asked < 200; asked += 20) {
      const turn = Array.from({ length: 20 }, () => callers[random(callers.length)]);
      const answers = asked % 40 ? await Promise.all(turn.map((who) => ask(who, text))) : [];
      for (const [i, who] of turn.entries()) assert.deepEqual(answers[i] ?? (await ask(who, text)), text.expected(who.rows), `${who.name}, after ${asked + i} others`);
    }
  });

test('it was one connection, and its plans were kept', async () => {
  const [{ n }] = await s.rows(`select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'tenon/api'`);
  assert.equal(n, 1);
  const plans = (await a.service.request('GET', '/rest/v1/rpc/kept_plans')).json;
  assert.ok(plans.length >= 8 && plans.some((p) => p.generic >= 50), JSON.stringify(plans));
});

/* Both change what a plan that is kept may do. */
test('a policy that changes, and a right that goes, count for the next request', async () => {
  const table = texts['a table'];
  await s.sql('alter policy open on public.papers using (not is_open)');
  for (const who of [callers[0], callers[1]]) assert.deepEqual((await ask(who, table)).map((p) => p.id), ids(papers.filter((p) => p.tenant === (who === callers[0] ? a : b) && !p.open)));
  await s.sql('revoke select on public.papers from anon');
  assert.equal((await a.anon.request('GET', `/rest/v1${table.path}`)).status, 401);
  for (const who of callers.slice(2)) assert.deepEqual(await ask(who, table), table.expected(who.rows), who.name);
});
