// t/sdk/data.mjs: every method of the query builder of @supabase/supabase-js, unmodified, in an app with two tenants
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { psql } from '../lib/postgres.mjs';
import { eventually, password, stack } from '../lib/stack.mjs';

const s = await stack({ people: false, settings: { 'data.schemas': 'public, shop', 'data.plan': 'on', 'data.tx_end': 'commit-allow-override', 'data.aggregates': 'on' } });

/* What the developer types into psql, as the owner, in the way of Supabase's guides. */
await psql(s.owner, `
create table conversations (id bigint generated always as identity primary key, user_id uuid not null default auth.uid() references auth.users (id) on delete cascade, title text, created_at timestamptz not null default now());
create table messages (id bigint generated always as identity primary key, conversation_id bigint references conversations(id), role text not null, content text not null, created_at timestamptz not null default now());
alter table conversations enable row level security;
create policy "own conversations" on conversations using (auth.uid() = user_id) with check (auth.uid() = user_id);
create policy "messages of own conversations" on messages to authenticated
  using (exists (select 1 from conversations c where c.id = messages.conversation_id and c.user_id = auth.uid()));
create table profiles (id uuid primary key references auth.users (id) on delete cascade, username text unique, visits int not null default 0);
create policy "profiles are public" on profiles for select using (true);
create policy "own profile" on profiles for insert to authenticated with check ((select auth.uid()) = id);
create policy "own profile, changed" on profiles for update to authenticated using ((select auth.uid()) = id);

create type mood as enum ('calm', 'wild');
create table plants (id bigint primary key, name text, latin text, height numeric, evergreen boolean, tags text[], traits jsonb, season int4range, days daterange, words tsvector, mood mood, qty int not null default 7, planted date);
create policy "anybody reads" on plants for select using (true);
create policy "people write" on plants for all to authenticated using (true) with check (true);
create table beds (id bigint primary key, code text not null, plant_id bigint references plants (id), spare_id bigint references plants (id));
create policy "anybody reads" on beds for select using (true);
create table helpers (id bigint primary key, name text);
create policy "anybody reads" on helpers for select using (true);
create table helps (helper_id bigint references helpers (id), bed_id bigint references beds (id), primary key (helper_id, bed_id));
create policy "anybody reads" on helps for select using (true);
create function plant_label(plants) returns text language sql stable as $$ select $1.name || ' (' || coalesce($1.latin, '?') || ')' $$;

create function add_them(a int, b int default 10) returns int language sql immutable as 'select a + b';
create function tall(over numeric) returns setof plants language sql stable as 'select * from plants where height > over';
create function count_of(list int[]) returns int language sql immutable as 'select cardinality(list)';
create function echo_of(payload jsonb) returns jsonb language sql immutable as 'select payload';
create function who() returns uuid language sql stable as 'select auth.uid()';
create function grow(plant bigint) returns void language sql as 'update plants set height = height + 1 where id = plant';
create function quiet_fail() returns void language plpgsql as $$ begin raise exception 'not today' using errcode = 'P0001', detail = 'd', hint = 'h'; end $$;
create function slow() returns int language sql stable as 'select 1 from pg_sleep(20)';

create schema shop;
grant usage on schema shop to anon, authenticated, service_role;
create table shop.orders (id bigint primary key, label text);
select tenon.protect('shop.orders');
create policy "anybody" on shop.orders using (true) with check (true);
create function shop.hello() returns text language sql immutable as $$ select 'from the shop'::text $$;
`);
await eventually('the catalog', async () => (await s.a.service.request('GET', '/rest/v1/plants')).status === 200);

const options = { auth: { autoRefreshToken: false, persistSession: false } };
const client = (key, more) => createClient(s.origin, key, { ...options, ...more });
const ok = ({ data, error }) => {
  assert.equal(error, null, JSON.stringify(error));
  return data;
};
const fails = ({ data, error, status }, wanted, code) => {
  assert.equal(data, null);
  assert.deepEqual([status, error.code], [wanted, code], JSON.stringify(error));
  return error;
};
const admin = client(s.a.secret);
const anon = client(s.a.publishable);
const otherAdmin = client(s.b.secret);
async function signedUp(tenant, name) {
  const supabase = client(tenant.publishable);
  const { user } = ok(await supabase.auth.signUp({ email: `${name}@${tenant.name}.example`, password }));
  return Object.assign(supabase, { user });
}
const [alice, bob, mallory] = await Promise.all([signedUp(s.a, 'alice'), signedUp(s.a, 'bob'), signedUp(s.b, 'mallory')]);

