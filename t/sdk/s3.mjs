// The AWS SDK for JavaScript, unmodified, as people use it with S3: @aws-sdk/client-s3, lib-storage, s3-request-presigner.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import * as S3 from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { eventually, stack } from '../lib/stack.mjs';
import { accessKey, s3Client } from '../lib/s3.mjs';

const s = await stack();
const service = s3Client(s, await accessKey(s, '--tenant', 'a'));
const md5 = (bytes) => `"${createHash('md5').update(bytes).digest('hex')}"`;
const text = (answer) => answer.Body.transformToString();
const bytes = async (answer) => Buffer.from(await answer.Body.transformToByteArray());
const code = (promise) => promise.then(() => 'no error', (error) => error.name);
const Bucket = 'box';
await service.send(new S3.CreateBucketCommand({ Bucket }));

describe('objects', () => {
  test('put, head, get, copy, delete', async () => {
    const Body = randomBytes(300_000);
    const put = await service.send(new S3.PutObjectCommand({ Bucket, Key: 'a/b.bin', Body, ContentType: 'application/octet-stream', Metadata: { one: '1' } }));
    assert.equal(put.ETag, md5(Body));
    assert.ok(put.ChecksumCRC32);
    const got = await service.send(new S3.GetObjectCommand({ Bucket, Key: 'a/b.bin' }));
    assert.ok((await bytes(got)).equals(Body));
    assert.deepEqual(got.Metadata, { one: '1' });
    assert.equal(got.ChecksumCRC32, put.ChecksumCRC32);
    const head = await service.send(new S3.HeadObjectCommand({ Bucket, Key: 'a/b.bin' }));
    assert.deepEqual([head.ContentLength, head.ETag], [300_000, md5(Body)]);
    const range = await service.send(new S3.GetObjectCommand({ Bucket, Key: 'a/b.bin', Range: 'bytes=10-19' }));
    assert.ok((await bytes(range)).equals(Body.subarray(10, 20)));
    await service.send(new S3.CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/a/b.bin` }));
    assert.ok((await bytes(await service.send(new S3.GetObjectCommand({ Bucket, Key: 'copy' })))).equals(Body));
    const gone = await service.send(new S3.DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'copy' }, { Key: 'a/b.bin' }] } }));
    assert.deepEqual(gone.Deleted.map((d) => d.Key), ['copy', 'a/b.bin']);
    assert.equal(await code(service.send(new S3.GetObjectCommand({ Bucket, Key: 'copy' }))), 'NoSuchKey');
    assert.equal(await code(service.send(new S3.HeadObjectCommand({ Bucket, Key: 'copy' }))), 'NotFound');
    assert.equal(await code(service.send(new S3.HeadBucketCommand({ Bucket: 'none' }))), 'NotFound');
  });

  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'])
    test(`checksum ${ChecksumAlgorithm}, in a header and in the trailer of a stream`, async () => {
      const Body = randomBytes(200_000);
      const name = `Checksum${ChecksumAlgorithm}`;
      const put = await service.send(new S3.PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body, ChecksumAlgorithm }));
      assert.ok(put[name]);
      const stream = new S3.PutObjectCommand({ Bucket, Key: `${ChecksumAlgorithm}-stream`, Body: Readable.from([Body.subarray(0, 70_000), Body.subarray(70_000)]), ContentLength: Body.length, ChecksumAlgorithm });
      assert.equal((await service.send(stream))[name], put[name]);
      const got = await service.send(new S3.GetObjectCommand({ Bucket, Key: `${ChecksumAlgorithm}-stream`, ChecksumMode: 'ENABLED' }));
      assert.equal(got[name], put[name]);
      assert.ok((await bytes(got)).equals(Body));
    });

  test('names with everything that may be in them', async () => {
    const names = ["a b+c&d=e@f:g,h;i!j$k'l(m)n*o", 'plus+plus', 'q?mark', 'deep/er/and deeper/x'];
    for (const Key of names) await service.send(new S3.PutObjectCommand({ Bucket, Key: `names/${Key}`, Body: Key }));
    const list = await service.send(new S3.ListObjectsV2Command({ Bucket, Prefix: 'names/' }));
    assert.deepEqual(list.Contents.map((o) => o.Key).sort(), names.map((n) => `names/${n}`).sort());
    for (const Key of names) assert.equal(await text(await service.send(new S3.GetObjectCommand({ Bucket, Key: `names/${Key}` }))), Key);
    for (const Key of names) await service.send(new S3.CopyObjectCommand({ Bucket, Key: 'names/copy', CopySource: encodeURI(`${Bucket}/names/${Key}`).replaceAll('?', '%3F') }));
    const encoded = await service.send(new S3.ListObjectsV2Command({ Bucket, Prefix: 'names/', EncodingType: 'url' }));
    assert.ok(encoded.Contents.some((o) => decodeURIComponent(o.Key) === 'names/q?mark'));
  });

  test('pages, folders, tags, attributes, conditions', async () => {
    for (let i = 0; i < 7; i++) await service.send(new S3.PutObjectCommand({ Bucket, Key: `pages/${i}/x`, Body: `${i}` }));
    const found = [];
    for await (const page of S3.paginateListObjectsV2({ client: service, pageSize: 2 }, { Bucket, Prefix: 'pages/', Delimiter: '/' })) found.push(...(page.CommonPrefixes ?? []).map((p) => p.Prefix));
    assert.deepEqual(found, Array.from({ length: 7 }, (_, i) => `pages/${i}/`));
    const Key = 'pages/0/x';
    await service.send(new S3.PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: [{ Key: 'k', Value: 'v' }] } }));
    assert.deepEqual((await service.send(new S3.GetObjectTaggingCommand({ Bucket, Key }))).TagSet, [{ Key: 'k', Value: 'v' }]);
    await service.send(new S3.DeleteObjectTaggingCommand({ Bucket, Key }));
    assert.deepEqual((await service.send(new S3.GetObjectTaggingCommand({ Bucket, Key }))).TagSet ?? [], []);
    const attributes = await service.send(new S3.GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['ETag', 'ObjectSize', 'Checksum'] }));
    assert.deepEqual([attributes.ObjectSize, attributes.ETag], [1, md5('0').replaceAll('"', '')]);
    assert.equal(await code(service.send(new S3.PutObjectCommand({ Bucket, Key, Body: 'x', IfNoneMatch: '*' }))), 'PreconditionFailed');
    await assert.rejects(service.send(new S3.GetObjectCommand({ Bucket, Key, IfNoneMatch: md5('0') })), (error) => error.$metadata.httpStatusCode === 304);
    assert.equal((await service.send(new S3.GetBucketLocationCommand({ Bucket }))).LocationConstraint ?? '', '');
    assert.equal((await service.send(new S3.ListBucketsCommand({}))).Buckets[0].Name, Bucket);
  });
});

describe('uploads in parts', () => {
  const MiB = 1 << 20;

  test('lib-storage, with a file of 12 MiB, and a stream of unknown length', async () => {
    const body = randomBytes(12 * MiB + 77);
    for (const Body of [body, Readable.from([body.subarray(0, 5 * MiB + 3), body.subarray(5 * MiB + 3)])]) {
      const done = await new Upload({ client: service, params: { Bucket, Key: 'large', Body, ContentType: 'video/mp4', Metadata: { a: 'b' } }, partSize: 5 * MiB, queueSize: 3 }).done();
      assert.match(done.ETag, /^"[0-9a-f]{32}-3"$/);
      const got = await service.send(new S3.GetObjectCommand({ Bucket, Key: 'large' }));
      assert.ok((await bytes(got)).equals(body));
      assert.deepEqual([got.ContentType, got.Metadata, got.ETag], ['video/mp4', { a: 'b' }, done.ETag]);
    }
    const part = await service.send(new S3.GetObjectCommand({ Bucket, Key: 'large', PartNumber: 3 }));
    assert.deepEqual([part.PartsCount, part.ContentLength], [3, 2 * MiB + 77]);
    assert.ok((await bytes(part)).equals(body.subarray(10 * MiB)));
    assert.equal((await service.send(new S3.HeadObjectCommand({ Bucket, Key: 'large', PartNumber: 1 }))).PartsCount, 3);
    assert.equal(await code(service.send(new S3.GetObjectCommand({ Bucket, Key: 'large', PartNumber: 4 }))), 'InvalidPartNumber');
    const [left] = await s.rows('select count(*)::int from storage.s3_multipart_uploads_parts');
    assert.equal(left.count, 0);
  });

  for (const [ChecksumAlgorithm, ChecksumType] of [['CRC32', 'COMPOSITE'], ['CRC32C', 'FULL_OBJECT'], ['SHA256', 'COMPOSITE'], ['CRC64NVME', 'FULL_OBJECT']])
    test(`by hand with ${ChecksumAlgorithm} ${ChecksumType}`, async () => {
      const Key = `parts-${ChecksumAlgorithm}`;
      const parts = [randomBytes(5 * MiB), randomBytes(1000)];
      const { UploadId } = await service.send(new S3.CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm, ChecksumType }));
      const done = [];
      for (const [i, Body] of parts.entries()) {
        const part = await service.send(new S3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber: i + 1, Body, ChecksumAlgorithm }));
        assert.equal(part.ETag, md5(Body));
        done.push({ PartNumber: i + 1, ETag: part.ETag, [`Checksum${ChecksumAlgorithm}`]: part[`Checksum${ChecksumAlgorithm}`] });
      }
      const listed = await service.send(new S3.ListPartsCommand({ Bucket, Key, UploadId }));
      assert.deepEqual(listed.Parts.map((p) => [p.PartNumber, p.Size, p.ETag]), parts.map((p, i) => [i + 1, p.length, md5(p)]));
      assert.equal(listed.Parts[0][`Checksum${ChecksumAlgorithm}`], done[0][`Checksum${ChecksumAlgorithm}`]);
      const uploads = await service.send(new S3.ListMultipartUploadsCommand({ Bucket }));
      assert.deepEqual(uploads.Uploads.map((u) => u.UploadId), [UploadId]);
      const complete = new S3.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts: done } });
      const first = await service.send(complete);
      assert.equal(first.ETag, `"${createHash('md5').update(Buffer.concat(parts.map((p) => createHash('md5').update(p).digest()))).digest('hex')}-2"`);
      assert.equal(first.ChecksumType, ChecksumType);
      const again = await service.send(complete); // the answer was lost
      assert.deepEqual([again.ETag, again[`Checksum${ChecksumAlgorithm}`]], [first.ETag, first[`Checksum${ChecksumAlgorithm}`]]);
      const got = await service.send(new S3.GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
      assert.ok((await bytes(got)).equals(Buffer.concat(parts)));
      assert.equal(got[`Checksum${ChecksumAlgorithm}`], first[`Checksum${ChecksumAlgorithm}`]);
    });

  test('parts that are copied from objects', async () => {
    const body = randomBytes(6 * MiB);
    await service.send(new S3.PutObjectCommand({ Bucket, Key: 'whole', Body: body }));
    const { UploadId } = await service.send(new S3.CreateMultipartUploadCommand({ Bucket, Key: 'copied' }));
    const parts = [];
    for (const [i, CopySourceRange] of [`bytes=0-${5 * MiB - 1}`, `bytes=${5 * MiB}-${6 * MiB - 1}`].entries()) {
      const { CopyPartResult } = await service.send(new S3.UploadPartCopyCommand({ Bucket, Key: 'copied', UploadId, PartNumber: i + 1, CopySource: `${Bucket}/whole`, CopySourceRange }));
      parts.push({ PartNumber: i + 1, ETag: CopyPartResult.ETag });
    }
    await service.send(new S3.CompleteMultipartUploadCommand({ Bucket, Key: 'copied', UploadId, MultipartUpload: { Parts: parts } }));
    assert.ok((await bytes(await service.send(new S3.GetObjectCommand({ Bucket, Key: 'copied' })))).equals(body));
  });

  test('given up', async () => {
    const upload = new Upload({ client: service, params: { Bucket, Key: 'given-up', Body: randomBytes(11 * MiB) }, partSize: 5 * MiB, queueSize: 1 });
    upload.on('httpUploadProgress', () => upload.abort());
    await assert.rejects(upload.done(), { name: 'AbortError' });
    assert.equal(await code(service.send(new S3.HeadObjectCommand({ Bucket, Key: 'given-up' }))), 'NotFound');
  });
});

describe('who', () => {
  test('presigned URLs', async () => {
    const url = await getSignedUrl(service, new S3.PutObjectCommand({ Bucket, Key: 'by-url', ContentType: 'text/plain' }), { expiresIn: 60 });
    assert.equal((await fetch(url, { method: 'PUT', body: 'hello', headers: { 'content-type': 'text/plain' } })).status, 200);
    await service.send(new S3.PutObjectCommand({ Bucket, Key: 'by-url-copy', Body: 'precious' }));
    const copy = await getSignedUrl(service, new S3.CopyObjectCommand({ Bucket, Key: 'by-url-copy', CopySource: `${Bucket}/by-url` }), { expiresIn: 60 });
    assert.equal((await fetch(copy, { method: 'PUT' })).status, 200);
    assert.deepEqual((await service.send(new S3.HeadObjectCommand({ Bucket, Key: 'by-url-copy' }))).ETag, (await service.send(new S3.HeadObjectCommand({ Bucket, Key: 'by-url' }))).ETag);
    const download = await getSignedUrl(service, new S3.GetObjectCommand({ Bucket, Key: 'by-url', ResponseContentDisposition: 'attachment' }), { expiresIn: 60 });
    const answer = await fetch(download);
    assert.deepEqual([await answer.text(), answer.headers.get('content-disposition')], ['hello', 'attachment']);
    assert.equal((await fetch(download.replace('by-url', 'large'))).status, 403);
  });

  test('a person with a session token, within the policies', async () => {
    await s.sql(`create policy own_files on storage.objects for all to authenticated
                   using (bucket_id = 'box' and owner_id = (select auth.uid())::text) with check (bucket_id = 'box' and owner_id = (select auth.uid())::text)`);
    const alice = s3Client(s, { id: 'a', secret: s.a.publishable, token: s.alice.session.access_token });
    const bob = s3Client(s, { id: s.a.id, secret: s.a.publishable, token: s.bob.session.access_token });
    await alice.send(new S3.PutObjectCommand({ Bucket, Key: 'alice.txt', Body: 'mine' }));
    assert.equal(await text(await alice.send(new S3.GetObjectCommand({ Bucket, Key: 'alice.txt' }))), 'mine');
    assert.equal(await code(bob.send(new S3.GetObjectCommand({ Bucket, Key: 'alice.txt' }))), 'NoSuchKey');
    assert.equal(await code(bob.send(new S3.PutObjectCommand({ Bucket, Key: 'alice.txt', Body: 'bob' }))), 'AccessDenied');
    assert.deepEqual((await bob.send(new S3.ListObjectsV2Command({ Bucket }))).Contents ?? [], []);
    assert.deepEqual((await alice.send(new S3.ListObjectsV2Command({ Bucket }))).Contents.map((o) => o.Key), ['alice.txt']);
    const done = await new Upload({ client: alice, params: { Bucket, Key: 'alice-large', Body: randomBytes(6 << 20) }, partSize: 5 << 20 }).done();
    assert.match(done.ETag, /-2"$/);
    const [row] = await s.rows("select owner_id from storage.objects where name = 'alice-large'");
    assert.equal(row.owner_id, s.alice.user.id);
  });

  test('a person with an access key, and when it is revoked', async () => {
    const key = await accessKey(s, '--tenant', 'a', '--user', s.alice.email, '--name', 'laptop');
    const alice = s3Client(s, key);
    await alice.send(new S3.PutObjectCommand({ Bucket, Key: 'by-key', Body: 'x' }));
    const [row] = await s.rows("select owner_id from storage.objects where name = 'by-key'");
    assert.equal(row.owner_id, s.alice.user.id);
    assert.equal(await code(alice.send(new S3.GetObjectCommand({ Bucket, Key: 'large' }))), 'NoSuchKey');
    assert.equal((await s.tenon('s3-key', 'revoke', key.id, '--tenant', 'a')).code, 0);
    await eventually('the end of the key', async () => (await code(alice.send(new S3.GetObjectCommand({ Bucket, Key: 'by-key' })))) === 'InvalidAccessKeyId');
  });

  test('an agent, within its scopes', async () => {
    const { json: agent } = await s.tenon('agent', 'create', '--json', '--tenant', 'a', '--name', 'reader', '--scopes', 'storage:box:read', '--expires-in', '1 day', '--user', s.alice.user.id);
    const key = await accessKey(s, '--tenant', 'a', '--agent', agent.id);
    const reader = s3Client(s, key);
    assert.equal(await text(await reader.send(new S3.GetObjectCommand({ Bucket, Key: 'alice.txt' }))), 'mine');
    assert.equal(await code(reader.send(new S3.PutObjectCommand({ Bucket, Key: 'alice.txt', Body: 'x' }))), 'AccessDenied');
    assert.equal((await s.tenon('agent', 'revoke', agent.id)).code, 0);
    assert.equal(await code(reader.send(new S3.GetObjectCommand({ Bucket, Key: 'alice.txt' }))), 'InvalidAccessKeyId');
  });

  test('another tenant sees nothing', async () => {
    const other = s3Client(s, await accessKey(s, '--tenant', 'b'));
    assert.deepEqual((await other.send(new S3.ListBucketsCommand({}))).Buckets ?? [], []);
    assert.equal(await code(other.send(new S3.GetObjectCommand({ Bucket, Key: 'large' }))), 'NoSuchBucket');
    await other.send(new S3.CreateBucketCommand({ Bucket }));
    assert.equal(await code(other.send(new S3.GetObjectCommand({ Bucket, Key: 'large' }))), 'NoSuchKey');
  });
});
