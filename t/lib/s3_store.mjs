// t/lib/s3_store.mjs: a store that speaks S3, in memory, and misbehaves on demand
//
//   const store = await s3Store();      // store.url is the URL of its bucket: http://127.0.0.1:PORT/bucket
//   store.objects                       // Map: key → {bytes, modified}
//   store.requests                      // [{method, key, query, headers}], all that have come
//   store.fault = (request) => 'cut'    // what goes wrong with a request; undefined: nothing
//   await store.close();
//
// Faults: 'cut' (the connection ends in the middle), 'hang' (no answer), 'slow_down' (503), 'denied' (403), 'late_error' (200, and an error
// in the body), 'forget' (says that it has stored, and has not), 'short' (stores without the last byte), 'no_ranges' (answers 200 with
// everything), 'wrong' (a byte is another one).
//
// Signatures are checked as Amazon describes them (Signature Version 4), written from that description and not from our code, and so is the
// checksum of what has come.
import { createHash, createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

function canonicalQuery(query) {
  return query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => part.split('=').map((half) => encode(decodeURIComponent(half ?? ''))))
    .map(([name, value]) => `${name}=${value ?? ''}`)
    .sort()
    .join('&');
}

// Why the request is refused; undefined: it is signed by whom it says.
function signatureProblem(request, body, { keyId, secret, region }) {
  const found = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(request.headers.authorization ?? '');
  if (!found) return 'AccessDenied';
  const [, credential, names, signature] = found;
  const [id, day, place, service, end] = credential.split('/');
  if (id !== keyId) return 'InvalidAccessKeyId';
  const date = request.headers['x-amz-date'];
  if (place !== region || service !== 's3' || end !== 'aws4_request' || !date?.startsWith(day)) return 'AuthorizationHeaderMalformed';
  const list = names.split(';');
  if (!list.includes('host') || Object.keys(request.headers).some((name) => name.startsWith('x-amz-') && !list.includes(name)))
    return 'AccessDenied';
  if (list.some((name) => request.headers[name] === undefined)) return 'SignatureDoesNotMatch';
  const hash = request.headers['x-amz-content-sha256'];
  if (hash !== sha256(body)) return 'XAmzContentSHA256Mismatch';
  const [path, query = ''] = request.url.split('?');
  const canonical = [
    request.method,
    path.split('/').map((part) => encode(decodeURIComponent(part))).join('/'),
    canonicalQuery(query),
    ...list.map((name) => `${name}:${request.headers[name].trim().replace(/ +/g, ' ')}`),
    '',
    names,
    hash,
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce(hmac, `AWS4${secret}`);
  return createHmac('sha256', key).update(text).digest('hex') === signature ? undefined : 'SignatureDoesNotMatch';
}

const errorText = (code) => `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>no</Message></Error>`;
const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

export async function s3Store({ keyId = 'AKIDEXAMPLE', secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', region = 'eu-test-1', pageSize = 1000 } = {}) {
  const objects = new Map();
  const requests = [];
  const hanging = new Set();
  const store = { objects, requests, keyId, secret, region, fault: () => undefined };

  const refuse = (answer, status, code) => {
    answer.writeHead(status, { 'content-type': 'application/xml' });
    answer.end(errorText(code));
  };

  const put = (key, bytes, fault, answer) => {
    if (fault === 'short') bytes = bytes.subarray(0, -1);
    if (fault === 'wrong') bytes = Buffer.concat([Buffer.from([bytes[0] ^ 1]), bytes.subarray(1)]);
    if (fault !== 'forget') objects.set(key, { bytes, modified: new Date() });
    answer.writeHead(200, { etag: `"${createHash('md5').update(bytes).digest('hex')}"` });
    answer.end();
  };

  const copy = (source, key, fault, answer) => {
    const from = objects.get(decodeURIComponent(source).replace(/^\/?bucket\//, ''));
    if (!from) return refuse(answer, 404, 'NoSuchKey');
    answer.writeHead(200, { 'content-type': 'application/xml' });
    if (fault === 'late_error') return answer.end(errorText('InternalError'));
    objects.set(key, { ...from, modified: new Date() });
    answer.end('<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>');
  };

  const get = (request, key, fault, answer) => {
    const found = objects.get(key);
    if (!found) return refuse(answer, 404, 'NoSuchKey');
    const range = fault === 'no_ranges' ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    let bytes = found.bytes;
    const headers = { 'last-modified': found.modified.toUTCString() };
    if (range) {
      const first = Number(range[1]);
      if (first >= bytes.length) return refuse(answer, 416, 'InvalidRange');
      const last = Math.min(range[2] === '' ? Infinity : Number(range[2]), bytes.length - 1);
      headers['content-range'] = `bytes ${first}-${last}/${bytes.length}`;
      bytes = bytes.subarray(first, last + 1);
    }
    if (fault === 'wrong') bytes = Buffer.concat([Buffer.from([bytes[0] ^ 1]), bytes.subarray(1)]);
    headers['content-length'] = bytes.length;
    answer.writeHead(range ? 206 : 200, headers);
    if (request.method === 'HEAD') return answer.end();
    if (fault !== 'cut') return answer.end(bytes);
    answer.write(bytes.subarray(0, bytes.length >> 1), () => answer.destroy());
  };

  const list = (query, answer) => {
    const parameters = new URLSearchParams(query);
    const after = parameters.get('continuation-token');
    const keys = [...objects.keys()].sort().filter((key) => after === null || key > Buffer.from(after, 'base64').toString());
    const page = keys.slice(0, pageSize);
    answer.writeHead(200, { 'content-type': 'application/xml' });
    answer.end(
      '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>' +
        page
          .map((key) => `<Contents><Key>${escape(key)}</Key><LastModified>${objects.get(key).modified.toISOString()}</LastModified>` +
              `<ETag>&quot;x&quot;</ETag><Size>${objects.get(key).bytes.length}</Size></Contents>`)
          .join('') +
        (keys.length > page.length ? `<NextContinuationToken>${Buffer.from(page.at(-1)).toString('base64')}</NextContinuationToken>` : '') +
        '</ListBucketResult>',
    );
  };

  const server = createServer(async (request, answer) => {
    const [path, query = ''] = request.url.split('?');
    const key = decodeURIComponent(path).replace(/^\/bucket\/?/, '');
    const seen = { method: request.method, key, query, headers: request.headers };
    requests.push(seen);
    const fault = store.fault(seen);
    if (fault === 'hang') return void hanging.add(request.socket);
    if (fault === 'cut' && request.method === 'PUT') return request.once('data', () => request.socket.destroy());
    const body = Buffer.concat(await request.toArray().catch(() => []));
    const problem = signatureProblem(request, body, store);
    if (problem) return refuse(answer, 403, problem);
    if (fault === 'slow_down') return refuse(answer, 503, 'SlowDown');
    if (fault === 'denied') return refuse(answer, 403, 'AccessDenied');
    if (key === '') return list(query, answer);
    if (request.method === 'PUT' && request.headers['x-amz-copy-source']) return copy(request.headers['x-amz-copy-source'], key, fault, answer);
    if (request.method === 'PUT') return put(key, body, fault, answer);
    if (request.method === 'DELETE') {
      objects.delete(key);
      answer.writeHead(204);
      return answer.end();
    }
    get(request, key, fault, answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  store.port = server.address().port;
  store.url = `http://127.0.0.1:${store.port}/bucket`;
  store.settings = {
    TENON_STORAGE_BACKEND_URL: store.url,
    TENON_STORAGE_BACKEND_REGION: region,
    TENON_STORAGE_BACKEND_KEY_ID: keyId,
    TENON_STORAGE_BACKEND_SECRET: secret,
    TENON_STORAGE_BACKEND_ALLOW_PRIVATE: 'on',
  };
  store.close = async () => {
    for (const socket of hanging) socket.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return store;
}