const plants = [
  { id: 1, name: 'rose', latin: 'Rosa', height: 1.5, evergreen: false, tags: ['thorny', 'dry, hot'], traits: { zone: 5, owner: { vip: true } }, season: '[1,5)', days: '[2026-01-01,2026-02-01)', words: 'red rose thorn', mood: 'wild', planted: '2026-03-01' },
  { id: 2, name: 'ivy', latin: 'Hedera', height: 9, evergreen: true, tags: ['climber'], traits: { zone: 4 }, season: '[5,9)', days: '[2026-02-01,2026-03-01)', words: 'green ivy wall', mood: 'calm', planted: '2026-03-02' },
  { id: 3, name: 'Oak (old)', latin: 'Quercus', height: 30, evergreen: false, tags: ['tree', 'thorny'], traits: { zone: 5, list: [1, 2] }, season: '[9,12)', days: '[2026-03-01,2026-04-01)', words: 'old oak wood', mood: null, planted: null },
  { id: 4, name: 'a"b,c', latin: null, height: null, evergreen: null, tags: null, traits: null, season: null, days: null, words: null, mood: null, planted: null },
];
for (const tenant of [admin, otherAdmin]) {
  ok(await tenant.from('plants').insert(plants.slice(0, tenant === admin ? 4 : 0)));
}
ok(await admin.from('beds').insert([{ id: 1, code: 'A1', plant_id: 1, spare_id: 2 }, { id: 2, code: 'A2', plant_id: 1, spare_id: null }, { id: 3, code: 'B1', plant_id: 2, spare_id: 3 }, { id: 4, code: 'C1', plant_id: null, spare_id: null }]));
ok(await admin.from('helpers').insert([{ id: 1, name: 'Ana' }, { id: 2, name: 'Ben' }]));
ok(await admin.from('helps').insert([{ helper_id: 1, bed_id: 1 }, { helper_id: 2, bed_id: 1 }, { helper_id: 1, bed_id: 3 }]));
ok(await otherAdmin.from('plants').insert([{ id: 901, name: 'rose', latin: 'theirs', tags: ['thorny'], height: 100 }]));

test('the conversation of an app: rows of one person, told from another and from another tenant', async () => {
  const talk = ok(await alice.from('conversations').insert({ title: 'plans' }).select().single());
  assert.deepEqual([Object.keys(talk), talk.user_id], [['id', 'user_id', 'title', 'created_at'], alice.user.id]);
  const written = ok(await alice.from('messages').insert([{ conversation_id: talk.id, role: 'user', content: 'hello' }, { conversation_id: talk.id, role: 'assistant', content: 'hi' }]).select('id, role, content'));
  assert.deepEqual(written.map((m) => [m.role, m.content]), [['user', 'hello'], ['assistant', 'hi']]);
  assert.deepEqual(ok(await alice.from('conversations').select('title, messages(content)').order('id', { referencedTable: 'messages', ascending: false })), [{ title: 'plans', messages: [{ content: 'hi' }, { content: 'hello' }] }]);
  for (const other of [bob, mallory, anon, otherAdmin]) {
    assert.deepEqual(ok(await other.from('conversations').select()), []);
    assert.deepEqual(ok(await other.from('messages').select('content, conversations(title)').eq('conversation_id', talk.id)), []);
    assert.deepEqual(ok(await other.from('conversations').update({ title: 'mine' }).eq('id', talk.id).select()), []);
    assert.deepEqual(ok(await other.from('conversations').delete().eq('id', talk.id).select()), []);
  }
  fails(await bob.from('conversations').insert({ title: 'x', user_id: alice.user.id }), 403, '42501');
  fails(await bob.from('messages').insert({ conversation_id: talk.id, role: 'user', content: 'x' }), 403, '42501');
  fails(await mallory.from('conversations').insert({ title: 'x', user_id: alice.user.id }), 403, '42501');
  fails(await anon.from('messages').insert({ conversation_id: talk.id, role: 'user', content: 'x' }), 401, '42501');
  assert.equal(ok(await admin.from('messages').select()).length, 2);
});

