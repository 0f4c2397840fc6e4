// t/api/data-callers.mjs: who may ask the data API, as whom, and what they are told when they may not
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hs256, now, tamper } from '../lib/jwt.mjs';
import { garden } from '../lib/garden.mjs';
import { password } from '../lib/stack.mjs';

const s = await garden({ ownCluster: true });
const alice = await s.a.person('alice');
const bob = await s.a.person('bob');
const secret = s.settings['auth.jwt_secret'];
await s.sql(`create role gardener nologin; create role stranger_to_us nologin; grant gardener to tenon_authenticator; grant authenticated to gardener;
  grant select on public.stock to gardener; create policy gardeners on public.stock to gardener using (true); alter role gardener set statement_timeout = '3s';`);

const whoami = async (client, headers = {}) => client.request('POST', '/rest/v1/rpc/whoami', {}, { headers });
const token = (claims, key = secret, header = {}) => ({ authorization: `Bearer ${hs256(claims, key, header)}` });

const dora = await s.a.service.post('/auth/v1/admin/users', { email: 'dora@a.example', password, email_confirm: true, role: 'gardener' });
const dorasSession = await s.a.anon.post('/auth/v1/token?grant_type=password', { email: dora.email, password });

const callers = [
  { name: 'nobody is anon of the default tenant', client: s.client(), role: 'anon', tenant: s.a.id },
  { name: 'a publishable key', client: s.b.anon, role: 'anon', tenant: s.b.id },
  { name: 'a publishable key in Authorization', client: s.client({ authorization: `Bearer ${s.b.publishable}` }), role: 'anon', tenant: s.b.id },
  { name: 'a secret key', client: s.b.service, role: 'service_role', tenant: s.b.id },
  { name: 'a person', client: alice, role: 'authenticated', tenant: s.a.id, sub: alice.user.id },
  { name: "a token of the app's own, without a role", client: s.client(token({ app: 'x' })), role: 'anon', tenant: s.a.id },
  { name: "a role of the app's own", client: s.client(token({ role: 'gardener' })), role: 'gardener', tenant: s.a.id },
  { name: "a person of such a role", client: s.a.signedIn(dorasSession), role: 'gardener', tenant: s.a.id, sub: dora.id },
  { name: "the same token as key and as bearer", client: s.client({ apikey: hs256({ role: 'gardener' }, secret), ...token({ role: 'gardener' }) }), role: 'gardener', tenant: s.a.id },
  { name: 'a token of another tenant', client: s.client(token({ role: 'authenticated', tenant_id: s.b.id })), role: 'authenticated', tenant: s.b.id },
  { name: 'a scheme that is not Bearer', client: s.client({ authorization: 'Basic YTpi' }), role: 'anon', tenant: s.a.id },
  { name: 'a token that has ended just now', client: s.client(token({ role: 'gardener', exp: now() - 10 })), role: 'gardener', tenant: s.a.id },
  { name: 'a token for another audience', client: s.client(token({ role: 'gardener', aud: 'elsewhere' })), role: 'gardener', tenant: s.a.id },
];
for (const c of callers)
  test(c.name, async () => {
    const answer = await whoami(c.client);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.json.role, answer.json.tenant, answer.json.claims.role], [c.role, c.tenant, c.role]);
    if (c.sub) assert.equal(answer.json.claims.sub, c.sub);
  });

const refused = [
  { name: 'expired', headers: token({ role: 'gardener', exp: now() - 60 }), code: 'PGRST303', words: /JWT expired/ },
  { name: 'not valid yet', headers: token({ role: 'gardener', nbf: now() + 600 }), code: 'PGRST303' },
  { name: 'from the future', headers: token({ role: 'gardener', iat: now() + 600 }), code: 'PGRST303' },
  { name: 'signed by somebody else', headers: token({ role: 'gardener' }, 'another secret of thirty-two characters'), code: 'PGRST301' },
  { name: 'no JWT', headers: { authorization: 'Bearer nonsense' }, code: 'PGRST301' },
  { name: "a person's token, with another's name in it", headers: { authorization: `Bearer ${tamper(alice.session.access_token, 'claims', (c) => ({ ...c, sub: bob.user.id }))}` }, code: 'PGRST301' },
  { name: 'a role of ours that is not for clients', headers: token({ role: 'tenon_worker' }), code: 'PGRST301' },
  { name: "an agent's role without an agent's key", headers: token({ role: 'agent' }), code: 'PGRST301' },
  { name: 'a role that is not there', headers: token({ role: 'nobody_at_all' }), status: 400, code: '22023' },
  { name: 'a role that means none', headers: token({ role: 'none' }), status: 400, code: '22023' },
  { name: 'a role that the login may not take', headers: token({ role: 'stranger_to_us' }), status: 403, code: '42501' },
  { name: 'the superuser', headers: token({ role: 'postgres' }), status: 403, code: '42501' },
  { name: 'a tenant that is not there', headers: token({ role: 'gardener', tenant_id: '00000000-0000-7000-8000-000000000000' }), code: 'PGRST301' },
  { name: 'a key that is none', headers: { apikey: 'tnp_nonsense' }, code: 'invalid_key' },
  { name: 'a token of another tenant than the key', headers: { apikey: s.b.publishable, authorization: `Bearer ${alice.session.access_token}` }, code: 'PGRST301' },
];
for (const c of refused)
  test(`refused: ${c.name}`, async () => {
    const answer = await whoami(s.client(), c.headers);
    assert.deepEqual([answer.status, answer.json.code], [c.status ?? 401, c.code], answer.text);
    assert.deepEqual(Object.keys(answer.json).sort(), ['code', 'details', 'hint', 'message']);
    if ((c.status ?? 401) === 401) assert.match(answer.headers['www-authenticate'], /^Bearer/);
    if (c.words) assert.match(answer.headers['www-authenticate'], c.words);
  });

