// t/api/data-guide.mjs: the examples of docs/data.md, all of them, in their order, on one stack, and those of README.md behind them
//
// Blocks marked sh, sql, js and ini are run; a block marked json, http or text directly behind one is what it prints, where … stands for
// anything. A shell runs all of them in a folder that looks like a clone after ./quickstart. An ini block is put into the
// configuration. Whatever else the guide names is there: settings, error codes, files.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { stack } from '../lib/stack.mjs';

const source = path.resolve(import.meta.dirname, '../..');
const guide = fs.readFileSync(path.join(source, 'docs/data.md'), 'utf8');
const s = await stack({ people: false, settings: { 'data.schemas': 'public,ai' } });
const folder = path.join(s.dir, 'clone');
assert.equal((await s.tenon('tenant', 'create', 'default')).code, 0); // quickstart calls its first one so
const platform = await s.tenon('key', 'create', '--kind', 'platform', '--json');

fs.mkdirSync(path.join(folder, 'var/quickstart/bin'), { recursive: true });
fs.symlinkSync(path.join(source, 'node_modules'), path.join(folder, 'node_modules'));
fs.symlinkSync(fs.realpathSync(process.env.TENON_BIN ?? path.join(source, 'tenon')), path.join(folder, 'var/quickstart/bin/tenon'));
fs.writeFileSync(path.join(folder, 'var/quickstart/tenon.env'), Object.entries({
  TENON_URL: s.origin, TENON_TENANT_ID: s.a.id, TENON_ANON_KEY: s.a.publishable, TENON_SERVICE_KEY: s.a.secret, TENON_PLATFORM_KEY: platform.json?.key ?? '',
  TENON_JWT_SECRET: s.settings['auth.jwt_secret'].replaceAll(' ', '-'), TENON_DB_URL: s.owner, TENON_CONF: s.conf,
}).map(([name, value]) => `${name}=${value}\n`).join(''));
await s.sql(`alter role tenon_admin in database ${s.database} set tenon.tenant_id = '${s.a.id}'`);

/* ```kind …``` in their order; `expected` is the block behind it when nothing stands between the two. */
function blocks(text) {
  const found = [];
  const pattern = /^```([a-z]+)\n([\s\S]*?)^```\n(\n```(?:json|http|text)\n([\s\S]*?)^```\n)?/gm;
  for (const [all, kind, content, , expected, at] of [...text.matchAll(pattern)].map((m) => [m[0], m[1], m[2], m[3], m[4], m.index]))
    found.push({ kind, content, expected, all, line: text.slice(0, at).split('\n').length });
  return found;
}

class Shell {
  #output = '';
  #ended = false;
  #child = spawn('bash', [], { cwd: folder, env: { PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`, HOME: folder, LANG: 'C.UTF-8', TENON_SQL_DIR: path.join(source, 'sql') }, stdio: 'pipe' });

  constructor() {
    this.#child.stdout.setEncoding('utf8').on('data', (text) => (this.#output += text)).on('end', () => (this.#ended = true));
    this.#child.stdin.write('exec 2>&1\n');
  }

  async run(command) {
    this.#output = '';
    this.#child.stdin.write(`${command}\necho "[$?]the end"\n`);
    for (;;) {
      const end = /\[(\d+)\]the end\n$/.exec(this.#output);
      if (end) return { code: Number(end[1]), output: this.#output.slice(0, end.index) };
      assert.ok(!this.#ended, `the shell has ended:\n${this.#output}`);
      await delay(10);
    }
  }

  close() {
    this.#child.stdin.end();
  }
}

const shell = new Shell();
after(() => shell.close());

const runs = {
  sh: (block) => shell.run(block.content),
  sql: (block) => shell.run(`psql -Xq "$TENON_DB_URL" <<'end of sql' && sleep 0.2\n${block.content}end of sql`), // the notification is on its way
  js: (block) => shell.run(`node --input-type=module <<'end of js'\n${block.content}end of js`),
  ini: async (block) => {
    let section;
    for (const line of block.content.split('\n').filter(Boolean)) {
      if (line.startsWith('[')) section = line.slice(1, -1);
      else s.configure({ [`${section}.${line.split('=')[0].trim()}`]: line.split('=').slice(1).join('=').trim() });
    }
    return { code: 0, output: '' };
  },
};

const lines = (text) => text.replaceAll('\r', '').split('\n').map((line) => line.trimEnd()).join('\n').trim();
const pattern = (text) => new RegExp(`^${lines(text).split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[\\s\\S]*?')}$`);

const readme = fs.readFileSync(path.join(source, 'README.md'), 'utf8');
const examples = Object.entries({ 'docs/data.md': guide, 'README.md': readme }).flatMap(([file, text]) => blocks(text).map((b) => ({ ...b, file })));
for (const block of examples.filter((b) => b.kind in runs))
  test(`${block.file}:${block.line}: ${block.content.split('\n')[0]}`, async () => {
    const { code, output } = await runs[block.kind](block);
    assert.equal(code, 0, output);
    if (block.expected === undefined) assert.doesNotMatch(output, /ERROR|"code"|Error:/);
    else if (!pattern(block.expected).test(lines(output))) assert.equal(lines(output), lines(block.expected));
  });

test('settings and error codes that the guide names are there', () => {
  const settings = fs.readFileSync(path.join(source, 'etc/tenon.conf'), 'utf8');
  const codes = fs.readFileSync(path.join(source, 'docs/reference/errors.md'), 'utf8');
  for (const [, section, name] of guide.matchAll(/`(data|server|database|limits)\.([a-z_]+)[` ]/g)) {
    const part = settings.slice(settings.indexOf(`\n[${section}]\n`)).split(/\n\[/)[1];
    assert.match(part, new RegExp(`^#${name} =`, 'm'), `${section}.${name}`);
  }
  for (const [, code] of guide.matchAll(/`(PGRST\d{3})`/g)) assert.ok(codes.includes(`\`${code}\``), code);
});