test('a profile with a name that is unique in its tenant', async () => {
  ok(await alice.from('profiles').insert({ id: alice.user.id, username: 'queen' }));
  ok(await mallory.from('profiles').insert({ id: mallory.user.id, username: 'queen' }));
  const error = fails(await bob.from('profiles').insert({ id: bob.user.id, username: 'queen' }), 409, '23505');
  assert.ok(!JSON.stringify(error).includes(s.a.id), 'the tenant is not told');
  ok(await bob.from('profiles').upsert({ id: bob.user.id, username: 'king' }));
  assert.deepEqual(ok(await anon.from('profiles').select('username').order('username')), [{ username: 'king' }, { username: 'queen' }]);
  assert.deepEqual(ok(await alice.from('profiles').update({ visits: 1 }).neq('username', '').select('username')), [{ username: 'queen' }]);
});

const ids = (build) => async () => build(anon.from('plants').select('id').order('id'));
const filters = [
  ['eq', (q) => q.eq('id', 2), [2]],
  ['eq of a text with everything in it', (q) => q.eq('name', 'a"b,c'), [4]],
  ['neq', (q) => q.neq('name', 'rose'), [2, 3, 4]],
  ['gt', (q) => q.gt('height', 1.5), [2, 3]],
  ['gte', (q) => q.gte('height', 1.5), [1, 2, 3]],
  ['lt', (q) => q.lt('height', 9), [1]],
  ['lte', (q) => q.lte('height', 9), [1, 2]],
  ['like', (q) => q.like('latin', '%e%'), [2, 3]],
  ['likeAllOf', (q) => q.likeAllOf('latin', ['%e%', '%Q%']), [3]],
  ['likeAnyOf', (q) => q.likeAnyOf('latin', ['R%', 'Q%']), [1, 3]],
  ['ilike', (q) => q.ilike('name', 'OAK%'), [3]],
  ['ilikeAllOf', (q) => q.ilikeAllOf('name', ['%OAK%', '%OLD%']), [3]],
  ['ilikeAnyOf', (q) => q.ilikeAnyOf('name', ['ROSE', 'IVY']), [1, 2]],
  ['regexMatch', (q) => q.regexMatch('name', '^[a-z]+$'), [1, 2]],
  ['regexIMatch', (q) => q.regexIMatch('name', '^oak'), [3]],
  ['is null', (q) => q.is('latin', null), [4]],
  ['is true', (q) => q.is('evergreen', true), [2]],
  ['is false', (q) => q.is('evergreen', false), [1, 3]],
  ['isDistinct', (q) => q.isDistinct('evergreen', true), [1, 3, 4]],
  ['in', (q) => q.in('name', ['rose', 'Oak (old)', 'nothing']), [1, 3]],
  ['in of nothing', (q) => q.in('id', []), []],
  ['notIn', (q) => q.notIn('id', [1, 2]), [3, 4]],
  ['contains, an array', (q) => q.contains('tags', ['thorny']), [1, 3]],
  ['contains, an array with a comma in it', (q) => q.contains('tags', '{"dry, hot"}'), [1]],
  ['contains, JSON', (q) => q.contains('traits', { owner: { vip: true } }), [1]],
  ['contains, a range', (q) => q.contains('season', '[2,3)'), [1]],
  ['containedBy, an array', (q) => q.containedBy('tags', ['climber', 'tree']), [2]],
  ['containedBy, JSON', (q) => q.containedBy('traits', { zone: 4, other: 1 }), [2]],
  ['containedBy, a range', (q) => q.containedBy('season', '[0,6)'), [1]],
  ['overlaps, an array', (q) => q.overlaps('tags', ['climber', 'tree']), [2, 3]],
  ['overlaps, a range', (q) => q.overlaps('days', '[2026-01-15,2026-02-15)'), [1, 2]],
  ['rangeGt', (q) => q.rangeGt('season', '[1,5)'), [2, 3]],
  ['rangeGte', (q) => q.rangeGte('season', '[5,6)'), [2, 3]],
  ['rangeLt', (q) => q.rangeLt('season', '[9,12)'), [1, 2]],
  ['rangeLte', (q) => q.rangeLte('season', '[5,9)'), [1, 2]],
  ['rangeAdjacent', (q) => q.rangeAdjacent('season', '[5,9)'), [1, 3]],
  ['textSearch', (q) => q.textSearch('words', "'rose' & 'red'"), [1]],
  ['textSearch, plain', (q) => q.textSearch('words', 'old oak', { type: 'plain', config: 'simple' }), [3]],
  ['textSearch, phrase', (q) => q.textSearch('words', 'green ivy', { type: 'phrase', config: 'simple' }), []],
  ['textSearch, as on the web', (q) => q.textSearch('words', 'rose or ivy', { type: 'websearch', config: 'simple' }), [1, 2]],
  ['match', (q) => q.match({ evergreen: false, name: 'rose' }), [1]],
  ['not', (q) => q.not('latin', 'is', null), [1, 2, 3]],
  ['not in', (q) => q.not('id', 'in', '(1,2)'), [3, 4]],
  ['or', (q) => q.or('id.eq.1,and(height.gt.5,evergreen.is.true)'), [1, 2]],
  ['or with not and quotes', (q) => q.or('name.eq."a\\"b,c",not.and(id.gt.1,id.lt.5)'), [1, 4]],
  ['filter', (q) => q.filter('traits->>zone', 'eq', '5'), [1, 3]],
  ['filter with any', (q) => q.filter('id', 'eq(any)', '{1,4}'), [1, 4]],
  ['a path into JSON', (q) => q.eq('traits->owner->vip', true), [1]],
  ['an enum', (q) => q.eq('mood', 'calm'), [2]],
  ['a date', (q) => q.gte('planted', new Date('2026-03-02T00:00:00Z').toISOString()), [2]],
  ['two filters on one column', (q) => q.gt('id', 1).lt('id', 4), [2, 3]],
];
for (const [name, build, wanted] of filters)
  test(`filter: ${name}`, async () => {
    assert.deepEqual(ok(await ids(build)()).map((row) => row.id), wanted);
  });

