// t/api/mail.mjs: the outbox: by SMTP to a real mail server, into a maildir, to a hook; templates and languages
import test from 'node:test';
import assert from 'node:assert/strict';
import { createCipheriv, hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { eventually, stack } from '../lib/stack.mjs';
import { mailServer } from '../lib/mail_server.mjs';
import { mailbox, parseMail } from '../lib/mailbox.mjs';

const login = { user: 'app', password: 'a password with "quotes"' };
const server = await mailServer({ ...login, hold: ['held@b.example'], refuse: { 'gone@b.example': [550], 'grey@b.example': [450, 451] } });
const smtps = await mailServer({ ...login, secure: true });
const plain = await mailServer({ disabledCommands: ['STARTTLS', 'AUTH'] });

const s = await stack({
  people: false,
  settings: {
    'mail.url': server.url, 'mail.user': login.user, 'mail.password': login.password, 'mail.ca_file': server.certificate,
    'mail.from': 'app@mail.example', 'mail.from_name': 'Zoë’s App', 'mail.connect_timeout_s': 5, 'mail.timeout_s': 20,
    'jobs.processes': 2, 'server.drain_timeout_s': 2, 'auth.site_url': 'https://app.example',
  },
});

/* What tn_letter_seal() makes. */
function seal(tenant, letter) {
  const key = Buffer.from(hkdfSync('sha256', Buffer.from(s.settings['server.secret'], 'hex'), '', 'tenon outbox', 32));
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(tenant.id));
  const text = Buffer.concat([cipher.update(JSON.stringify(letter)), cipher.final()]);
  return Buffer.concat([nonce, text, cipher.getAuthTag()]).toString('hex');
}

const quote = (text) => (text === undefined ? 'null' : `'${text.replaceAll("'", "''")}'`);
const letter = { code: '123456', token: 'abcdef', redirect_to: 'https://app.example/in?a=b&c=d' };

function post(to, { kind = 'confirmation', channel = 'email', tenant = s.a, user, lifetime = 600, ...more } = {}) {
  return s.sql(`set role tenon_worker; select set_config('tenon.tenant_id', '${tenant.id}', false);
    select tenon.post_message(${[channel, kind, to, user].map(quote).join(', ')}, '\\x${seal(tenant, { ...letter, ...more })}', ${lifetime})`);
}

async function person(email, metadata = {}) {
  const id = randomUUID();
  await s.sql(`insert into auth.users (tenant_id, id, email, raw_user_meta_data) values ('${s.a.id}', '${id}', '${email}', ${quote(JSON.stringify(metadata))})`);
  return id;
}

const arrived = (address, at = server) => eventually(`a mail to ${address}`, () => at.to(address)[0]).then((mail) => ({ ...mail, ...parseMail(mail.raw) }));
const waiting = async (to) => (await s.rows(`select attempts, due_at > now() as later from tenon.outbox where recipient = '${to}'`))[0];
const gone = (to) => eventually(`the message to ${to} to be done`, async () => (await waiting(to)) === undefined);
const retry = (to) => s.sql(`update tenon.outbox set due_at = now() where recipient = '${to}'`);
const logged = (event, fields = {}) => s.log().filter((l) => l.event === event && Object.entries(fields).every(([k, v]) => l[k] === v));

test('a mail arrives: signed in, over TLS, well-formed, in both forms', async () => {
  await post('ada@b.example');
  const mail = await arrived('ada@b.example');
  assert.deepEqual([mail.from, mail.tls, mail.user], ['Zoë’s App <app@mail.example>', true, 'app']);
  assert.equal(mail.subject, 'Confirm your e-mail address');
  assert.match(mail.headers['message-id'], /^<[0-9a-f-]{36}@mail\.example>$/);
  assert.ok(Math.abs(Date.parse(mail.headers.date) - Date.now()) < 600_000);
  assert.equal(mail.headers['auto-submitted'], 'auto-generated');
  assert.equal(mail.headers['mime-version'], '1.0');
  assert.equal(mail.link, `${s.origin}/auth/v1/verify?token=abcdef&type=signup&redirect_to=https%3A%2F%2Fapp.example%2Fin%3Fa%3Db%26c%3Dd`);
  assert.equal(mail.code, '123456');
  assert.ok(mail.html.includes(`href="${mail.link.replaceAll('&', '&amp;')}"`));
  assert.match(mail.html, /<html lang="en">/);
  for (const line of mail.raw.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 78 && /^[\x20-\x7e\t]*$/.test(line), line);
  await gone('ada@b.example');
});

