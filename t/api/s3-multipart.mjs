// S3: uploads in parts, where they go wrong: orders, sizes, owners, races, retries, what is left on disk. Clients are in t/sdk/s3.mjs.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { faultyClamd } from '../lib/clamd.mjs';
import { stack } from '../lib/stack.mjs';
import { accessKey, sign, signed } from '../lib/s3.mjs';

const s = await stack();
const key = await accessKey(s, '--tenant', 'a');
const MiB = 1 << 20;
const md5 = (bytes) => createHash('md5').update(bytes).digest('hex');
const tag = (xml, name) => new RegExp(`<${name}>(.*?)</${name}>`).exec(xml)?.[1];

async function gives(status, code, ...args) {
  const answer = await signed(s, ...args);
  assert.deepEqual([answer.status, answer.code], [status, code], `${args[1]} ${args[2]}: ${answer.text}`);
  return answer;
}
const begin = async (target, who = key, options = {}) => tag((await gives(200, undefined, who, 'POST', `${target}?uploads`, options)).text, 'UploadId');
const put = (target, id, number, body, who = key) => signed(s, who, 'PUT', `${target}?partNumber=${number}&uploadId=${id}`, { body });
const list = (parts) => `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.map(([n, etag]) => `<Part><PartNumber>${n}</PartNumber><ETag>"${etag}"</ETag></Part>`).join('')}</CompleteMultipartUpload>`;
const complete = (target, id, parts, who = key) => signed(s, who, 'POST', `${target}?uploadId=${id}`, { body: parts === undefined ? '' : list(parts) });
// The answer to a request whose body never comes.
async function announced(target, who, length) {
  const made = sign(s, who, 'PUT', target, { payload: 'UNSIGNED-PAYLOAD' });
  const { port, hostname } = new URL(s.origin);
  const socket = net.connect(Number(port), hostname);
  socket.write(`PUT ${made.path} HTTP/1.1\r\n${Object.entries(made.headers).map(([n, v]) => `${n}: ${v}`).join('\r\n')}\r\ncontent-length: ${length}\r\nexpect: 100-continue\r\n\r\n`);
  let text = '';
  for await (const bytes of socket) {
    text += bytes;
    if (text.includes('</Error>') || text.includes(' 100 ')) break;
  }
  socket.destroy();
  return text;
}
const staged = () => {
  const folder = path.join(s.storageDir, 'staging', s.a.id);
  return fs.existsSync(folder) ? fs.readdirSync(folder).length : 0;
};
await gives(200, undefined, key, 'PUT', '/box');
const big = randomBytes(5 * MiB);