const selects = [
  ['all columns', (t) => t.select().eq('id', 4), [plants[3]], ({ qty, ...row }) => row],
  ['columns', (t) => t.select('id, name').eq('id', 1), [{ id: 1, name: 'rose' }]],
  ['aliases and casts', (t) => t.select('key:id, text:height::text').eq('id', 1), [{ key: 1, text: '1.5' }]],
  ['JSON', (t) => t.select('zone:traits->zone, vip:traits->owner->>vip').eq('id', 1), [{ zone: 5, vip: 'true' }]],
  ['an item of an array', (t) => t.select('first:tags->0').eq('id', 1), [{ first: 'thorny' }]],
  ['a computed column', (t) => t.select('plant_label').eq('id', 1), [{ plant_label: 'rose (Rosa)' }]],
  ['a count by itself', (t) => t.select('id.count()'), [{ count: 4 }]],
  ['groups', (t) => t.select('evergreen, height.sum()').not('evergreen', 'is', null).order('evergreen'), [{ evergreen: false, sum: 31.5 }, { evergreen: true, sum: 9 }]],
  ['related rows', (t) => t.select('name, beds!beds_plant_id_fkey(code)').eq('id', 1), [{ name: 'rose', beds: [{ code: 'A1' }, { code: 'A2' }] }]],
  ['related rows by the column', (t) => t.select('id, spares:beds!spare_id(code)').eq('id', 3), [{ id: 3, spares: [{ code: 'B1' }] }]],
];
for (const [name, build, wanted, shape = (row) => row] of selects)
  test(`select: ${name}`, async () => {
    assert.deepEqual(ok(await build(anon.from('plants'))).map(shape), wanted);
  });