test('neither code nor address nor password is logged', async () => {
  await eventually('the line in the log', () => logged('mail.sent')[0]);
  const text = fs.readFileSync(s.logFile, 'utf8');
  for (const secret of ['123456', 'abcdef', 'ada@', 'a password']) assert.ok(!text.includes(secret), secret);
});

test('each kind has words, a link of its own type, and an action', async () => {
  const types = { recovery: 'recovery', magiclink: 'magiclink', invite: 'invite', email_change: 'email_change' };
  for (const kind of (await s.tenon('mail', 'kinds', '--json')).json.filter((k) => k !== 'sms')) {
    await post(`${kind}@b.example`, { kind, data: '{"team": "Reds", "inviter": "Ada", "old_email": "old@b.example"}' });
    const mail = await arrived(`${kind}@b.example`);
    assert.equal(mail.kind, kind);
    assert.ok(mail.subject.length > 5 && mail.text.length > 20 && mail.html.includes('</html>'), kind);
    assert.ok(!`${mail.subject}${mail.text}${mail.html}`.includes('{{'), kind);
    if (kind in types) assert.equal(new URL(mail.link).searchParams.get('type'), types[kind]);
    if (kind === 'team_invitation') assert.equal(mail.link, 'https://app.example/in?a=b&c=d&team_invitation=abcdef');
    if (kind.endsWith('_changed')) assert.equal(mail.code, undefined);
  }
});

test('refused for good is dropped, grey is tried again, and the log says what the server said', async () => {
  await post('gone@b.example');
  await gone('gone@b.example');
  const [refused] = logged('mail.dropped');
  assert.deepEqual([refused.stage, refused.status, refused.attempts], ['recipient', 550, 1]);
  await post('grey@b.example');
  for (const attempts of [1, 2]) {
    await eventually(`attempt ${attempts}`, async () => (await waiting('grey@b.example'))?.attempts === attempts && logged('mail.postponed').length === attempts);
    assert.equal((await waiting('grey@b.example')).later, true);
    await retry('grey@b.example');
  }
  await arrived('grey@b.example');
  await gone('grey@b.example');
  assert.ok(!fs.readFileSync(s.logFile, 'utf8').includes('somebody@'));
});

test('what is too late is dropped, and what cannot be sent too', async () => {
  await post('late@b.example', { lifetime: 0 });
  await post('nobody', {});
  await post('ü@b.example', {});
  await post('x@b.example\r\nBcc: eve@b.example', {});
  await post('kind@b.example', { kind: 'no_such_kind' });
  await post('4915112345678', { channel: 'sms' });
  await s.sql(`set role tenon_worker; select set_config('tenon.tenant_id', '${s.b.id}', false);
    select tenon.post_message('email', 'confirmation', 'stolen@b.example', null, '\\x${seal(s.a, letter)}', 600)`);
  await eventually('an empty outbox', async () => (await s.rows('select id from tenon.outbox')).length === 0);
  assert.equal(logged('mail.expired').length, 1);
  assert.deepEqual(logged('mail.dropped').map((l) => l.stage).sort(), ['hook', 'kind', 'letter', 'recipient', 'recipient', 'recipient', 'recipient']);
  for (const to of ['late@b.example', 'stolen@b.example', 'eve@b.example']) assert.deepEqual(server.to(to), []);
});

