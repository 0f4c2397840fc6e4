// t/api/storage-core.mjs: how bytes travel between clients, nginx, workers and the disk, whatever the dialect
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { eventually, stack } from '../lib/stack.mjs';

const s = await stack({ settings: { 'storage.object_max': 40_000_000 } });
const { alice, bob } = s;
await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
const docs = bucket(alice, 'docs');
const nobodys = bucket(s.a.anon, 'docs'); // no policy is for anon
const md5 = (bytes) => `"${createHash('md5').update(bytes).digest('hex')}"`;

const filesIn = (folder) => {
  const all = path.join(s.storageDir, folder);
  if (!fs.existsSync(all)) return [];
  return fs.readdirSync(all, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => path.join(e.parentPath ?? e.path, e.name));
};
const nothingWaits = () => eventually('staging and spool to be empty', () => filesIn('staging').length + filesIn('spool').length === 0);
const row = async (name) => (await s.rows(`select id, version, size, metadata from storage.objects where bucket_id = 'docs' and name = '${name}'`))[0];
const fileOf = async (name) => {
  const { version } = await row(name);
  return filesIn('objects').find((file) => file.endsWith(version));
};

/* One connection: what is written, and what has come so far. */
class Wire {
  text = '';
  closed = false;

  constructor() {
    this.socket = net.connect(new URL(s.origin).port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes) => (this.text += bytes.toString('latin1')));
    this.socket.on('close', () => (this.closed = true));
    this.socket.on('error', () => {});
  }

  head(method, target, headers, client = alice) {
    const lines = Object.entries({ host: 'x', ...client.headers, ...headers }).map(([name, value]) => `${name}: ${value}`);
    this.socket.write(`${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /* Statuses of the answers so far, the interim ones too. */
  get statuses() {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((m) => Number(m[1]));
  }

  answers(...statuses) {
    return eventually(`${statuses} (there is: ${this.text})`, () => this.statuses.join() === statuses.join());
  }

  end() {
    this.socket.destroy();
  }
}

async function wire(work) {
  const w = new Wire();
  try {
    await once(w.socket, 'connect');
    return await work(w);
  } finally {
    w.end();
  }
}

/* --- asked before the body ------------------------------------------------------------------------------------------------------- */

test('who may not upload is told so before the body, in the words of the dialect', () => wire(async (w) => {
  w.head('POST', docs.path('refused'), { 'content-length': 5, 'content-type': 'text/plain', expect: '100-continue' }, s.a.anon);
  await w.answers(400);
  assert.match(w.text, /"code":"AccessDenied"/);
}));

test('who waits for it is told to go on, and the connection is good for more', () => wire(async (w) => {
  w.head('POST', docs.path('waited'), { 'content-length': 5, 'content-type': 'text/plain', expect: '100-continue' });
  await w.answers(100);
  w.write('hello');
  await w.answers(100, 200);
  w.head('GET', docs.path('waited'), {});
  await w.answers(100, 200, 200);
  await eventually('the body', () => w.text.endsWith('\r\n\r\nhello'));
}));

test('a body that is sent at once to no avail: the answer says that the connection ends', () => wire(async (w) => {
  w.head('POST', docs.path('refused'), { 'content-length': 5, 'content-type': 'text/plain' }, s.a.anon);
  w.write('hello');
  await w.answers(400);
  assert.match(w.text, /\r\nconnection: close\r\n/i); // nginx has not taken the body, so nothing else can follow
}));

test('a large one is answered before it has come, and not kept', () => wire(async (w) => {
  w.head('POST', docs.path('refused'), { 'content-length': 39_000_000, 'content-type': 'text/plain' }, s.a.anon);
  w.write(Buffer.alloc(100_000, 'x'));
  await w.answers(400);
  assert.match(w.text, /"code":"AccessDenied"/);
  assert.deepEqual([filesIn('spool'), filesIn('staging')], [[], []]);
}));

test('chunks: nobody knows how many', () => wire(async (w) => {
  w.head('POST', docs.path('chunks'), { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' });
  w.write('3\r\nhel\r\n');
  w.write('2\r\nlo\r\n0\r\n\r\n');
  await w.answers(200);
  w.head('POST', docs.path('no chunks').replace(' ', '%20'), { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' });
  w.write('0\r\n\r\n');
  await w.answers(200, 200);
  w.head('POST', docs.path('refused'), { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' }, s.a.anon);
  w.write('5\r\nhello\r\n0\r\n\r\n');
  await w.answers(200, 200, 400);
  assert.equal((await docs.get('chunks')).text, 'hello');
  assert.equal((await row('no chunks')).size, 0);
}));

test('no body at all is an empty file', () => wire(async (w) => {
  w.head('POST', docs.path('bodyless'), { 'content-type': 'text/plain' });
  await w.answers(200);
  w.head('PUT', docs.path('bodyless'), { 'content-type': 'text/plain', 'content-length': 0 });
  await w.answers(200, 200);
  assert.equal((await docs.get('bodyless')).text, '');
}));

test('more than nginx takes is refused in the words of the dialect, too', () => wire(async (w) => {
  w.head('POST', docs.path('refused'), { 'content-length': 6e9, 'content-type': 'text/plain', expect: '100-continue' });
  await w.answers(400);
  assert.match(w.text, /"statusCode":"413".*"code":"EntityTooLarge"/);
}));

test('a request that brings no file has the usual ceiling, also where files are brought', () => wire(async (w) => {
  w.head('DELETE', '/storage/v1/object/docs', { 'content-length': 6e9, 'content-type': 'application/json' });
  await w.answers(400);
  assert.match(w.text, /"statusCode":"413"/);
}));

test('a client cannot pretend to be at a later step', async () => {
  const headers = { 'tenon-phase': 'admitted', 'tenon-body-file': '/etc/passwd', 'x-accel-redirect': '/_tenon/objects/x' };
  refused(await nobodys.put('pretended', 'x', headers), 403, 'AccessDenied');
  good(await docs.put('pretended', 'mine', headers));
  assert.equal((await docs.get('pretended')).text, 'mine');
  for (const internal of ['/_tenon/objects/', '/_tenon/send', '/_tenon/admit']) assert.equal((await alice.request('GET', internal)).status, 404, internal);
});

test('policies see type and length before the body has come', async () => {
  await makeBucket(s.a, 'ruled');
  await s.sql(`create policy ruled on storage.objects for insert to authenticated with check (bucket_id = 'ruled' and metadata ->> 'mimetype' = 'text/plain' and (metadata ->> 'contentLength')::bigint < 10)`);
  const ruled = bucket(alice, 'ruled');
  good(await ruled.put('short', 'x'));
  refused(await ruled.put('long', 'x'.repeat(10)), 403, 'AccessDenied');
  refused(await ruled.put('other', 'x', { 'content-type': 'text/css' }), 403, 'AccessDenied');
});

test('a client that goes away leaves nothing behind', async () => {
  const before = filesIn('objects').length;
  await wire(async (w) => {
    w.head('POST', docs.path('gone'), { 'content-length': 30_000_000, 'content-type': 'text/plain', expect: '100-continue' });
    await w.answers(100);
    w.write(Buffer.alloc(1_000_000, 'x'));
    await eventually('nginx to spool', () => filesIn('spool').length === 1);
  });
  await nothingWaits();
  assert.equal(await row('gone'), undefined);
  assert.equal(filesIn('objects').length, before);
});

test('a worker that is killed while a body comes takes nothing with it', () => wire(async (w) => {
  w.head('POST', docs.path('survivor'), { 'content-length': 5, 'content-type': 'text/plain', expect: '100-continue' });
  await w.answers(100);
  const old = s.workers('api');
  for (const pid of old) process.kill(pid, 'SIGKILL');
  await eventually('another worker', () => s.workers('api').length === old.length && s.workers('api').every((pid) => !old.includes(pid)));
  w.write('hello');
  await w.answers(100, 200);
  assert.equal((await docs.get('survivor')).text, 'hello');
}));

/* --- many at once ---------------------------------------------------------------------------------------------------------------- */

test('who reads while others replace always gets one of them whole', async () => {
  const versions = Array.from({ length: 12 }, (_, i) => randomBytes(200_000 + i));
  const known = new Set(versions.map(md5));
  good(await docs.replace('contended', versions[0], { 'content-type': 'application/x-thing' }));
  let writing = true;
  const readers = Array.from({ length: 4 }, async () => {
    let seen = 0;
    while (writing) {
      const got = await docs.get('contended');
      assert.equal(got.status, 200, got.text.slice(0, 300));
      assert.equal(md5(got.bytes), got.headers.etag);
      assert.ok(known.has(got.headers.etag));
      seen++;
    }
    return seen;
  });
  await Promise.all(versions.map((bytes) => docs.replace('contended', bytes, { 'content-type': 'application/x-thing' }).then(good)));
  writing = false;
  assert.ok((await Promise.all(readers)).every((n) => n > 0));
  const left = await row('contended');
  const trash = await s.rows(`select version from storage.trash`);
  const known_files = new Set([left.version, ...trash.map((t) => t.version)]);
  const mine = filesIn('objects').filter((f) => fs.statSync(f).size >= 200_000 && fs.statSync(f).size < 200_012);
  assert.ok(mine.every((f) => known_files.has(path.basename(f))), 'every file has a row or is in the trash');
});

test('a quota holds, also for those who come at once', async () => {
  await s.sql(`insert into storage.quotas (tenant_id, user_bytes) values ('${s.a.id}', 25000)`);
  try {
    const own = bucket(bob, 'docs');
    refused(await own.put('quota/large', 'x'.repeat(25_001)), 413, 'quota_exceeded');
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => own.put(`quota/${i}`, 'x'.repeat(10_000))));
    assert.deepEqual(answers.map((a) => a.status).sort(), [200, 200, 400, 400, 400, 400, 400, 400]);
    for (const answer of answers.filter((a) => a.status === 400)) refused(answer, 413, 'quota_exceeded');
    const [{ bytes }] = await s.rows(`select sum(bytes)::int as bytes from storage.usage where owner_id = '${bob.user.id}'`);
    assert.equal(bytes, 20_000);
    good(await own.remove('quota/0', 'quota/1', 'quota/2', 'quota/3', 'quota/4', 'quota/5', 'quota/6', 'quota/7'));
    good(await own.put('quota/again', 'x'.repeat(20_000)));
  } finally {
    await s.sql(`delete from storage.quotas`);
  }
});

/* --- what is sent ---------------------------------------------------------------------------------------------------------------- */

const fox = 'the quick brown fox jumps over the lazy dog';
good(await docs.put('fox', fox, { 'cache-control': 'max-age=7', 'x-robots-tag': 'noindex' }));
const fields = ['content-type', 'content-length', 'content-range', 'cache-control', 'etag', 'last-modified', 'accept-ranges', 'x-robots-tag', 'content-disposition', 'content-security-policy', 'x-content-type-options'];
const told = (answer) => Object.fromEntries(fields.map((name) => [name, answer.headers[name]]));

test('nginx and the stream pool send the same, with the same header fields', async () => {
  const modified = (await docs.head('fox')).headers['last-modified'];
  const cases = [
    {}, { range: 'bytes=4-8' }, { range: 'bytes=-3' }, { range: 'bytes=40-' }, { range: 'bytes=0-1000' },
    { range: 'bytes=4-8', 'if-range': md5(fox) }, { range: 'bytes=4-8', 'if-range': '"other"' },
    { range: 'bytes=4-8', 'if-range': modified }, { range: 'bytes=4-8', 'if-range': 'Thu, 01 Jan 1970 00:00:00 GMT' },
    { 'if-none-match': '"other"' }, { 'if-none-match': '"other"', 'if-modified-since': modified }, { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
    { range: 'lines=1-2' },
  ];
  for (const headers of cases) {
    const byNginx = await docs.get('fox', '', headers);
    for (const more of [{ 'if-match': md5(fox) }, { 'if-match': '*' }, { 'if-unmodified-since': modified }]) { // what nginx's filters cannot judge
      const bySelf = await docs.get('fox', '', { ...headers, ...more });
      const what = JSON.stringify({ ...headers, ...more });
      assert.deepEqual([bySelf.status, bySelf.text, told(bySelf)], [byNginx.status, byNginx.text, told(byNginx)], what);
      assert.ok([200, 206].includes(bySelf.status), what);
    }
  }
});

test('a condition that does not hold', async () => {
  for (const headers of [{ 'if-match': '"other"' }, { 'if-match': `W/${md5(fox)}` }, { 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' }])
    refused(await docs.get('fox', '', headers), 412, 'PreconditionFailed', { status: 412 });
  for (const headers of [{ 'if-none-match': md5(fox) }, { 'if-none-match': `"x", W/${md5(fox)}` }, { 'if-none-match': '*' }, { 'if-match': '*', 'if-none-match': md5(fox) }]) {
    const answer = await docs.get('fox', '', headers);
    assert.deepEqual([answer.status, answer.text, answer.headers.etag, answer.headers['cache-control']], [304, '', md5(fox), 'max-age=7'], JSON.stringify(headers));
  }
});

test('what a browser would run is kept from running, and pages are saved', async () => {
  const cases = [
    ['page.html', 'text/html', '<!DOCTYPE html><script>alert(1)</script>', /^text\/plain/, false, undefined],
    ['page.xhtml', 'application/xhtml+xml', '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', /^application\/xhtml\+xml$/, true, 'attachment'],
    ['drawing.svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', /^image\/svg\+xml$/, true, undefined],
    ['feed.xml', 'application/rss+xml', '<?xml version="1.0"?><rss/>', /^application\/rss\+xml$/, true, undefined],
    ['code.js', 'text/javascript', 'alert(1)', /^text\/javascript$/, true, undefined],
    ['image.png', 'image/png', '<!DOCTYPE html><html><script>alert(1)</script></html>', /^text\/plain/, false, undefined], // stored as the page that it is
    ['style.css', 'text/css', 'a { color: red }', /^text\/css$/, false, undefined],
  ];
  for (const [name, type, content, sent, sandboxed, disposition] of cases) {
    good(await docs.put(`active/${name}`, content, { 'content-type': type }));
    for (const headers of [{}, { 'if-match': '*' }]) {
      const got = await docs.get(`active/${name}`, '', headers);
      assert.match(got.headers['content-type'], sent, name);
      assert.equal(/sandbox/.test(got.headers['content-security-policy'] ?? ''), sandboxed, name);
      assert.equal(got.headers['content-disposition'], disposition, name);
      assert.equal(got.headers['x-content-type-options'], 'nosniff', name);
      assert.equal(got.text, content);
    }
  }
  assert.equal((await row('active/image.png')).metadata.mimetype, 'text/html');
});

test('a link in place of the bytes leads nowhere', async () => {
  const secret = path.join(s.dir, 'secret');
  fs.writeFileSync(secret, fox);
  fs.chmodSync(secret, 0o644);
  good(await docs.put('linked', fox));
  const file = await fileOf('linked');
  fs.unlinkSync(file);
  fs.symlinkSync(secret, file);
  for (const headers of [{}, { 'if-match': '*' }, { range: 'bytes=0-3' }]) {
    const got = await docs.get('linked', '', headers);
    assert.equal(got.status, 500, got.text);
    assert.doesNotMatch(got.text, /quick/);
  }
});

test('bytes that are missing, and bytes that are not all there', async () => {
  good(await docs.put('missing', fox));
  fs.unlinkSync(await fileOf('missing'));
  for (const headers of [{}, { 'if-match': '*' }]) refused(await docs.get('missing', '', headers), 404, 'NoSuchKey');
  good(await docs.put('torn', fox));
  fs.truncateSync(await fileOf('torn'), 10);
  assert.equal((await docs.get('torn')).status, 500);
  assert.equal((await docs.head('torn')).headers['content-length'], String(fox.length)); // by the row
});

test('a large file by both ways, whole and in part', async () => {
  const bytes = randomBytes(12_345_678);
  good(await docs.put('large', bytes, { 'content-type': 'application/x-thing' }));
  for (const headers of [{}, { 'if-match': '*' }]) {
    assert.ok((await docs.get('large', '', headers)).bytes.equals(bytes));
    const part = await docs.get('large', '', { ...headers, range: 'bytes=9999999-12000000' });
    assert.equal(part.headers['content-range'], 'bytes 9999999-12000000/12345678');
    assert.ok(part.bytes.equals(bytes.subarray(9_999_999, 12_000_001)));
  }
});

test('nothing is left in staging or spool', nothingWaits);
