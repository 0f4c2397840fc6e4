// t/cmd/commands.mjs: tenon init, migrate, tenant, key, signing-key, user, provider against a real database
import { before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after } from 'node:test';
import { commandLine, runTenon } from '../lib/command.mjs';
import { psql, startCluster } from '../lib/postgres.mjs';

const superuser = process.env.TENON_TEST_SUPERUSER_URL ?? (await startCluster()).url;
const model = createServer((request, response) => {
  const ok = request.headers.authorization === 'Bearer right';
  response.writeHead(ok ? 200 : 401, { 'content-type': 'application/json' });
  response.end(JSON.stringify(ok
    ? { id: 'x', model: 'm', choices: [{ message: { role: 'assistant', content: 'H' }, finish_reason: 'length' }], usage: { prompt_tokens: 1, completion_tokens: 1 } }
    : { error: { message: 'that key is wrong' } }));
}).listen(0, '127.0.0.1');
await once(model, 'listening');
after(() => model.close());
const address = `http://127.0.0.1:${model.address().port}/v1`;
const provider = (key) => ({ kind: 'openai', base_url: address, key, models: 'm', allow_private: 'on' });
const flat = (name, settings) => Object.fromEntries(Object.entries(settings).map(([k, v]) => [`provider.${name}.${k}`, v]));

const c = await commandLine(superuser, {
  settings: { ...flat('good', provider('right')), ...flat('bad', provider('wrong')), ...flat('gone', { ...provider('right'), base_url: 'http://127.0.0.1:1/v1' }) },
});
const isUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/* The command did what it should; gives its JSON. */
async function ok(...args) {
  const answer = await c.tenon('--json', ...args);
  assert.equal(answer.code, 0, `tenon ${args.join(' ')}: ${answer.stderr}`);
  return answer.json;
}

/* It exits with that code, and says so in JSON. */
async function fails(code, word, ...args) {
  const answer = await c.tenon('--json', ...args);
  assert.deepEqual([answer.code, answer.error?.code, answer.stdout], [code, word, ''], answer.stderr);
  return answer.error;
}

describe('the command line', () => {
  const cases = [
    { args: ['--help'], code: 0, out: /tenant create/ },
    { args: ['help'], code: 0, out: /Exit status: 0 done/ },
    { args: ['--version'], code: 0, out: /^tenon \d+\.\d+/ },
    { args: ['key', '--help'], code: 0, out: /key rotate/ },
    { args: ['key', 'create', '--help'], code: 0, out: /--expires-in TIME/ },
    { args: ['help', 'key', 'create'], code: 0, out: /--expires-in TIME/ },
    { args: [], code: 2, err: /tenant create/ },
    { args: ['key'], code: 2, err: /key rotate/ },
    { args: ['nonsense'], code: 2, err: /there is no command nonsense/ },
    { args: ['key', 'create', '--nonsense'], code: 2, err: /no option --nonsense/ },
    { args: ['key', 'list', '--tenant'], code: 2, err: /--tenant needs a value/ },
    { args: ['tenant', 'create'], code: 2, err: /usage: tenon tenant create NAME/ },
    { args: ['tenant', 'list', '-c', '/nonsense'], code: 6, err: /nonsense/ },
    { args: ['tenant', 'list'], env: { TENON_DATABASE_OWNER_URL: 'postgresql://nobody@127.0.0.1:1/x' }, code: 5, err: /no connection to the database/ },
    { args: ['tenant', 'list'], env: { TENON_DATABASE_OWNER_URL: 'postgresql://u:hidden@[::1/x' }, code: 5, err: /not understood/ },
    { args: ['stop'], env: { TENON_SERVER_RUN_DIR: '/nonexistent' }, code: 3, err: /no server runs/ },
  ];
  for (const { args, env, code, out, err } of cases)
    test(`tenon ${args.join(' ')} ${env ? Object.keys(env) : ''}`, async () => {
      const answer = await runTenon(args, { env });
      assert.equal(answer.code, code, answer.stderr);
      if (out) assert.match(answer.stdout, out);
      if (err) assert.match(answer.stderr, err);
      assert.doesNotMatch(answer.stderr, /hidden/, 'no password');
    });

  test('every command has help', async () => {
    const { stdout } = await runTenon(['--help']);
    const names = [...stdout.matchAll(/^ {2}([a-z][a-z -]*?) {2,}/gm)].map((m) => m[1]);
    assert.ok(names.length > 25);
    for (const name of names) {
      const answer = await runTenon([...name.split(' '), '--help']);
      assert.equal(answer.code, 0);
      assert.ok(answer.stdout.startsWith(`Usage: tenon ${name}`), answer.stdout);
    }
  });
});