test('no value breaks out of its header', async () => {
  const user = await person('inject@b.example', { name: 'x\r\nBcc: eve@b.example\r\n\r\n<b>hi</b>' });
  const file = path.join(s.dir, 'injected.html');
  fs.writeFileSync(file, '<p title="{{ .Data.name }}">{{ .Data.name }}</p>');
  assert.equal((await s.tenon('mail', 'template', 'set', 'invite', '--subject', 'For {{ .Data.name }} Ü', '--html', file)).code, 0);
  await post('inject@b.example', { kind: 'invite', user });
  const mail = await arrived('inject@b.example');
  assert.deepEqual(Object.keys(mail.headers).filter((h) => h === 'bcc'), []);
  assert.deepEqual(mail.to, 'inject@b.example');
  assert.equal(mail.subject, 'For x  Bcc: eve@b.example    <b>hi</b> Ü');
  assert.ok(mail.html.includes('&lt;b&gt;hi&lt;/b&gt;') && !mail.html.includes('<b>'));
  assert.equal(mail.text, undefined);
  await s.tenon('mail', 'template', 'remove', 'invite');
});

test('templates of a tenant, in the language of the person, the tenant, English', async () => {
  const set = async (language, ...more) => {
    const file = path.join(s.dir, `${language}.txt`);
    const tag = language.toLowerCase().replace('_', '-');
    fs.writeFileSync(file, `${tag}: {{ .Email }} {{.Token}} {{ .Data.nick }} {{ .Data.deep.er }}!\n`);
    return s.tenon('mail', 'template', 'set', 'magiclink', '--language', language, '--subject', `In ${tag}`, '--text', file, ...more);
  };
  for (const language of ['en', 'de', 'fr_CA']) assert.equal((await set(language)).code, 0);
  assert.deepEqual((await s.tenon('mail', 'template', 'list', '--json')).json.map((t) => [t.kind, t.language, t.forms]),
    [['magiclink', 'de', 'text'], ['magiclink', 'en', 'text'], ['magiclink', 'fr-ca', 'text']]);
  const cases = [[{ locale: 'de_AT', nick: 'Zoë' }, 'de'], [{ language: 'fr-CA' }, 'fr-ca'], [{ locale: 'fr' }, 'en'], [{ locale: 7, language: 'x' }, 'en']];
  for (const [i, [metadata, language]] of cases.entries()) {
    const to = `language${i}@b.example`;
    await post(to, { kind: 'magiclink', user: await person(to, metadata), data: '{"deep": {"er": 1}}' });
    const mail = await arrived(to);
    assert.deepEqual([mail.subject, mail.headers['content-language']], [`In ${language}`, language]);
    assert.equal(mail.text.trim(), `${language}: ${to} 123456 ${i === 0 ? 'Zoë' : ''} 1!`);
  }
  assert.equal((await s.tenon('mail', 'language', 'de', '--json')).json.language, 'de');
  await post('default@b.example', { kind: 'magiclink' });
  assert.equal((await arrived('default@b.example')).subject, 'In de');
  await post('other@b.example', { kind: 'magiclink', tenant: s.b });
  assert.equal((await arrived('other@b.example')).subject, 'Your link to sign in');
  assert.equal((await s.tenon('mail', 'template', 'remove', 'magiclink', '--language', 'de')).code, 0);
  assert.equal((await s.tenon('mail', 'template', 'remove', 'magiclink', '--language', 'de')).code, 4);
});

test('a template with a mistake is told when it is saved', async () => {
  const file = path.join(s.dir, 'wrong.txt');
  for (const [text, problem] of [['a\n{{ .Tokn }}', /line 2: there is no variable \{\{ \.Tokn \}\}/], ['{{ if .Token }}', /there is no variable/], ['{{ .Token', /not closed/], ['', /expected text/], ['\xff', /UTF-8/]]) {
    fs.writeFileSync(file, text, 'latin1');
    const answer = await s.tenon('mail', 'template', 'set', 'recovery', '--subject', 'x', '--text', file);
    assert.equal(answer.code, 1, answer.stdout);
    assert.match(answer.stderr, problem);
  }
  assert.match((await s.tenon('mail', 'template', 'set', 'recovery', '--subject', 'x')).stderr, /expected a text, HTML, or both/);
  assert.match((await s.tenon('mail', 'template', 'set', 'recovery', '--subject', 'a\nb', '--text', file)).stderr, /UTF-8|one line/);
  assert.equal((await s.tenon('mail', 'template', 'set', 'no_kind', '--subject', 'x', '--text', file)).code, 4);
});

