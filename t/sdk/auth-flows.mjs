// t/sdk/auth-flows.mjs: @supabase/supabase-js, unmodified: confirmations, codes and links, PKCE, tabs and processes that share a storage
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createClient } from '@supabase/supabase-js';
import { eventually, password, stack } from '../lib/stack.mjs';
import { decode } from '../lib/jwt.mjs';
import { mailbox } from '../lib/mailbox.mjs';

const s = await stack({
  people: false,
  settings: {
    'auth.autoconfirm': 'off', 'auth.anonymous': 'on', 'auth.mail_interval_s': 0, 'auth.sms_interval_s': 0, 'auth.jwt_ttl_s': 60,
    'auth.redirect_urls': 'https://app.example.com/**', 'auth.phone': 'on', 'hooks.send_sms': 'pg-functions://postgres/public/send_sms',
  },
  prepare: (stack) => stack.sql(`
    create table public.texts (id bigint generated always as identity primary key, event jsonb);
    create function public.send_sms(event jsonb) returns jsonb language plpgsql security definer set search_path = '' as $$
      begin insert into public.texts (event) values (event); return '{}'; end $$;
    revoke execute on function public.send_sms(jsonb) from public;
    grant execute on function public.send_sms(jsonb) to supabase_auth_admin;`),
});
const box = mailbox(s);
const client = (options = {}) => createClient(s.origin, s.a.publishable, { auth: { autoRefreshToken: false, persistSession: false, ...options } });
const admin = createClient(s.origin, s.a.secret, { auth: { autoRefreshToken: false, persistSession: false } }).auth.admin;
const ok = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};
let people = 0;
const fresh = () => `person${++people}@example.com`;
const memory = () => {
  const values = new Map();
  return { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => void values.set(key, value), removeItem: (key) => void values.delete(key), values };
};
const follow = async (link) => new URL((await fetch(link, { redirect: 'manual' })).headers.get('location'));
const amr = (session) => decode(session.access_token).claims.amr.map((a) => a.method);
const seenTexts = new Set();
const text = (phone) => eventually(`a text message to ${phone}`, async () => {
  const row = (await s.rows(`select id, event from public.texts where event #>> '{sms,phone}' = '${phone}' order by id`)).find((r) => !seenTexts.has(r.id));
  if (row) seenTexts.add(row.id);
  return row?.event.sms.otp;
});

/* Somebody confirmed, and a client that is signed in as they. */
async function somebody(options) {
  const email = fresh();
  const supabase = client(options);
  ok(await supabase.auth.signUp({ email, password }));
  const mail = await box.to(email);
  const { user, session } = ok(await supabase.auth.verifyOtp({ email, token: mail.code, type: 'signup' }));
  return { email, supabase, user, session };
}

test('signUp awaits confirmation; verifyOtp with the code of the mail', async () => {
  const email = fresh();
  const supabase = client();
  const { user, session } = ok(await supabase.auth.signUp({ email, password, options: { data: { nick: 'n' } } }));
  assert.deepEqual([session, user.email, user.identities.length, user.email_confirmed_at], [null, email, 1, undefined]);
  const early = await supabase.auth.signInWithPassword({ email, password });
  assert.deepEqual([early.error.code, early.error.message], ['email_not_confirmed', 'Email not confirmed']);
  const mail = await box.to(email);
  const wrong = await supabase.auth.verifyOtp({ email, token: mail.code === '123456' ? '123457' : '123456', type: 'signup' });
  assert.deepEqual([wrong.error.status, wrong.error.code, wrong.error.message], [403, 'otp_expired', 'Token has expired or is invalid']);
  const verified = ok(await supabase.auth.verifyOtp({ email, token: mail.code, type: 'signup' }));
  assert.equal(verified.user.id, user.id);
  assert.equal(ok(await supabase.auth.getUser()).user.id, user.id);
  const again = ok(await supabase.auth.signUp({ email, password }));
  assert.deepEqual([again.session, again.user.identities, again.user.id === user.id], [null, [], false]);
});

test('verifyOtp of every type', async () => {
  const magic = await somebody();
  for (const type of ['email', 'magiclink']) {
    ok(await client().auth.signInWithOtp({ email: magic.email }));
    assert.equal(ok(await client().auth.verifyOtp({ email: magic.email, token: (await box.to(magic.email)).code, type })).user.id, magic.user.id);
  }
  ok(await client().auth.resetPasswordForEmail(magic.email));
  assert.deepEqual(amr(ok(await client().auth.verifyOtp({ token_hash: (await box.to(magic.email, { kind: 'recovery' })).token, type: 'recovery' })).session), ['otp']);

  const invited = fresh();
  ok(await admin.inviteUserByEmail(invited));
  const { user } = ok(await client().auth.verifyOtp({ token_hash: (await box.to(invited)).token, type: 'invite' }));
  assert.ok(user.email_confirmed_at && user.invited_at);

  const mover = await somebody();
  const moved = fresh();
  assert.equal(ok(await mover.supabase.auth.updateUser({ email: moved })).user.new_email, moved);
  const half = await client().auth.verifyOtp({ email: mover.email, token: (await box.to(mover.email)).code, type: 'email_change' });
  assert.deepEqual([half.error, half.data.session], [null, null]);
  const whole = ok(await client().auth.verifyOtp({ email: moved, token: (await box.to(moved)).code, type: 'email_change' }));
  assert.deepEqual([whole.user.id, whole.user.email], [mover.user.id, moved]);
});