test('embedding: two foreign keys want a hint, inner and its filters, many to many, spread, counts, nested', async () => {
  const beds = () => anon.from('beds');
  const unclear = await anon.from('plants').select('id, beds(code)');
  assert.deepEqual([unclear.status, unclear.error.code, Array.isArray(unclear.error.details)], [300, 'PGRST201', true]);
  assert.deepEqual(ok(await beds().select('code, plant:plants!plant_id(name), spare:plants!spare_id(name)').eq('id', 1)), [{ code: 'A1', plant: { name: 'rose' }, spare: { name: 'ivy' } }]);
  assert.deepEqual(ok(await beds().select('code, plant_id(name)').eq('id', 4)), [{ code: 'C1', plant_id: null }]);
  assert.deepEqual(ok(await beds().select('code, plants!plant_id!inner(name)').eq('plants.name', 'ivy')), [{ code: 'B1', plants: { name: 'ivy' } }]);
  assert.deepEqual(ok(await beds().select('code, plants!plant_id(name)').eq('plants.name', 'ivy').order('id').limit(1)), [{ code: 'A1', plants: null }]);
  assert.deepEqual(ok(await beds().select('code, helpers(name)').eq('id', 1).order('name', { referencedTable: 'helpers', ascending: false })), [{ code: 'A1', helpers: [{ name: 'Ben' }, { name: 'Ana' }] }]);
  assert.deepEqual(ok(await beds().select('code, helpers!helps(name)').eq('id', 3)), [{ code: 'B1', helpers: [{ name: 'Ana' }] }]);
  assert.deepEqual(ok(await beds().select('code, ...plants!plant_id(plant:name)').eq('id', 1)), [{ code: 'A1', plant: 'rose' }]);
  assert.deepEqual(ok(await anon.from('plants').select('name, beds!plant_id(count)').eq('id', 1)), [{ name: 'rose', beds: [{ count: 2 }] }]);
  assert.deepEqual(ok(await anon.from('helpers').select('name, beds(code, plants!plant_id(name))').eq('id', 2)), [{ name: 'Ben', beds: [{ code: 'A1', plants: { name: 'rose' } }] }]);
  assert.deepEqual(ok(await beds().select('code, plants!plant_id()').not('plants', 'is', null).order('id')).map((b) => b.code), ['A1', 'A2', 'B1']);
  assert.deepEqual(ok(await beds().select('code, plants!plant_id()').is('plants', null)), [{ code: 'C1' }]);
  assert.deepEqual(ok(await beds().select('code, plants!plant_id(name)').or('name.eq.rose,height.gt.5', { referencedTable: 'plants' }).eq('id', 3)), [{ code: 'B1', plants: { name: 'ivy' } }]);
  assert.deepEqual(ok(await beds().select('code').order('plants(height)', { ascending: false, nullsFirst: false }).select('code, plants!plant_id(height)').limit(1)), [{ code: 'B1', plants: { height: 9 } }]);
  assert.deepEqual(ok(await anon.from('plants').select('id, beds!plant_id(code)').eq('id', 1).order('code', { referencedTable: 'beds', ascending: false }).limit(1, { referencedTable: 'beds' })), [{ id: 1, beds: [{ code: 'A2' }] }]);
  assert.deepEqual(ok(await anon.from('plants').select('id, beds!plant_id(code)').eq('id', 1).order('code', { referencedTable: 'beds' }).range(1, 5, { referencedTable: 'beds' })), [{ id: 1, beds: [{ code: 'A2' }] }]);
  fails(await beds().select('code, nothing(id)'), 400, 'PGRST200');
  fails(await beds().select('code').eq('plants.name', 'x'), 400, 'PGRST108');
});

