// t/cmd/app-migrations.mjs: tenon migrate --app: the app's own SQL, each file once, in order, whole or not at all
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { commandLine } from '../lib/command.mjs';
import { startCluster } from '../lib/postgres.mjs';

const superuser = process.env.TENON_TEST_SUPERUSER_URL ?? (await startCluster()).url;
const c = await commandLine(superuser);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-app-'));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

const write = (files) => {
  for (const [name, text] of Object.entries(files)) {
    if (text === null) fs.rmSync(path.join(folder, name));
    else fs.writeFileSync(path.join(folder, name), text);
  }
};
const migrate = (...args) => c.tenon('--json', 'migrate', '--app', folder, ...args);
const ran = () => c.sql("select coalesce(string_agg(file, ' ' order by number), '') from tenon.app_migrations");

async function refused(code, message) {
  const before = await ran();
  const answer = await migrate();
  assert.deepEqual([answer.code, answer.error?.code], [1, code], answer.stderr);
  if (message) assert.match(answer.error.message, message);
  assert.equal(await ran(), before, 'what is recorded stays');
  return answer.error;
}

describe('tenon migrate --app', () => {
  let tenant;
  before(async () => {
    assert.equal((await c.tenon('init', '--superuser-url', superuser)).code, 0);
    tenant = (await c.tenon('--json', 'tenant', 'create', 'first')).json.id;
  });

  test('a folder that is not there, and one without migrations', async () => {
    assert.equal((await c.tenon('--json', 'migrate', '--app', '/nonexistent')).error.code, 'migration_unreadable');
    await refused('migration_missing', /has no migrations/);
  });
  test('files run in order, numbers before moments, as the owner and in the first tenant', async () => {
    write({
      '0001_notes.sql': 'create table notes (id bigint generated always as identity primary key, sku text unique);',
      '20260101120000_more.sql': "insert into notes (sku) values ('a');\ncreate function two() returns int begin atomic select 1; select 2; end;",
      '0007_gap.sql': 'alter table notes add column body text; -- numbers may be left out',
      'README.md': 'no migration',
    });
    const checked = await migrate('--check');
    assert.deepEqual([checked.code, checked.json.missing], [1, 3]);
    assert.equal(await ran(), '', 'looking changes nothing');
    assert.match((await c.tenon('migrate', '--app', folder, '--check')).stdout, /0 of 3 migrations are applied, next is 0001_notes.sql/);
    assert.deepEqual((await migrate()).json, { applied: 3, already: 0, last: '20260101120000_more.sql' });
    assert.equal(await ran(), '0001_notes.sql 0007_gap.sql 20260101120000_more.sql');
    assert.equal(await c.sql('select tenant_id from notes'), tenant);
    assert.equal(await c.sql("select tableowner || ' ' || rowsecurity from pg_tables where tablename = 'notes'"), 'tenon_owner true');
    assert.equal(await c.sql("select count(*) from tenon.app_migrations where sha256 ~ '^[0-9a-f]{64}$'"), '3');
  });
  test('again there is nothing to do', async () => {
    assert.deepEqual([(await migrate()).json.applied, (await migrate('--check')).code], [0, 0]);
    assert.equal((await c.tenon('--json', 'migrate')).json.applied, 0, 'ours are counted apart');
  });

  const next = '20260102000000_x.sql';
  const files = [
    { name: 'one that fails leaves nothing, and says where', text: 'create table half ();\n\nselect nonsense;', code: 'internal_error', message: /^20260102000000_x\.sql:3: column "nonsense"/ },
    { name: 'so does one that fails while it runs', text: 'create table half ();\ninsert into notes (sku) values (1);\ninsert into notes (sku)\n values (1);', code: 'unique_violation', message: /_x\.sql:3: duplicate key/ },
    { name: 'its own commit', text: 'create table half ();\n-- commit;\ncommit;', code: 'migration_commits', message: /_x\.sql:3: commit/ },
    { name: 'its own begin', text: 'BEGIN;\ncreate table half ();\nCOMMIT;', code: 'migration_commits', message: /_x\.sql:1: begin/ },
    { name: 'its own rollback', text: 'create table half (); rollback;', code: 'migration_commits', message: /_x\.sql:1: rollback/ },
    { name: 'a commit that cannot be seen', text: 'create procedure half() language plpgsql as $$ begin commit; end $$;\ncall half();', code: 'internal_error', message: /_x\.sql:2: invalid transaction termination/ },
    { name: 'a name of another form', file: 'x.sql', text: 'select 1', code: 'migration_name', message: /NNNN_name\.sql or YYYYMMDDHHMMSS_name\.sql/ },
    { name: 'a number that is there twice', file: '0007_twice.sql', text: 'select 1', code: 'migration_twice' },
    { name: 'a new one before those that have run', file: '0008_late.sql', text: 'select 1', code: 'migration_late', message: /0008_late\.sql comes before 20260101120000_more\.sql/ },
  ];
  for (const { name, file = next, text, code, message } of files)
    test(name, async () => {
      write({ [file]: text });
      await refused(code, message);
      write({ [file]: null });
      assert.equal(await c.sql("select count(*) from pg_class where relname = 'half'"), '0');
    });
  test('a key to what is unique says how to write it', async () => {
    write({ [next]: 'create table lines (sku text references notes (sku));' });
    assert.match((await refused('internal_error')).hint, /\(tenant_id, …\) references/);
    write({ [next]: "create table lines (sku text);\nalter table lines add foreign key (tenant_id, sku) references notes (tenant_id, sku);\nrollback to x;" });
    await refused('internal_error', /:3: /);
    write({ [next]: 'savepoint x;\ncreate table lines (sku text);\nrollback to x;\nselect 1;' });
    assert.equal((await migrate()).json.applied, 1);
  });
  test('one that has run and was changed', async () => {
    const text = fs.readFileSync(path.join(folder, '0007_gap.sql'), 'utf8');
    write({ '0007_gap.sql': `${text}-- later` });
    await refused('migration_changed', /0007_gap\.sql/);
    write({ '0007_gap.sql': null });
    await refused('migration_unknown', /0007_gap\.sql/);
    write({ '0007_gap.sql': text });
    assert.equal((await migrate()).code, 0);
  });
  test('a byte order mark is skipped, and counts for the SHA-256', async () => {
    const marked = '\ufeffcreate table marked ();\n';
    write({ '20260102120000_marked.sql': marked });
    assert.deepEqual((await migrate()).json.applied, 1);
    assert.equal(await c.sql("select sha256 from tenon.app_migrations where file = '20260102120000_marked.sql'"), createHash('sha256').update(marked).digest('hex'));
    write({ '20260102120000_marked.sql': marked.slice(1) });
    await refused('migration_changed');
    write({ '20260102120000_marked.sql': marked });
    assert.equal((await migrate('--check')).code, 0);
  });
  test('several at once take turns', async () => {
    write({ '20260103000000_slow.sql': 'select pg_sleep(0.3); create table slow ();' });
    const answers = await Promise.all([migrate(), migrate(), migrate()]);
    assert.deepEqual(answers.map((a) => a.json.applied).sort(), [0, 0, 1]);
  });
  test('a database that is not at this release', async () => {
    await c.sql('drop table tenon.app_migrations');
    const answer = await migrate();
    assert.deepEqual([answer.code, answer.error.code, answer.error.hint], [1, 'migration_missing', 'Run tenon migrate without --app first.']);
  });
});