test('signInWithOtp by telephone, and a change of the number', async () => {
  const supabase = client();
  const { messageId } = ok(await supabase.auth.signInWithOtp({ phone: '+4930555' }));
  assert.match(messageId, /^[0-9a-f-]{36}$/);
  const { user, session } = ok(await supabase.auth.verifyOtp({ phone: '+4930555', token: await text('4930555'), type: 'sms' }));
  assert.deepEqual([user.phone, user.email, amr(session)], ['4930555', '', ['otp']]);
  assert.equal(ok(await supabase.auth.updateUser({ phone: '4930556' })).user.new_phone, '4930556');
  ok(await supabase.auth.resend({ type: 'sms', phone: '4930555' }));
  const changed = ok(await supabase.auth.verifyOtp({ phone: '4930556', token: await text('4930556'), type: 'phone_change' }));
  assert.deepEqual([changed.user.id, changed.user.phone], [user.id, '4930556']);
  const signedUp = ok(await client().auth.signUp({ phone: '4930557', password }));
  assert.equal(signedUp.session, null);
  ok(await client().auth.verifyOtp({ phone: '4930557', token: await text('4930557'), type: 'sms' }));
  assert.equal(ok(await client().auth.signInWithPassword({ phone: '4930557', password })).user.phone, '4930557');
});

test('resend', async () => {
  const email = fresh();
  ok(await client().auth.signUp({ email, password }));
  const first = await box.to(email);
  ok(await client().auth.resend({ type: 'signup', email, options: { emailRedirectTo: 'https://app.example.com/again' } }));
  const second = await box.to(email);
  assert.equal(new URL(second.link).searchParams.get('redirect_to'), 'https://app.example.com/again');
  assert.equal((await client().auth.verifyOtp({ email, token: first.code, type: 'signup' })).error?.code, 'otp_expired');
  ok(await client().auth.verifyOtp({ email, token: second.code, type: 'signup' }));

  const mover = await somebody();
  const moved = fresh();
  ok(await mover.supabase.auth.updateUser({ email: moved }));
  await box.to(moved);
  await s.sql(`update auth.users set email_change_sent_at = now() - interval '1 hour' where email = '${mover.email}'`);
  ok(await client().auth.resend({ type: 'email_change', email: mover.email }));
  assert.ok((await box.to(moved)).code);
});