describe('init and migrate', () => {
  test('before init there is nothing to connect to', async () => {
    const answer = await c.tenon('tenant', 'list');
    assert.equal(answer.code, 5);
  });
  test('init without a superuser', () => fails(2, 'usage', 'init'));
  test('init with a folder that has no SQL', () => fails(1, 'init_sql_unreadable', 'init', '--superuser-url', superuser, '--sql-dir', '/nonexistent'));
  test('init makes all of it, and again is harmless', async () => {
    const first = await ok('init', '--superuser-url', superuser);
    assert.ok(first.applied >= 4);
    const keys = () => c.sql("select string_agg(kid || status, ' ' order by kid) from tenon.signing_keys");
    const before = await keys();
    assert.match(before, /active/);
    assert.match(before, /next/);
    const second = await ok('init', '--superuser-url', superuser);
    assert.deepEqual([second.applied, second.already], [0, first.applied]);
    assert.equal(await keys(), before);
    assert.equal(await c.sql("select count(*) from pg_event_trigger where evtname = 'tenon_auto_protect'"), '1');
  });
  test('init as somebody who is no superuser', () =>
    fails(1, 'not_superuser', 'init', '--superuser-url', superuser.replace('postgres@', 'tenon_admin@').replace(/\/postgres$/, `/${c.database}`)));
  test('init sets the passwords of the logins, as verifiers', async () => {
    await ok('init', '--superuser-url', superuser, '--owner-password', 'o1', '--worker-password', 'w1');
    assert.equal(await c.sql("select count(*) from pg_authid where rolname in ('tenon_admin', 'tenon_authenticator') and rolpassword like 'SCRAM-SHA-256$%'"), '2');
  });
  test('migrate has nothing to do, and --check agrees', async () => {
    assert.equal((await ok('migrate')).applied, 0);
    assert.equal((await ok('migrate', '--check')).missing, 0);
  });
  test('a changed migration is refused', async () => {
    await c.sql("update tenon.migrations set sha256 = repeat('0', 64) where number = 2");
    await fails(1, 'migration_changed', 'migrate');
    await fails(1, 'migration_changed', 'migrate', '--check');
    await c.sql('delete from tenon.migrations where number = 2');
    await fails(1, 'migration_missing', 'migrate');
  });
});

