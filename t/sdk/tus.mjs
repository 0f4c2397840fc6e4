// t/sdk/tus.mjs: tus-js-client, unmodified: as Supabase documents it, with signed tokens, with streams, and over connections that break
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { once } from 'node:events';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import * as tus from 'tus-js-client';
import { stack } from '../lib/stack.mjs';

const s = await stack();
const { alice, bob, a } = s;
await s.sql(`
insert into storage.buckets (tenant_id, id, name) values ('${a.id}', 'docs', 'docs');
create policy "people write" on storage.objects to authenticated using (owner_id = (select auth.uid())::text) with check (owner_id = (select auth.uid())::text);
`);
const endpoint = `${s.origin}/storage/v1/upload/resumable`;
const MIB = 1 << 20;
const content = randomBytes(13 * MIB + 77);
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
const object = async (name) => (await s.rows(`select size, owner_id, encode(sha256, 'hex') as sha256, metadata, user_metadata from storage.objects where name = '${name}'`))[0];
const bearer = (person) => ({ authorization: `Bearer ${person.session.access_token}` });

/* Runs an upload to its end; rejects with the client's error. */
const run = (source, options, prepare) =>
  new Promise((resolve, reject) => {
    const upload = new tus.Upload(source, {
      endpoint, retryDelays: [0, 100, 200, 400, 800], headers: { ...bearer(alice), 'x-upsert': 'true' },
      ...options, onError: reject, onSuccess: () => resolve(upload),
    });
    void (async () => {
      await prepare?.(upload);
      upload.start();
    })();
  });
const metadata = (name, more = {}) => ({ bucketName: 'docs', objectName: name, contentType: 'image/png', cacheControl: 3600, ...more });

test('as Supabase documents it: chunks of 6 MiB, data with the creation', async () => {
  const progress = [];
  const upload = await run(content, {
    uploadDataDuringCreation: true, removeFingerprintOnSuccess: true, chunkSize: 6 * MIB,
    metadata: metadata('folder/documented.png', { metadata: JSON.stringify({ yourCustomMetadata: true }) }),
    onProgress: (sent, all) => progress.push([sent, all]),
  });
  assert.ok(upload.url.startsWith(`${endpoint}/`));
  const row = await object('folder/documented.png');
  assert.equal(row.sha256, digest(content));
  assert.equal(row.metadata.cacheControl, 'max-age=3600');
  assert.deepEqual(row.user_metadata, { yourCustomMetadata: true });
  assert.equal(row.owner_id, alice.user.id);
  assert.deepEqual(progress.at(-1), [content.length, content.length]);

  const supabase = createClient(s.origin, a.publishable, { accessToken: async () => alice.session.access_token });
  const { data, error } = await supabase.storage.from('docs').download('folder/documented.png');
  assert.equal(error, null);
  assert.equal(digest(Buffer.from(await data.arrayBuffer())), digest(content));
});

test('in one piece, empty, and of a byte', async () => {
  await run(content, { metadata: metadata('one') });
  assert.equal((await object('one')).sha256, digest(content));
  for (const size of [0, 1]) {
    await run(Buffer.alloc(size), { metadata: metadata(`size/${size}`) });
    assert.equal(Number((await object(`size/${size}`)).size), size);
  }
});

test('a stream whose length nobody knows', async () => {
  const source = Readable.from((function* () {
    for (let at = 0; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000);
  })());
  await run(source, { uploadLengthDeferred: true, chunkSize: MIB, metadata: metadata('deferred') });
  assert.equal((await object('deferred')).sha256, digest(content));
});

test('methods in a field, where something in between knows only POST', async () => {
  await run(content, { overridePatchMethod: true, chunkSize: 6 * MIB, metadata: metadata('override') });
  assert.equal((await object('override')).sha256, digest(content));
});

/* Passes connections on and breaks each off after so many bytes, as long as there are breaks left. */
async function breaking(bytes, breaks) {
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(new URL(s.origin).port), '127.0.0.1');
    let passed = 0;
    client.on('data', (chunk) => {
      passed += chunk.length;
      if (passed > bytes && breaks > 0) {
        breaks--;
        client.destroy();
        upstream.destroy();
      } else if (!upstream.write(chunk)) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
    upstream.pipe(client);
    for (const side of [client, upstream]) side.on('error', () => {});
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: server.address().port, left: () => breaks, close: () => server.close() };
}

test('one endless PATCH over connections that break goes on where it was', async () => {
  const between = await breaking(3 * MIB, 3);
  const asked = [];
  const origin = `http://127.0.0.1:${between.port}`;
  await run(content, {
    endpoint: `${origin}/storage/v1/upload/resumable`, metadata: metadata('broken'),
    /* Location is the public address: the broken way leads there as well */
    onBeforeRequest: (request) => asked.push([request.getMethod(), request.getHeader('Upload-Offset')]),
    fingerprint: async () => null,
    httpStack: redirecting(origin),
  });
  between.close();
  assert.equal(between.left(), 0);
  assert.equal((await object('broken')).sha256, digest(content));
  const offsets = asked.filter(([method]) => method === 'PATCH').map(([, offset]) => Number(offset));
  assert.ok(offsets.length >= 4 && offsets.at(-1) >= 6 * MIB, `each goes on where the one before ended: ${offsets}`);
});

