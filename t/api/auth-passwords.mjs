// t/api/auth-passwords.mjs: what a password must be like, lists of leaked ones, and hashes that people bring along
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createCipheriv, createHash, randomBytes, scryptSync } from 'node:crypto';
import { after, test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-leaked-'));
fs.chmodSync(dir, 0o755);
after(() => fs.rmSync(dir, { recursive: true }));
const list = path.join(dir, 'list');
fs.writeFileSync(list, `Dragon-Fire-9\r\n${'x'.repeat(16384 - 15)}Tail-Of-Line-7\nlast-Line-77`); // the tail begins a chunk of 16 KiB

const s = await stack({
  people: false,
  settings: {
    'auth.password_min': 8, 'auth.password_required': 'abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789:!-\\:', 'auth.leaked_passwords': list,
  },
});
let number = 0;
const signUp = (password) => s.a.anon.request('POST', '/auth/v1/signup', { email: `p${++number}@a.example`, password });
const signIn = (email, password) => s.a.anon.request('POST', '/auth/v1/token?grant_type=password', { email, password });
const reasons = async (password) => {
  const answer = await signUp(password);
  if (answer.status === 200) return [];
  answers(answer, 422, 'weak_password');
  return answer.json.weak_password.reasons;
};

const passwords = [
  ['Abc-1', ['length']],
  ['Tail-Of-Line-7', []],
  ['abcdefg-1', ['characters']],
  ['ABCDEFG-1', ['characters']],
  ['Abcdefg-x', ['characters']],
  ['Abcdefg1x', ['characters']],
  ['Ab1:defgh', []],
  ['Ab1\\defgh', ['characters']],
  ['abc', ['length', 'characters']],
  ['dragon-FIRE-9', ['pwned']],
  ['Last-line-77', ['pwned']],
  ['Dragon-Fire-99', []],
  ['Ünï-Cöde-1', []],
];
test('what is wrong with a password', async (t) => {
  for (const [password, wrong] of passwords) await t.test(password, async () => assert.deepEqual(await reasons(password), wrong));
  const answer = await signUp('abcdefgh');
  assert.match(answer.json.msg, /one character of each: abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ, 0123456789, !-:\./);
  answers(await signUp(`A1-${'x'.repeat(70)}`), 400, 'validation_failed');
});

const sha1 = (text) => createHash('sha1').update(text).digest('hex').toUpperCase();
test('a sorted list of hashes is searched by halves, and is in force as soon as it is there', async (t) => {
  const known = ['Known-One-1', 'Known-Two-2', 'Known-Three-3'];
  const fillers = Array.from({ length: 4000 }, () => randomBytes(20).toString('hex').toUpperCase());
  const lines = [...fillers, ...known.map(sha1)].sort();
  const first = lines[0], last = lines.at(-1);
  for (const [name, text] of [
    ['with counts', lines.map((hash, i) => `${hash}:${(i * 7919) % 100000000}`).join('\r\n')],
    ['without, and a line at the end', `${lines.join('\n')}\n`],
    ['small letters', lines.join('\n').toLowerCase()],
    ['one line', `${sha1('Known-One-1')}:3`],
  ])
    await t.test(name, async () => {
      fs.writeFileSync(`${list}.new`, text);
      fs.renameSync(`${list}.new`, list);
      const wanted = name === 'one line' ? known.slice(0, 1) : known;
      for (const password of wanted) assert.deepEqual(await reasons(password), ['pwned']);
      assert.deepEqual(await reasons('Unknown-One-1'), []);
      assert.ok(first < last);
    });
  fs.writeFileSync(list, [sha1('Known-One-1'), sha1('Known-Two-2'), sha1('Known-Three-3')].sort().join('\n'));
  for (const password of known) assert.deepEqual(await reasons(password), ['pwned'], 'the first, the middle and the last line');
});

test('a list that is gone holds nobody up, and the operator is told', async () => {
  fs.rmSync(list);
  assert.deepEqual(await reasons('Known-One-1'), []);
  assert.ok(s.log().some(({ event, msg }) => [event, msg].includes('auth.leaked_passwords.unreadable')), JSON.stringify(s.log().at(-2)));
  assert.match((await s.tenon('reload')).stderr, /leaked_passwords/, 'and a server does not begin with it');
  fs.writeFileSync(list, 'x\n');
});

const person = async () => {
  const answer = await signUp('Right-Pass-1');
  answers(answer, 200);
  return answer.json.user;
};
const store = (user, hash) => s.sql(`update auth.users set encrypted_password = '${hash}' where id = '${user.id}'`);
const stored = async (user) => (await s.rows(`select encrypted_password as hash from auth.users where id = '${user.id}'`))[0].hash;

/* Firebase's, made by another library: the project's key under what scrypt makes of the password. */
function firebase(password, { n = 14, r = 8, p = 1 } = {}) {
  const key = randomBytes(64), salt = randomBytes(10), separator = Buffer.from('Bw==', 'base64');
  const derived = scryptSync(password, Buffer.concat([salt, separator]), 32, { N: 2 ** n, r, p, maxmem: 1 << 30 });
  const cipher = createCipheriv('aes-256-ctr', derived, Buffer.alloc(16));
  const hash = Buffer.concat([cipher.update(key), cipher.final()]);
  return `$fbscrypt$v=1,n=${n},r=${r},p=${p},ss=${separator.toString('base64')},sk=${key.toString('base64')}$${salt.toString('base64')}$${hash.toString('base64')}`;
}
const hashes = [
  ['bcrypt 2a', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'U*U'],
  ['bcrypt 2b', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'U*U'],
  ['bcrypt 2y', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'U*U'],
  ['argon2i', '$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA', 'password'],
  ['argon2id of another cost', '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', 'password'],
  ['Firebase', firebase('fire base'), 'fire base'],
  ["Firebase's own example", '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==', 'user1password'],
];
test('hashes that people bring along are verified, and replaced by ours', async (t) => {
  for (const [name, hash, password] of hashes)
    await t.test(name, async () => {
      const user = await person();
      await store(user, hash);
      answers(await signIn(user.email, `${password}x`), 400, 'invalid_credentials');
      assert.equal(await stored(user), hash, 'a wrong password changes nothing');
      const session = await signIn(user.email, password);
      answers(session, 200);
      assert.ok(session.json.weak_password.reasons.includes('characters'), 'that it is weak is said, and no more');
      assert.match(await stored(user), /^\$argon2id\$v=19\$m=8192,t=1,p=1\$/);
      answers(await signIn(user.email, password), 200);
      answers(await signIn(user.email, 'Right-Pass-1'), 400, 'invalid_credentials');
    });
});

test('a hash that is no hash, or too dear, is a wrong password', async (t) => {
  const user = await person();
  const wrong = [
    '', 'plain', '$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweA', '$argon2id$v=19$m=8,t=21,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweA', '$argon2d$v=19$m=8,t=1,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweA',
    '$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', '$fbscrypt$v=1,n=30,r=8,p=1,ss=Bw==,sk=AAAA$AAAA$AAAA', '$fbscrypt$v=1,n=16,r=1,p=1,ss=Bw==,sk=AAAA$AAAA$AAAA', '$1$salt$qJH7.N4xYta3aEG/dfqo/0', '*0',
  ];
  for (const hash of wrong)
    await t.test(hash || 'nothing', async () => {
      await store(user, hash);
      for (const password of ['Right-Pass-1', '', 'password', hash]) answers(await signIn(user.email, password), 400, 'invalid_credentials');
    });
});
