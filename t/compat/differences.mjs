/* t/compat/differences.mjs: where Tenon deliberately answers otherwise than PostgREST 12.0.2
 *
 * Each entry: `id`; `what` and `reason` for docs/compatibility.md; `matches(request, theirs)`, which requests it is about;
 * `kinds`, in what their answers may differ (see lib/compare.mjs); and `expect(ours, request, theirs)`, whether our answer is the one
 * that we mean. A difference that no entry covers fails the test, and so does an entry that nothing shows any more.
 */
import { canonical, errorOf } from './lib/compare.mjs';

const headers = ['content-type', 'content-range', 'content-location', 'content-profile', 'location', 'preference-applied', 'www-authenticate', 'allow'];
const error = ['code', 'message', 'details', 'hint', 'members'];
const whole = ['status', 'body', ...error, ...headers];

const is = (answer, status, code, method) => answer.status === status && (method === 'HEAD' || method === 'OPTIONS' || errorOf(answer)?.code === code);
const succeeds = (ours) => ours.status >= 200 && ours.status < 300;
const theirCode = (theirs, ...codes) => codes.includes(errorOf(theirs)?.code);
const relation = (r) => /^\/[^/?]+($|\?)/.test(r.path);
const query = (r) => decodeURIComponent(r.path.includes('?') ? r.path.slice(r.path.indexOf('?') + 1).replaceAll('+', ' ').replace(/%(?![0-9a-f]{2})/gi, '%25') : '');
const sameJsonb = (a, b) => {
  try {
    return canonical(a, false, true) === canonical(b, false, true);
  } catch {
    return false;
  }
};
/* No operation and no column that the other has not. */
const describesLess = (ours, theirs) => {
  const operations = ({ paths }) => Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).filter((m) => m !== 'parameters').map((m) => `${m} ${path}`));
  const columns = ({ definitions }) =>
    Object.entries(definitions).flatMap(([name, { properties }]) => Object.entries(properties ?? {}).map(([column, { type, format, enum: values, maxLength }]) => JSON.stringify([name, column, type, format, values, maxLength])));
  const within = (list, whole) => list.every((one) => whole.includes(one));
  return ours.swagger === '2.0' && within(operations(ours), operations(theirs)) && within(columns(ours), columns(theirs));
};
const parameter = (r, name) => query(r).split('&').some((p) => p.startsWith(`${name}=`));