describe('a list of parts', () => {
  test('must be in order, complete, and right', async () => {
    const id = await begin('/box/order');
    await put('/box/order', id, 1, big);
    await put('/box/order', id, 2, big);
    await put('/box/order', id, 5, 'end');
    const [one, end] = [md5(big), md5('end')];
    const no = async (code, parts) => assert.equal((await complete('/box/order', id, parts)).code, code);
    await no('InvalidPartOrder', [[2, one], [1, one]]);
    await no('InvalidPartOrder', [[1, one], [1, one]]);
    await no('InvalidPart', [[1, one], [3, one]]);
    await no('InvalidPart', [[1, end], [2, one]]);
    assert.equal((await signed(s, key, 'POST', `/box/order?uploadId=${id}`, { body: '<x>' })).code, 'MalformedXML');
    assert.equal((await signed(s, key, 'POST', `/box/order?uploadId=${id}`, { body: '<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>' })).code, 'MalformedXML');
    const done = await complete('/box/order', id, [[1, one], [5, end]]);
    assert.equal(done.status, 200, done.text);
    assert.equal(tag(done.text, 'ETag'), `&quot;${md5(Buffer.concat([one, end].map((e) => Buffer.from(e, 'hex'))))}-2&quot;`);
    assert.ok((await signed(s, key, 'GET', '/box/order')).bytes.equals(Buffer.concat([big, Buffer.from('end')])), 'the part that was not named is not in it');
    assert.equal(staged(), 0, 'and not on disk');
    const again = await complete('/box/order', id, [[1, one], [5, end]]);
    assert.deepEqual([again.status, tag(again.text, 'ETag')], [200, tag(done.text, 'ETag')]);
    await gives(404, 'NoSuchUpload', key, 'DELETE', `/box/order?uploadId=${id}`);
    assert.equal((await put('/box/order', id, 1, 'x')).code, 'NoSuchUpload');
  });

  test('sizes, replaced parts, and no list at all', async () => {
    const id = await begin('/box/sizes');
    await put('/box/sizes', id, 1, 'small');
    await put('/box/sizes', id, 2, 'small');
    assert.equal((await complete('/box/sizes', id, [[1, md5('small')], [2, md5('small')]])).code, 'EntityTooSmall');
    const before = staged();
    await put('/box/sizes', id, 1, big);
    assert.equal(staged(), before, 'what was replaced is gone');
    const [row] = await s.rows(`select in_progress_size::int from storage.s3_multipart_uploads where id = '${id}'`);
    assert.equal(row.in_progress_size, big.length + 5);
    assert.equal((await complete('/box/sizes', id)).status, 200, 'all that have arrived');
    assert.equal((await signed(s, key, 'HEAD', '/box/sizes')).headers['content-length'], String(big.length + 5));
  });

  test('one that does not exist, and numbers that are none', async () => {
    await gives(404, 'NoSuchUpload', key, 'PUT', '/box/x?partNumber=1&uploadId=none', { body: 'x' });
    await gives(404, 'NoSuchUpload', key, 'POST', '/box/x?uploadId=none', { body: list([[1, md5('x')]]) });
    await gives(404, 'NoSuchUpload', key, 'DELETE', '/box/x?uploadId=none');
    await gives(404, 'NoSuchUpload', key, 'GET', '/box/x?uploadId=none');
    const id = await begin('/box/x');
    for (const number of ['0', '10001', 'x', '']) assert.equal((await put('/box/x', id, number, 'x')).code, 'InvalidArgument');
    await gives(404, 'NoSuchUpload', key, 'PUT', `/box/y?partNumber=1&uploadId=${id}`, { body: 'x' });
    await gives(400, 'InvalidRequest', key, 'POST', `/box/x?uploadId=${id}`, { body: '' });
    await gives(204, undefined, key, 'DELETE', `/box/x?uploadId=${id}`);
    await gives(404, 'NoSuchUpload', key, 'DELETE', `/box/x?uploadId=${id}`);
  });

  test('pages of parts and of uploads', async () => {
    const ids = [await begin('/box/p/1'), await begin('/box/p/2'), await begin('/box/p/2')];
    for (const n of [1, 2, 3]) await put('/box/p/1', ids[0], n, `part ${n}`);
    const first = await signed(s, key, 'GET', `/box/p/1?uploadId=${ids[0]}&max-parts=2`);
    assert.deepEqual([tag(first.text, 'IsTruncated'), tag(first.text, 'NextPartNumberMarker')], ['true', '2']);
    const second = await signed(s, key, 'GET', `/box/p/1?uploadId=${ids[0]}&max-parts=2&part-number-marker=2`);
    assert.deepEqual([...second.text.matchAll(/<PartNumber>(\d+)</g)].map((m) => m[1]), ['3']);
    const found = [];
    for (let marker = ''; ;) {
      const page = await signed(s, key, 'GET', `/box?uploads&prefix=p%2F&max-uploads=1${marker}`);
      found.push(tag(page.text, 'UploadId'));
      if (tag(page.text, 'IsTruncated') !== 'true') break;
      marker = `&key-marker=${encodeURIComponent(tag(page.text, 'NextKeyMarker'))}&upload-id-marker=${encodeURIComponent(tag(page.text, 'NextUploadIdMarker'))}`;
    }
    assert.deepEqual(found.sort(), [...ids].sort());
    await gives(409, 'BucketNotEmpty', key, 'DELETE', '/box');
    for (const [i, id] of ids.entries()) await gives(204, undefined, key, 'DELETE', `/box/p/${i === 0 ? 1 : 2}?uploadId=${id}`);
    assert.equal(staged(), 0);
  });
});

