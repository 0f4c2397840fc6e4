/* t/lib/mailbox.mjs: the mails that a stack has sent into its maildir, read as a person would
 *
 *   const box = mailbox(s);
 *   const { link, code } = await box.to('carol@a.example', { kind: 'recovery' });
 *
 * box.to() waits for the oldest mail to an address that this box has not given out yet; box.all() tells what is
 * there; box.settled() waits until nothing is left to be sent. A mail has subject, text, html, kind, from, to, headers
 * (names in lower case), link (the URL it is about), token (what the link carries), code (digits) and raw.
 */
import fs from 'node:fs';
import path from 'node:path';
import { eventually } from './stack.mjs';

export function mailbox(stack) {
  const folder = path.join(stack.settings['mail.maildir'] ?? path.join(stack.runDir, 'mail'), 'new');
  const read = new Map(); // file name → mail
  const given = new Set();
  const all = (address) => {
    for (const name of fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [])
      if (!read.has(name)) read.set(name, parseMail(fs.readFileSync(path.join(folder, name), 'utf8')));
    return [...read.values()].filter((mail) => address === undefined || mail.to === address);
  };
  return {
    all,
    to: async (address, { kind } = {}) => {
      const mail = await eventually(`a mail to ${address}`, () => all(address).find((m) => !given.has(m) && (kind === undefined || m.kind === kind)));
      given.add(mail);
      return mail;
    },
    settled: () => eventually('an empty outbox', async () => (await stack.rows('select from tenon.outbox')).length === 0),
  };
}

/* A mail as RFC 5322 and MIME have it: one part, or alternatives. */
export function parseMail(raw) {
  const { headers, body } = split(raw);
  const parts = partsOf(headers, body);
  const text = parts.find((p) => p.type === 'text/plain')?.content;
  const html = parts.find((p) => p.type === 'text/html')?.content;
  const urls = (text ?? unescape(html ?? '')).match(/https?:\/\/[^\s"<>]+/g) ?? [];
  const link = urls.find((url) => /[?&](token|team_invitation)=/.test(url)) ?? urls[0];
  const query = link && URL.canParse(link) ? new URL(link).searchParams : new URLSearchParams();
  return {
    raw, headers, text, html, link,
    subject: words(headers.subject), from: words(headers.from), to: headers.to, kind: headers['x-tenon-kind'],
    token: query.get('token') ?? query.get('team_invitation') ?? undefined,
    code: /^\s*(\d{6,10})\s*$/m.exec(text ?? '')?.[1],
  };
}

function split(raw) {
  const [head, ...rest] = raw.replaceAll('\r\n', '\n').split('\n\n');
  const lines = head.replace(/\n[ \t]+/g, ' ').split('\n');
  return { headers: Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])), body: rest.join('\n\n') };
}

function partsOf(headers, body) {
  const type = headers['content-type'] ?? 'text/plain';
  const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1];
  if (boundary === undefined) return [{ type: type.split(';')[0].trim(), content: decode(headers['content-transfer-encoding'], body) }];
  return body.split(`--${boundary}`).slice(1, -1).flatMap((part) => {
    const inner = split(part.replace(/^\n/, ''));
    return partsOf(inner.headers, inner.body.replace(/\n$/, ''));
  });
}

function decode(encoding = '7bit', body) {
  if (encoding.toLowerCase() === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  return encoding.toLowerCase() === 'quoted-printable' ? quotedPrintable(body.replace(/=\n/g, '')) : body;
}

const quotedPrintable = (text) => Buffer.from(text.replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1').toString('utf8');

/* Encoded words (RFC 2047); blanks between two of them are no part of the text. */
function words(text = '') {
  const one = /=\?utf-8\?([bq])\?([^?]*)\?=/gi;
  return text.replace(/\?=\s+=\?/g, '?==?').replace(one, (_, how, what) => (how.toLowerCase() === 'b' ? Buffer.from(what, 'base64').toString('utf8') : quotedPrintable(what.replaceAll('_', ' '))));
}

const unescape = (html) => html.replaceAll('&amp;', '&').replaceAll('&#34;', '"').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>');