test('modifiers: order, limit, range, single, maybeSingle, csv, stripNulls, explain, rollback, returns, overrideTypes', async () => {
  const t = () => anon.from('plants');
  assert.deepEqual(ok(await t().select('id').order('height', { ascending: false })).map((r) => r.id), [4, 3, 2, 1]);
  assert.deepEqual(ok(await t().select('id').order('height', { ascending: false, nullsFirst: false })).map((r) => r.id), [3, 2, 1, 4]);
  assert.deepEqual(ok(await t().select('id').order('evergreen', { nullsFirst: true }).order('id', { ascending: false })).map((r) => r.id), [4, 3, 1, 2]);
  assert.deepEqual(ok(await t().select('id').order('traits->zone').order('id').limit(2)).map((r) => r.id), [2, 1]);
  assert.deepEqual(ok(await t().select('id').order('id').range(1, 2)).map((r) => r.id), [2, 3]);
  assert.deepEqual(ok(await t().select('id').eq('id', 1).single()), { id: 1 });
  const none = fails(await t().select('id').eq('id', 77).single(), 406, 'PGRST116');
  assert.match(none.details, /0 rows/);
  fails(await t().select('id').single(), 406, 'PGRST116');
  assert.equal((await t().select('id').eq('id', 77).maybeSingle()).data, null);
  assert.equal((await t().select('id').eq('id', 77).maybeSingle()).error, null);
  assert.deepEqual(ok(await t().select('id').eq('id', 1).maybeSingle()), { id: 1 });
  assert.equal((await t().select('id').maybeSingle()).error.code, 'PGRST116');
  assert.equal(ok(await t().select('id, name').order('id').csv()), 'id,name\n1,rose\n2,ivy\n3,"Oak (old)"\n4,"a""b,c"');
  assert.deepEqual(ok(await t().select('id, latin').eq('id', 4).stripNulls()), [{ id: 4 }]);
  assert.deepEqual(ok(await t().select('id, latin').eq('id', 4).stripNulls().single()), { id: 4 });
  assert.match(ok(await t().select('id').explain()), /Aggregate|Scan/);
  const plan = ok(await t().select('id').explain({ format: 'json', analyze: true, verbose: true, settings: true, buffers: true, wal: true }));
  assert.ok(plan[0].Plan && plan[0]['Execution Time'] >= 0);
  assert.deepEqual(ok(await alice.from('plants').insert({ id: 50, name: 'gone' }).select('id').rollback()), [{ id: 50 }]);
  assert.deepEqual(ok(await t().select('id').eq('id', 50)), []);
  assert.deepEqual(ok(await t().select('id').eq('id', 1).returns()), [{ id: 1 }]);
  assert.deepEqual(ok(await t().select('id').eq('id', 1).overrideTypes()), [{ id: 1 }]);
  assert.deepEqual(ok(await t().select('id').eq('id', 1).setHeader('x-mine', 'yes').retry(false)), [{ id: 1 }]);
});

test('counts: exact, planned, estimated, with rows and without', async () => {
  for (const count of ['exact', 'estimated']) {
    const answer = await anon.from('plants').select('id', { count }).limit(2);
    assert.deepEqual([answer.count, answer.data.length, answer.status], [4, 2, 206], count);
  }
  assert.equal(typeof (await anon.from('plants').select('id', { count: 'planned' })).count, 'number');
  const head = await anon.from('plants').select('*', { count: 'exact', head: true }).gt('id', 1);
  assert.deepEqual([head.count, head.data, head.error, head.status], [3, null, null, 200]);
  assert.equal((await otherAdmin.from('plants').select('*', { count: 'exact', head: true })).count, 1);
  const wrong = await anon.from('plants').select('nope', { count: 'exact', head: true });
  assert.deepEqual([wrong.status, wrong.count], [400, null]);
});

test('insert: one, many, of uneven keys, with defaults or null, counted', async () => {
  const t = () => alice.from('plants');
  const one = await t().insert({ id: 10, name: 'fern' });
  assert.deepEqual([one.status, one.data, one.error], [201, null, null]);
  const many = await t().insert([{ id: 11, name: 'moss' }, { id: 12, latin: 'Bryum' }], { count: 'exact' }).select('id, name, latin, qty').order('id');
  assert.deepEqual([many.status, many.count, many.data], [201, 2, [{ id: 11, name: 'moss', latin: null, qty: 7 }, { id: 12, name: null, latin: 'Bryum', qty: 7 }]]);
  const { data, count, status } = await t().insert([{ id: 13, name: 'moss', qty: 1 }, { id: 14, latin: 'Bryum' }], { count: 'exact', defaultToNull: false }).select('id, name, latin, qty');
  assert.deepEqual([status, count, data], [201, 2, [{ id: 13, name: 'moss', latin: null, qty: 1 }, { id: 14, name: null, latin: 'Bryum', qty: 7 }]]);
  fails(await t().insert([{ id: 15, qty: 1 }, { id: 16 }]), 400, '23502');
  fails(await t().insert({ id: 1, name: 'again' }), 409, '23505');
  fails(await t().insert({ id: 17, nope: 1 }), 400, 'PGRST204');
  fails(await t().insert({ id: 'x' }), 400, '22P02');
  fails(await anon.from('plants').insert({ id: 17 }), 401, '42501');
  assert.deepEqual(ok(await t().insert([]).select()), []);
});