test('a link of the implicit flow: the fragment is what setSession takes', async () => {
  const { email, user } = await somebody();
  ok(await client().auth.signInWithOtp({ email, options: { emailRedirectTo: 'https://app.example.com/home' } }));
  const to = await follow((await box.to(email)).link);
  assert.equal(`${to.origin}${to.pathname}`, 'https://app.example.com/home');
  const fragment = new URLSearchParams(to.hash.slice(1));
  const supabase = client();
  const set = ok(await supabase.auth.setSession({ access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') }));
  assert.equal(set.user.id, user.id);
  ok(await supabase.auth.refreshSession());
});

test('PKCE: sign-up, magic link and recovery end in exchangeCodeForSession', async () => {
  const email = fresh();
  const supabase = client({ flowType: 'pkce', persistSession: true, storage: memory() });
  const events = [];
  supabase.auth.onAuthStateChange((event) => events.push(event));
  const codeOf = async (kind) => (await follow((await box.to(email, { kind })).link)).searchParams.get('code');

  ok(await supabase.auth.signUp({ email, password }));
  const confirmed = await codeOf('confirmation');
  assert.deepEqual(amr(ok(await supabase.auth.exchangeCodeForSession(confirmed)).session), ['email/signup']);
  const again = await supabase.auth.exchangeCodeForSession(confirmed);
  assert.ok(again.error, 'a code and its verifier are good once');

  ok(await supabase.auth.signInWithOtp({ email }));
  assert.deepEqual(amr(ok(await supabase.auth.exchangeCodeForSession(await codeOf('magiclink'))).session), ['magiclink']);

  ok(await supabase.auth.resetPasswordForEmail(email, { redirectTo: 'https://app.example.com/reset' }));
  const stolen = await codeOf('recovery');
  const thief = client({ flowType: 'pkce', persistSession: true, storage: memory() });
  ok(await thief.auth.signInWithOtp({ email: fresh() })); // has a verifier of its own
  assert.equal((await thief.auth.exchangeCodeForSession(stolen)).error.code, 'bad_code_verifier');
  ok(await supabase.auth.exchangeCodeForSession(stolen));
  assert.ok(events.includes('PASSWORD_RECOVERY'), String(events));
  ok(await supabase.auth.updateUser({ password: 'another battery staple' }));
  ok(await client().auth.signInWithPassword({ email, password: 'another battery staple' }));
});

test('anonymous', async () => {
  const supabase = client();
  const { user, session } = ok(await supabase.auth.signInAnonymously({ options: { data: { nick: 'n' } } }));
  assert.deepEqual([user.is_anonymous, user.email, user.phone, user.app_metadata, user.identities, user.user_metadata], [true, '', '', {}, [], { nick: 'n' }]);
  const { claims } = decode(session.access_token);
  assert.deepEqual([claims.is_anonymous, claims.role, amr(session)], [true, 'authenticated', ['anonymous']]);
  const email = fresh();
  ok(await supabase.auth.updateUser({ email }));
  const known = ok(await supabase.auth.verifyOtp({ email, token: (await box.to(email)).code, type: 'email_change' }));
  assert.deepEqual([known.user.id, known.user.is_anonymous, known.user.email], [user.id, false, email]);
});

test('signOut ends this session, the others, or all', async () => {
  const { email } = await somebody();
  const clients = [client(), client(), client()];
  for (const c of clients) ok(await c.auth.signInWithPassword({ email, password }));
  const live = () => Promise.all(clients.map(async (c) => (await c.auth.refreshSession()).error === null));
  assert.equal((await clients[0].auth.signOut({ scope: 'others' })).error, null);
  assert.deepEqual(await live(), [true, false, false]);
  for (const c of clients.slice(1)) ok(await c.auth.signInWithPassword({ email, password }));
  assert.equal((await clients[0].auth.signOut({ scope: 'local' })).error, null);
  assert.deepEqual(await live(), [false, true, true]);
  assert.equal((await clients[1].auth.signOut()).error, null);
  assert.deepEqual(await live(), [false, false, false]);
});

/* A client whose storage another has written meanwhile lets its own answer go, and says so; it stays signed in. */
const refreshed = ({ error }) => assert.ok(error === null || error.name === 'AuthRefreshDiscardedError', String(error));

test('several tabs with one storage: whichever refreshes, nobody is signed out', async () => {
  const storage = memory();
  const { user } = await somebody({ persistSession: true, storage });
  const tabs = Array.from({ length: 6 }, () => client({ persistSession: true, storage }));
  await Promise.all(tabs.map(async (tab) => {
    for (let i = 0; i < 5; i++) refreshed(await tab.auth.refreshSession());
  }));
  for (const tab of tabs) {
    assert.equal(ok(await tab.auth.getUser()).user.id, user.id);
    ok(await tab.auth.refreshSession());
  }
});

test('the client refreshes by itself, before the token is over', async () => {
  const { supabase, session } = await somebody({ persistSession: true, storage: memory() });
  const refreshed = new Promise((resolve) => supabase.auth.onAuthStateChange((event, next) => event === 'TOKEN_REFRESHED' && resolve(next)));
  await supabase.auth.startAutoRefresh(); // a minute is less than the margin that the client leaves
  assert.notEqual((await refreshed).refresh_token, session.refresh_token);
  await supabase.auth.stopAutoRefresh();
});

test('several processes with one storage', async () => {
  const file = path.join(s.dir, 'storage.json');
  const { user } = await somebody({ persistSession: true, storage: shared(file) });
  const script = `
    import { createClient } from '@supabase/supabase-js';
    import fs from 'node:fs';
    const shared = ${shared};
    const supabase = createClient('${s.origin}', '${s.a.publishable}', { auth: { autoRefreshToken: false, persistSession: true, storage: shared(${JSON.stringify(file)}) } });
    for (let i = 0; i < 5; i++) {
      const { error } = await supabase.auth.refreshSession();
      if (error && error.name !== 'AuthRefreshDiscardedError') throw error;
    }
    console.log((await supabase.auth.getUser()).data.user.id);`;
  const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname });
  const said = await Promise.all([run(), run(), run()]);
  assert.deepEqual(said.map(({ stdout }) => stdout.trim()), [user.id, user.id, user.id]);
  const later = client({ persistSession: true, storage: shared(file) });
  assert.equal(ok(await later.auth.getUser()).user.id, user.id);
  ok(await later.auth.refreshSession());
});

/* A storage in a file, written whole; what cannot be read is not there. */
function shared(file) {
  const read = () => {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8'));
    } catch {
      return {};
    }
  };
  const write = (values) => {
    fs.writeFileSync(`${file}.${process.pid}`, JSON.stringify(values));
    fs.renameSync(`${file}.${process.pid}`, file);
  };
  return {
    getItem: (key) => read()[key] ?? null,
    setItem: (key, value) => write({ ...read(), [key]: value }),
    removeItem: (key) => write({ ...read(), [key]: undefined }),
  };
}
