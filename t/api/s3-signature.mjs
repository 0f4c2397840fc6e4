// S3: signatures that do not hold: forged, expired, replayed, tampered with, of another region, tenant, day or service; and bodies in chunks.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { eventually, stack } from '../lib/stack.mjs';
import { accessKey, escape, hmac, send, sha256, sign, signed, signingKey } from '../lib/s3.mjs';

const OBJECT_MAX = 2_000_000;
const s = await stack({ settings: { 'storage.object_max': OBJECT_MAX } });
const key = await accessKey(s, '--tenant', 'a');
const minutes = (n) => new Date(Date.now() + n * 60_000);

async function gives(status, code, ...args) {
  const answer = await signed(s, ...args);
  assert.deepEqual([answer.status, answer.code], [status, code], answer.text);
  return answer;
}
// The same when the workers have heard of it.
const comesTo = (...args) => eventually(`the answer ${args[0]}`, () => gives(...args));
await gives(200, undefined, key, 'PUT', '/box');
await gives(200, undefined, key, 'PUT', '/box/k', { body: 'content' });

describe('in a header', () => {
  test('what was signed cannot be changed', async () => {
    const no = (options, method = 'GET', target = '/box/k') => gives(403, 'SignatureDoesNotMatch', key, method, target, options);
    await gives(200, undefined, key, 'GET', '/box/k');
    await no({ send: { path: '/storage/v1/s3/box/other' } });
    await no({ send: { path: '/storage/v1/s3/box/k?tagging' } });
    await no({ send: { method: 'DELETE' } });
    await no({ headers: { 'x-amz-meta-a': '1' }, send: { headers: { 'x-amz-meta-a': '2' } } });
    await no({ send: { headers: { host: 'example.com' } } });
    await no({ send: { headers: { 'x-amz-date': '20200101T000000Z' } } }).catch(() => undefined); // another day than the credential's
    await gives(403, 'SignatureDoesNotMatch', { id: key.id, secret: `${key.secret}x` }, 'GET', '/box/k');
    await gives(403, 'InvalidAccessKeyId', { id: 'TNS3AAAAAAAAAAAAAAAA', secret: key.secret }, 'GET', '/box/k');
    await gives(403, 'InvalidAccessKeyId', { id: "x' or 1=1 --", secret: key.secret }, 'GET', '/box/k');
    assert.equal((await signed(s, key, 'GET', '/box/k')).text, 'content', 'none of it has done anything');
  });

  test('nor can anything be added that S3 would believe', async () => {
    await gives(403, 'AccessDenied', key, 'GET', '/box/k', { unsigned: { 'x-amz-meta-a': '1' } });
    await gives(403, 'AccessDenied', key, 'PUT', '/box/k2', { unsigned: { 'x-amz-copy-source': '/box/k' } });
  });

  test('the body is what its hash says', async () => {
    await gives(400, 'XAmzContentSHA256Mismatch', key, 'PUT', '/box/k', { body: 'content', send: { body: 'another' } });
    await gives(400, 'XAmzContentSHA256Mismatch', key, 'POST', '/box?delete', { body: '<Delete><Object><Key>z</Key></Object></Delete>', send: { body: '<Delete><Object><Key>k</Key></Object></Delete>' } });
    await gives(200, undefined, key, 'PUT', '/box/unsigned', { body: 'x', payload: 'UNSIGNED-PAYLOAD' });
    await gives(400, 'InvalidArgument', key, 'PUT', '/box/k', { body: 'x', payload: 'abc' });
    await gives(400, 'InvalidArgument', key, 'PUT', '/box/k', { body: 'x', payload: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' });
    assert.equal((await signed(s, key, 'GET', '/box/k')).text, 'content');
  });

  test('times and regions', async () => {
    await gives(200, undefined, key, 'GET', '/box/k', { date: minutes(-14) });
    await gives(403, 'RequestTimeTooSkewed', key, 'GET', '/box/k', { date: minutes(-16) });
    await gives(403, 'RequestTimeTooSkewed', key, 'GET', '/box/k', { date: minutes(16) });
    await gives(200, undefined, key, 'GET', '/box/k', { region: 'auto' });
    await gives(200, undefined, key, 'GET', '/box/k', { region: '' });
    await gives(200, undefined, key, 'GET', '/box/k', { region: 'US' });
    const wrong = await gives(400, 'AuthorizationHeaderMalformed', key, 'GET', '/box/k', { region: 'eu-west-9' });
    assert.match(wrong.text, /<Region>us-east-1<\/Region>/);
    assert.equal(wrong.headers['x-amz-bucket-region'], 'us-east-1');
    assert.equal((await signed(s, key, 'HEAD', '/box/k', { region: 'eu-west-9' })).headers['x-amz-bucket-region'], 'us-east-1');
    assert.match(wrong.text, /expecting &apos;us-east-1&apos;|expecting 'us-east-1'/);
  });

  test('malformed ones', async () => {
    for (const authorization of ['AWS4-HMAC-SHA256 a', 'AWS4-HMAC-SHA256 Credential=a', 'AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=x',
      `AWS4-HMAC-SHA256 Credential=${key.id}/20200101/us-east-1/s3/aws4_request, SignedHeaders=range, Signature=${'0'.repeat(64)}`,
      `AWS4-HMAC-SHA256 Credential=${key.id}/20200101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`])
      assert.equal((await send(s, 'GET', '/storage/v1/s3/box/k', { authorization, 'x-amz-date': '20200101T000000Z' })).code, 'AuthorizationHeaderMalformed', authorization);
    assert.equal((await send(s, 'GET', `/storage/v1/s3/box/k?AWSAccessKeyId=${key.id}&Signature=x&Expires=9999999999`, {})).code, 'InvalidRequest');
    for (const authorization of [`AWS ${key.id}:abc`, 'Bearer x', `Bearer ${s.a.secret}`, ''])
      assert.match((await send(s, 'GET', '/storage/v1/s3/box/k', { authorization })).code, /InvalidRequest|AccessDenied/, authorization);
    assert.equal((await send(s, 'GET', '/storage/v1/s3/box/k', {})).code, 'AccessDenied');
    assert.equal((await send(s, 'GET', '/storage/v1/s3/box/k', { apikey: s.a.secret })).code, 'AccessDenied', 'keys of REST are for REST');
    assert.equal((await send(s, 'PUT', '/storage/v1/s3/box/k', {}, 'x')).code, 'AccessDenied');
  });

  test('an address that a proxy has written otherwise is the same', async () => {
    await gives(200, undefined, key, 'PUT', '/box/a(b)', { body: 'x' });
    const made = sign(s, key, 'GET', '/box/a%28b%29');
    assert.equal((await send(s, 'GET', '/storage/v1/s3/box/a(b)', made.headers)).status, 200);
    const outside = sign({ origin: 'http://files.example.com' }, key, 'GET', '/box/k');
    const { host, ...headers } = outside.headers;
    assert.equal((await send(s, 'GET', outside.path, { ...headers, 'x-forwarded-host': host })).status, 200);
    assert.equal((await send(s, 'GET', outside.path, headers)).code, 'SignatureDoesNotMatch');
  });
});

describe('in a URL', () => {
  const get = (made) => send(s, 'GET', made.path, made.headers);

  test('for a while', async () => {
    assert.equal((await get(sign(s, key, 'GET', '/box/k', { expires: 60 }))).text, 'content');
    const gone = await get(sign(s, key, 'GET', '/box/k', { expires: 60, date: minutes(-2) }));
    assert.deepEqual([gone.status, gone.code, /<Message>(.*?)</.exec(gone.text)[1]], [403, 'AccessDenied', 'Request has expired']);
    assert.equal((await get(sign(s, key, 'GET', '/box/k', { expires: 60, date: minutes(20) }))).code, 'RequestTimeTooSkewed');
    assert.equal((await get(sign(s, key, 'GET', '/box/k', { expires: 604801 }))).code, 'AuthorizationQueryParametersError');
    assert.equal((await get(sign(s, key, 'GET', '/box/k', { expires: 0 }))).code, 'AuthorizationQueryParametersError');
    assert.equal((await get(sign(s, key, 'GET', '/box/k', { expires: 604800, date: minutes(-60 * 24 * 6) }))).text, 'content');
  });

  test('and for nothing else', async () => {
    const made = sign(s, key, 'GET', '/box/k', { expires: 60 });
    assert.equal((await send(s, 'GET', made.path.replace('/box/k', '/box/unsigned'), {})).code, 'SignatureDoesNotMatch');
    assert.equal((await send(s, 'DELETE', made.path, {})).code, 'SignatureDoesNotMatch');
    assert.equal((await send(s, 'PUT', made.path, {}, 'x')).code, 'SignatureDoesNotMatch');
    assert.equal((await send(s, 'GET', made.path.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'), {})).code, 'SignatureDoesNotMatch');
    assert.equal((await send(s, 'GET', `${made.path}&response-content-type=text%2Fhtml`, {})).code, 'SignatureDoesNotMatch');
    assert.equal((await send(s, 'GET', made.path, { 'x-amz-meta-a': '1' })).code, 'AccessDenied');
    assert.equal((await send(s, 'GET', made.path, { authorization: 'AWS4-HMAC-SHA256 x' })).code, 'InvalidArgument');
    assert.equal((await send(s, 'GET', made.path.replace(/&X-Amz-Date=[^&]*/, ''), {})).code, 'AuthorizationQueryParametersError');
  });

  // presigners move header fields into the query
  test('with what else is a header field', async () => {
    const put = async (target, body) => {
      const made = sign(s, key, 'PUT', target, { expires: 60 });
      return send(s, 'PUT', made.path, made.headers, body);
    };
    await gives(200, undefined, key, 'PUT', '/box/precious', { body: 'precious' });
    const copied = await put(`/box/precious?x-amz-copy-source=${encodeURIComponent('box/k')}&x-amz-metadata-directive=REPLACE&x-amz-meta-a=b`);
    assert.deepEqual([copied.status, /<CopyObjectResult/.test(copied.text)], [200, true], copied.text);
    let got = await signed(s, key, 'GET', '/box/precious');
    assert.deepEqual([got.text, got.headers['x-amz-meta-a']], ['content', 'b']);
    assert.equal((await put('/box/precious?x-amz-copy-source=box%2Fk&x-amz-copy-source-if-match=%22x%22')).code, 'PreconditionFailed');
    assert.equal((await put('/box/precious?x-amz-copy-source=box%2Fnone')).code, 'NoSuchKey');
    assert.equal((await put('/box/precious?x-amz-server-side-encryption-customer-algorithm=AES256', 'x')).code, 'NotImplemented');
    assert.equal((await signed(s, key, 'GET', '/box/precious')).text, 'content');
    const said = await put('/box/said?x-amz-meta-colour=blue&X-Amz-Tagging=a%3D1&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32', 'said');
    assert.equal(said.status, 200, said.text);
    got = await signed(s, key, 'GET', '/box/said');
    assert.deepEqual([got.text, got.headers['x-amz-meta-colour'], got.headers['x-amz-tagging-count']], ['said', 'blue', '1']);
    // and in no other request
    await gives(200, undefined, key, 'PUT', '/box/said?x-amz-copy-source=box%2Fk&x-amz-meta-a=b', { body: 'again' });
    got = await signed(s, key, 'GET', '/box/said');
    assert.deepEqual([got.text, got.headers['x-amz-meta-a']], ['again', undefined]);
  });
});

describe('whose key it is', () => {
  test('revoked, expired, of a suspended tenant', async () => {
    const short = await accessKey(s, '--tenant', 'a', '--expires-in', '1 hour');
    await gives(200, undefined, short, 'GET', '/box/k');
    await s.sql(`update storage.s3_keys set expires_at = now() where access_key_id = '${short.id}'`);
    await comesTo(403, 'InvalidAccessKeyId', short, 'GET', '/box/k');
    const revoked = await accessKey(s, '--tenant', 'a');
    await gives(200, undefined, revoked, 'GET', '/box/k');
    assert.equal((await s.tenon('s3-key', 'revoke', revoked.row.id)).code, 0);
    await comesTo(403, 'InvalidAccessKeyId', revoked, 'GET', '/box/k');
    const other = await accessKey(s, '--tenant', 'b');
    await gives(200, undefined, other, 'GET', '/');
    assert.equal((await s.tenon('tenant', 'suspend', 'b')).code, 0);
    await comesTo(403, 'AccessDenied', other, 'GET', '/');
    assert.equal((await s.tenon('tenant', 'activate', 'b')).code, 0);
    await comesTo(200, undefined, other, 'GET', '/');
    await gives(404, 'NoSuchBucket', other, 'GET', '/box/k');
  });

  test('the secret is nowhere in the database', async () => {
    const [row] = await s.rows(`select encode(secret, 'hex') as secret from storage.s3_keys where access_key_id = '${key.id}'`);
    assert.ok(row.secret.length > 100 && !row.secret.includes(Buffer.from(key.secret).toString('hex')));
    const list = await s.tenon('s3-key', 'list', '--json');
    assert.ok(list.stdout.includes(key.id) && !list.stdout.includes(key.secret));
    assert.equal((await s.tenon('s3-key', 'revoke', 'none')).code, 4);
  });

  test('session tokens', async () => {
    const session = (extra = {}) => ({ id: 'a', secret: s.a.publishable, token: s.alice.session.access_token, ...extra });
    await gives(200, undefined, session(), 'GET', '/');
    await gives(200, undefined, session({ id: s.a.id }), 'GET', '/');
    await gives(404, 'NoSuchKey', session(), 'GET', '/box/k'); // no policy lets her see it
    await gives(403, 'SignatureDoesNotMatch', session({ secret: s.b.publishable }), 'GET', '/');
    await gives(403, 'SignatureDoesNotMatch', session({ secret: s.a.secret }), 'GET', '/');
    await gives(403, 'InvalidAccessKeyId', session({ id: 'nobody' }), 'GET', '/');
    await gives(400, 'InvalidToken', session({ token: s.stranger.session.access_token }), 'GET', '/'); // another tenant's
    await gives(400, 'InvalidToken', session({ token: `${s.alice.session.access_token.slice(0, -4)}AAAA` }), 'GET', '/');
    await gives(400, 'InvalidToken', session({ token: s.a.secret }), 'GET', '/');
    await gives(403, 'SignatureDoesNotMatch', session(), 'GET', '/', { send: { headers: { 'x-amz-security-token': s.bob.session.access_token } } });
    await gives(403, 'InvalidAccessKeyId', { ...key, token: s.alice.session.access_token }, 'GET', '/'); // the id names no tenant
    assert.equal((await send(s, 'GET', sign(s, session(), 'GET', '/', { expires: 60 }).path, {})).status, 200);
  });

  test('a publishable key that was made before they were kept', async () => {
    await s.sql(`update tenon.keys set sealed = null where kind = 'publishable' and tenant_id = '${s.b.id}'`);
    await comesTo(403, 'SignatureDoesNotMatch', { id: 'b', secret: s.b.publishable, token: s.stranger.session.access_token }, 'GET', '/');
    const [old] = await s.rows(`select id from tenon.keys where kind = 'publishable' and tenant_id = '${s.b.id}' limit 1`);
    const { json } = await s.tenon('key', 'rotate', old.id, '--overlap', '1 hour', '--json');
    await comesTo(200, undefined, { id: 'b', secret: json.key, token: s.stranger.session.access_token }, 'GET', '/');
  });
});

describe('in chunks', () => {
  const crc32c = 'R7AQ0Q=='; // never right
  const chunk = (made, previous, data) => {
    const text = ['AWS4-HMAC-SHA256-PAYLOAD', made.stamp, made.scope, previous, sha256(''), sha256(data)].join('\n');
    const signature = hmac(made.signing, text).toString('hex');
    return { signature, bytes: Buffer.concat([Buffer.from(`${data.length.toString(16)};chunk-signature=${signature}\r\n`), Buffer.from(data), Buffer.from('\r\n')]) };
  };
  const stream = async (pieces, { change = (b) => b, trailer, length } = {}) => {
    const total = pieces.reduce((sum, p) => sum + p.length, 0);
    const payload = trailer ? 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER' : 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    const headers = { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': String(length ?? total), ...(trailer && { 'x-amz-trailer': trailer.name }) };
    const made = sign(s, key, 'PUT', '/box/chunked', { payload, headers });
    const parts = [];
    let previous = made.signature;
    for (const piece of [...pieces, '']) {
      const one = chunk(made, previous, piece);
      parts.push(piece === '' ? one.bytes.subarray(0, trailer ? -2 : undefined) : one.bytes);
      previous = one.signature;
    }
    if (trailer) {
      const text = ['AWS4-HMAC-SHA256-TRAILER', made.stamp, made.scope, previous, sha256(`${trailer.name}:${trailer.value}\n`)].join('\n');
      parts.push(Buffer.from(`${trailer.name}:${trailer.value}\r\nx-amz-trailer-signature:${hmac(made.signing, text).toString('hex')}\r\n\r\n`));
    }
    return send(s, 'PUT', made.path, made.headers, change(Buffer.concat(parts), parts));
  };

  test('each is signed', async () => {
    const pieces = ['a'.repeat(70_000), 'b'.repeat(10)];
    assert.equal((await stream(pieces)).status, 200);
    const got = await signed(s, key, 'GET', '/box/chunked');
    assert.ok(got.text === pieces.join(''));
    assert.equal(got.headers['content-encoding'], undefined);
    const no = async (code, change) => assert.equal((await stream(pieces, { change })).code, code);
    await no('SignatureDoesNotMatch', (bytes) => Buffer.from(bytes.toString().replace('aaaa', 'aaab')));
    await no('SignatureDoesNotMatch', (bytes, parts) => Buffer.concat([parts[1], parts[2]]));
    await no('SignatureDoesNotMatch', (bytes, parts) => Buffer.concat([parts[1], parts[0], parts[2]]));
    await no('IncompleteBody', (bytes, parts) => Buffer.concat([parts[0], parts[1]]));
    await no('InvalidRequest', (bytes) => Buffer.concat([bytes, Buffer.from('more')]));
    await no('InvalidRequest', () => Buffer.from('hello\r\n'));
    assert.equal((await stream(pieces, { length: 5 })).code, 'IncompleteBody');
    assert.ok((await signed(s, key, 'GET', '/box/chunked')).text === pieces.join(''), 'none of it is there');
  });

  test('and the trailer', async () => {
    const data = 'trailing';
    const value = createHash('sha256').update(data).digest('base64');
    assert.equal((await stream([data], { trailer: { name: 'x-amz-checksum-sha256', value } })).status, 200);
    assert.equal((await stream([data], { trailer: { name: 'x-amz-checksum-sha256', value: createHash('sha256').update('x').digest('base64') } })).code, 'BadDigest');
    assert.equal((await stream([data], { trailer: { name: 'x-amz-checksum-crc32c', value: crc32c } })).code, 'BadDigest');
    const swap = (bytes) => Buffer.from(bytes.toString().replace(value, createHash('sha256').update('y').digest('base64')));
    assert.equal((await stream([data], { trailer: { name: 'x-amz-checksum-sha256', value }, change: swap })).code, 'SignatureDoesNotMatch');
    const without = (bytes, parts) => Buffer.concat([...parts.slice(0, -1), Buffer.from('\r\n')]);
    assert.equal((await stream([data], { trailer: { name: 'x-amz-checksum-sha256', value }, change: without })).code, 'SignatureDoesNotMatch');
  });

  test('unsigned ones with a trailer', async () => {
    const put = (body, headers = {}) => signed(s, key, 'PUT', '/box/unsigned-chunks', { payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', headers: { 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-sha1', ...headers }, send: { body } });
    const sha1 = createHash('sha1').update('hello').digest('base64');
    assert.equal((await put(`5\r\nhello\r\n0\r\nx-amz-checksum-sha1:${sha1}\r\n\r\n`)).status, 200);
    assert.equal((await put(`5\r\nhellx\r\n0\r\nx-amz-checksum-sha1:${sha1}\r\n\r\n`)).code, 'BadDigest');
    assert.equal((await put('5\r\nhello\r\n0\r\n\r\n')).code, 'MalformedTrailerError');
    assert.equal((await put(`5\r\nhello\r\n0\r\nx-amz-checksum-sha1:${sha1}\r\n`)).code, 'IncompleteBody');
    assert.equal((await put('ffffffffffffffffff\r\nhello')).code, 'InvalidRequest');
    assert.equal((await put('7fffffffffffffff\r\nhello')).code, 'InvalidRequest');
  });
});

test("a banned person's own key is told so, and an agent's of theirs", async () => {
  const ben = await s.a.person('ben');
  const own = await accessKey(s, '--tenant', 'a', '--user', ben.user.id);
  const { json: agent } = await s.tenon('agent', 'create', '--json', '--tenant', 'a', '--name', 'for ben', '--scopes', 'storage:*', '--expires-in', '1 day', '--user', ben.user.id);
  const theirs = await accessKey(s, '--tenant', 'a', '--agent', agent.id);
  await s.sql(`update auth.users set banned_until = now() + interval '1 hour' where id = '${ben.user.id}'`);
  assert.match((await gives(403, 'AccessDenied', own, 'GET', '/box/k')).text, /<Message>User is banned<\/Message>/);
  assert.match((await gives(403, 'AccessDenied', theirs, 'GET', '/box/k')).text, /<Message>the person for whom this agent acts is banned</);
});

describe('forms', () => {
  const form = async (fields, { conditions = [['starts-with', '$key', 'form/']], file = 'from a form', expiration = minutes(5), who = key, bucket = 'box', tamper } = {}) => {
    const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = stamp.slice(0, 8);
    const credential = `${who.id}/${day}/us-east-1/s3/aws4_request`;
    const all = [{ bucket: 'box' }, { 'x-amz-algorithm': 'AWS4-HMAC-SHA256' }, { 'x-amz-credential': credential }, { 'x-amz-date': stamp }, ...conditions];
    const policy = Buffer.from(JSON.stringify({ expiration: expiration.toISOString(), conditions: all })).toString('base64');
    const body = new FormData();
    for (const [name, value] of [...(Array.isArray(fields) ? fields : Object.entries(fields)), ...Object.entries({ 'x-amz-algorithm': 'AWS4-HMAC-SHA256', 'x-amz-credential': credential, 'x-amz-date': stamp, policy: tamper?.(policy) ?? policy, 'x-amz-signature': hmac(signingKey(who.secret, day, 'us-east-1'), policy).toString('hex') })])
      body.append(name, value);
    body.append('file', new Blob([file]), 'name.txt');
    const answer = await fetch(`${s.origin}/storage/v1/s3/${bucket}`, { method: 'POST', body, redirect: 'manual' });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, code: /<Code>(.*?)<\/Code>/.exec(text)?.[1] };
  };

  test('are uploads', async () => {
    assert.equal((await form({ key: 'form/${filename}', 'content-type': 'text/plain', 'x-amz-meta-a': 'b' }, { conditions: [['starts-with', '$key', 'form/'], ['eq', '$Content-Type', 'text/plain'], { 'x-amz-meta-a': 'b' }, ['content-length-range', 1, 100]] })).status, 204);
    const got = await signed(s, key, 'GET', '/box/form/name.txt');
    assert.deepEqual([got.text, got.headers['content-type'], got.headers['x-amz-meta-a']], ['from a form', 'text/plain', 'b']);
    const created = await form({ key: 'form/x', success_action_status: '201' }, { conditions: [['starts-with', '$key', ''], ['eq', '$success_action_status', '201']] });
    assert.equal(created.status, 201);
    assert.match(created.text, /<PostResponse.*<Bucket>box<\/Bucket><Key>form\/x<\/Key>/);
    const redirected = await form({ key: 'form/x', success_action_redirect: 'https://app.example.com/done?a=1' }, { conditions: [['starts-with', '$key', ''], ['starts-with', '$success_action_redirect', 'https://']] });
    assert.equal(redirected.status, 303);
    assert.match(redirected.headers.get('location'), /^https:\/\/app\.example\.com\/done\?a=1&bucket=box&key=form%2Fx&etag=/);
  });

  test('have no field twice', async () => {
    const twice = async (fields, conditions) => {
      const answer = await form(fields, { conditions: [['starts-with', '$key', 'form/'], ...conditions] });
      assert.deepEqual([answer.status, answer.code], [400, 'InvalidArgument'], answer.text);
    };
    await twice([['key', 'form/twice'], ['Content-Type', 'text/html'], ['content-type', 'image/png']], [['starts-with', '$Content-Type', 'image/']]);
    await twice([['key', 'form/twice'], ['x-amz-meta-user', 'eve'], ['X-Amz-Meta-User', 'bob']], [['eq', '$x-amz-meta-user', 'bob']]);
    await twice([['key', 'form/twice'], ['key', 'form/other']], []);
    await twice([['key', 'form/twice'], ['policy', 'e30=']], []);
    await twice([['key', 'form/twice'], ['x-ignore-this', '1'], ['x-ignore-this', '2']], []);
    await gives(404, 'NoSuchKey', key, 'GET', '/box/form/twice');
  });

  test('bring no control characters into header fields', async () => {
    for (const odd of ['\u0001', '\u007f', '\u0085', '\t', ' ', '\u2028']) {
      const to = await form({ key: 'form/odd', success_action_redirect: `https://app.example.com/${odd}x` }, { conditions: [['starts-with', '$key', ''], ['starts-with', '$success_action_redirect', 'https://']] });
      assert.deepEqual([to.status, to.code], [400, 'InvalidArgument'], JSON.stringify(odd));
    }
    for (const name of ['content-type', 'cache-control', 'content-disposition', 'content-language', 'content-encoding', 'expires', 'x-amz-meta-a'])
      for (const odd of ['\u0001', '\u007f', '\u0085']) {
        const answer = await form({ key: 'form/odd', [name]: `a/${odd}b` }, { conditions: [['starts-with', '$key', ''], ['starts-with', `$${name}`, '']] });
        assert.deepEqual([answer.status, answer.code], [400, 'InvalidArgument'], `${name} ${answer.text}`);
      }
    await gives(404, 'NoSuchKey', key, 'GET', '/box/form/odd');
  });

  test('say how long they are, before anything is read', async () => {
    const { port, hostname } = new URL(s.origin);
    const answer = async (...lines) => {
      const socket = net.connect(Number(port), hostname);
      socket.write(['POST /storage/v1/s3/box HTTP/1.1', `host: ${hostname}:${port}`, 'content-type: multipart/form-data; boundary=x', 'expect: 100-continue', ...lines, '', ''].join('\r\n'));
      let text = '';
      for await (const bytes of socket) {
        text += bytes;
        if (text.includes('</Error>') || text.includes(' 100 ')) break;
      }
      socket.destroy();
      return text;
    };
    assert.match(await answer('transfer-encoding: chunked'), /^HTTP\/1\.1 411 [^]*<Code>MissingContentLength</);
    assert.match(await answer(`content-length: ${OBJECT_MAX + (64 << 10) + 1}`), /^HTTP\/1\.1 413 [^]*<Code>EntityTooLarge</);
    assert.match(await answer(`content-length: ${OBJECT_MAX + (64 << 10)}`), /^HTTP\/1\.1 100 /);
    assert.equal((await form({ key: 'form/full' }, { file: 'x'.repeat(OBJECT_MAX) })).status, 204);
    assert.equal((await form({ key: 'form/over' }, { file: 'x'.repeat(OBJECT_MAX + 1) })).code, 'EntityTooLarge');
  });

  test('within their policy', async () => {
    const no = async (code, fields, options) => assert.equal((await form(fields, options)).code, code);
    await no('AccessDenied', { key: 'elsewhere/x' });
    await no('AccessDenied', { key: 'form/x', 'x-amz-meta-extra': '1' });
    await no('AccessDenied', { key: 'form/x' }, { expiration: minutes(-1) });
    await no('EntityTooLarge', { key: 'form/x' }, { conditions: [['starts-with', '$key', ''], ['content-length-range', 1, 3]] });
    await no('EntityTooSmall', { key: 'form/x' }, { conditions: [['starts-with', '$key', ''], ['content-length-range', 100, 300]] });
    await no('SignatureDoesNotMatch', { key: 'form/x' }, { tamper: (p) => Buffer.from(Buffer.from(p, 'base64').toString().replace('form/', '')).toString('base64') });
    await no('SignatureDoesNotMatch', { key: 'form/x' }, { who: { id: key.id, secret: 'wrong' } });
    await no('InvalidAccessKeyId', { key: 'form/x' }, { who: { id: 'TNS3BBBBBBBBBBBBBBBB', secret: 'wrong' } });
    await no('AccessDenied', { key: 'form/x' }, { bucket: 'other' });
    await no('InvalidArgument', { key: '' });
    const bare = new FormData();
    bare.append('file', new Blob(['x']), 'x');
    assert.match(await (await fetch(`${s.origin}/storage/v1/s3/box`, { method: 'POST', body: bare })).text(), /<Code>(InvalidArgument|AccessDenied)</);
    assert.match(await (await fetch(`${s.origin}/storage/v1/s3/box`, { method: 'POST', body: 'x', headers: { 'content-type': 'multipart/form-data' } })).text(), /<Code>/);
    assert.match(await (await fetch(`${s.origin}/storage/v1/s3/box`, { method: 'POST', headers: { 'content-type': 'multipart/form-data; boundary=x' } })).text(), /<Code>MalformedPOSTRequest</);
    assert.equal(escape('a b'), 'a%20b');
  });
});
