// t/cmd/doctor.mjs: tenon doctor finds what is broken, names it, and says how to mend it
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { commandLine } from '../lib/command.mjs';
import { startCluster } from '../lib/postgres.mjs';

// a cluster of its own: roles are broken here, and other tests use them
const cluster = await startCluster();
const storage = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-doctor-'));
fs.mkdirSync(path.join(storage, 'spool'));
after(() => fs.rmSync(storage, { recursive: true }));
const c = await commandLine(cluster.url, { settings: { 'server.user': '', 'storage.dir': storage } });

/* Findings that are not "ok", without the server and nginx, which do not run here, and what this machine and build have. */
async function findings(options = {}) {
  const { json, code, stderr } = await c.tenon('doctor', '--json', options);
  assert.ok(json, stderr);
  assert.equal(json.ok, code === 0);
  return json.findings.filter((f) => f.level !== 'ok' && !['server', 'nginx', 'config.file', 'storage.images', 'storage.room'].includes(f.check));
}

before(async () => {
  assert.equal((await c.tenon('init', '--superuser-url', cluster.url)).code, 0);
  assert.equal((await c.tenon('tenant', 'create', 'acme')).code, 0);
});

test('a healthy installation', async () => {
  assert.deepEqual(await findings(), []);
  const { code, stdout } = await c.tenon('doctor');
  assert.equal(code, 1, 'the server does not run');
  assert.match(stdout, /BAD {3}server/);
  assert.match(stdout, /BAD {3}nginx/);
});

