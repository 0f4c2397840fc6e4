// t/api/storage-guide.mjs: the examples of docs/storage.md up to "Limits", in their order, on one stack
//
// Blocks marked sh, js and sql are run; a block marked json or text directly behind one is what it prints, where … stands for anything.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { stack } from '../lib/stack.mjs';

const run = promisify(execFile);
const source = path.resolve(import.meta.dirname, '../..');
const guide = fs.readFileSync(path.join(source, 'docs/storage.md'), 'utf8').split(/^## Limits$/m)[0];
const s = await stack({ people: false });
const folder = path.join(s.dir, 'clone');
fs.mkdirSync(path.join(folder, 'var/quickstart/bin'), { recursive: true });
fs.symlinkSync(path.join(source, 'node_modules'), path.join(folder, 'node_modules'));
const env = { TENON_URL: s.origin, TENON_TENANT_ID: s.a.id, TENON_ANON_KEY: s.a.publishable, TENON_SERVICE_KEY: s.a.secret };
fs.writeFileSync(path.join(folder, 'var/quickstart/tenon.env'), Object.entries(env).map(([name, value]) => `${name}=${value}\n`).join(''));

const pattern = /^```(sh|js|sql)\n([\s\S]*?)^```\n(?:\n```(?:json|text)\n([\s\S]*?)^```\n)?/gm;
const state = path.join(folder, '.state'); // variables and functions go from one block to the next
fs.writeFileSync(state, '');

async function runBlock(kind, content) {
  if (kind === 'sql') return s.sql(content).then(() => '');
  if (kind === 'js') {
    fs.writeFileSync(path.join(folder, 'block.mjs'), content);
    return (await run(process.execPath, ['--no-deprecation', 'block.mjs'], { cwd: folder, env: { ...process.env, ...env } })).stdout;
  }
  const script = `. ${state} 2>/dev/null; set -eu -o pipefail\n${content}\n{ declare -p | grep -v '^declare -[a-zA-Z]*r'; declare -f; } >${state}`;
  return (await run('bash', ['-c', script], { cwd: folder })).stdout;
}

for (const [, kind, content, expected] of guide.matchAll(pattern))
  test(`${kind}: ${content.trim().split('\n')[0].slice(0, 90)}`, async () => {
    const printed = await runBlock(kind, content);
    if (expected === undefined) return;
    const wanted = new RegExp(`^${expected.trim().split('…').map((p) => p.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*')}$`);
    assert.match(printed.trim(), wanted);
  });

/* An event of the log. */
function isLogged(event) {
  return fs.readdirSync(path.join(source, 'src'), { recursive: true }).filter((f) => f.endsWith('.c')).some((f) => fs.readFileSync(path.join(source, 'src', f), 'utf8').includes(`"${event}"`));
}

test('every setting, table, function and code that the guide names is there', async () => {
  const text = fs.readFileSync(path.join(source, 'docs/storage.md'), 'utf8');
  const settings = fs.readFileSync(path.join(source, 'docs/reference/settings.md'), 'utf8');
  const errors = fs.readFileSync(path.join(source, 'docs/reference/errors.md'), 'utf8');
  const inDatabase = (await s.rows(`select relname as name from pg_class where relnamespace = 'storage'::regnamespace
    union select proname from pg_proc where pronamespace = 'storage'::regnamespace`)).map((r) => r.name);
  for (const [, section, name] of text.matchAll(/`(storage|data|limits|server)\.([a-z0-9_]+)`/g))
    assert.ok(settings.includes(`\`${name}\``) || settings.includes(`${section}.${name}`) || (section === 'storage' && inDatabase.includes(name)) || isLogged(`${section}.${name}`), `${section}.${name}`);
  for (const [, code] of text.matchAll(/\b[45]\d\d `([A-Za-z_]+)`/g)) assert.ok(errors.includes(`\`${code}\``), code);
});