describe('limits', () => {
  test('of the bucket count over all parts', async () => {
    await s.a.service.post('/storage/v1/bucket', { name: 'small', file_size_limit: 100 });
    const id = await begin('/small/x');
    assert.equal((await put('/small/x', id, 1, 'x'.repeat(101))).code, 'EntityTooLarge');
    assert.equal((await put('/small/x', id, 1, 'x'.repeat(60))).status, 200);
    assert.equal((await put('/small/x', id, 2, 'x'.repeat(60))).code, 'EntityTooLarge');
    assert.equal((await put('/small/x', id, 1, 'x'.repeat(100))).status, 200, 'a part that is replaced does not count twice');
    assert.equal((await complete('/small/x', id, [[1, md5('x'.repeat(100))]])).status, 200);
  });

  test('of the quotas count over the parts of all uploads', async () => {
    const pia = await s.a.person('pia');
    const hers = await accessKey(s, '--tenant', 'a', '--user', pia.user.id);
    await gives(200, undefined, key, 'PUT', '/quota');
    await s.sql(`create policy quota on storage.objects for all to authenticated using (bucket_id = 'quota') with check (bucket_id = 'quota')`);
    const ten = 'x'.repeat(10_000);
    for (const limit of ['user_bytes', 'tenant_bytes']) {
      const [first, second] = [await begin('/quota/1', hers), await begin('/quota/2', hers)];
      const [{ used }] = await s.rows(`select coalesce(sum(bytes), 0)::int as used from storage.usage where tenant_id = '${s.a.id}'`);
      await s.sql(`insert into storage.quotas (tenant_id, ${limit}) values ('${s.a.id}', ${limit === 'user_bytes' ? 25_000 : used + 25_000})`);
      assert.equal((await put('/quota/1', first, 1, ten, hers)).status, 200);
      assert.equal((await put('/quota/2', second, 1, ten, hers)).status, 200);
      assert.equal((await put('/quota/1', first, 2, ten, hers)).code, 'QuotaExceeded');
      assert.equal((await put('/quota/2', second, 2, ten, hers)).code, 'QuotaExceeded');
      assert.equal((await put('/quota/1', first, 1, 'x'.repeat(12_000), hers)).status, 200, 'a part that is replaced does not count twice');
      const together = await Promise.all([2, 3, 4, 5].map((n) => put('/quota/2', second, n, 'x'.repeat(2_000), hers)));
      assert.deepEqual(together.map((answer) => answer.status).sort(), [200, 413, 413, 413]);
      const [{ bytes }] = await s.rows(`select sum(size)::int as bytes from storage.s3_multipart_uploads_parts where bucket_id = 'quota'`);
      assert.equal(bytes, 24_000);
      await s.sql('delete from storage.quotas');
      for (const [target, id] of [['/quota/1', first], ['/quota/2', second]]) await gives(204, undefined, hers, 'DELETE', `${target}?uploadId=${id}`);
    }
  });

  test('what is refused by its announced length is not read', async () => {
    const pete = await s.a.person('pete');
    const his = await accessKey(s, '--tenant', 'a', '--user', pete.user.id);
    await s.sql(`insert into storage.quotas (tenant_id, user_bytes) values ('${s.a.id}', 20000)`);
    const ids = [await begin('/quota/a', his), await begin('/quota/b', his)];
    assert.equal((await put('/quota/a', ids[0], 1, 'x'.repeat(15_000), his)).status, 200);
    assert.match(await announced(`/quota/b?partNumber=1&uploadId=${ids[1]}`, his, 15_000), /^HTTP\/1\.1 413 [^]*<Code>QuotaExceeded</);
    await s.sql('delete from storage.quotas');
    for (const [name, id] of [['a', ids[0]], ['b', ids[1]]]) await gives(204, undefined, his, 'DELETE', `/quota/${name}?uploadId=${id}`);
  });

  test('a bucket with an upload that has begun is not empty, one with a complete one is', async () => {
    await gives(200, undefined, key, 'PUT', '/closing');
    const id = await begin('/closing/x');
    assert.equal((await signed(s, key, 'DELETE', '/closing')).status, 409);
    await put('/closing/x', id, 1, 'x');
    assert.equal((await complete('/closing/x', id, [[1, md5('x')]])).status, 200);
    await gives(204, undefined, key, 'DELETE', '/closing/x');
    await gives(204, undefined, key, 'DELETE', '/closing');
  });
});