/* The client's own stack with another host in each address. */
function redirecting(origin) {
  const own = new tus.DefaultHttpStack({});
  return { createRequest: (method, url) => own.createRequest(method, url.replace(s.origin, origin)), getName: () => own.getName() };
}

test('an upload is found again by its fingerprint', async () => {
  const file = path.join(s.dir, 'resumed.bin');
  fs.writeFileSync(file, content);
  const urlStorage = new tus.FileUrlStorage(path.join(s.dir, 'urls.json'));
  const options = { endpoint, headers: bearer(alice), urlStorage, chunkSize: MIB, metadata: metadata('resumed'), retryDelays: null };
  await new Promise((resolve, reject) => {
    const first = new tus.Upload(fs.createReadStream(file), {
      ...options, onError: reject,
      onChunkComplete: (_, sent) => {
        if (sent >= 3 * MIB) void first.abort().then(resolve);
      },
    });
    first.start();
  });
  assert.equal(await object('resumed'), undefined);
  let from;
  await run(fs.createReadStream(file), { ...options, onAfterResponse: (request, response) => {
    if (request.getMethod() === 'HEAD') from = Number(response.getHeader('Upload-Offset'));
  } }, async (upload) => {
    const [previous] = await upload.findPreviousUploads();
    assert.ok(previous);
    upload.resumeFromPreviousUpload(previous);
  });
  assert.ok(from >= 3 * MIB);
  assert.equal((await object('resumed')).sha256, digest(content));
});

test('giving up', async () => {
  const url = await new Promise((resolve, reject) => {
    const upload = new tus.Upload(content, {
      endpoint, headers: bearer(alice), chunkSize: MIB, metadata: metadata('given-up'), onError: reject,
      onChunkComplete: () => void upload.abort(true).then(() => resolve(upload.url), reject),
    });
    upload.start();
  });
  const answer = await alice.request('HEAD', new URL(url).pathname, undefined, { headers: { 'tus-resumable': '1.0.0' } });
  assert.equal(answer.status, 404);
});

test('with a signed token, by somebody who has nothing else', async () => {
  const supabase = createClient(s.origin, a.publishable, { accessToken: async () => alice.session.access_token });
  const { data, error } = await supabase.storage.from('docs').createSignedUploadUrl('signed/x.png');
  assert.equal(error, null);
  const options = { endpoint: `${endpoint}/sign`, headers: { 'x-signature': data.token }, chunkSize: 6 * MIB, retryDelays: null };
  const upload = await run(content, { ...options, metadata: metadata('signed/x.png') });
  assert.ok(upload.url.startsWith(`${endpoint}/sign/`));
  const row = await object('signed/x.png');
  assert.equal(row.sha256, digest(content));
  assert.equal(row.owner_id, alice.user.id);

  const status = (error) => error.originalResponse.getStatus();
  await assert.rejects(run(content, { ...options, metadata: metadata('signed/y.png') }), (error) => status(error) === 400, 'for another name it is worth nothing');
  await assert.rejects(run(content, { ...options, metadata: metadata('signed/x.png') }), (error) => status(error) === 409, 'and it does not replace');
  await assert.rejects(run(content, { ...options, headers: { 'x-signature': `${data.token.slice(0, -2)}AA` }, metadata: metadata('signed/x.png') }), (error) => status(error) === 400);
  await assert.rejects(run(content, { ...options, headers: {}, metadata: metadata('signed/x.png') }), (error) => status(error) === 400);
  const other = await supabase.storage.from('docs').createSignedUploadUrl('signed/z.png');
  for (const headers of [{ 'x-signature': other.data.token }, {}])
    assert.ok([400, 404].includes((await s.client().request('HEAD', new URL(upload.url).pathname, undefined, { headers: { 'tus-resumable': '1.0.0', ...headers } })).status));
  assert.equal((await bob.request('HEAD', new URL(upload.url).pathname.replace('/sign/', '/'), undefined, { headers: { 'tus-resumable': '1.0.0' } })).status, 404);
});

test('errors reach the client', async () => {
  const status = (error) => error.originalResponse.getStatus();
  await assert.rejects(run(content, { metadata: { objectName: 'x' } }), (error) => status(error) === 400);
  await assert.rejects(run(content, { headers: { apikey: a.publishable }, metadata: metadata('x') }), (error) => status(error) === 403);
  await assert.rejects(run(content, { metadata: metadata('x', { bucketName: 'nowhere' }) }), (error) => status(error) === 404);
  await assert.rejects(run(content, { headers: bearer(alice), metadata: metadata('one'), retryDelays: null }), (error) => status(error) === 409 && /exists/.test(error.originalResponse.getBody()));
});