export const differences = [
  {
    id: 'unknown-table',
    what: 'An unknown table is 404 `PGRST205` with every method, before anything is executed.',
    reason: 'As in PostgREST 13; in 12 it is `42P01`, `{}`, `PGRST105` or `PGRST200`, depending on the rest of the request.',
    matches: (r, theirs) => relation(r) && theirs.status >= 400 && !/^\/events_/.test(r.path) && (theirs.text === '{}' || theirCode(theirs, '42P01') || /^\/nope($|\?)/.test(r.path)),
    kinds: whole,
    expect: (ours, r) => is(ours, 404, 'PGRST205', r.method),
  },
  {
    id: 'partition-options',
    what: 'OPTIONS tells what a partition can do, as for any table.',
    reason: 'PostgREST lets partitions be read and written but answers OPTIONS with a 404.',
    matches: (r) => r.method === 'OPTIONS' && r.path.startsWith('/events_'),
    kinds: whole,
    expect: (ours) => ours.status === 200 && ours.headers.allow.includes('GET'),
  },
  {
    id: 'unknown-path',
    what: 'A path that is neither a relation nor a function is 404 `PGRST125`, also `/rpc/`.',
    reason: 'As in PostgREST 13; 12 answers with an empty object, and looks for a function without a name.',
    matches: (r, theirs) => theirs.status === 404 && (theirs.text === '{}' || /^\/rpc\/($|\?)/.test(r.path)) && !relation(r),
    kinds: whole,
    expect: (ours, r) => is(ours, 404, 'PGRST125', r.method),
  },
  {
    id: 'media-type-case',
    what: 'Media types are compared without regard to letter case.',
    reason: 'RFC 9110, section 8.3.1.',
    matches: (r) => /^[A-Z/]+$/.test(r.headers.Accept ?? ''),
    kinds: whole,
    expect: (ours) => ours.status === 200,
  },
  {
    id: 'not-acceptable',
    what: 'When none of the types in `Accept` can be made the answer is 406 `PGRST107`.',
    reason: 'As since 12.0.3: 415 is about the body of the request. GeoJSON (`application/geo+json`) is not made, with PostGIS or without: a function can return it (a domain of that name).',
    matches: (r, theirs) => theirs.status === 415 || (r.headers.Accept === 'application/geo+json' && theirs.status === 404),
    kinds: ['status', ...error, 'content-type'],
    expect: (ours, r) => is(ours, 406, 'PGRST107', r.method),
  },
  {
    id: 'max-affected',
    what: '`Prefer: handling=strict, max-affected=N` is known; `PGRST124` when more rows are affected, `PGRST128` for functions that return one value.',
    reason: 'As in PostgREST 13, and what `.maxAffected()` of postgrest-js is for.',
    matches: (r) => /strict.*max-affected/.test(r.headers.Prefer ?? ''),
    kinds: whole,
    expect: (ours) => succeeds(ours) || is(ours, 400, 'PGRST124') || is(ours, 400, 'PGRST128'),
  },
  {
    id: 'is-not-null',
    what: '`is.not_null` is the same as `not.is.null`.',
    reason: 'As in PostgREST 13.',
    matches: (r, theirs) => query(r).includes('is.not_null') && theirCode(theirs, 'PGRST100'),
    kinds: whole,
    expect: (ours) => ours.status === 200,
  },
  {
    id: 'rpc-any-column',
    what: 'Rows that a function returns can be filtered and put in order by any of their columns.',
    reason: 'As in PostgREST 13; 12 only knows the selected ones.',
    matches: (r, theirs) => r.path.startsWith('/rpc/') && theirCode(theirs, '42703') && !query(r).includes('select=nope') && !/who=/.test(query(r)),
    kinds: whole,
    expect: (ours) => ours.status === 200,
  },
  {
    id: 'rpc-json-argument',
    what: 'A json or jsonb argument in the query of GET is parsed.',
    reason: 'As in PostgREST 13; in 12 the function gets a JSON string, or for a wrong one no error.',
    matches: (r) => r.method === 'GET' && /^\/rpc\/take_jsonb?\?payload=/.test(r.path),
    kinds: whole,
    expect: (ours) => ours.status === 200 || is(ours, 400, '22P02'),
  },
  {
    id: 'expired-token',
    what: 'A token that is expired, not valid yet or issued in the future is 401 `PGRST303`.',
    reason: 'As in PostgREST 13: clients can tell what a new token mends from what it does not.',
    matches: (r, theirs) => theirs.status === 401 && /expired|JWTNotYetValid|JWTIssuedAtFuture/.test(theirs.headers['www-authenticate'] ?? ''),
    kinds: ['code', 'message'],
    expect: (ours, r) => is(ours, 401, 'PGRST303', r.method),
  },
  {
    id: 'no-limited-writes',
    what: '`limit`, `offset` and `order` do not restrict which rows PATCH and DELETE change.',
    reason: 'As in PostgREST 13. What a limited update hits is a matter of luck without a lock.',
    matches: (r) => ['PATCH', 'DELETE'].includes(r.method) && /(^|[&.])limit=/.test(query(r)),
    kinds: [...whole, 'state'],
    expect: succeeds,
  },
  {
    id: 'logic-on-writes',
    what: 'Logic trees (`or`, `and`) of a write choose the rows to change; they are not applied again to the rows that come back, and those on an embed only concern the embed.',
    reason: 'In PostgREST a row that no longer matches after the update is missing from the answer and from the count, the tree must only name selected columns, and a tree on an embed (`harbours.or=…`) restricts the rows that are changed. Plain filters behave as ours.',
    matches: (r) => ['POST', 'PATCH', 'DELETE'].includes(r.method) && relation(r) && /(^|&|\.)(or|and)=/.test(query(r)),
    kinds: whole,
    expect: succeeds,
  },
  {
    id: 'collected-order',
    what: 'PostgreSQL\'s aggregates that collect rows (`array_agg`, `json_agg`, …) are no columns, neither in `select` nor in `order`.',
    reason: 'They put any number of rows into one value, past `data.max_rows` and `data.aggregates`. `count` is one.',
    matches: (r) => /(^|[=,&])(array|jsonb?)_agg\b/.test(query(r)),
    kinds: whole,
    expect: (ours, r) => is(ours, 400, '42703', r.method),
  },
  {
    id: 'embeds-as-json',
    what: 'Values in embedded rows stand as at the root: doubled members of a json column stay, and numbers keep the form of their type.',
    reason: 'PostgREST passes embedded rows through jsonb, which drops the one and rewrites the other (`1e+20`). The values that a client parses are the same, and a row costs less.',
    matches: (r, theirs) => theirs.status < 300 && /\(/.test(query(r)) && r.headers.apikey === undefined && r.headers.Accept !== 'text/csv',
    kinds: ['body'],
    expect: (ours, r, theirs) => sameJsonb(ours.text, theirs.text),
  },
  {
    id: 'no-crash',
    what: 'An embed with a limit of 0 and an offset has no rows.',
    reason: 'PostgREST fails with a 500 in plain text.',
    matches: (r, theirs) => theirs.status === 500 && (theirs.headers['content-type'] ?? '').startsWith('text/plain') && /\.offset=/.test(query(r)),
    kinds: whole,
    expect: succeeds,
  },
  {
    id: 'path-order',
    what: 'Rows that are grouped by a JSON path can be ordered by it.',
    reason: 'PostgREST answers 400 `42803`, since the path stands in its SQL as two parameters.',
    matches: (r, theirs) => /->.*\border=.*->/.test(query(r)) && theirCode(theirs, '42803'),
    kinds: whole,
    expect: succeeds,
  },
  {
    id: 'count-of-count',
    what: '`count.sum()` is the sum of the number of rows.',
    reason: 'PostgREST answers 400 `42803`. Tenon bounds what an aggregate reads first, so that the two are not nested.',
    matches: (r, theirs) => /\bcount\.\w+\(\)/.test(query(r)) && theirCode(theirs, '42803'),
    kinds: whole,
    expect: succeeds,
  },
  {
    id: 'negative-limit',
    what: 'A negative limit of an embed is a 400 with PostgreSQL\'s message.',
    reason: 'PostgREST fails with a 500 in plain text.',
    matches: (r, theirs) => /\.limit=-/.test(query(r)) && theirs.status === 500,
    kinds: whole,
    expect: (ours, r) => is(ours, 400, '2201W', r.method),
  },
  {
    id: 'empty-argument',
    what: 'A call with an empty body gives `{}` to an unnamed json parameter.',
    reason: 'An empty body is a call without arguments everywhere else. PostgREST answers 400 `22P02`.',
    matches: (r, theirs) => r.path.startsWith('/rpc/') && r.method === 'POST' && theirCode(theirs, '22P02') && !r.body,
    kinds: whole,
    expect: succeeds,
  },
  {
    id: 'open-quote',
    what: 'CSV whose last quoted field never ends is 400 `PGRST102`.',
    reason: 'It is what is left of a body that was cut off. PostgREST stores it.',
    matches: (r) => typeof r.body === 'string' && (r.body.match(/"/g) ?? []).length % 2 === 1 && Object.entries(r.headers).some(([name, value]) => /^content-type$/i.test(name) && value === 'text/csv'),
    kinds: [...whole, 'state'],
    expect: (ours, r) => is(ours, 400, 'PGRST102', r.method),
  },
  {
    id: 'put-first',
    what: 'PUT takes the first object with the key of the address, also when there are several.',
    reason: 'PostgREST takes the one among objects with other keys, and answers several with its key with 400 `21000`.',
    matches: (r, theirs) => r.method === 'PUT' && theirCode(theirs, '21000'),
    kinds: [...whole, 'state'],
    expect: succeeds,
  },
  {
    id: 'put-keyless',
    what: 'PUT without the key in its body is 400 `PGRST115`.',
    reason: 'It is not the key of the address. PostgREST answers 400 `42703`, of a column in its own SQL.',
    matches: (r, theirs) => r.method === 'PUT' && theirCode(theirs, '42703'),
    kinds: error,
    expect: (ours, r) => is(ours, 400, 'PGRST115', r.method),
  },
  {
    id: 'embed-window-count',
    what: '`count=exact` counts the rows that the same request has without limit, also where they depend on embeds that have a limit or an offset.',
    reason: 'PostgREST leaves these out of its count: with `berths!inner()` and `berths.limit=0` there are no rows, and their number is not 0.',
    matches: (r) => /\.(limit|offset)=/.test(query(r)) && /count=exact/.test(r.headers.Prefer ?? ''),
    kinds: ['status', 'content-range'],
    expect: succeeds,
  },
  {
    id: 'error-type',
    what: 'Errors are `application/json`, whatever was asked for.',
    reason: 'PostgREST calls the JSON of a range that begins behind the last row `text/csv` when CSV was asked for.',
    matches: (r, theirs) => theirs.status === 416 && !(theirs.headers['content-type'] ?? '').startsWith('application/json'),
    kinds: ['content-type', 'body'],
    expect: (ours, r, theirs) => is(ours, 416, 'PGRST103', r.method) && (r.method === 'HEAD' || ours.text === theirs.text),
  },
  {
    id: 'embed-order',
    what: 'Embeds stand in the order of `select`, which shows in CSV.',
    reason: 'In PostgREST an embed that has a filter, an order or a limit moves in front of the others.',
    matches: (r) => r.headers.Accept === 'text/csv' && query(r).split('&').some((p) => /^[^=]+\.[^=]+=/.test(p)) && (query(r).match(/\(/g) ?? []).length > 1,
    kinds: ['body'],
    expect: (ours, r, theirs) => ours.text.length === theirs.text.length && [...ours.text].sort().join('') === [...theirs.text].sort().join(''),
  },
  {
    id: 'json-of-defaults',
    what: 'With `missing=default` a value of a json column is stored as it was sent.',
    reason: 'PostgREST makes jsonb of the body then: blanks change, and doubled members are lost.',
    matches: (r) => /missing=default/.test(r.headers.Prefer ?? ''),
    kinds: ['details', 'body'],
    expect: (ours, r, theirs) => (theirs.status < 300 ? sameJsonb(ours.text, theirs.text) : is(ours, theirs.status, errorOf(theirs).code)),
  },
  {
    id: 'broken-query',
    what: 'A query with NUL, invalid UTF-8 or a broken escape (`%zz`) is a 400.',
    reason: 'PostgREST cuts the value at NUL, and answers invalid UTF-8 with a 500 in plain text. Guessing what was meant filters by something else.',
    matches: (r) => /%00|%(?![0-9a-f]{2})/i.test(r.path.replace(/%25/g, '')) || /\?.*%(?![0-9A-Fa-f]{2})/.test(r.path),
    kinds: whole,
    expect: (ours) => ours.status === 400,
  },
  {
    id: 'content-location',
    what: '`Content-Location` keeps the path encoded and encodes UTF-8 once; a `;` separates nothing in it; it is left out when it would be very long.',
    reason: 'PostgREST sends names with blanks as they are, and each byte of UTF-8 as a character of its own. No client reads it.',
    matches: (r, theirs) => theirs.headers['content-location'] !== undefined && (/ |;|[?&]=/.test(theirs.headers['content-location']) || /%C3|&&|;|[^\x20-\x7e]/.test(theirs.headers['content-location'] + r.path) || theirs.headers['content-location'].length > 2000),
    kinds: ['content-location'],
    expect: (ours) => succeeds(ours) || ours.status === 416,
  },
  {
    id: 'headers-only-key',
    what: '`return=headers-only` needs SELECT on the key columns only.',
    reason: 'PostgREST asks for all columns, of which it then sends the key.',
    matches: (r, theirs) => r.method === 'POST' && /headers-only/.test(r.headers.Prefer ?? '') && theirs.status === 401 && r.path.startsWith('/ledger'),
    kinds: whole,
    expect: (ours) => ours.status === 201 && /^\/ledger\?id=eq\./.test(ours.headers.location ?? ''),
  },
  {
    id: 'cors',
    what: 'CORS headers name the methods and headers of the whole of Tenon, and a preflight is 204.',
    reason: 'One nginx answers for all areas; browsers accept any order, and any 2xx.',
    matches: (r) => r.headers.Origin !== undefined,
    kinds: ['status', 'Access-Control-Expose-Headers', 'Access-Control-Allow-Methods', 'Access-Control-Max-Age'],
    expect: (ours, r, theirs) => ours.headers['access-control-allow-origin'] !== undefined && (ours.status === theirs.status || ours.status === 204),
  },
  {
    id: 'description',
    what: 'The description at `/` has only the methods and columns that the caller may use, and volatile functions only with POST.',
    reason: 'PostgREST shows `delete` to who may only insert. GET of a volatile function is left out there as well since 13.0.5: it runs read-only.',
    matches: (r, theirs) => /^\/($|\?)/.test(r.path) && theirs.status === 200,
    kinds: ['body'],
    expect: (ours, r, theirs) => r.method === 'HEAD' || describesLess(JSON.parse(ours.text), JSON.parse(theirs.text)),
  },
  {
    id: 'foreign-apikey',
    what: 'An `apikey` that is no key of this installation is 401 `invalid_key`.',
    reason: 'In PostgREST the header is the business of a gateway in front of it. Tenon is that gateway as well.',
    matches: (r) => r.headers.apikey !== undefined,
    kinds: whole,
    expect: (ours) => is(ours, 401, 'invalid_key'),
  },
  {
    id: 'trace',
    what: 'A method that nginx does not hand on (TRACE, …) is answered in the form of Tenon\'s other areas: 405 `method_not_allowed`.',
    reason: 'Nobody needs them, and nginx refuses TRACE itself.',
    matches: (r) => r.method === 'TRACE',
    kinds: whole,
    expect: (ours) => ours.status === 405,
  },
];
