/* t/compat/lib/corpus.mjs: how the requests of t/compat/requests are written
 *
 *   section('8 order', [
 *     get(200, '/harbours?select=id&order=name.desc'),
 *     get('400 PGRST100', '/harbours?order='),
 *     patch(204, '/harbours?id=eq.1', { depth: 1 }, { prefer: 'count=exact' }),
 *   ]);
 *
 * First comes what PostgREST 12.0.2 answers, status and error code: a request that does not exercise what it was written for
 * fails already there. Paths are written decoded except for what must be encoded by hand (%26, %2C where it matters); a
 * blank, a quote and the like are encoded here. Options:
 *
 *   prefer, accept, type     headers; `type` is the body's Content-Type
 *   as                       'authenticated', 'service_role', …: a token with this role (and the sub of `people.one`)
 *   claims, token            further claims, or a whole Authorization value
 *   headers                  further request headers; a list sends the line several times
 *   see                      names of response headers to compare besides the usual ones
 *   commit                   the request commits; the data is put back afterwards. Others that may write say tx=rollback
 *   unordered                the rows of the body come in any order
 *   raw                      the path is sent as it is
 *   plain                    sent to the second pair of servers: one schema, nothing switched on, five rows at most
 *   name                     to tell it from another request that would read the same
 */
import fs from 'node:fs';
import path from 'node:path';
import { hs256 } from '../../lib/jwt.mjs';

export const jwtSecret = 'a secret of at least thirty-two characters';
export const people = { one: '11111111-1111-4111-8111-111111111111', two: '22222222-2222-4222-8222-222222222222' };

const safe = new Set(['GET', 'HEAD', 'OPTIONS']);

function request(method, expected, target, options = {}) {
  const [status, code] = String(expected).split(' ');
  const asked = (options.prefer ?? '').includes('tx=');
  const prefer = safe.has(method) || options.commit || asked ? options.prefer : [options.prefer, 'tx=rollback'].filter(Boolean).join(', ');
  const headers = { ...options.headers };
  if (prefer) headers.Prefer = prefer;
  if (options.accept) headers.Accept = options.accept;
  if (options.token !== undefined) headers.Authorization = options.token; // a function gives it when the request is sent
  else if (options.as || options.claims) headers.Authorization = `Bearer ${token(options)}`;
  let { body } = options;
  if (body !== undefined) {
    if (typeof body !== 'string' && !Buffer.isBuffer(body)) body = JSON.stringify(body);
    if (options.type !== null) headers['Content-Type'] = options.type ?? 'application/json';
  }
  return {
    ...options, method, status: Number(status), code, headers, body, writes: !safe.has(method),
    path: options.raw ? target : encode(target), name: name(method, target, options),
  };
}

export const get = (expected, target, options) => request('GET', expected, target, options);
export const head = (expected, target, options) => request('HEAD', expected, target, options);
export const options = (expected, target, more) => request('OPTIONS', expected, target, more);
export const del = (expected, target, more) => request('DELETE', expected, target, more);
export const post = (expected, target, body, more) => request('POST', expected, target, { ...more, body });
export const patch = (expected, target, body, more) => request('PATCH', expected, target, { ...more, body });
export const put = (expected, target, body, more) => request('PUT', expected, target, { ...more, body });
export const any = (method, expected, target, more) => request(method, expected, target, more);

/* Names of requests are unique within all sections, because differences and --only go by them. */
export function section(title, requests) {
  return { title, requests: requests.flat(Infinity).map((r) => ({ ...r, section: title })) };
}

/* The same requests in a schema that they name. */
export function inSchema(schema, requests) {
  const profile = (r) => ({ [r.method === 'GET' || r.method === 'HEAD' || r.method === 'OPTIONS' ? 'Accept-Profile' : 'Content-Profile']: schema });
  return requests.map((r) => ({ ...r, headers: { ...r.headers, ...profile(r) }, name: `${schema}: ${r.name}` }));
}

export function token({ as: role, claims }) {
  return hs256({ ...(role && { role }), sub: people.one, ...claims }, jwtSecret);
}

/* Percent-encodes what may not stand in a request line; `%XX` and everything else stays. */
export function encode(target) {
  return target.replace(/[^\x21-\x7e]+|["<>\\^`{|}]/gu, (text) => encodeURIComponent(text));
}

function name(method, target, o) {
  if (o.name) return o.name;
  const parts = [method, target.length > 160 ? `${target.slice(0, 150)}… (${target.length})` : target];
  if (o.prefer) parts.push(`Prefer: ${o.prefer}`);
  if (o.accept) parts.push(`Accept: ${o.accept}`);
  if (o.as) parts.push(`as ${o.as}`);
  if (o.claims) parts.push(`claims ${JSON.stringify(o.claims)}`);
  if (o.type !== undefined) parts.push(`type ${o.type}`);
  if (o.headers) parts.push(JSON.stringify(o.headers));
  if (o.body !== undefined) parts.push(short(typeof o.body === 'string' || Buffer.isBuffer(o.body) ? String(o.body) : JSON.stringify(o.body)));
  if (o.commit) parts.push('(commits)');
  if (o.plain) parts.push('(plain)');
  return parts.join(' | ').replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\0', '\\0');
}

const short = (text) => (text.length > 120 ? `${text.slice(0, 110)}… (${text.length})` : text);

/* All sections, in the order of the file names. */
export async function loadCorpus() {
  const folder = path.resolve(import.meta.dirname, '../requests');
  const sections = [];
  for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.mjs')).sort()) sections.push(...[(await import(path.join(folder, file))).default].flat());
  const seen = new Map();
  for (const r of sections.flatMap((s) => s.requests)) {
    const count = (seen.get(r.name) ?? 0) + 1;
    seen.set(r.name, count);
    if (count > 1) r.name += ` #${count}`;
  }
  return sections;
}