test('upsert: merge, ignore, onConflict, defaults, counted', async () => {
  const t = () => alice.from('plants');
  const merged = await t().upsert([{ id: 20, name: 'sage' }, { id: 13, name: 'MOSS' }], { count: 'exact' }).select('id, name, qty');
  assert.deepEqual([merged.status, merged.count, merged.data], [201, 2, [{ id: 20, name: 'sage', qty: 7 }, { id: 13, name: 'MOSS', qty: 1 }]]);
  const again = await t().upsert({ id: 20, name: 'salvia' });
  assert.deepEqual([again.status, again.error], [200, null]);
  assert.deepEqual(ok(await t().upsert([{ id: 20, name: 'no' }, { id: 21, name: 'new' }], { ignoreDuplicates: true }).select('id, name')), [{ id: 21, name: 'new' }]);
  assert.deepEqual(ok(await t().upsert({ id: 22, qty: 3 }, { defaultToNull: false }).select('qty').single()), { qty: 3 });
  assert.deepEqual(ok(await bob.from('profiles').upsert({ id: bob.user.id, username: 'king', visits: 5 }, { onConflict: 'username' }).select('visits')), [{ visits: 5 }]);
  fails(await t().upsert({ id: 20 }, { onConflict: 'nope' }), 400, '42703');
  fails(await t().upsert({ id: 20 }, { onConflict: 'name' }), 400, '42P10');
  assert.deepEqual(ok(await t().select('name').eq('id', 20).single()), { name: 'salvia' });
});

test('update and delete: filters, counts, rows, maxAffected, throwOnError', async () => {
  const t = () => alice.from('plants');
  const changed = await t().update({ qty: 99 }, { count: 'exact' }).in('id', [1, 2]);
  assert.deepEqual([changed.status, changed.count, changed.data], [204, 2, null]);
  assert.deepEqual(ok(await t().update({ qty: 98 }).eq('id', 1).select('id, qty').single()), { id: 1, qty: 98 });
  fails(await t().update({ qty: 1 }).eq('id', 77).select().single(), 406, 'PGRST116');
  fails(await t().update({ qty: 1 }).gt('id', 0).select('id').single(), 406, 'PGRST116');
  fails(await t().update({ qty: 1 }).gt('id', 0).maxAffected(2), 400, 'PGRST124');
  assert.equal(ok(await t().select('qty').eq('id', 1).single()).qty, 98, 'and nothing was changed');
  ok(await t().update({ qty: 97 }).eq('id', 1).maxAffected(1));
  assert.deepEqual(ok(await anon.from('plants').update({ qty: 1 }).eq('id', 1).select()), [], 'no policy lets anon write');
  await t().insert([{ id: 30 }, { id: 31 }]);
  fails(await t().delete().gte('id', 30).maxAffected(1).select(), 400, 'PGRST124');
  const gone = await t().delete({ count: 'exact' }).gte('id', 30).select('id').order('id');
  assert.deepEqual([gone.status, gone.count, gone.data], [200, 2, [{ id: 30 }, { id: 31 }]]);
  fails(await t().delete().eq('id', 1), 409, '23503');
  await assert.rejects(async () => t().select('nope').throwOnError(), (error) => error.code === '42703' && /does not exist/.test(error.message));
  assert.deepEqual((await t().select('id').eq('id', 1).throwOnError()).data, [{ id: 1 }]);
});

