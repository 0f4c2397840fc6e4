/* t/lib/tus.mjs: tus 1.0.0 by hand: what a client of the protocol does, and what it should not
 *
 *   const upload = await create(alice, { name: 'a.bin', length: 10 });      // {answer, path}
 *   const { status, offset } = await patch(alice, upload.path, 0, bytes);
 *   const slow = slowly(alice, upload.path, 0, { length: 10 });             // a PATCH whose body is written piece by piece
 *   slow.write(bytes); slow.cut();                                          // or slow.end(); await slow.answer
 */
import http from 'node:http';
import { once } from 'node:events';

export const base = '/storage/v1/upload/resumable';
const version = { 'tus-resumable': '1.0.0' };

export function encode(members) {
  return Object.entries(members).filter(([, value]) => value !== undefined).map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`).join(',');
}

export async function create(client, { bucket = 'docs', name, length, defer, metadata = {}, headers = {}, body, path = base } = {}) {
  const answer = await client.request('POST', path, body, {
    headers: {
      ...version,
      ...(length !== undefined && { 'upload-length': String(length) }),
      ...(defer && { 'upload-defer-length': '1' }),
      'upload-metadata': encode({ bucketName: bucket, objectName: name, ...metadata }),
      ...(body !== undefined && { 'content-type': 'application/offset+octet-stream' }),
      ...headers,
    },
  });
  return { answer, status: answer.status, offset: number(answer), path: answer.headers.location && new URL(answer.headers.location).pathname };
}

export async function head(client, path, headers = {}) {
  const answer = await client.request('HEAD', path, undefined, { headers: { ...version, ...headers } });
  return { answer, status: answer.status, offset: number(answer) };
}

export async function patch(client, path, offset, bytes, headers = {}, method = 'PATCH') {
  const answer = await client.request(method, path, bytes, {
    headers: { ...version, 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset), ...headers },
  });
  return { answer, status: answer.status, offset: number(answer), text: answer.text };
}

export function remove(client, path, headers = {}) {
  return client.request('DELETE', path, undefined, { headers: { ...version, ...headers } });
}

function number(answer) {
  const field = answer.headers['upload-offset'];
  return field === undefined ? undefined : Number(field);
}

export function slowly(client, path, offset, { length, headers = {}, origin = client.origin, method = 'PATCH' } = {}) {
  const url = new URL(origin);
  const request = http.request({
    host: url.hostname, port: url.port, method, path, agent: new http.Agent(),
    headers: {
      ...client.headers, ...version, 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset),
      ...(length !== undefined && { 'content-length': length }), ...headers,
    },
  });
  const answer = once(request, 'response').then(async ([response]) => {
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() };
  }).catch((error) => ({ status: 0, error }));
  request.on('error', () => {});
  request.flushHeaders();
  return {
    answer, request,
    write: (bytes) => new Promise((resolve) => request.write(bytes, resolve)),
    end: (bytes) => request.end(bytes),
    cut: () => request.destroy(),
  };
}