const cases = [
  { name: 'a folder that is not the one of before', check: 'storage.id', finding: /not the folder of before/, mend: /tenon\.id/,
    sql: 'update storage.folder set marked_at = now()', undo: 'update storage.folder set marked_at = null' },
  { name: 'a table without row security', check: 'rls.tables', finding: /leaky has no row security/, mend: /tenon\.protect\('leaky'\)/,
    sql: "set tenon.auto_protect = off; create table public.leaky (a int); grant select on public.leaky to anon", undo: 'drop table public.leaky' },
  { name: 'row security that does not bind the owner', check: 'rls.tables', finding: /does not force/,
    sql: 'alter table auth.users no force row level security', undo: 'alter table auth.users force row level security' },
  { name: 'a table of nobody', check: 'rls.tables', level: 'warning', finding: /shared has no tenant_id/,
    sql: 'set tenon.auto_protect = off; create table public.shared (a int); alter table public.shared enable row level security, force row level security; grant select on public.shared to anon',
    undo: 'drop table public.shared' },
  { name: 'a tenant_id without the wall', check: 'rls.tenant', finding: /auth\.sessions has a tenant_id/,
    sql: 'alter policy tenon_tenant on auth.sessions rename to gone; drop policy gone on auth.sessions', undo: "select tenon.isolate('auth.sessions')" },
  { name: 'agents that have less than their people', check: 'database.members', finding: /agent does not have what authenticated has/, mend: /tenon init/,
    sql: 'revoke authenticated from agent', undo: 'grant authenticated to agent' },
  { name: 'a table that agents reach without a scope', check: 'rls.agents', level: 'warning', finding: /public\.open lets agents delete without a scope/, mend: /tenon\.protect\('public\.open'\)/,
    sql: 'set role tenon_owner; create table public.open (id uuid primary key default gen_random_uuid()); drop policy tenon_agent_drops on public.open', undo: 'drop table public.open' },
  { name: 'a policy that gives agents more than people', check: 'rls.agents', level: 'warning', finding: /public\.open gives agents more than people, by the policy bots/,
    sql: 'set role tenon_owner; create table public.open (id uuid primary key default gen_random_uuid()); create policy bots on public.open to agent using (true)', undo: 'drop table public.open' },
  { name: 'a view with its owner\'s rights', check: 'rls.views', finding: /seen shows what its owner/, mend: /alter view seen set/,
    sql: 'create view public.seen as select * from auth.users; grant select on public.seen to anon', undo: 'drop view public.seen' },
  { name: 'a materialized view', check: 'rls.views', finding: /mat is a materialized view/, mend: /else keep .* in a protected table/,
    sql: 'create materialized view public.mat as select 1 as a; grant select on public.mat to authenticated', undo: 'drop materialized view public.mat' },
  { name: 'a function of a superuser', check: 'rls.functions', finding: /all_powerful\(\) runs as postgres/,
    sql: "create function public.all_powerful() returns int language sql security definer set search_path = '' as 'select 1'", undo: 'drop function public.all_powerful()' },
  { name: 'a definer with the caller\'s search_path', check: 'rls.functions', finding: /careless\(\) runs as tenon_owner with/,
    sql: "set role tenon_owner; create function public.careless() returns int language sql security definer as 'select 1'", undo: 'drop function public.careless()' },
  { name: 'TRUNCATE', check: 'rls.grants', finding: /service_role may truncate/, sql: 'grant truncate on auth.users to service_role', undo: 'revoke truncate on auth.users from service_role' },
  { name: 'CREATE in public', check: 'rls.grants', finding: /schema public anon may create/, sql: 'grant create on schema public to anon', undo: 'revoke create on schema public from anon' },
  { name: 'the event trigger disabled', check: 'rls.event_trigger', finding: /tenon_auto_protect is disabled/, mend: /tenon init/,
    sql: 'alter event trigger tenon_auto_protect disable', undo: 'alter event trigger tenon_auto_protect enable' },
  { name: 'an event trigger that is missing', check: 'rls.event_trigger', finding: /tenon_notify_catalog_drop is missing/,
    sql: 'alter event trigger tenon_notify_catalog_drop rename to gone', undo: 'alter event trigger gone rename to tenon_notify_catalog_drop' },
  { name: 'a column of a table without row security', check: 'rls.tables', finding: /leaky has no row security/,
    sql: "set tenon.auto_protect = off; create table public.leaky (a int, b int); grant select (a) on public.leaky to anon", undo: 'drop table public.leaky' },
  { name: 'what a role of the operator\'s own can read', check: 'rls.tables', finding: /leaky has no row security/,
    sql: "create role editor; grant editor to tenon_authenticator; set tenon.auto_protect = off; create table public.leaky (a int); grant select on public.leaky to editor; grant usage on schema public to editor",
    undo: 'drop table public.leaky; drop owned by editor; drop role editor' },
  { name: 'a role of the operator\'s own that no policy binds', check: 'database.members', finding: /editor can be taken by requests/,
    sql: 'create role editor bypassrls; grant editor to tenon_authenticator', undo: 'drop role editor' },
  { name: 'a foreign table', check: 'rls.views', finding: /far is a foreign table/,
    sql: 'create foreign data wrapper w; create server s foreign data wrapper w; create foreign table public.far (a int) server s; grant select on public.far to authenticated',
    undo: 'drop foreign data wrapper w cascade' },
  { name: 'a primary key that people choose', check: 'rls.keys', level: 'warning', finding: /themes has the primary key \(name\)/, mend: /alter table themes drop constraint/,
    sql: 'create table public.themes (name text primary key)', undo: 'drop table public.themes' },
  { name: 'what another table refers to', check: 'rls.uniques', level: 'warning', finding: /goods keeps goods_sku_key unique over all tenants: a foreign key/,
    sql: "set tenon.auto_protect = off; create table public.goods (id uuid primary key, sku text unique); create table public.lines (sku text references public.goods (sku)); select tenon.protect('goods')",
    undo: 'drop table public.lines, public.goods' },
  { name: 'an exclusion constraint', check: 'rls.uniques', level: 'warning', finding: /rooms keeps rooms_at_excl unique over all tenants: without the extension btree_gist/,
    sql: 'create table public.rooms (id uuid primary key, at tstzrange, exclude using gist (at with &&))', undo: 'drop table public.rooms' },
  { name: 'a function that names no key', check: 'rls.conflicts', level: 'warning', finding: /put\(text\) says on conflict \(sku\)/, mend: /tenant_id/,
    sql: "create table public.goods (id uuid primary key default gen_random_uuid(), sku text unique); set check_function_bodies = off; create function public.put(text) returns void language sql as 'insert into goods (sku) values ($1) on conflict (sku) do nothing'; create function public.good(text) returns void language sql as 'insert into goods (sku) values ($1) on conflict (\"sku\", tenant_id) do nothing; insert into goods (sku) values ($1) on conflict (id) do nothing'",
    undo: 'drop table public.goods; drop function public.put(text), public.good(text)' },
  { name: 'a request role that bypasses row security', check: 'database.roles', finding: /service_role bypasses row security/, mend: /tenon init/,
    sql: 'alter role service_role bypassrls', undo: 'alter role service_role nobypassrls' },
  { name: 'a role that is missing', check: 'database.roles', finding: /agent does not exist/, sql: 'alter role agent rename to agent_gone', undo: 'alter role agent_gone rename to agent' },
  { name: 'a request role with power', check: 'database.members', finding: /anon is a member of tenon_platform/,
    sql: 'grant tenon_platform to anon', undo: 'revoke tenon_platform from anon' },
  { name: 'a login that cannot become what it must', check: 'database.members', finding: /tenon_authenticator cannot become tenon_worker/,
    sql: 'revoke tenon_worker from tenon_authenticator', undo: 'grant tenon_worker to tenon_authenticator' },
  { name: 'a changed migration', check: 'migrations', finding: /0002_auth\.sql is not what/,
    sql: "update tenon.migrations set sha256 = reverse(sha256) where number = 2", undo: 'update tenon.migrations set sha256 = reverse(sha256) where number = 2' },
  { name: 'no active signing key', check: 'signing_keys', finding: /no token can be signed/,
    sql: "update tenon.signing_keys set status = 'retired' where status = 'active'", undo: "update tenon.signing_keys set status = 'active' where status = 'retired'" },
];
for (const { name, check, level = 'error', finding, mend = /./, sql, undo } of cases)
  test(name, async () => {
    await c.sql(sql);
    const found = await findings();
    await c.sql(undo);
    const hit = found.find((f) => f.check === check && finding.test(f.finding));
    assert.ok(hit, `${check} ${finding} is not among ${JSON.stringify(found)}`);
    assert.equal(hit.level, level);
    assert.match(hit.mend, mend);
  });