test('show and preview print the words as they are and as people get them', async () => {
  const shown = await s.tenon('mail', 'template', 'show', 'recovery', '--json');
  assert.deepEqual([shown.json.source, shown.json.language], ['built-in', 'en']);
  assert.ok(shown.json.text.includes('{{ .ConfirmationURL }}'));
  const preview = await s.tenon('mail', 'preview', 'recovery');
  assert.match(preview.stdout, /^Choose a new password\n\n[\s\S]*\/auth\/v1\/verify\?token=[\s\S]*123456/);
  assert.match((await s.tenon('mail', 'preview', 'recovery', '--html')).stdout, /^<!doctype html>/);
});

test('`tenon mail test` over every kind of connection', async () => {
  const attempt = async (env, to = 'try@b.example') => {
    s.options.env = Object.fromEntries(Object.entries(env).map(([name, value]) => [`TENON_MAIL_${name}`, String(value)]));
    const answer = await s.tenon('mail', 'test', to);
    delete s.options.env;
    return answer;
  };
  assert.equal((await attempt({})).code, 0);
  assert.equal((await attempt({ URL: smtps.url, CA_FILE: smtps.certificate })).code, 0);
  assert.deepEqual(smtps.received.map((m) => [m.tls, m.user]), [[true, 'app']]);
  const open = { URL: plain.url, USER: '', PASSWORD: '' };
  assert.equal((await attempt({ ...open, TLS: 'opportunistic' })).code, 0);
  assert.equal((await attempt({ ...open, TLS: 'off' })).code, 0);
  const listen = async (onConnection) => {
    const listener = net.createServer((socket) => onConnection(socket.on('error', () => {}).unref())).listen(0, '127.0.0.1').unref();
    await once(listener, 'listening');
    return `smtp://127.0.0.1:${listener.address().port}`;
  };
  const silent = await listen(() => {}); // takes connections and says nothing
  const rude = await listen((socket) => socket.end('220 hello\r\n')); // hangs up
  const refusals = [
    ['no STARTTLS', open, /tls|greeting/],
    ['a wrong password', { PASSWORD: 'wrong' }, /\(login\)/],
    ['a certificate that nobody vouches for', { CA_FILE: '' }, /certificate|SSL peer/i],
    ['a certificate of somebody else, TLS from the start', { URL: smtps.url }, /certificate|SSL peer/i],
    ['nothing but silence', { ...open, URL: silent, TIMEOUT_S: 1 }, /Timeout/i],
    ['a connection that breaks', { ...open, URL: rude }, /did not take it/],
    ['nobody there', { ...open, URL: 'smtp://127.0.0.1:1' }, /connect/],
  ];
  for (const [what, env, problem] of refusals) {
    const answer = await attempt(env);
    assert.equal(answer.code, 1, what);
    assert.match(answer.stderr, problem, what);
  }
  assert.match((await attempt({ TLS: 'opportunistic' })).stderr, /mail\.tls: a password is sent over TLS only/);
  assert.match((await attempt({ FROM: 'a b@c' })).stderr, /mail\.from: expected an address/);
  assert.match((await attempt({ URL: 'http://x' })).stderr, /mail\.url: expected smtp:/);
  assert.equal((await attempt({}, 'x@b.example\nBcc: y@b.example')).code, 2);
  const folder = path.join(s.dir, 'by hand');
  assert.equal((await attempt({ URL: '', MAILDIR: folder })).code, 0);
  const [name] = fs.readdirSync(path.join(folder, 'new'));
  assert.equal(parseMail(fs.readFileSync(path.join(folder, 'new', name), 'utf8')).to, 'try@b.example');
  assert.deepEqual(fs.readdirSync(path.join(folder, 'tmp')), []);
});