describe('tenants, keys, users', () => {
  let tenant;
  before(async () => {
    tenant = (await ok('tenant', 'create', 'acme')).id;
  });

  test('a tenant is made once, found by name and id', async () => {
    assert.match(tenant, isUuid);
    await fails(1, 'tenant_exists', 'tenant', 'create', 'acme');
    await fails(1, 'tenant_name_wrong', 'tenant', 'create', '!');
    await fails(4, 'not_found', 'tenant', 'suspend', 'nobody');
    await ok('tenant', 'create', 'other');
    assert.deepEqual((await ok('tenant', 'list')).map((t) => t.name), ['acme', 'other']);
    assert.equal((await ok('tenant', 'suspend', tenant)).status, 'suspended');
    assert.equal((await ok('tenant', 'activate', 'ACME'.toLowerCase())).status, 'active');
  });

  test('the first tenant is the one of the owner in psql, and stays it', async () => {
    const owner = c.url.replace('postgres@', 'tenon_admin@');
    assert.equal(await psql(owner, 'select tenon.tenant_id()'), tenant);
    assert.equal(await psql(owner, 'select count(*) from tenon.tenants'), '1', 'and sees no other');
  });

  test('a key is printed once and stored as its hash', async () => {
    for (const [kind, form] of [['publishable', /^tnp_[\w-]{43}$/], ['secret', /^tns_[\w-]{43}$/]]) {
      const key = await ok('key', 'create', '--tenant', 'acme', '--kind', kind);
      assert.match(key.key, form);
      assert.equal(key.tenant_id, tenant);
      const hash = createHash('sha256').update(key.key).digest('hex');
      assert.equal(await c.sql(`select encode(hash, 'hex') || hint from tenon.keys where id = '${key.id}'`), hash + key.key.slice(-4));
    }
    const { stdout, stderr } = await c.tenon('key', 'create', '--tenant', tenant, '--kind', 'secret', '--name', "o'brien \x1b[31m");
    assert.match(stdout, /^tns_[\w-]{43}\n$/, 'the key alone, for $(…)');
    assert.match(stderr, /only time/);
    const list = await c.tenon('key', 'list', '--tenant', 'acme');
    assert.ok(!list.stdout.includes('\x1b'), "a name does not steer the operator's terminal");
    assert.ok(!JSON.stringify(await ok('key', 'list')).includes(stdout.trim()));
  });

  test('which options go with which kind', async () => {
    await fails(2, 'kind_wrong', 'key', 'create', '--tenant', 'acme');
    await fails(2, 'kind_wrong', 'key', 'create', '--tenant', 'acme', '--kind', 'root');
    await fails(2, 'usage', 'key', 'create', '--tenant', 'acme', '--kind', 'agent', '--scopes', 'chat:read');
    await fails(2, 'usage', 'key', 'create', '--tenant', 'acme', '--kind', 'secret', '--scopes', 'chat:read');
    await fails(2, 'usage', 'key', 'create', '--tenant', 'acme', '--kind', 'platform');
    await fails(2, 'tenant_missing', 'key', 'create', '--kind', 'secret');
    await fails(1, 'invalid_datetime_format', 'key', 'create', '--tenant', 'acme', '--kind', 'secret', '--expires-in', 'soon');
    const agent = await ok('key', 'create', '--tenant', 'acme', '--kind', 'agent', '--scopes', 'chat:read, chat:write', '--expires-in', '1 day');
    assert.deepEqual(agent.scopes, ['chat:read', 'chat:write']);
    const platform = await ok('key', 'create', '--kind', 'platform');
    assert.match(platform.key, /^tnx_/);
    assert.equal(platform.tenant_id, null);
  });

  test('rotate and revoke, and who is told', async () => {
    const old = await ok('key', 'create', '--tenant', 'acme', '--kind', 'secret');
    const fresh = await ok('key', 'rotate', old.id, '--overlap', '1 hour');
    assert.equal(fresh.replaces, old.id);
    assert.notEqual(fresh.key, old.key);
    const state = async (id) => (await ok('key', 'list')).find((k) => k.id === id).state;
    assert.equal(await state(old.id), 'in force');
    const again = await ok('key', 'rotate', fresh.id);
    assert.equal(await state(fresh.id), 'revoked');
    await ok('key', 'revoke', again.id);
    await fails(4, 'not_found', 'key', 'revoke', again.id);
    await fails(4, 'not_found', 'key', 'rotate', again.id);
    const error = await fails(2, 'id_wrong', 'key', 'revoke', old.key);
    assert.ok(!JSON.stringify(error).includes(old.key));
    const platform = await ok('key', 'create', '--kind', 'platform');
    assert.match((await ok('key', 'rotate', platform.id)).key, /^tnx_/);
    await fails(4, 'not_found', 'key', 'revoke', platform.id);
  });

  test('users', async () => {
    const made = await ok('user', 'create', 'Ada@Example.com', '--tenant', 'acme', '--metadata', '{"name": "Ada"}');
    assert.equal(made.email, 'ada@example.com');
    assert.ok(made.password.length >= 20);
    assert.equal(made.user_metadata.name, 'Ada');
    await fails(1, 'email_exists', 'user', 'create', 'ada@example.com', '--tenant', 'acme');
    assert.equal((await c.tenon('user', 'create', 'ada@example.com', '--tenant', 'other', '--json')).code, 0, "another tenant's Ada");
    const quiet = await c.tenon('user', 'create', 'bob@example.com', '--tenant', 'acme', '--password-stdin', '--json', { input: 'correct horse battery\n' });
    assert.equal(quiet.json.password, undefined);
    assert.equal((await c.tenon('user', 'create', 'eve@example.com', '--tenant', 'acme', '--password-stdin', { input: '' })).code, 2);
    assert.deepEqual((await ok('user', 'list', '--tenant', 'acme')).map((u) => u.email), ['bob@example.com', 'ada@example.com']);
    assert.equal((await ok('user', 'list', '--tenant', 'acme', '--limit', '1')).length, 1);
    await fails(2, 'number_wrong', 'user', 'list', '--tenant', 'acme', '--limit', '-1');

    const hash = () => c.sql(`select encrypted_password from auth.users where id = '${made.id}'`);
    const before = await hash();
    assert.match(before, /^\$argon2id\$/);
    await c.sql(`insert into auth.sessions (tenant_id, user_id) values ('${tenant}', '${made.id}')`);
    assert.equal((await c.tenon('user', 'password', 'ada@example.com', '--tenant', 'acme', '--password-stdin', { input: 'another horse battery\n' })).code, 0);
    assert.notEqual(await hash(), before);
    assert.equal(await c.sql(`select count(*) from auth.sessions where user_id = '${made.id}'`), '0');

    assert.ok(Date.parse((await ok('user', 'ban', made.id, '--tenant', 'acme', '--for', '1 hour')).banned_until) > Date.now());
    assert.equal((await ok('user', 'unban', made.id, '--tenant', 'acme')).banned_until, null);
    await fails(4, 'not_found', 'user', 'delete', made.id, '--tenant', 'other');
    await ok('user', 'delete', 'ADA@example.com', '--tenant', 'acme');
    await fails(4, 'not_found', 'user', 'delete', made.id, '--tenant', 'acme');
  });

  test('budgets', async () => {
    assert.equal((await ok('tenant', 'budget', 'acme', '--cap', '5000000')).cap_micros, 5000000);
    await ok('tenant', 'budget', 'acme', '--cap', '1', '--period', 'day');
    assert.deepEqual((await ok('tenant', 'budget', 'acme')).map((b) => [b.period, b.cap_micros]), [['day', 1], ['month', 5000000]]);
    assert.deepEqual(await ok('tenant', 'budget', 'other'), []);
    await ok('tenant', 'budget', 'acme', '--cap', 'none', '--period', 'day');
    await fails(4, 'not_found', 'tenant', 'budget', 'acme', '--cap', 'none', '--period', 'day');
    await fails(2, 'period_wrong', 'tenant', 'budget', 'acme', '--period', 'week');
    await fails(2, 'number_wrong', 'tenant', 'budget', 'acme', '--cap', '-5');
  });
});