test('all of it is mended again', async () => assert.deepEqual(await findings(), []));

const settings = [
  { name: 'a superuser as the workers\' login', env: { TENON_DATABASE_URL: c.url }, check: 'database.url', finding: /superuser or bypasses/ },
  { name: 'a login that does not connect', env: { TENON_DATABASE_URL: c.url.replace('postgres@', 'nobody@') }, check: 'database.url', finding: /no connection/ },
  { name: 'another server.secret', env: { TENON_SERVER_SECRET: 'a'.repeat(64) }, check: 'signing_keys', finding: /no token can be signed/ },
  { name: 'no server.secret', env: { TENON_SERVER_SECRET: '' }, check: 'config.secret', finding: /64 hexadecimal/ },
  { name: 'a short jwt_secret', env: { TENON_AUTH_JWT_SECRET: 'short' }, check: 'config.jwt_secret', finding: /can be guessed/ },
  { name: 'plain HTTP', env: { TENON_SERVER_PUBLIC_URL: 'http://198.51.100.1:1' }, check: 'config.public_url', finding: /in the clear/ },
  { name: 'a folder that is not there', env: { TENON_SERVER_RUN_DIR: '/nonexistent/tenon' }, check: 'folder.run', finding: /No such file/ },
  { name: 'no folder for files', env: { TENON_STORAGE_DIR: '/nonexistent/storage' }, check: 'storage.folder', finding: /cannot be stored/ },
  { name: 'a spool that nginx does not use', env: { TENON_STORAGE_DIR: os.tmpdir() }, check: 'storage.spool', finding: /cannot be taken/ },
  { name: 'a default tenant that is not there', env: { TENON_DATA_DEFAULT_TENANT: 'nobody' }, check: 'tenants', finding: /no such tenant/ },
  { name: 'a default provider that is not there', env: { TENON_CHAT_PROVIDER: 'nobody' }, check: 'config.providers', finding: /no such provider/ },
  { name: 'more connections than there are', env: { TENON_API_CONNECTIONS: '5000' }, check: 'database.connections', finding: /may open/ },
];
for (const { name, env, check, finding } of settings)
  test(name, async () => {
    const { json, code, stderr } = await c.tenon('doctor', '--json', { env });
    if (code === 6) return assert.match(stderr, /config/); // what the configuration itself refuses needs no doctor
    assert.ok(json.findings.some((f) => f.check === check && f.level !== 'ok' && finding.test(f.finding)), JSON.stringify(json.findings.filter((f) => f.level !== 'ok')));
  });

test('a configuration that others may read', async () => {
  fs.chmodSync(c.conf, 0o644);
  const { json } = await c.tenon('doctor', '--json');
  fs.chmodSync(c.conf, 0o600);
  const hit = json.findings.find((f) => f.check === 'config.file');
  assert.equal(hit.level, 'error');
  assert.match(hit.mend, /chmod 0640/);
});

test('a secret in a file of its own that others may read', async () => {
  const file = `${c.conf}.secret`;
  fs.writeFileSync(file, 'b'.repeat(64), { mode: 0o644 });
  const env = { TENON_AUTH_JWT_SECRET: `@${file}` };
  const hit = (await findings({ env })).find((f) => f.check === 'config.secret_file');
  assert.ok(hit);
  assert.equal(hit.mend, `chmod 0640 ${file}`);
  fs.chmodSync(file, 0o640);
  assert.deepEqual(await findings({ env }), []);
});

test('without PostgreSQL it says so and goes on', async () => {
  cluster.stop();
  const found = await findings();
  cluster.start();
  assert.deepEqual(found.map((f) => f.check).sort(), ['database.owner_url', 'database.url']);
});