test('what may not be done: 401 for anon, 403 for everybody else', async () => {
  const nobody = await s.client().request('GET', '/rest/v1/vault');
  assert.deepEqual([nobody.status, nobody.json.code, nobody.headers['www-authenticate']], [401, '42501', 'Bearer'], nobody.text);
  for (const client of [s.a.anon, s.client(token({ role: 'anon' }))]) assert.equal((await client.request('GET', '/rest/v1/vault')).status, 401);
  for (const client of [alice, s.client(token({ role: 'gardener' }))]) {
    const answer = await client.request('GET', '/rest/v1/vault');
    assert.deepEqual([answer.status, answer.json.code, answer.headers['www-authenticate']], [403, '42501', undefined], answer.text);
  }
});

test("people's rows are theirs", async () => {
  const [note] = (await alice.request('POST', '/rest/v1/notes', { body: 'mine' }, { headers: { prefer: 'return=representation' } })).json;
  assert.equal(note.owner, alice.user.id);
  assert.deepEqual(await bob.get('/rest/v1/notes'), []);
  assert.deepEqual(await s.b.service.get('/rest/v1/notes'), []);
  assert.equal((await bob.request('PATCH', '/rest/v1/notes', { body: 'taken' }, { headers: { prefer: 'count=exact' } })).headers['content-range'], '*/0');
  const stolen = await bob.request('POST', '/rest/v1/notes', { owner: alice.user.id, body: 'forged' });
  assert.deepEqual([stolen.status, stolen.json.code], [403, '42501']);
});

test('the platform belongs to no tenant, so it has no rows', async () => {
  const { json } = await s.tenon('key', 'create', '--kind', 'platform', '--json');
  const answer = await s.client({ apikey: json.key }).request('GET', '/rest/v1/stock');
  assert.deepEqual([answer.status, answer.json.code], [403, 'role_not_allowed'], answer.text);
  assert.match(answer.json.hint, /key of the tenant/);
});

test('an agent calls what its key names', async () => {
  const key = async (scopes) => (await s.tenon('key', 'create', '--kind', 'agent', '--tenant', 'a', '--expires-in', '1 hour', '--scopes', scopes, '--user', alice.user.id, '--json')).json.key;
  const agent = s.client({ apikey: await key('data:add:call') });
  assert.equal((await agent.request('POST', '/rest/v1/rpc/add', { a: 1 })).text, '11');
  const other = await agent.request('GET', '/rest/v1/rpc/numbers?n=1');
  assert.deepEqual([other.status, other.json.code], [403, 'scope_missing'], other.text);
  const all = s.client({ apikey: await key('data:*') });
  assert.equal((await all.request('GET', '/rest/v1/rpc/numbers?n=1')).status, 200);
});

test("an agent calls functions of a row only where its key names them", async () => {
  await s.sql(`create policy agents on public.beds to agent using (true); grant select on public.stock, public.beds to agent;
    create function public.label(public.stock) returns text language sql stable as 'select $1.sku';
    create function public.siblings(public.stock) returns setof public.beds language sql stable as 'select * from public.beds where stock_id = $1.id';
    notify pgrst`);
  const agent = async (scopes) => s.client({ apikey: (await s.tenon('key', 'create', '--kind', 'agent', '--tenant', 'a', '--expires-in', '1 hour', '--scopes', scopes, '--user', alice.user.id, '--json')).json.key });
  const reads = 'data:stock:read,data:beds:read';
  const [reader, caller] = [await agent(reads), await agent(`${reads},data:label:call,data:siblings:call`)];
  const paths = ['stock?select=label', 'stock?select=id&label=eq.rope', 'stock?select=id&or=(id.eq.1,label.eq.rope)', 'stock?select=id&order=label',
    'stock?select=id,siblings(code)', 'beds?select=id,stock(label)', 'beds?select=id,stock()&order=stock(label)'];
  for (const path of paths) {
    const refused = await reader.request('GET', `/rest/v1/${path}`);
    assert.deepEqual([refused.status, refused.json.code], [403, 'scope_missing'], path);
    const allowed = await caller.request('GET', `/rest/v1/${path}`);
    assert.equal(allowed.status, 200, `${path}: ${allowed.text}`);
  }
  for (const path of ['stock?select=id,sku,beds(code)', 'stock?select=*&order=id', 'beds?select=id,stock(sku)&order=stock(sku)', 'beds?select=stock(id),ctid'])
    assert.equal((await reader.request('GET', `/rest/v1/${path}`)).status, 200, path);
});

test('what SQL sees of the request', async () => {
  const see = async (name, options) => (await s.a.service.request('GET', `/rest/v1/rpc/setting?name=${name}`, undefined, options)).json;
  assert.deepEqual([await see('request.method'), await see('request.path'), await see('search_path')], ['GET', '/rpc/setting', '"public", "extensions"']);
  const headers = JSON.parse(await see('request.headers', { headers: { 'x-mine': 'yes', cookie: 'a=1' } }));
  assert.equal(headers['x-mine'], 'yes');
  for (const secretOne of ['apikey', 'authorization', 'cookie']) assert.ok(!(secretOne in headers));
  assert.deepEqual(JSON.parse(await see('request.cookies', { headers: { cookie: 'a=1; b="x y"' } })), { a: '1', b: '"x y"' });
  assert.equal(await see('request.cookies'), '{}');
  assert.equal((await s.client(token({ role: 'gardener' })).request('GET', '/rest/v1/rpc/setting?name=statement_timeout')).json, '3s');
});