describe('whose it is', () => {
  test('others do not see it', async () => {
    await s.sql(`create policy anybody on storage.objects for all to authenticated using (bucket_id = 'box') with check (bucket_id = 'box')`);
    const alice = await accessKey(s, '--tenant', 'a', '--user', s.alice.user.id);
    const bob = await accessKey(s, '--tenant', 'a', '--user', s.bob.user.id);
    const other = await accessKey(s, '--tenant', 'b');
    const id = await begin('/box/alice', alice);
    assert.equal((await put('/box/alice', id, 1, 'hers', alice)).status, 200);
    for (const who of [bob, other]) {
      assert.equal((await put('/box/alice', id, 1, 'his', who)).status, 404);
      assert.equal((await complete('/box/alice', id, [[1, md5('hers')]], who)).status, 404);
      assert.equal((await signed(s, who, 'DELETE', `/box/alice?uploadId=${id}`)).status, 404);
      assert.equal((await signed(s, who, 'GET', `/box/alice?uploadId=${id}`)).status, 404);
    }
    assert.ok(!(await signed(s, bob, 'GET', '/box?uploads')).text.includes(id));
    assert.ok((await signed(s, key, 'GET', '/box?uploads')).text.includes(id), 'the tenant sees all');
    assert.equal((await complete('/box/alice', id, [[1, md5('hers')]], alice)).status, 200);
    const [row] = await s.rows("select owner_id from storage.objects where name = 'alice'");
    assert.equal(row.owner_id, s.alice.user.id);
  });

  test('agents need the scope of the bucket, whosever it is', async () => {
    const agent = async (scopes, ...options) => {
      const { code, json, stderr } = await s.tenon('agent', 'create', '--json', '--tenant', 'a', '--name', `agent of ${scopes}`, '--scopes', scopes, '--expires-in', '1 day', ...options);
      assert.equal(code, 0, stderr);
      return accessKey(s, '--tenant', 'a', '--agent', json.id);
    };
    await s.sql(`create policy agents on storage.objects for all to agent using (true) with check (true)`);
    const alice = await accessKey(s, '--tenant', 'a', '--user', s.alice.user.id);
    const hers = await begin('/box/hers', alice);
    const nobodys = await begin('/box/nobodys');
    assert.equal((await put('/box/hers', hers, 1, 'hers', alice)).status, 200);
    assert.equal((await put('/box/nobodys', nobodys, 1, 'x')).status, 200);
    const codes = async (who, target, id) => [
      await signed(s, who, 'GET', `${target}?uploadId=${id}`), await put(target, id, 2, 'evil', who), await complete(target, id, [[1, md5('hers')]], who),
      await signed(s, who, 'DELETE', `${target}?uploadId=${id}`),
    ].map((answer) => answer.code ?? answer.status);

    for (const scopes of ['data:notes:read', 'storage:other:*', 'storage:buckets:*']) {
      const none = await agent(scopes, '--user', s.alice.user.id);
      assert.deepEqual(await codes(none, '/box/hers', hers), Array(4).fill('AccessDenied'), scopes);
      assert.equal((await signed(s, none, 'GET', '/box?uploads')).code, 'AccessDenied');
      await gives(403, 'AccessDenied', none, 'POST', '/box/mine?uploads');
    }
    const reader = await agent('storage:box:read', '--user', s.alice.user.id);
    assert.deepEqual(await codes(reader, '/box/hers', hers), [200, ...Array(3).fill('AccessDenied')]);
    assert.ok((await signed(s, reader, 'GET', '/box?uploads')).text.includes(hers));

    const service = await agent('storage:box:*'); // it acts for nobody
    assert.deepEqual(await codes(service, '/box/nobodys', nobodys), Array(4).fill('NoSuchUpload'));
    assert.deepEqual(await codes(service, '/box/hers', hers), Array(4).fill('NoSuchUpload'));
    const own = await begin('/box/own', service);
    const listed = (await signed(s, service, 'GET', '/box?uploads')).text;
    assert.deepEqual([own, nobodys, hers].map((id) => listed.includes(id)), [true, false, false]);
    assert.equal((await put('/box/own', own, 1, 'own', service)).status, 200);
    assert.equal((await put('/box/own', own, 1, 'evil', await agent('storage:*'))).code, 'NoSuchUpload');
    assert.equal((await complete('/box/own', own, [[1, md5('own')]], service)).status, 200);
    const writer = await agent('storage:box:*', '--user', s.alice.user.id);
    assert.equal((await put('/box/hers', hers, 2, 'end', writer)).status, 200);
    for (const [target, id] of [['/box/hers', hers], ['/box/nobodys', nobodys]]) await gives(204, undefined, key, 'DELETE', `${target}?uploadId=${id}`);
    await s.sql('drop policy agents on storage.objects');
  });

  test('the policies decide with every part, and at the end', async () => {
    const alice = await accessKey(s, '--tenant', 'a', '--user', s.alice.user.id);
    const id = await begin('/box/taken', alice);
    await put('/box/taken', id, 1, 'x', alice);
    await s.sql('drop policy anybody on storage.objects');
    assert.equal((await put('/box/taken', id, 2, 'x', alice)).code, 'AccessDenied');
    assert.equal((await complete('/box/taken', id, [[1, md5('x')]], alice)).code, 'AccessDenied');
    assert.equal((await signed(s, alice, 'POST', '/box/new?uploads')).code, 'AccessDenied');
    await s.sql(`create policy anybody on storage.objects for all to authenticated using (bucket_id = 'box') with check (bucket_id = 'box')`);
    assert.equal((await complete('/box/taken', id, [[1, md5('x')]], alice)).status, 200, 'nothing was lost by the refusal');
  });
});

