/* t/compat/lib/compare.mjs: sends one request to two servers and says in what their answers differ
 *
 * A difference is {kind, theirs, ours}. Bodies of JSON are compared as values: the order of members does not count, that of
 * rows does, and numbers are compared by their text, so that 1.50 is not 1.5. What an error says is compared where the dialect
 * declares it: always the code; the texts except for those in `unstable`.
 */
import http from 'node:http';

const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const comparedHeaders = ['content-type', 'content-range', 'location', 'preference-applied', 'content-profile', 'content-location'];

/* The answer: {status, headers, body (a Buffer), text}. `prefix`: what stands before the path. */
export function send(base, request) {
  const url = new URL(base);
  return new Promise((resolve, reject) => {
    const headers = { Accept: '*/*', ...request.headers };
    if (request.headers.Accept === null) delete headers.Accept;
    if (typeof headers.Authorization === 'function') headers.Authorization = headers.Authorization();
    if (request.body !== undefined) headers['Content-Length'] = Buffer.byteLength(request.body);
    else if (request.writes) headers['Content-Length'] = 0;
    const prefix = url.pathname.replace(/\/$/, '');
    const call = http.request({ agent, host: url.hostname, port: url.port, method: request.method, path: prefix + request.path, headers, timeout: 30_000 });
    call.on('error', (error) => reject(new Error(`${request.method} ${prefix}${request.path}: ${error.message}`)));
    call.on('timeout', () => call.destroy(new Error('no answer within 30 s')));
    call.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        resolve({ status: response.statusCode, reason: response.statusMessage, headers: response.headers, body, text: body.toString('utf8') });
      });
    });
    call.end(request.body);
  });
}

export function close() {
  agent.destroy();
}

/* 1.5e+3 as 1500: how jsonb writes numbers. */
function withoutExponent(number) {
  const [, sign, whole, fraction = '', exponent] = /^(-?)(\d+)(?:\.(\d+))?[eE]([-+]?\d+)$/.exec(number) ?? [];
  if (exponent === undefined) return number;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point >= digits.length) return `${sign}${digits.padEnd(point, '0')}`;
  if (point > 0) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  return `${sign}0.${'0'.repeat(-point)}${digits}`;
}

/* Parses JSON into a text that is equal exactly when the values are: members sorted and doubled ones kept, numbers as they stand.
 * `asJsonb`: equal when the values of jsonb are, which has no doubled members and no exponents. */
export function canonical(text, unordered = false, asJsonb = false) {
  let at = 0;
  const blank = () => {
    while (' \t\r\n'.includes(text[at]) && at < text.length) at += 1;
  };
  const value = (depth) => {
    blank();
    const c = text[at];
    if (c === '{') {
      const members = list('}', () => {
        const key = string();
        blank();
        if (text[at] !== ':') throw new SyntaxError(`no colon at ${at}`);
        at += 1;
        return [key, `${key}:${value(depth + 1)}`];
      });
      return `{${(asJsonb ? [...new Map(members).values()] : members.map(([, member]) => member)).sort().join(',')}}`;
    }
    if (c === '[') {
      const items = list(']', () => value(depth + 1));
      return `[${(unordered && depth === 0 ? items.sort() : items).join(depth === 0 ? ',\n' : ',')}]`;
    }
    if (c === '"') return string();
    const word = /[-+.\w]+/y;
    word.lastIndex = at;
    const found = word.exec(text)?.[0];
    if (found === undefined || !/^(-?\d+(\.\d+)?([eE][-+]?\d+)?|true|false|null)$/.test(found)) throw new SyntaxError(`no value at ${at}`);
    at += found.length;
    return asJsonb ? withoutExponent(found) : found;
  };
  const list = (end, item) => {
    const items = [];
    at += 1;
    blank();
    if (text[at] === end) {
      at += 1;
      return items;
    }
    for (;;) {
      blank();
      items.push(item());
      blank();
      if (text[at] === end) break;
      if (text[at] !== ',') throw new SyntaxError(`no comma at ${at}`);
      at += 1;
    }
    at += 1;
    return items;
  };
  const string = () => {
    const quoted = /"(?:[^"\\]|\\.)*"/sy;
    quoted.lastIndex = at;
    const found = quoted.exec(text)?.[0];
    if (found === undefined) throw new SyntaxError(`no string at ${at}`);
    at += found.length;
    return JSON.stringify(JSON.parse(found));
  };
  const result = value(0);
  blank();
  if (at < text.length) throw new SyntaxError(`more after the value at ${at}`);
  return result;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function errorOf(answer) {
  if (answer.status < 300 || !(answer.headers['content-type'] ?? '').includes('json')) return undefined;
  const error = parse(answer.text);
  return error !== null && typeof error === 'object' && !Array.isArray(error) && 'code' in error ? error : undefined;
}