test('two jobs processes send each message once, over few connections', async () => {
  const before = server.received.length;
  await s.sql(`set role tenon_worker; select set_config('tenon.tenant_id', '${s.a.id}', false);
    select count(tenon.post_message('email', 'recovery', 'many' || n || '@b.example', null, '\\x${seal(s.a, letter)}', 600)) from generate_series(1, 40) n`);
  await eventually('an empty outbox', async () => (await s.rows('select id from tenon.outbox')).length === 0);
  const sent = server.received.slice(before);
  assert.equal(sent.length, 40);
  assert.equal(new Set(sent.map((m) => m.to[0])).size, 40);
  assert.ok(new Set(sent.map((m) => m.connection)).size < 20);
});

test('a killed jobs process loses no mail', async () => {
  await post('held@b.example');
  await eventually('the mail to be under way', () => server.held.length === 1);
  for (const pid of s.workers('jobs')) process.kill(pid, 'SIGKILL');
  server.hold.length = 0;
  assert.equal((await waiting('held@b.example')).later, true);
  await eventually('new jobs processes', () => s.workers('jobs').length === 2 && logged('server.worker.started', { pool: 'jobs' }).length === 4);
  await retry('held@b.example');
  await gone('held@b.example');
  assert.equal(server.to('held@b.example').length, 2);
  const ids = server.to('held@b.example').map((m) => parseMail(m.raw).headers['message-id']);
  assert.equal(ids[0], ids[1]); // so that a mail server can tell
});

test('without a mail server into the maildir, and with hooks to the app', async () => {
  await s.sql(`create table public.told (n bigint generated always as identity, payload jsonb);
    create function public.tell(event jsonb) returns jsonb language sql security definer set search_path = '' as $$ insert into public.told (payload) values (event); select '{}'::jsonb $$;
    grant execute on function public.tell(jsonb) to supabase_auth_admin`);
  server.hold.push('stuck@b.example');
  await post('stuck@b.example');
  await eventually('the mail to be under way', () => server.to('stuck@b.example').length === 1);
  const died = logged('server.worker.died').length;
  s.configure({ 'mail.url': '', 'mail.user': '', 'hooks.send_sms': 'pg-functions://postgres/public/tell' });
  assert.equal((await s.tenon('reload')).code, 0);
  const box = mailbox(s);
  await post('laid@b.example');
  const mail = await box.to('laid@b.example', { kind: 'confirmation' });
  assert.deepEqual([mail.code, mail.token, mail.from], ['123456', 'abcdef', 'Zoë’s App <app@mail.example>']);
  await eventually('the jobs processes of before to end', () => s.workers('jobs').length === 2);
  assert.equal(logged('server.worker.died').length, died); // although the mail server does not answer
  await retry('stuck@b.example');
  await box.to('stuck@b.example');
  await post('4915112345678', { channel: 'sms', kind: 'phone_change' });
  const told = (n) => eventually('the hook to be asked', async () => (await s.rows('select payload from public.told order by n'))[n - 1]?.payload);
  assert.deepEqual(await told(1), { user: { phone: '4915112345678' }, sms: { otp: '123456', phone: '4915112345678', sms_type: 'phone_change', message: '123456 is your code for https://app.example. Pass it on to nobody.\n' } });

  s.configure({ 'hooks.send_email': 'pg-functions://postgres/public/tell' });
  assert.equal((await s.tenon('reload')).code, 0);
  const id = await person('old@b.example');
  const change = (to, code, token) => `tenon.post_message('email', 'email_change', '${to}', '${id}', '\\x${seal(s.a, { ...letter, code, token, new_email: 'new@b.example' })}', 600)`;
  await s.sql(`set role tenon_worker; select set_config('tenon.tenant_id', '${s.a.id}', false);
    select ${change('new@b.example', '111111', 'new')}, ${change('old@b.example', '222222', 'old')}`);
  const { user, email_data } = await told(2);
  assert.equal(user.id, id);
  assert.deepEqual([email_data.token, email_data.token_hash_new, email_data.token_new, email_data.token_hash], ['222222', 'old', '111111', 'new']);
  assert.deepEqual([email_data.email_action_type, email_data.site_url, email_data.redirect_to], ['email_change', 'https://app.example', letter.redirect_to]);
  await box.settled();
  assert.equal((await s.rows('select n from public.told')).length, 2);
});
