// t/api/auth-enumeration.mjs: who asks cannot tell whether anybody has an address: not by status, headers or body, and not by time
//
// Time is compared by ranks (Mann and Whitney): of all pairs of a known and an unknown address, how often did the known one take longer?
// Half of them when there is no difference. A hash or a mail that one side is spared moves that to nearly all or none; a busy machine
// makes both sides slower alike, and pulls it to the middle. So the bounds are wide and still find what matters.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { password, stack } from '../lib/stack.mjs';
import { answers } from '../lib/expect.mjs';
import { mailbox } from '../lib/mailbox.mjs';

const SAMPLES = Number(process.env.TENON_TEST_SAMPLES ?? 40);
const s = await stack({ people: false, settings: { 'auth.autoconfirm': 'off', 'auth.mail_interval_s': 0 } });
const box = mailbox(s);
const { anon } = s.a;

const known = ['ada@example.com', 'bob@example.com'];
for (const email of known) {
  answers(await anon.request('POST', '/auth/v1/signup', { email, password }), 200);
  answers(await anon.request('POST', '/auth/v1/verify', { type: 'signup', email, token: (await box.to(email)).code }), 200);
}
let strangers = 0;
const address = (isKnown) => (isKnown ? known[0] : `stranger-${++strangers}@example.com`);

/* What is random or a time, and what the client has said itself. */
const mask = (text) => text.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID').replaceAll(/\d{4}-\d\d-\d\dT[0-9:.]+Z/g, 'TIME').replaceAll(/[a-z0-9-]+@example\.com/g, 'ADDRESS');
const shape = ({ status, headers, text }, members = (x) => x) => {
  const { date, connection, 'x-request-id': id, ...rest } = headers; // nginx closes a connection now and then
  assert.ok(date && id && connection);
  return { status, headers: { ...rest, 'content-length': undefined }, body: members(JSON.parse(mask(text))) };
};

async function compare(path, body, members) {
  const times = { true: [], false: [] };
  const shapes = {};
  for (let i = 0; i < 2 * SAMPLES + 4; i++) {
    const isKnown = i % 4 === 0 || i % 4 === 3; // neither is always the first
    const begun = process.hrtime.bigint();
    const answer = await anon.request('POST', `/auth/v1/${path}`, body(address(isKnown)));
    if (i >= 4) times[isKnown].push(Number(process.hrtime.bigint() - begun));
    const got = shape(answer, members);
    shapes[isKnown] ??= got;
    assert.deepEqual(got, shapes[isKnown]);
  }
  assert.deepEqual(shapes.true, shapes.false);
  const longer = times.true.reduce((sum, a) => sum + times.false.reduce((n, b) => n + (a > b ? 1 : a === b ? 0.5 : 0), 0), 0);
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1] / 1e6;
  return { part: longer / (times.true.length * times.false.length), known: median(times.true), unknown: median(times.false) };
}

/* The answer to a sign-up that is a repetition says so to the app itself, as its dialect has it: these members, and no more. */
const signUpMembers = ({ role, identities, user_metadata, ...rest }) => {
  assert.ok(['', 'authenticated'].includes(role) && Array.isArray(identities) && user_metadata);
  return rest;
};

const cases = [
  ['signup', 'signup', (email) => ({ email, password }), signUpMembers],
  ['a password that is wrong', 'token?grant_type=password', (email) => ({ email, password: 'wrong password' })],
  ['recover', 'recover', (email) => ({ email })],
  ['otp', 'otp', (email) => ({ email })],
  ['resend', 'resend', (email) => ({ email, type: 'signup' })],
  ['resend of a change', 'resend', (email) => ({ email, type: 'email_change' })],
  ['verify', 'verify', (email) => ({ email, type: 'recovery', token: '000000' })],
];
for (const [name, path, body, members] of cases)
  test(`${name} answers alike`, async (t) => {
    const { part, known: mine, unknown } = await compare(path, body, members);
    const found = `a known address took longer in ${(100 * part).toFixed(0)} % of the pairs; medians ${mine.toFixed(2)} and ${unknown.toFixed(2)} ms`;
    t.diagnostic(found);
    assert.ok(part > 0.12 && part < 0.88, found);
  });
