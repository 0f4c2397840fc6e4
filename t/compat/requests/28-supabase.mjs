/* What supabase-js sends: every method of its query builder is called, and the requests that it makes are kept for both servers */
import { createClient } from '@supabase/supabase-js';
import { any, section } from '../lib/corpus.mjs';

const made = [];
const client = createClient('http://record', 'key', {
  db: { schema: 'garden' },
  auth: { persistSession: false },
  global: {
    fetch: async (url, { method, headers, body }) => {
      made.push({ method, target: String(url).replace('http://record/rest/v1', ''), headers: new Headers(headers), body });
      return new Response('[]', { status: 200, headers: { 'Content-Type': 'application/json' } });
    },
  },
});

const gardens = () => client.from('gardens');
const stock = () => client.from('stock');
const row = { sku: 'hoe', qty: 1 };

/* What PostgREST answers, and the call. */
const calls = [
  [200, () => gardens().select()],
  [200, () => gardens().select('id, name, beds ( code, sun )')],
  [200, () => gardens().select('"id", owner:meta->owner->>name')],
  [200, () => gardens().select('*', { count: 'exact', head: true })],
  [206, () => gardens().select('*', { count: 'planned' })],
  [200, () => gardens().select('*', { count: 'estimated' })],
  [200, () => gardens().select('id').eq('name', 'North Hill')],
  [200, () => gardens().select('id').neq('name', 'North Hill').order('id')],
  [200, () => gardens().select('id').gt('id', 1).gte('id', 2).lt('id', 5).lte('id', 4).order('id')],
  [200, () => gardens().select('id').like('name', '%Hill%')],
  [200, () => gardens().select('id').ilike('name', '%hill%')],
  [200, () => gardens().select('id').likeAllOf('name', ['%o%', '%t%']).order('id')],
  [200, () => gardens().select('id').likeAnyOf('name', ['%o%', '%x%']).order('id')],
  [200, () => gardens().select('id').ilikeAllOf('name', ['%O%', '%T%']).order('id')],
  [200, () => gardens().select('id').ilikeAnyOf('name', ['%O%', '%X%']).order('id')],
  [200, () => gardens().select('id').regexMatch('name', '^N').order('id')],
  [200, () => gardens().select('id').regexIMatch('name', '^n').order('id')],
  [200, () => gardens().select('id').is('opened', null)],
  [200, () => gardens().select('id').is('public', true).order('id')],
  [200, () => gardens().select('id').isDistinct('area', 300).order('id')],
  [200, () => gardens().select('id').in('id', [1, 2]).order('id')],
  [200, () => client.from('words').select().in('w', ['a,b', '(paren)', 'alpha']).order('id')],
  [200, () => gardens().select('id').notIn('id', [1, 2]).order('id')],
  [200, () => gardens().select('id').contains('tags', ['rocky']).order('id')],
  [200, () => gardens().select('id').contains('meta', { zone: 5 })],
  [200, () => client.from('beds').select('id').contains('sun', '[8,9)').order('id')],
  [200, () => gardens().select('id').containedBy('tags', ['rocky', 'alpine']).order('id')],
  [200, () => client.from('species').select('id').containedBy('traits', { height: 30, more: 1 }).order('id')],
  [200, () => client.from('beds').select('id').rangeGt('sun', '[1,6)').order('id')],
  [200, () => client.from('beds').select('id').rangeGte('sun', '[6,20)').order('id')],
  [200, () => client.from('beds').select('id').rangeLt('sun', '[15,30)').order('id')],
  [200, () => client.from('beds').select('id').rangeLte('sun', '[1,20)').order('id')],
  [200, () => client.from('beds').select('id').rangeAdjacent('sun', '[11,12)').order('id')],
  [200, () => client.from('beds').select('id').overlaps('sun', '[7,11)').order('id')],
  [200, () => gardens().select('id').overlaps('tags', ['wet', 'rocky']).order('id')],
  [200, () => client.from('species').select('id').textSearch('tsv', 'roses', { config: 'english' }).order('id')],
  [200, () => client.from('species').select('id').textSearch('tsv', 'wild roses', { type: 'plain', config: 'english' })],
  [200, () => client.from('species').select('id').textSearch('tsv', 'wild roses', { type: 'phrase' })],
  [200, () => client.from('species').select('id').textSearch('tsv', 'roses or mildew -winter', { type: 'websearch', config: 'english' }).order('id')],
  [200, () => gardens().select('id').match({ name: 'Orchard', public: true })],
  [200, () => gardens().select('id').not('opened', 'is', null).order('id')],
  [200, () => gardens().select('id').not('id', 'in', '(1,2)').order('id')],
  [200, () => gardens().select('id').or('id.eq.1,name.eq.Orchard').order('id')],
  [200, () => gardens().select('id').or('id.gt.2,and(id.eq.1,name.like.*Hill*)').order('id')],
  [200, () => gardens().select('id, beds(code)').or('code.eq.A1,code.eq.R1', { referencedTable: 'beds' }).order('id')],
  [200, () => gardens().select('id').filter('meta->owner->>name', 'eq', 'Ada')],
  [200, () => gardens().select('id').filter('name', 'in', '("North Hill","Orchard")').order('id')],
  [200, () => gardens().select('id, opened').order('opened', { ascending: false, nullsFirst: false }).order('id')],
  [200, () => gardens().select('id, beds(code)').order('id').order('code', { referencedTable: 'beds', ascending: false })],
  [200, () => client.from('beds').select('id, gardens(name)').order('gardens(name)', { ascending: false }).order('id')],
  [200, () => gardens().select('id').order('id').limit(2)],
  [200, () => gardens().select('id, beds(code)').order('id').order('id', { referencedTable: 'beds' }).limit(1, { referencedTable: 'beds' })],
  [206, () => gardens().select('id', { count: 'exact' }).order('id').range(1, 2)],
  [200, () => gardens().select('id, beds(code)').order('id').order('id', { referencedTable: 'beds' }).range(0, 0, { referencedTable: 'beds' })],
  ['416 PGRST103', () => gardens().select('id', { count: 'exact' }).range(20, 29)],
  [200, () => gardens().select().eq('id', 1).single()],
  ['406 PGRST116', () => gardens().select().single()],
  ['406 PGRST116', () => gardens().select().eq('id', 99).single()],
  [200, () => gardens().select().eq('id', 99).maybeSingle()],
  [200, () => gardens().select().eq('id', 1).maybeSingle()],
  [200, () => gardens().select().order('id').csv()],
  [200, () => gardens().select().order('id').stripNulls()],
  [200, () => gardens().select().eq('id', 3).stripNulls().single()],
  [200, () => gardens().select().explain()],
  [200, () => gardens().select().explain({ analyze: true, verbose: true, format: 'json' })],
  [200, () => gardens().select('id, beds(count)').order('id')],
  [200, () => gardens().select('id, beds!inner(code)').eq('beds.code', 'A1')],
  [200, () => client.from('shipments').select('id, from:gardens!shipments_from_fkey(name), to:gardens!shipments_to_fkey(name)').order('id')],
  [201, () => stock().insert(row)],
  [201, () => stock().insert(row).select()],
  [201, () => stock().insert(row).select('sku').single()],
  [201, () => stock().insert([row, { sku: 'fork', qty: 2 }]).select('sku, qty')],
  [201, () => stock().insert([row, { sku: 'fork' }], { defaultToNull: false }).select('sku, qty')],
  ['400 23502', () => stock().insert([{ id: 900, ...row }, { id: 901, sku: 'fork' }])],
  [201, () => stock().insert(row, { count: 'exact' })],
  ['409 23505', () => stock().insert({ id: 1, sku: 'x' })],
  ['400 PGRST204', () => stock().insert({ nope: 1 })],
  [200, () => stock().upsert({ id: 1, sku: 'rake', qty: 9 }).select()],
  [201, () => stock().upsert([{ id: 1, qty: 9 }, { id: 60, qty: 1 }]).select()],
  [200, () => stock().upsert({ sku: 'spade', qty: 50 }, { onConflict: 'sku' }).select()],
  [201, () => stock().upsert([{ id: 1, qty: 9 }, { id: 60, qty: 1 }], { ignoreDuplicates: true }).select()],
  [201, () => stock().upsert([{ sku: 'spade', qty: 50 }, { sku: 'new' }], { onConflict: 'sku', defaultToNull: false, count: 'exact' }).select('sku, qty')],
  [204, () => stock().update({ qty: 5 }).eq('id', 1)],
  [200, () => stock().update({ qty: 5 }).eq('id', 1).select()],
  [200, () => stock().update({ qty: 5 }, { count: 'exact' }).in('id', [1, 2]).select('id, qty')],
  ['406 PGRST116', () => stock().update({ qty: 5 }).gt('id', 1).select().single()],
  [200, () => gardens().update({ area: 1 }).eq('id', 1).select('id, beds(code)').single()],
  [204, () => stock().delete().eq('id', 1)],
  [200, () => stock().delete().eq('id', 1).select()],
  [204, () => stock().delete({ count: 'exact' }).in('id', [1, 2])],
  [200, () => stock().delete().eq('id', 1).select('sku').single()],
  ['409 23503', () => client.from('species').delete().eq('id', 1)],
  [200, () => client.rpc('add', { a: 1, b: 2 })],
  [200, () => client.rpc('add', { a: 1, b: 2 }, { get: true })],
  [200, () => client.rpc('pairs', { n: 5 }, { head: true, count: 'exact' })],
  [206, () => client.rpc('pairs', { n: 5 }, { count: 'exact' }).select('k').gt('k', 1).order('k', { ascending: false }).limit(2)],
  [200, () => client.rpc('find_gardens', { q: 'r' }).select('name, beds(code)').order('id')],
  [200, () => client.rpc('find_gardens', { q: 'Glass' }).single()],
  [200, () => client.rpc('numbers', { nums: [3, 1, 2] }, { get: true })],
  [200, () => client.rpc('numbers', { nums: [3, 1, 2] })],
  [200, () => client.rpc('take', { payload: { a: 1 } })],
  [204, () => client.rpc('nothing')],
  [200, () => client.rpc('greet')],
  ['404 PGRST202', () => client.rpc('nope')],
  ['404 42P01', () => client.from('nope').select()],
  [200, () => client.schema('annex').from('tools').select().order('id')],
  ['406 PGRST106', () => client.schema('cellar').from('casks').select()],
];

const requests = [];
for (const [expected, call] of calls) {
  made.length = 0;
  await call();
  const [{ method, target, headers, body }] = made;
  const kept = Object.fromEntries([...headers].filter(([name]) => ['accept', 'accept-profile', 'content-profile', 'content-type'].includes(name)));
  const named = Object.fromEntries(Object.entries(kept).map(([name, value]) => [name.replace(/(^|-)[a-z]/g, (c) => c.toUpperCase()), value]));
  requests.push({ ...any(method, expected, target, { prefer: headers.get('prefer') ?? undefined, headers: named, body, type: null }), name: `supabase-js: ${String(call).slice(6)}` });
}

export default [section('24 what supabase-js sends', requests)];