test('rpc: by POST, GET and HEAD; scalars, rows, nothing, arrays, JSON, errors', async () => {
  assert.equal(ok(await anon.rpc('add_them', { a: 1, b: 2 })), 3);
  assert.equal(ok(await anon.rpc('add_them', { a: 1 }, { get: true })), 11);
  assert.deepEqual([(await anon.rpc('add_them', { a: 1 }, { head: true })).data, (await anon.rpc('add_them', { a: 1 }, { head: true })).status], [null, 200]);
  const rows = await anon.rpc('tall', { over: 1 }, { count: 'exact' }).select('id, name').neq('id', 3).order('id', { ascending: false }).limit(1);
  assert.deepEqual([rows.count, rows.data, rows.status], [2, [{ id: 2, name: 'ivy' }], 206]);
  assert.equal((await anon.rpc('tall', { over: 1 }, { head: true, count: 'exact' })).count, 3);
  assert.deepEqual(ok(await anon.rpc('tall', { over: 10 }).single()).id, 3);
  assert.deepEqual(ok(await anon.rpc('tall', { over: 20 }, { get: true }).select('id, beds!spare_id(code)')), [{ id: 3, beds: [{ code: 'B1' }] }]);
  assert.equal(ok(await anon.rpc('count_of', { list: [1, 2, 3] })), 3);
  assert.equal(ok(await anon.rpc('count_of', { list: [1, 2] }, { get: true })), 2);
  assert.deepEqual(ok(await anon.rpc('echo_of', { payload: { a: [1, { b: null }] } })), { a: [1, { b: null }] });
  assert.equal((await anon.rpc('echo_of', { payload: { a: 1 } }, { head: true })).error, null);
  assert.equal(ok(await alice.rpc('who')), alice.user.id);
  assert.equal(ok(await anon.rpc('who')), null);
  const before = ok(await alice.from('plants').select('height').eq('id', 1).single()).height;
  const grown = await alice.rpc('grow', { plant: 1 });
  assert.deepEqual([grown.status, grown.data, grown.error], [204, null, null]);
  assert.equal(ok(await alice.from('plants').select('height').eq('id', 1).single()).height, before + 1);
  ok(await mallory.rpc('grow', { plant: 1 }));
  assert.equal(ok(await alice.from('plants').select('height').eq('id', 1).single()).height, before + 1, 'a function of another tenant finds no row');
  fails(await alice.rpc('grow', { plant: 1 }, { get: true }), 405, '25006');
  const error = fails(await anon.rpc('quiet_fail'), 400, 'P0001');
  assert.deepEqual([error.message, error.details, error.hint], ['not today', 'd', 'h']);
  const missing = fails(await anon.rpc('add_thm', { a: 1 }), 404, 'PGRST202');
  assert.match(missing.hint, /add_them/);
});

test('another schema: schema() and the option db.schema', async () => {
  assert.deepEqual(ok(await anon.schema('shop').from('orders').insert({ id: 1, label: 'x' }).select()), [{ id: 1, label: 'x' }]);
  assert.equal(ok(await anon.schema('shop').rpc('hello')), 'from the shop');
  assert.deepEqual(ok(await client(s.a.publishable, { db: { schema: 'shop' } }).from('orders').select('label')), [{ label: 'x' }]);
  assert.deepEqual(ok(await client(s.b.publishable, { db: { schema: 'shop' } }).from('orders').select('label')), []);
  for (const schema of ['auth', 'tenon', 'pg_catalog', 'storage']) fails(await anon.schema(schema).from('users').select(), 406, 'PGRST106');
});

test('abortSignal ends the query, and the next one works', async () => {
  const stop = new AbortController();
  const asked = anon.rpc('slow').abortSignal(stop.signal);
  setTimeout(() => stop.abort(), 100);
  const answer = await asked;
  assert.match(String(answer.error?.message), /abort/i);
  assert.equal(ok(await anon.from('plants').select('id').limit(1)).length, 1);
});

test('a table that is not there', async () => {
  const error = fails(await anon.from('plant').select(), 404, 'PGRST205');
  assert.match(error.hint, /plants/);
});

test('after signOut one is anon again', async () => {
  const carol = await signedUp(s.a, 'carol');
  ok(await carol.from('conversations').insert({ title: 'hers' }));
  assert.equal(ok(await carol.from('conversations').select()).length, 1);
  await carol.auth.signOut();
  assert.deepEqual(ok(await carol.from('conversations').select()), []);
});