/* Texts of errors that clients do not read and that nobody can be held to word by word: the parser's own sentences, and
 * suggestions of what somebody may have meant. */
const unstable = {
  PGRST100: ['message', 'details'],
  PGRST200: ['hint'],
  PGRST202: ['hint'],
  PGRST301: ['message'], // what the library says about the token
};

/* Names that PostgREST makes up in its SQL, as they show in PostgreSQL's messages. */
const plainText = (text) => (typeof text === 'string' ? text.replace(/\b(pgrst_\w+|[\w]+_\d+)\./g, '?.') : canonical(JSON.stringify(text ?? null)));

/* What PostgreSQL suggests out of names that a server has made up for its own SQL. */
const isOfMadeUpNames = (error) => error.code === '42703' && /\w_\d+\./.test(error.hint ?? '');

/* The relationships to choose from are a set. */
function unordered(error) {
  if (Array.isArray(error.details)) error.details = error.details.map((d) => JSON.stringify(d)).sort();
  if (typeof error.hint === 'string') error.hint = error.hint.split(/'([^']*)'/).sort().join(' ');
}

export function compare(request, theirs, ours) {
  const differences = [];
  const add = (kind, a, b) => a !== b && differences.push({ kind, theirs: a, ours: b });
  add('status', theirs.status, ours.status);
  for (const header of [...comparedHeaders, ...(request.see ?? [])]) add(header, theirs.headers[header.toLowerCase()], ours.headers[header.toLowerCase()]);
  if (request.method === 'OPTIONS') add('allow', theirs.headers.allow, ours.headers.allow);
  add('www-authenticate', theirs.headers['www-authenticate'] !== undefined, ours.headers['www-authenticate'] !== undefined);

  const [error, ourError] = [errorOf(theirs), errorOf(ours)];
  if (error && ourError) {
    if (error.code === 'PGRST201') for (const one of [error, ourError]) unordered(one);
    add('code', error.code, ourError.code);
    for (const member of ['message', 'details', 'hint'])
      if (!unstable[error.code]?.includes(member) && !(member === 'hint' && (isOfMadeUpNames(error) || isOfMadeUpNames(ourError)))) add(member, plainText(error[member]), plainText(ourError[member]));
    add('members', Object.keys(error).sort().join(), Object.keys(ourError).sort().join());
    return differences;
  }
  const [a, b] = [comparable(request, theirs), comparable(request, ours)];
  add('body', a, b);
  return differences;
}

function comparable(request, { headers, text, body }) {
  const type = headers['content-type'] ?? '';
  if (type.includes('vnd.pgrst.plan')) return type.includes('plan+json') ? JSON.stringify(Object.keys(parse(text)?.[0] ?? {}).includes('Plan')) : String(/cost=/.test(text));
  if (type.includes('openapi')) return outline(parse(text));
  if (type.includes('json') || type === '') {
    try {
      return canonical(text, request.unordered);
    } catch {
      return text;
    }
  }
  if (request.unordered) return text.split('\n').sort().join('\n');
  return type.startsWith('text/') ? text : body.toString('latin1');
}

/* What a description of the API must agree in: paths with their methods, and definitions with columns, types and what is required. */
function outline(document) {
  const paths = Object.entries(document?.paths ?? {}).map(([p, methods]) => `${p} ${Object.keys(methods).filter((m) => m !== 'parameters').sort().join()}`);
  const definitions = Object.entries(document?.definitions ?? {}).flatMap(([table, { properties, required }]) => [
    `${table} requires ${(required ?? []).slice().sort().join()}`,
    ...Object.entries(properties ?? {}).map(([column, { type, format, enum: values, maxLength }]) => `${table}.${column} ${JSON.stringify({ type, format, values, maxLength })}`),
  ]);
  return [document?.swagger, ...paths.sort(), ...definitions.sort()].join('\n');
}
