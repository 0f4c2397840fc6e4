// S3: buckets, objects, lists, copies, tags and metadata, as requests that are signed by hand. Clients are in t/sdk/s3.mjs.
import { before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { stack } from '../lib/stack.mjs';
import { accessKey, signed } from '../lib/s3.mjs';

const s = await stack();
const key = await accessKey(s, '--tenant', 'a');
const ask = (method, target, options) => signed(s, key, method, target, options);
const texts = (xml, tag) => [...xml.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'g'))].map((m) => m[1]);
const md5 = (bytes) => `"${createHash('md5').update(bytes).digest('hex')}"`;

async function ok(method, target, options) {
  const answer = await ask(method, target, options);
  assert.ok(answer.status >= 200 && answer.status < 300, `${method} ${target}: ${answer.status} ${answer.text}`);
  return answer;
}

async function refused(status, code, method, target, options) {
  const answer = await ask(method, target, options);
  assert.deepEqual([answer.status, answer.code], [status, code], `${method} ${target}: ${answer.text}`);
  return answer;
}

describe('buckets', () => {
  test('are made, listed and removed', async () => {
    const made = await ok('PUT', '/first');
    assert.equal(made.headers.location, '/first');
    await refused(409, 'BucketAlreadyOwnedByYou', 'PUT', '/first');
    await ok('PUT', '/second/', { headers: { 'x-amz-acl': 'public-read' }, body: '<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>' });
    const list = await ok('GET', '/');
    assert.deepEqual(texts(list.text, 'Name'), ['first', 'second']);
    assert.match(texts(list.text, 'CreationDate')[0], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual((await s.rows("select name, public from storage.buckets where name in ('first', 'second') order by 1")).map((r) => r.public), [false, true]);
    const head = await ok('HEAD', '/first');
    assert.equal(head.headers['x-amz-bucket-region'], 'us-east-1');
    assert.equal((await ask('HEAD', '/none')).status, 404);
    await ok('PUT', '/first/x', { body: 'x' });
    await refused(409, 'BucketNotEmpty', 'DELETE', '/first');
    await ok('DELETE', '/first/x');
    assert.equal((await ask('DELETE', '/first')).status, 204);
    await refused(404, 'NoSuchBucket', 'DELETE', '/first');
    await refused(404, 'NoSuchBucket', 'GET', '/first');
    await refused(400, 'InvalidBucketName', 'PUT', '/b%C3%A4r');
  });

  test('say what they have and have not', async () => {
    await ok('PUT', '/said');
    assert.match((await ok('GET', '/said?location')).text, /<LocationConstraint xmlns="[^"]*"><\/LocationConstraint>/);
    assert.match((await ok('GET', '/said?versioning')).text, /<Status>Suspended</);
    assert.match((await ok('GET', '/said?acl')).text, /FULL_CONTROL/);
    await refused(404, 'NoSuchBucketPolicy', 'GET', '/said?policy');
    await refused(404, 'NoSuchCORSConfiguration', 'GET', '/said?cors');
    await refused(404, 'NoSuchLifecycleConfiguration', 'GET', '/said?lifecycle');
    assert.match((await ok('GET', '/said?versions')).text, /<ListVersionsResult/);
    await refused(501, 'NotImplemented', 'PUT', '/said?versioning', { body: '<x/>' });
  });
});

describe('objects', () => {
  before(() => ok('PUT', '/box'));

  test('come back as they went', async () => {
    const body = Buffer.from(Array.from({ length: 70000 }, (_, i) => (i * 7 + 200) % 251));
    const put = await ok('PUT', '/box/a%20folder/file.bin', {
      body,
      headers: {
        'content-type': 'application/x-thing', 'cache-control': 'max-age=7', 'content-disposition': 'inline; filename="f"', 'content-language': 'de',
        'content-encoding': 'aws-chunked,gzip', expires: 'Wed, 21 Oct 2037 07:28:00 GMT', 'x-amz-meta-colour': 'dark  blue', 'x-amz-meta-Size': 'L',
      },
    });
    assert.equal(put.headers.etag, md5(body));
    for (const method of ['GET', 'HEAD']) {
      const got = await ok(method, '/box/a%20folder/file.bin');
      assert.equal(got.headers.etag, md5(body));
      assert.equal(got.headers['content-type'], 'application/x-thing');
      assert.equal(got.headers['cache-control'], 'max-age=7');
      assert.equal(got.headers['content-disposition'], 'inline; filename="f"');
      assert.equal(got.headers['content-language'], 'de');
      assert.equal(got.headers['content-encoding'], 'gzip');
      assert.equal(got.headers.expires, 'Wed, 21 Oct 2037 07:28:00 GMT');
      assert.equal(got.headers['x-amz-meta-colour'], 'dark  blue');
      assert.equal(got.headers['x-amz-meta-size'], 'L');
      assert.equal(got.headers['accept-ranges'], 'bytes');
      assert.ok(Date.parse(got.headers['last-modified']) > 0);
      assert.equal(got.headers['content-length'], '70000');
      if (method === 'GET') assert.ok(got.bytes.equals(body));
    }
    const [row] = await s.rows("select user_metadata, size from storage.objects where name = 'a folder/file.bin'");
    assert.deepEqual(row, { user_metadata: { colour: 'dark  blue', size: 'L' }, size: 70000 });
    const overridden = await ok('GET', '/box/a%20folder/file.bin?response-content-type=text%2Fplain&response-content-disposition=attachment&response-cache-control=no-store');
    assert.equal(overridden.headers['content-type'], 'text/plain');
    assert.equal(overridden.headers['content-disposition'], 'attachment');
    assert.equal(overridden.headers['cache-control'], 'no-store');
  });

  test('ranges and conditions', async () => {
    await ok('PUT', '/box/range', { body: '0123456789' });
    const get = (headers) => ask('GET', '/box/range', { headers });
    const part = await get({ range: 'bytes=2-4' });
    assert.deepEqual([part.status, part.text, part.headers['content-range']], [206, '234', 'bytes 2-4/10']);
    assert.equal((await get({ range: 'bytes=-3' })).text, '789');
    assert.equal((await get({ range: 'bytes=7-' })).text, '789');
    assert.deepEqual([(await get({ range: 'bytes=10-' })).status, (await get({ range: 'bytes=10-' })).code], [416, 'InvalidRange']);
    const etag = md5('0123456789');
    assert.equal((await get({ 'if-none-match': etag })).status, 304);
    assert.equal((await get({ 'if-match': etag })).status, 200);
    assert.deepEqual([(await get({ 'if-match': '"x"' })).status, (await get({ 'if-match': '"x"' })).code], [412, 'PreconditionFailed']);
    assert.equal((await get({ 'if-modified-since': new Date(Date.now() + 5000).toUTCString() })).status, 304);
    assert.equal((await get({ 'if-unmodified-since': 'Wed, 21 Oct 2015 07:28:00 GMT' })).status, 412);
    await refused(412, 'PreconditionFailed', 'PUT', '/box/range', { body: 'x', headers: { 'if-none-match': '*' } });
    await refused(412, 'PreconditionFailed', 'PUT', '/box/range', { body: 'x', headers: { 'if-match': '"x"' } });
    await refused(404, 'NoSuchKey', 'PUT', '/box/range-none', { body: 'x', headers: { 'if-match': etag } });
    await ok('PUT', '/box/range', { body: 'replaced', headers: { 'if-match': etag } });
    assert.equal((await ok('GET', '/box/range')).text, 'replaced');
    await ok('PUT', '/box/range-new', { body: 'x', headers: { 'if-none-match': '*' } });
  });

  test('errors are XML with the words of S3', async () => {
    const none = await refused(404, 'NoSuchKey', 'GET', '/box/none');
    assert.equal(none.headers['content-type'], 'application/xml');
    assert.match(none.text, /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<Error><Code>NoSuchKey<\/Code><Message>The specified key does not exist\.<\/Message><Resource>\/box\/none<\/Resource><RequestId>.+<\/RequestId><HostId>.+<\/HostId><\/Error>$/);
    assert.equal(none.headers['x-amz-request-id'], /<RequestId>(.*)<\/RequestId>/.exec(none.text)[1]);
    const head = await ask('HEAD', '/box/none');
    assert.deepEqual([head.status, head.text], [404, '']);
    await refused(404, 'NoSuchBucket', 'GET', '/nobox/x');
    await refused(404, 'NoSuchBucket', 'PUT', '/nobox/x', { body: 'x' });
    await refused(400, 'InvalidKey', 'PUT', '/box/%C3%A4', { body: 'x' });
    await refused(404, 'NoSuchVersion', 'GET', '/box/range?versionId=7');
    assert.equal((await ask('DELETE', '/box/never-there')).status, 204);
    await refused(404, 'NoSuchBucket', 'DELETE', '/nobox/x');
    await refused(400, 'BadDigest', 'PUT', '/box/x', { body: 'x', headers: { 'content-md5': createHash('md5').update('y').digest('base64') } });
    await refused(400, 'InvalidDigest', 'PUT', '/box/x', { body: 'x', headers: { 'content-md5': 'abc' } });
    await refused(400, 'MetadataTooLarge', 'PUT', '/box/x', { body: 'x', headers: { 'x-amz-meta-a': 'x'.repeat(2100) } });
    await refused(501, 'NotImplemented', 'PUT', '/box/x', { body: 'x', headers: { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' } });
    assert.equal((await ask('GET', '/box/x')).status, 404, 'what was refused is not there');
  });

  test('rules of the bucket hold', async () => {
    await s.a.service.post('/storage/v1/bucket', { name: 'small', file_size_limit: 10, allowed_mime_types: ['text/plain'] });
    await ok('PUT', '/small/x', { body: '0123456789', headers: { 'content-type': 'text/plain' } });
    await refused(413, 'EntityTooLarge', 'PUT', '/small/x', { body: '0123456789a', headers: { 'content-type': 'text/plain' } });
    await refused(415, 'InvalidMimeType', 'PUT', '/small/x', { body: 'x', headers: { 'content-type': 'image/png' } });
  });

  test('empty ones, and names that end in a slash', async () => {
    const put = await ok('PUT', '/box/folder/', { body: '' });
    assert.equal(put.headers.etag, md5(''));
    const got = await ok('GET', '/box/folder/');
    assert.deepEqual([got.status, got.headers['content-length'], got.text], [200, '0', '']);
    assert.equal((await ask('GET', '/box/folder/', { headers: { range: 'bytes=0-1' } })).status, 416);
  });

  test('checksums of the content', async () => {
    const crc32 = 'NSRBwg=='; // "123456789" has cbf43926; see below for the text that is sent
    const sha1 = createHash('sha1').update('abc').digest('base64');
    const put = await ok('PUT', '/box/sum', { body: 'abc', headers: { 'x-amz-checksum-crc32': crc32 } });
    assert.equal(put.headers['x-amz-checksum-crc32'], crc32);
    assert.equal(put.headers['x-amz-checksum-type'], 'FULL_OBJECT');
    const got = await ok('GET', '/box/sum', { headers: { 'x-amz-checksum-mode': 'ENABLED' } });
    assert.equal(got.headers['x-amz-checksum-crc32'], crc32);
    assert.equal((await ok('GET', '/box/sum')).headers['x-amz-checksum-crc32'], undefined);
    await ok('PUT', '/box/sum', { body: 'abc', headers: { 'x-amz-checksum-sha1': sha1 } });
    assert.equal((await ok('HEAD', '/box/sum', { headers: { 'x-amz-checksum-mode': 'ENABLED' } })).headers['x-amz-checksum-sha1'], sha1);
    await refused(400, 'BadDigest', 'PUT', '/box/sum', { body: 'abd', headers: { 'x-amz-checksum-sha1': sha1 } });
    await refused(400, 'InvalidRequest', 'PUT', '/box/sum', { body: 'abc', headers: { 'x-amz-checksum-crc32': 'nope' } });
    await refused(400, 'InvalidRequest', 'PUT', '/box/sum', { body: 'abc', headers: { 'x-amz-checksum-crc32': crc32, 'x-amz-checksum-sha1': sha1 } });
    const attributes = await ok('GET', '/box/sum?attributes', { headers: { 'x-amz-object-attributes': 'ETag,Checksum,ObjectSize,StorageClass' } });
    assert.match(attributes.text, new RegExp(`<ETag>[0-9a-f]{32}</ETag><Checksum><ChecksumSHA1>${sha1.replace(/[+/]/g, '.')}</ChecksumSHA1>.*<StorageClass>STANDARD</StorageClass><ObjectSize>3</ObjectSize>`));
  });

  test('algorithms that nobody here knows, and what is said and not sent', async () => {
    const sha1 = createHash('sha1').update('abc').digest('base64');
    const no = (headers) => refused(400, 'InvalidRequest', 'PUT', '/box/unknown', { body: 'abc', headers });
    for (const name of ['sha512', 'md5', 'xxhash64', 'x']) await no({ [`x-amz-checksum-${name}`]: sha1 });
    await no({ 'x-amz-trailer': 'x-amz-checksum-sha512' });
    await no({ 'x-amz-sdk-checksum-algorithm': 'SHA1' });
    await no({ 'x-amz-sdk-checksum-algorithm': 'SHA512' });
    await no({ 'x-amz-sdk-checksum-algorithm': 'SHA256', 'x-amz-checksum-sha1': sha1 });
    assert.equal((await ask('HEAD', '/box/unknown')).status, 404);
    await ok('PUT', '/box/unknown', { body: 'abc', headers: { 'x-amz-sdk-checksum-algorithm': 'sha1', 'x-amz-checksum-sha1': sha1 } });
    const trailer = (name, value) => ask('PUT', '/box/trailer', { payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', headers: { 'x-amz-decoded-content-length': '3', 'x-amz-trailer': name, 'x-amz-sdk-checksum-algorithm': 'SHA1' }, send: { body: `3\r\nabc\r\n0\r\n${name}:${value}\r\n\r\n` } });
    assert.equal((await trailer('x-amz-checksum-sha512', sha1)).code, 'InvalidRequest');
    assert.equal((await ask('HEAD', '/box/trailer')).status, 404);
    assert.equal((await trailer('x-amz-checksum-sha1', sha1)).status, 200);
  });

  test('parts of what came in parts, and ranges of HEAD', async () => {
    const first = Buffer.alloc(5 << 20, 'a');
    const id = texts((await ok('POST', '/box/parts?uploads')).text, 'UploadId')[0];
    const etags = [];
    for (const [i, body] of [first, 'the end'].entries()) etags.push((await ok('PUT', `/box/parts?partNumber=${i + 1}&uploadId=${id}`, { body })).headers.etag);
    await ok('POST', `/box/parts?uploadId=${id}`, { body: `<CompleteMultipartUpload>${etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join('')}</CompleteMultipartUpload>` });
    for (const method of ['GET', 'HEAD']) {
      const part = await ask(method, '/box/parts?partNumber=2');
      assert.deepEqual([part.status, part.headers['content-length'], part.headers['content-range'], part.headers['x-amz-mp-parts-count'], part.text],
        [206, '7', `bytes ${5 << 20}-${(5 << 20) + 6}/${(5 << 20) + 7}`, '2', method === 'GET' ? 'the end' : '']);
      assert.equal((await ask(method, '/box/parts?partNumber=1')).headers['content-length'], String(5 << 20));
      assert.equal((await ask(method, '/box/parts?partNumber=3')).status, 416);
      assert.equal((await ask(method, '/box/parts?partNumber=1', { headers: { range: 'bytes=0-1' } })).status, 400);
    }
    const head = await ask('HEAD', '/box/parts', { headers: { range: 'bytes=2-4' } });
    assert.deepEqual([head.status, head.headers['content-length'], head.headers['content-range']], [206, '3', `bytes 2-4/${(5 << 20) + 7}`]);
    assert.equal((await ask('HEAD', '/box/parts', { headers: { range: `bytes=${6 << 20}-` } })).status, 416);
    const attributes = async (headers) => (await ok('GET', '/box/parts?attributes', { headers: { 'x-amz-object-attributes': 'ObjectParts,ObjectSize', ...headers } })).text;
    assert.match(await attributes(), /<ObjectParts><PartsCount>2<.*<IsTruncated>false<\/IsTruncated><Part><PartNumber>1<\/PartNumber><Size>5242880<\/Size><\/Part><Part><PartNumber>2<\/PartNumber><Size>7<\/Size><\/Part><\/ObjectParts>/);
    assert.match(await attributes({ 'x-amz-max-parts': '1' }), /<NextPartNumberMarker>1<.*<MaxParts>1<.*<IsTruncated>true<\/IsTruncated><Part><PartNumber>1<\/PartNumber><Size>5242880<\/Size><\/Part><\/ObjectParts>/);
    assert.match(await attributes({ 'x-amz-part-number-marker': '1' }), /<IsTruncated>false<\/IsTruncated><Part><PartNumber>2<\/PartNumber><Size>7<\/Size><\/Part><\/ObjectParts>/);
  });

  test('metadata without a value, and the id of the request', async () => {
    const put = await ok('PUT', '/box/empty-meta', { body: 'x', headers: { 'x-amz-meta-a': '', 'x-amz-meta-b': 'c' } });
    assert.ok(put.headers['x-amz-request-id']);
    for (const method of ['GET', 'HEAD']) {
      const got = await ok(method, '/box/empty-meta');
      assert.deepEqual([got.headers['x-amz-meta-a'], got.headers['x-amz-meta-b']], ['', 'c']);
    }
    await ok('PUT', '/box/plain', { body: 'plain' });
    for (const target of ['/box/plain', '/box/empty-meta', '/box', '/box/plain?tagging'])
      for (const method of ['GET', 'HEAD']) assert.match((await ok(method, target)).headers['x-amz-request-id'] ?? '', /^[0-9a-f]{32}$/, `${method} ${target}`);
    const kept = await ask('GET', '/box/plain', { headers: { 'if-none-match': md5('plain') } });
    assert.deepEqual([kept.status, kept.headers['x-amz-request-id']?.length], [304, 32]);
  });

  test('copies with a checksum of their own', async () => {
    const sum = (name, body) => createHash(name).update(body).digest('base64');
    await ok('PUT', '/box/sum-source', { body: 'summed', headers: { 'x-amz-checksum-sha1': sum('sha1', 'summed') } });
    for (const [label, name] of [['SHA256', 'sha256'], ['SHA1', 'sha1']]) {
      const copy = await ok('PUT', '/box/sum-copy', { headers: { 'x-amz-copy-source': '/box/sum-source', 'x-amz-checksum-algorithm': label } });
      assert.deepEqual([texts(copy.text, `Checksum${label}`), texts(copy.text, 'ChecksumType')], [[sum(name, 'summed')], ['FULL_OBJECT']]);
      const { headers } = await ok('HEAD', '/box/sum-copy', { headers: { 'x-amz-checksum-mode': 'ENABLED' } });
      assert.deepEqual([headers[`x-amz-checksum-${name}`], headers[`x-amz-checksum-${name === 'sha1' ? 'sha256' : 'sha1'}`]], [sum(name, 'summed'), undefined]);
    }
    await ok('PUT', '/box/sum-empty', { body: '' });
    assert.match((await ok('PUT', '/box/sum-copy', { headers: { 'x-amz-copy-source': '/box/sum-empty', 'x-amz-checksum-algorithm': 'CRC32' } })).text, /<ChecksumCRC32>AAAAAA==</);
    await refused(400, 'InvalidRequest', 'PUT', '/box/sum-copy', { headers: { 'x-amz-copy-source': '/box/sum-source', 'x-amz-checksum-algorithm': 'SHA512' } });
  });

  test('keys that are too long', async () => {
    for (const method of ['PUT', 'GET', 'DELETE']) await refused(400, 'KeyTooLongError', method, `/box/${'k'.repeat(1025)}`, method === 'PUT' ? { body: 'x' } : {});
    await refused(400, 'KeyTooLongError', 'POST', `/box/${'k'.repeat(1025)}?uploads`);
    await refused(404, 'NoSuchKey', 'GET', `/box/${'k'.repeat(1000)}`);
  });

  test('tags', async () => {
    await ok('PUT', '/box/tagged', { body: 'x', headers: { 'x-amz-tagging': 'a=1&b=two%20words', 'x-amz-meta-m': 'n' } });
    assert.deepEqual(texts((await ok('GET', '/box/tagged?tagging')).text, 'Value'), ['1', 'two words']);
    assert.equal((await ok('HEAD', '/box/tagged')).headers['x-amz-tagging-count'], '2');
    await ok('PUT', '/box/tagged?tagging', { body: '<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>c</Key><Value>&lt;3&gt;</Value></Tag></TagSet></Tagging>' });
    const got = await ok('GET', '/box/tagged?tagging');
    assert.deepEqual([texts(got.text, 'Key'), texts(got.text, 'Value')], [['c'], ['&lt;3&gt;']]);
    assert.equal((await ok('HEAD', '/box/tagged')).headers['x-amz-meta-m'], 'n');
    assert.equal((await ask('DELETE', '/box/tagged?tagging')).status, 204);
    assert.deepEqual(texts((await ok('GET', '/box/tagged?tagging')).text, 'Key'), []);
    await refused(400, 'InvalidTag', 'PUT', '/box/tagged', { body: 'x', headers: { 'x-amz-tagging': Array.from({ length: 11 }, (_, i) => `k${i}=v`).join('&') } });
    await refused(400, 'MalformedXML', 'PUT', '/box/tagged?tagging', { body: '<Tagging>' });
    await refused(404, 'NoSuchKey', 'PUT', '/box/none?tagging', { body: '<Tagging><TagSet/></Tagging>' });
  });

  test('copies', async () => {
    await ok('PUT', '/box/source', { body: 'text', headers: { 'content-type': 'text/csv', 'x-amz-meta-a': '1', 'x-amz-tagging': 't=1', 'content-language': 'fr' } });
    const copy = await ok('PUT', '/box/target', { headers: { 'x-amz-copy-source': '/box/source' } });
    assert.equal(texts(copy.text, 'ETag')[0], md5('text').replaceAll('"', '&quot;'));
    let head = await ok('HEAD', '/box/target');
    assert.deepEqual([head.headers['content-type'], head.headers['x-amz-meta-a'], head.headers['x-amz-tagging-count'], head.headers['content-language']], ['text/csv', '1', '1', 'fr']);
    await ok('PUT', '/box/target', { headers: { 'x-amz-copy-source': 'box/source', 'x-amz-metadata-directive': 'REPLACE', 'content-type': 'text/html', 'x-amz-meta-b': '2' } });
    head = await ok('HEAD', '/box/target');
    assert.deepEqual([head.headers['x-amz-meta-a'], head.headers['x-amz-meta-b'], head.headers['content-language'], head.headers['x-amz-tagging-count']], [undefined, '2', undefined, '1']);
    // onto itself: how clients change metadata
    await ok('PUT', '/box/source', { headers: { 'x-amz-copy-source': '/box/source', 'x-amz-metadata-directive': 'REPLACE', 'x-amz-meta-mtime': '17' } });
    const self = await ok('GET', '/box/source');
    assert.deepEqual([self.text, self.headers['x-amz-meta-mtime'], self.headers['x-amz-meta-a']], ['text', '17', undefined]);
    await refused(400, 'InvalidRequest', 'PUT', '/box/source', { headers: { 'x-amz-copy-source': '/box/source' } });
    await refused(404, 'NoSuchKey', 'PUT', '/box/target', { headers: { 'x-amz-copy-source': '/box/none' } });
    await refused(404, 'NoSuchBucket', 'PUT', '/box/target', { headers: { 'x-amz-copy-source': '/nobox/none' } });
    await refused(400, 'InvalidArgument', 'PUT', '/box/target', { headers: { 'x-amz-copy-source': 'nothing' } });
    await refused(412, 'PreconditionFailed', 'PUT', '/box/target', { headers: { 'x-amz-copy-source': '/box/source', 'x-amz-copy-source-if-match': '"x"' } });
    await refused(412, 'PreconditionFailed', 'PUT', '/box/target', { headers: { 'x-amz-copy-source': '/box/source', 'x-amz-copy-source-if-none-match': md5('text') } });
    await refused(412, 'PreconditionFailed', 'PUT', '/box/target', { headers: { 'x-amz-copy-source': '/box/source', 'if-none-match': '*' } });
  });

  test('many are removed at once', async () => {
    for (const name of ['m1', 'm2', 'm&3']) await ok('PUT', `/box/${encodeURIComponent(name)}`, { body: 'x' });
    const body = '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>m1</Key></Object><Object><Key>m&amp;3</Key></Object><Object><Key>never</Key></Object></Delete>';
    const gone = await ok('POST', '/box?delete', { body });
    assert.deepEqual(texts(gone.text, 'Key'), ['m1', 'm&amp;3', 'never']);
    assert.ok(!gone.text.includes('<Error>'));
    const quiet = await ok('POST', '/box?delete', { body: '<Delete><Quiet>true</Quiet><Object><Key>m2</Key></Object></Delete>' });
    assert.deepEqual(texts(quiet.text, 'Key'), []);
    assert.equal((await ask('HEAD', '/box/m2')).status, 404);
    await refused(400, 'MalformedXML', 'POST', '/box?delete', { body: '<Delete></Delete>' });
    await refused(400, 'MalformedXML', 'POST', '/box?delete', { body: `<Delete>${'<Object><Key>x</Key></Object>'.repeat(1001)}</Delete>` });
    await refused(404, 'NoSuchBucket', 'POST', '/nobox?delete', { body });
  });

  test('under conditions', async () => {
    const put = async () => (await ok('PUT', '/box/if', { body: 'if' })).headers.etag;
    const etag = await put();
    for (const headers of [{ 'if-match': '"x"' }, { 'if-match': `W/${etag}` }, { 'x-amz-if-match-size': '3' }, { 'x-amz-if-match-last-modified-time': 'Wed, 21 Oct 2015 07:28:00 GMT' }, { 'if-match': etag, 'x-amz-if-match-size': '1' }])
      await refused(412, 'PreconditionFailed', 'DELETE', '/box/if', { headers });
    await refused(412, 'PreconditionFailed', 'DELETE', '/box/if-none', { headers: { 'if-match': '*' } });
    await refused(412, 'PreconditionFailed', 'DELETE', '/box/if-none', { headers: { 'if-match': etag } });
    await refused(400, 'InvalidArgument', 'DELETE', '/box/if', { headers: { 'x-amz-if-match-size': 'x' } });
    assert.equal((await ok('GET', '/box/if')).text, 'if');
    for (const headers of [{ 'if-match': etag }, { 'if-match': etag.slice(1, -1) }, { 'if-match': '*' }, { 'if-match': etag, 'x-amz-if-match-size': '2', 'x-amz-if-match-last-modified-time': true }]) {
      if (headers['x-amz-if-match-last-modified-time']) headers['x-amz-if-match-last-modified-time'] = (await ok('HEAD', '/box/if')).headers['last-modified'];
      await ok('DELETE', '/box/if', { headers });
      assert.equal((await ask('HEAD', '/box/if')).status, 404);
      await put();
    }

    const remove = async (...objects) => {
      const { text } = await ok('POST', '/box?delete', { body: `<Delete>${objects.map((o) => `<Object>${Object.entries(o).map(([n, v]) => `<${n}>${v.replaceAll('"', '&quot;')}</${n}>`).join('')}</Object>`).join('')}</Delete>` });
      return [[...text.matchAll(/<Deleted><Key>(.*?)</g)].map((m) => m[1]), [...text.matchAll(/<Error><Key>(.*?)<\/Key><Code>(.*?)</g)].map((m) => `${m[1]} ${m[2]}`)];
    };
    await ok('PUT', '/box/if-2', { body: 'if' });
    await ok('PUT', '/box/if-3', { body: 'if' });
    assert.deepEqual(await remove({ Key: 'if', ETag: '"x"' }, { Key: 'if-2', VersionId: '7' }, { Key: 'if-none', ETag: '*' }, { Key: 'never' }, { Key: 'if-3', ETag: etag, VersionId: 'null' }),
      [['never', 'if-3'], ['if PreconditionFailed', 'if-2 NoSuchVersion', 'if-none PreconditionFailed']]);
    assert.deepEqual([(await ok('GET', '/box/if')).text, (await ok('GET', '/box/if-2')).text, (await ask('HEAD', '/box/if-3')).status], ['if', 'if', 404]);
    assert.deepEqual(await remove({ Key: 'if', ETag: etag, Size: '2' }, { Key: 'if-2' }), [['if', 'if-2'], []]);
  });

  test('of many who delete under a condition one does', async () => {
    const { etag } = (await ok('PUT', '/box/once', { body: 'once' })).headers;
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask('DELETE', '/box/once', { headers: { 'if-match': etag } })));
    assert.deepEqual(answers.map((a) => a.status).sort(), [204, ...Array.from({ length: 7 }, () => 412)]);
  });

  test('what a policy lets one see and not delete', async () => {
    const carol = await s.a.person('carol');
    const hers = await accessKey(s, '--tenant', 'a', '--user', carol.user.id);
    await ok('PUT', '/box/shown', { body: 'shown' });
    await ok('PUT', '/box/hidden', { body: 'hidden' });
    await s.sql(`create policy shown on storage.objects for select to authenticated using (name = 'shown'); create policy removed on storage.objects for delete to authenticated using (name <> 'shown')`);
    const one = (name, headers) => signed(s, hers, 'DELETE', `/box/${name}`, { headers });
    assert.equal((await one('shown')).code, 'AccessDenied');
    assert.equal((await one('shown', { 'if-match': '*' })).code, 'AccessDenied');
    assert.equal((await one('shown', { 'if-match': '"x"' })).code, 'PreconditionFailed');
    assert.equal((await one('hidden')).status, 204);
    const many = await signed(s, hers, 'POST', '/box?delete', { body: '<Delete><Object><Key>shown</Key></Object><Object><Key>hidden</Key></Object></Delete>' });
    assert.match(many.text, /<Error><Key>shown<\/Key><Code>AccessDenied<.*<Deleted><Key>hidden<\/Key><\/Deleted>/);
    assert.deepEqual([(await ok('GET', '/box/shown')).text, (await ok('GET', '/box/hidden')).text], ['shown', 'hidden']);
    await s.sql('drop policy shown on storage.objects; drop policy removed on storage.objects');
  });

  test('while others put it there again', async () => {
    const body = '<Delete><Object><Key>racing</Key></Object></Delete>';
    const one = async (i) => {
      const answer = i % 2 ? await ask('PUT', '/box/racing', { body: 'x' }) : i % 4 ? await ask('DELETE', '/box/racing') : await ask('POST', '/box?delete', { body });
      return answer.status >= 300 || answer.text.includes('<Error>') ? answer.text : '';
    };
    const rest = async (i) => {
      const answer = i % 2 ? await s.a.service.request('POST', '/storage/v1/object/box/racing-too', 'x', { headers: { 'x-upsert': 'true', 'content-type': 'text/plain' } }) : await s.a.service.request('DELETE', '/storage/v1/object/box/racing-too');
      return /Access denied/.test(answer.text) ? `${answer.status} ${answer.text}` : '';
    };
    for (const what of [one, rest]) {
      const all = Array.from({ length: 240 }, (_, i) => i);
      const found = await Promise.all(Array.from({ length: 12 }, async () => {
        const faults = [];
        for (let i = all.pop(); i !== undefined; i = all.pop()) faults.push(await what(i));
        return faults.filter(Boolean);
      }));
      assert.deepEqual(found.flat(), []);
    }
  });
});

describe('lists', () => {
  const names = ['a.txt', 'b/1', 'b/2', 'b/c/3', 'd', 'd/e', 'f g', 'f+g', 'z&y'];
  before(async () => {
    await ok('PUT', '/list');
    for (const name of names) await ok('PUT', `/list/${name.split('/').map(encodeURIComponent).join('/')}`, { body: name });
  });

  const sorted = [...names].sort((a, b) => (a < b ? -1 : 1));
  const unescape = (text) => text.replaceAll('&amp;', '&');

  test('version 2', async () => {
    const all = await ok('GET', '/list?list-type=2');
    assert.deepEqual(texts(all.text, 'Key').map(unescape), sorted);
    assert.equal(texts(all.text, 'KeyCount')[0], String(names.length));
    assert.equal(texts(all.text, 'IsTruncated')[0], 'false');
    assert.equal(texts(all.text, 'ETag')[0], md5('a.txt').replaceAll('"', '&quot;'));
    assert.ok(!all.text.includes('<Owner>'));
    assert.ok((await ok('GET', '/list?list-type=2&fetch-owner=true')).text.includes('<Owner>'));
    const folders = await ok('GET', '/list?list-type=2&delimiter=%2F');
    assert.deepEqual(texts(folders.text, 'Key').map(unescape), sorted.filter((n) => !n.includes('/')));
    assert.deepEqual([...folders.text.matchAll(/<CommonPrefixes><Prefix>(.*?)</g)].map((m) => m[1]), ['b/', 'd/']);
    const inside = await ok('GET', '/list?list-type=2&delimiter=%2F&prefix=b%2F');
    assert.deepEqual(texts(inside.text, 'Key'), ['b/1', 'b/2']);
    assert.deepEqual(texts((await ok('GET', '/list?list-type=2&start-after=d')).text, 'Key').map(unescape), sorted.filter((n) => n > 'd'));
    assert.ok((await ok('GET', '/list?list-type=2&encoding-type=url')).text.includes('<Key>f%2Bg</Key>'));
    assert.deepEqual(texts((await ok('GET', '/list?list-type=2&max-keys=0')).text, 'KeyCount'), ['0']);
    await refused(400, 'InvalidArgument', 'GET', '/list?list-type=2&max-keys=x');
    await refused(400, 'InvalidArgument', 'GET', '/list?list-type=2&continuation-token=!');
    await refused(404, 'NoSuchBucket', 'GET', '/nolist?list-type=2');
  });

  test('page by page', async () => {
    for (const delimiter of ['', '&delimiter=%2F']) {
      const whole = await ok('GET', `/list?list-type=2${delimiter}`);
      const wanted = [...texts(whole.text, 'Key'), ...[...whole.text.matchAll(/<CommonPrefixes><Prefix>(.*?)</g)].map((m) => m[1])].sort();
      const found = [];
      for (let token = '', pages = 0; pages < 20; pages++) {
        const page = await ok('GET', `/list?list-type=2&max-keys=2${delimiter}${token}`);
        found.push(...texts(page.text, 'Key'), ...[...page.text.matchAll(/<CommonPrefixes><Prefix>(.*?)</g)].map((m) => m[1]));
        const [next] = texts(page.text, 'NextContinuationToken');
        if (!next) break;
        token = `&continuation-token=${encodeURIComponent(next)}`;
      }
      assert.deepEqual(found.sort(), wanted);
    }
  });

  test('version 1', async () => {
    const first = await ok('GET', '/list?max-keys=3');
    assert.deepEqual(texts(first.text, 'Key'), sorted.slice(0, 3));
    assert.deepEqual([texts(first.text, 'IsTruncated')[0], texts(first.text, 'NextMarker')], ['true', []]);
    assert.ok(first.text.includes('<Owner>'));
    assert.deepEqual(texts((await ok('GET', `/list?marker=${encodeURIComponent(sorted[2])}`)).text, 'Key').map(unescape), sorted.slice(3));
    const folders = await ok('GET', '/list?delimiter=%2F&max-keys=2');
    assert.equal(texts(folders.text, 'NextMarker')[0], 'b/');
    assert.deepEqual(texts((await ok('GET', '/list?delimiter=%2F&marker=b%2F')).text, 'Key').map(unescape), ['d', 'f g', 'f+g', 'z&y'].sort((a, b) => (a < b ? -1 : 1)));
  });
});