describe('signing keys', () => {
  const list = async () => Object.groupBy(await ok('signing-key', 'list'), (k) => k.status);
  test('rotate: the next one signs, the one before verifies on', async () => {
    const before = await list();
    const { active } = await ok('signing-key', 'rotate');
    assert.equal(active, before.next[0].kid);
    const after = await list();
    assert.deepEqual([after.active[0].kid, after.previous[0].kid, after.next.length], [active, before.active[0].kid, 1]);
    await fails(4, 'not_found', 'signing-key', 'retire', '--', active);
    await ok('signing-key', 'retire', '--', after.previous[0].kid);
    assert.equal((await list()).retired.length, 1);
  });
  test('with another server.secret there is nothing to do it with', async () => {
    const answer = await c.tenon('signing-key', 'rotate', { env: { TENON_SERVER_SECRET: 'short' } });
    assert.equal(answer.code, 6);
  });
});

describe('providers', () => {
  test('list shows no key', async () => {
    const answer = await c.tenon('provider', 'list', '--json');
    assert.ok(answer.json.some((p) => p.name === 'good' && p.has_key));
    assert.ok(!answer.stdout.includes('right'));
  });
  test('check', async () => {
    assert.equal((await ok('provider', 'check', 'good')).ok, true);
    assert.match((await fails(1, 'provider_failed', 'provider', 'check', 'bad')).message, /401: that key is wrong/);
    await fails(5, 'provider_failed', 'provider', 'check', 'gone');
    await fails(4, 'provider_not_found', 'provider', 'check', 'nobody');
  });
  test('prices', async () => {
    await fails(2, 'usage', 'provider', 'price', 'good', 'm');
    await fails(4, 'provider_not_found', 'provider', 'price', 'nobody', 'm', '--input', '1', '--output', '1');
    assert.equal((await ok('provider', 'price', 'good', 'm', '--input', '2500000', '--output', '10000000')).changed, true);
    assert.equal((await ok('provider', 'price', 'good', 'm', '--input', '2500000', '--output', '10000000')).changed, false);
    await ok('provider', 'price', 'good', 'm', '--input', '1', '--output', '1');
    const prices = (await ok('provider', 'prices')).filter((p) => p.provider === 'good');
    assert.deepEqual(prices.map((p) => [p.input_price, p.in_force]), [[1, true], [2500000, false]]);
  });
});
