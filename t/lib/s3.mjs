// t/lib/s3.mjs: access keys, clients of S3, and requests signed by hand
//
//   const key = await accessKey(s, '--tenant', 'a');          // {id, secret}, made by tenon s3-key create
//   const client = s3Client(s, key);                           // @aws-sdk/client-s3, unmodified
//   const answer = await signed(s, key, 'PUT', '/bucket/key', { body, headers, ... });   // status, headers, text, code
//
// The signature is written from Amazon's description (Signature Version 4) and not from our code. Options of signed(): body, headers (signed
// with the rest), date (Date), region, payload (the value of x-amz-content-sha256), send (what is sent in the place of what was signed:
// {method, path, headers, body}), token (x-amz-security-token), expires (a presigned URL instead), unsigned (headers that are not).
import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import { S3Client } from '@aws-sdk/client-s3';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
export const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
export const escape = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

export async function accessKey(s, ...options) {
  const { code, json, stderr } = await s.tenon('s3-key', 'create', '--json', ...options);
  if (code !== 0) throw new Error(`tenon s3-key create: ${stderr}`);
  return { id: json.access_key_id, secret: json.secret_access_key, row: json };
}

export const endpoint = (s) => `${s.origin}/storage/v1/s3`;

export function s3Client(s, { id, secret, token }, options = {}) {
  return new S3Client({
    endpoint: endpoint(s),
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: id, secretAccessKey: secret, ...(token && { sessionToken: token }) },
    ...options,
  });
}

export const amzDate = (date) => date.toISOString().replace(/[-:]|\.\d{3}/g, '');

export const signingKey = (secret, day, region) => [day, region, 's3', 'aws4_request'].reduce(hmac, `AWS4${secret}`);

function canonical(method, path, query, headers, payload) {
  const names = Object.keys(headers).sort();
  const text = [
    method,
    path,
    query.map((pair) => pair.map(escape).join('\0')).sort().map((pair) => pair.replace('\0', '=')).join('&'), // by names, then by values
    ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    payload,
  ].join('\n');
  return { text, names: names.join(';') };
}

// {url (path and query), headers} of a signed request, and what chunks go on from: {key, scope, date, signature}.
export function sign(s, key, method, target, options = {}) {
  const { body = '', headers = {}, date = new Date(), region = 'us-east-1', token = key.token, expires } = options;
  const stamp = amzDate(date);
  const day = stamp.slice(0, 8);
  const scope = `${day}/${region}/s3/aws4_request`;
  const [place, search = ''] = target.split('?'); // by hand: URL would take dots and escapes away
  const pathname = `/storage/v1/s3${place}`;
  const { host } = new URL(s.origin);
  const query = [...new URLSearchParams(search)];
  const signedHeaders = Object.fromEntries(Object.entries({ host, ...headers }).map(([name, value]) => [name.toLowerCase(), value]));
  const signing = signingKey(key.secret, day, region);
  const signature = (text) => hmac(signing, ['AWS4-HMAC-SHA256', stamp, scope, sha256(text)].join('\n')).toString('hex');
  if (expires !== undefined) {
    const names = Object.keys(signedHeaders).sort().join(';');
    query.push(['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'], ['X-Amz-Credential', `${key.id}/${scope}`], ['X-Amz-Date', stamp],
      ['X-Amz-Expires', String(expires)], ['X-Amz-SignedHeaders', names]);
    if (token) query.push(['X-Amz-Security-Token', token]);
    const made = signature(canonical(method, pathname, query, signedHeaders, 'UNSIGNED-PAYLOAD').text);
    query.push(['X-Amz-Signature', made]);
    return { path: `${pathname}?${query.map(([n, v]) => `${escape(n)}=${escape(v)}`).join('&')}`, headers, signing, scope, stamp, signature: made };
  }
  const payload = options.payload ?? sha256(body);
  Object.assign(signedHeaders, { 'x-amz-date': stamp, 'x-amz-content-sha256': payload }, token && { 'x-amz-security-token': token });
  const { text, names } = canonical(method, pathname, query, signedHeaders, payload);
  const made = signature(text);
  return {
    path: search ? `${pathname}?${search}` : pathname, signing, scope, stamp, signature: made,
    headers: { ...signedHeaders, authorization: `AWS4-HMAC-SHA256 Credential=${key.id}/${scope}, SignedHeaders=${names}, Signature=${made}` },
  };
}

export function send(s, method, path, headers, body) {
  const url = new URL(s.origin);
  return new Promise((resolve, reject) => {
    const request = http.request({ host: url.hostname, port: url.port, method, path, headers: { ...headers, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) }, agent: false }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject).on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString();
        resolve({ status: response.statusCode, headers: response.headers, bytes, text, code: /<Code>(.*?)<\/Code>/.exec(text)?.[1] });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

export function signed(s, key, method, target, options = {}) {
  const made = sign(s, key, method, target, options);
  const instead = options.send ?? {};
  return send(s, instead.method ?? method, instead.path ?? made.path, { ...made.headers, ...options.unsigned, ...instead.headers }, instead.body ?? options.body);
}
