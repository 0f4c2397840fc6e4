/* t/lib/storage.mjs: short ways to Supabase Storage for tests
 *
 *   const docs = bucket(alice, 'docs');        // every call gives the answer and never throws on a status
 *   await docs.put('a/b.txt', 'text', { 'content-type': 'text/plain' });
 */
import assert from 'node:assert/strict';

export const base = '/storage/v1';

/* Name → path: what has a meaning in a URL is escaped, slashes are not. */
export const escaped = (name) => name.split('/').map(encodeURIComponent).join('/');

export function bucket(client, id) {
  const object = (name) => `/storage/v1/object/${encodeURIComponent(id)}/${escaped(name)}`;
  return {
    id,
    path: object,
    put: (name, body, headers = {}) => client.request('POST', object(name), body, { headers: { 'content-type': 'text/plain', ...headers } }),
    replace: (name, body, headers = {}) => client.request('PUT', object(name), body, { headers: { 'content-type': 'text/plain', ...headers } }),
    get: (name, query = '', headers = {}) => client.request('GET', object(name) + query, undefined, { headers }),
    head: (name, headers = {}) => client.request('HEAD', object(name), undefined, { headers }),
    info: (name) => client.request('GET', `/storage/v1/object/info/${id}/${escaped(name)}`),
    list: (prefix = '', more = {}) => client.request('POST', `/storage/v1/object/list/${id}`, { prefix, ...more }),
    list2: (body = {}) => client.request('POST', `/storage/v1/object/list-v2/${id}`, body),
    sign: (name, body = { expiresIn: 60 }) => client.request('POST', `/storage/v1/object/sign/${id}/${escaped(name)}`, body),
    signMany: (body) => client.request('POST', `/storage/v1/object/sign/${id}`, body),
    signUpload: (name, headers = {}) => client.request('POST', `/storage/v1/object/upload/sign/${id}/${escaped(name)}`, {}, { headers }),
    move: (sourceKey, destinationKey, more = {}) => client.request('POST', `/storage/v1/object/move`, { bucketId: id, sourceKey, destinationKey, ...more }),
    copy: (sourceKey, destinationKey, more = {}, headers = {}) => client.request('POST', `/storage/v1/object/copy`, { bucketId: id, sourceKey, destinationKey, ...more }, { headers }),
    remove: (...prefixes) => client.request('DELETE', `/storage/v1/object/${id}`, { prefixes }),
    removeOne: (name) => client.request('DELETE', object(name)),
  };
}

/* Makes a bucket with the secret key; gives the functions above for it. */
export async function makeBucket(tenant, id, rules = {}) {
  const answer = await tenant.service.request('POST', `/storage/v1/bucket`, { id, name: id, ...rules });
  assert.equal(answer.status, 200, answer.text);
  return bucket(tenant.service, id);
}

/* 200, and its JSON. */
export function good(answer) {
  assert.equal(answer.status, 200, answer.text?.slice(0, 600));
  return answer.json;
}

/* An error of this dialect: HTTP 400 unless said otherwise, all four members, all texts. */
export function refused(answer, statusCode, code, { status = 400, error, message } = {}) {
  assert.deepEqual([answer.status, answer.json?.statusCode, answer.json?.code], [status, String(statusCode), code], answer.text?.slice(0, 600));
  assert.deepEqual(Object.keys(answer.json), ['statusCode', 'error', 'message', 'code']);
  for (const value of Object.values(answer.json)) assert.equal(typeof value, 'string');
  if (error !== undefined) assert.equal(answer.json.error, error);
  if (message instanceof RegExp) assert.match(answer.json.message, message);
  else if (message !== undefined) assert.equal(answer.json.message, message);
  return answer.json;
}

/* A body of multipart/form-data as it is written here, and its type. Parts: {name, filename, type, body}, and anything as `head`. */
export function form(parts, { boundary = 'xYzZY', preamble = '', epilogue = '', end = `--${boundary}--\r\n` } = {}) {
  const pieces = [Buffer.from(preamble)];
  for (const { name = '', filename, type, body = '', head } of parts) {
    const lines = head ?? [
      `Content-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`,
      ...(type === undefined ? [] : [`Content-Type: ${type}`]),
    ].join('\r\n');
    pieces.push(Buffer.from(`--${boundary}\r\n${lines}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(end + epilogue));
  return { body: Buffer.concat(pieces), headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } };
}

/* Policies by which a role may do everything in a bucket. */
export const accessControl = (id, who = 'authenticated') => `
create policy "${id} read" on storage.objects for select to ${who} using (bucket_id = '${id}');
create policy "${id} add" on storage.objects for insert to ${who} with check (bucket_id = '${id}');
create policy "${id} edit" on storage.objects for update to ${who} using (bucket_id = '${id}') with check (bucket_id = '${id}');
create policy "${id} drop" on storage.objects for delete to ${who} using (bucket_id = '${id}');`;