describe('at the same time', () => {
  test('many complete it: there is one object, and every answer is the same or says to wait', async () => {
    const id = await begin('/box/race');
    await put('/box/race', id, 1, big);
    await put('/box/race', id, 2, 'end');
    const answers = await Promise.all(Array.from({ length: 8 }, () => complete('/box/race', id, [[1, md5(big)], [2, md5('end')]])));
    assert.ok(answers.some((a) => a.status === 200));
    for (const answer of answers) assert.ok(answer.status === 200 || answer.code === 'SlowDown', answer.text);
    assert.equal(new Set(answers.filter((a) => a.status === 200).map((a) => tag(a.text, 'ETag'))).size, 1);
    assert.equal((await signed(s, key, 'HEAD', '/box/race')).headers['content-length'], String(big.length + 3));
  });

  test('parts arrive, some of them twice', async () => {
    const id = await begin('/box/together');
    const bodies = Array.from({ length: 6 }, (_, i) => (i === 5 ? Buffer.from('end') : Buffer.alloc(5 * MiB, i)));
    const answers = await Promise.all([...bodies, ...bodies].map((body, i) => put('/box/together', id, (i % 6) + 1, body)));
    assert.deepEqual(new Set(answers.map((a) => a.status)), new Set([200]));
    assert.equal((await complete('/box/together', id, bodies.map((b, i) => [i + 1, md5(b)]))).status, 200);
    assert.equal((await signed(s, key, 'HEAD', '/box/together')).headers['content-length'], String(25 * MiB + 3));
    assert.equal(staged(), 0);
  });
});

describe('what has expired', () => {
  test('is ended by the sweeper', async () => {
    const id = await begin('/box/late');
    await put('/box/late', id, 1, 'x');
    await s.sql(`update storage.s3_multipart_uploads set expires_at = now() - interval '1 second' where id = '${id}'`);
    assert.equal((await put('/box/late', id, 2, 'x')).code, 'NoSuchUpload');
    const ended = await s.rows(`select tenant_id, version from storage.expire_s3_uploads(100)`);
    assert.ok(ended.every((row) => row.tenant_id === s.a.id));
    assert.deepEqual(await s.rows(`select id from storage.s3_multipart_uploads where id = '${id}'`), []);
  });
});

describe('what a scanner finds in it', () => {
  test('ends it: one copy is in quarantine, and there is no second try', async () => {
    const clamd = await faultyClamd();
    s.configure({ 'storage.clamd': clamd.address });
    assert.equal((await s.tenon('reload')).code, 0);
    const before = staged();
    const id = await begin('/box/infected');
    assert.equal((await put('/box/infected', id, 1, 'evil')).status, 200);
    clamd.say = 'nonsense';
    assert.equal((await complete('/box/infected', id, [[1, md5('evil')]])).status, 503);
    clamd.say = 'stream: Some.Thing FOUND';
    const found = await complete('/box/infected', id, [[1, md5('evil')]]);
    assert.deepEqual([found.status, found.code], [422, 'InfectedFile'], found.text);
    assert.equal((await complete('/box/infected', id, [[1, md5('evil')]])).code, 'NoSuchUpload');
    assert.equal((await put('/box/infected', id, 1, 'evil')).code, 'NoSuchUpload');
    assert.equal(staged(), before);
    assert.deepEqual(await s.rows("select count(*)::int as n from storage.quarantine where name = 'infected'"), [{ n: 1 }]);
  });
});
