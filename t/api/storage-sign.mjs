// t/api/storage-sign.mjs: signed URLs: who may make them, what they allow, and what they are not good for
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { eventually, stack } from '../lib/stack.mjs';
import { decode, hs256, now, tamper, unsigned } from '../lib/jwt.mjs';

const s = await stack();
const { alice, bob } = s;
const docs = await makeBucket(s.a, 'docs');
await s.sql(`create policy "own" on storage.objects for select to authenticated using (bucket_id = 'docs' and owner_id = auth.uid()::text);
  create policy "add" on storage.objects for insert to authenticated with check (bucket_id = 'docs')`);
const hers = bucket(alice, 'docs');
await hers.put('a b/story.txt', 'hers');
await docs.put('secret.txt', 'nobody else');
const nobody = s.client();
const fetchSigned = (url, extra = '') => nobody.request('GET', base + encodeURI(url) + extra);
const tokenOf = (url) => new URL(url, 'http://x').searchParams.get('token');
const withToken = (token, path = '/object/sign/docs/a%20b/story.txt', client = nobody) => client.request('GET', `${base}${path}?token=${token}`);

test('a URL for a while', async () => {
  const { signedURL } = good(await hers.sign('a b/story.txt', { expiresIn: 600 }));
  assert.ok(signedURL.startsWith('/object/sign/docs/a b/story.txt?token='), 'relative, and not encoded');
  const got = await fetchSigned(signedURL);
  assert.deepEqual([got.status, got.text, got.headers['cache-control']], [200, 'hers', undefined]);
  const { claims } = decode(tokenOf(signedURL));
  assert.deepEqual(claims, { url: 'docs/a b/story.txt', scope: 'download', tenant_id: s.a.id, iat: claims.iat, exp: claims.iat + 600 });
  assert.equal(Math.floor(new Date(got.headers.expires) / 1000), claims.exp);
  assert.match((await fetchSigned(signedURL, '&download=x.txt')).headers['content-disposition'], /^attachment; filename=x\.txt/);
  assert.equal((await nobody.request('HEAD', base + encodeURI(signedURL))).status, 200);
  assert.equal((await withToken(tokenOf(signedURL), '/object/sign/docs/a%20b/story.txt', alice)).text, 'hers');
});

test('it takes the right to read', async () => {
  refused(await bucket(bob, 'docs').sign('a b/story.txt'), 404, 'NoSuchKey', { error: 'not_found', message: 'Object not found' });
  refused(await hers.sign('secret.txt'), 404, 'NoSuchKey');
  refused(await hers.sign('nothing'), 404, 'NoSuchKey');
  refused(await bucket(alice, 'nowhere').sign('nothing'), 404, 'NoSuchKey');
  refused(await bucket(s.a.anon, 'docs').sign('a b/story.txt'), 404, 'NoSuchKey');
  refused(await bucket(nobody, 'docs').sign('a b/story.txt'), 400, 'InvalidRequest', { error: 'Error' });
  const open = await makeBucket(s.a, 'open', { public: true });
  await open.put('x', 'x');
  refused(await bucket(alice, 'open').sign('x'), 404, 'NoSuchKey');
  good(await open.sign('x'));
});

const bodies = [[{}, "body must have required property 'expiresIn'"], [{ expiresIn: 0 }, 'body/expiresIn must be >= 1'], [{ expiresIn: -5 }, 'body/expiresIn must be >= 1'], [{ expiresIn: 'soon' }, 'body/expiresIn must be integer'], [{ expiresIn: 1e15 }, /body\/expiresIn must be/], [{ expiresIn: 9, transform: 5 }, 'body/transform must be object'], [{ expiresIn: 9, transform: { resize: 'odd' } }, /body\/resize must be equal/], [{ expiresIn: 9, transform: { quality: 5 } }, 'body/quality must be >= 20']];
for (const [body, message] of bodies) test(`${JSON.stringify(body)} is refused`, async () => refused(await hers.sign('a b/story.txt', body), 400, 'InvalidRequest', { error: 'Error', message }));

test('many at once, in order, whatever becomes of each', async () => {
  const error = 'Either the object does not exist or you do not have access to it';
  const list = good(await hers.signMany({ expiresIn: 60, paths: ['nothing', 'a b/story.txt', 'secret.txt', '"{},'] }));
  assert.deepEqual(list.map((e) => [e.error, e.path, e.signedURL === null]), [[error, 'nothing', true], [null, 'a b/story.txt', false], [error, 'secret.txt', true], [error, '"{},', true]]);
  assert.equal((await fetchSigned(list[1].signedURL)).text, 'hers');
  refused(await hers.signMany({ expiresIn: 60, paths: [] }), 400, 'InvalidRequest', { message: 'body/paths must NOT have fewer than 1 items' });
  refused(await hers.signMany({ expiresIn: 60 }), 400, 'InvalidRequest');
  refused(await hers.signMany({ expiresIn: 60, paths: Array(1001).fill('x') }), 400, 'InvalidRequest');
  assert.equal(good(await hers.signMany({ expiresIn: 60, paths: Array(1000).fill('a b/story.txt') })).length, 1000);
});

test('with a transformation it is for the image that is made, and for nothing else', async () => {
  const { signedURL } = good(await hers.sign('a b/story.txt', { expiresIn: 60, transform: { width: 200, height: 100, resize: 'fill', quality: 50, format: 'webp' } }));
  assert.ok(signedURL.startsWith('/render/image/sign/docs/a b/story.txt?token='));
  const { claims } = decode(tokenOf(signedURL));
  assert.deepEqual([claims.transformations, claims.format], ['height:100,width:200,resize:fill,quality:50', 'webp']);
  refused(await withToken(tokenOf(signedURL)), 400, 'InvalidSignature');
  assert.ok(good(await hers.sign('a b/story.txt', { expiresIn: 60, transform: {} })).signedURL.startsWith('/object/sign/'));
});

test('it ends', async () => {
  const { signedURL } = good(await hers.sign('a b/story.txt', { expiresIn: 1 }));
  const answer = await eventually('its end', async () => {
    const got = await fetchSigned(signedURL);
    return got.status !== 200 && got;
  });
  refused(answer, 400, 'InvalidJWT', { error: 'InvalidJWT', message: '"exp" claim timestamp check failed' });
});

const good_ = good(await hers.sign('a b/story.txt', { expiresIn: 600 })).signedURL;
const token = tokenOf(good_);
const claims = { url: 'docs/a b/story.txt', scope: 'download', tenant_id: s.a.id, iat: now(), exp: now() + 600 };
const upload = good(await hers.signUpload('other.txt')).token;
const forged = [
  ['nothing', '', 'InvalidJWT'], ['no JWT', 'nonsense', 'InvalidJWT'], ['dots', '..', 'InvalidJWT'], ['four parts', `${token}.x`, 'InvalidJWT'],
  ['without a signature', unsigned(claims), 'InvalidJWT'], ['alg none, signature kept', tamper(token, 'header', (h) => ({ ...h, alg: 'none' })), 'InvalidJWT'],
  ['another header', tamper(token, 'header', (h) => ({ ...h, kid: '../../x' })), 'InvalidJWT'],
  ['signed with auth.jwt_secret', hs256(claims, s.settings['auth.jwt_secret']), 'InvalidJWT'], ['signed with the secret itself', hs256(claims, s.settings['server.secret']), 'InvalidJWT'],
  ['signed with the bytes of the secret', hs256(claims, Buffer.from(s.settings['server.secret'], 'hex')), 'InvalidJWT'],
  ['another object in it', tamper(token, 'claims', (c) => ({ ...c, url: 'docs/secret.txt' })), 'InvalidJWT'], ['a later end', tamper(token, 'claims', (c) => ({ ...c, exp: c.exp + 9999 })), 'InvalidJWT'],
  ['another tenant in it', tamper(token, 'claims', (c) => ({ ...c, tenant_id: s.b.id })), 'InvalidJWT'], ['the signature cut', token.slice(0, -1), 'InvalidJWT'], ['the signature longer', `${token}A`, 'InvalidJWT'],
  ["a person's token", alice.session.access_token, 'InvalidJWT'], ['a key', s.a.secret, 'InvalidJWT'], ['very long', 'x.'.repeat(6000), 'InvalidJWT'],
  ['one for uploads', upload, 'InvalidSignature'],
];
for (const [name, bad, code] of forged)
  test(`a token that is ${name}`, async () => refused(await withToken(encodeURIComponent(bad)), 400, code, { error: code }));

test('a token for one thing is for that thing', async () => {
  refused(await withToken(token, '/object/sign/docs/secret.txt'), 400, 'InvalidSignature', { error: 'InvalidSignature', message: 'Invalid signature' });
  refused(await withToken(token, '/object/sign/docs/a%20b/story.txt2'), 400, 'InvalidSignature');
  refused(await withToken(token, '/object/sign/docs%2Fa%20b/story.txt'), 404, 'NoSuchBucket').message;
});

test('and for no other route', async () => {
  refused(await nobody.request('GET', `/storage/v1/object/sign/docs/a%20b/story.txt`), 400, 'InvalidRequest', { error: 'Error', message: "querystring must have required property 'token'" });
  refused(await s.client({ authorization: `Bearer ${token}` }).request('GET', `/storage/v1/object/authenticated/docs/secret.txt`), 403, 'AccessDenied', { error: 'Unauthorized' });
  refused(await s.client({ apikey: token }).request('GET', `/storage/v1/object/authenticated/docs/secret.txt`), 403, 'AccessDenied');
  assert.equal((await s.client({ authorization: `Bearer ${token}` }).request('GET', '/auth/v1/user')).status, 403);
  refused(await nobody.request('PUT', `/storage/v1/object/upload/sign/docs/a%20b/story.txt?token=${token}`, 'x'), 400, 'InvalidSignature');
  refused(await nobody.request('PUT', `/storage/v1/object/upload/sign/docs/third.txt?token=${upload}`, 'x'), 400, 'InvalidSignature');
  refused(await nobody.request('PUT', `/storage/v1/object/upload/sign/docs/third.txt`, 'x'), 400, 'InvalidRequest');
  refused(await nobody.request('PUT', `/storage/v1/object/upload/sign/docs/third.txt?token=${alice.session.access_token}`, 'x'), 400, 'InvalidJWT');
});

test('the token in the address decides, whatever a header says', async () => {
  const theirs = await makeBucket(s.b, 'docs');
  await theirs.put('a b/story.txt', 'of b');
  const other = tokenOf(good(await theirs.sign('a b/story.txt')).signedURL);
  const others = good(await theirs.signUpload('both.txt')).token;
  const with_ = (header, method, path, body) => s.client({ 'x-signature': header }).request(method, base + path, body);
  assert.equal((await with_(other, 'GET', `/object/sign/docs/a%20b/story.txt?token=${token}`)).text, 'hers');
  assert.equal((await with_(token, 'GET', `/object/sign/docs/a%20b/story.txt?token=${other}`)).text, 'of b');
  refused(await with_(token, 'GET', `/object/sign/docs/a%20b/story.txt`), 400, 'InvalidRequest');
  refused(await with_(token, 'GET', `/render/image/sign/docs/a%20b/story.txt`), 400, 'InvalidRequest');
  refused(await with_(others, 'PUT', `/object/upload/sign/docs/both.txt`, 'x'), 400, 'InvalidRequest');
  const image = await with_(token, 'GET', `/render/image/sign/docs/a%20b/story.txt?token=${other}`);
  assert.doesNotMatch(image.text, /hers/);
  good(await with_(upload, 'PUT', `/object/upload/sign/docs/both.txt?token=${others}`, 'of b'));
  assert.deepEqual(await s.rows(`select tenant_id from storage.objects where name = 'both.txt'`), [{ tenant_id: s.b.id }]);
  good(await theirs.remove('a b/story.txt', 'both.txt'));
});

test('what a file has become since does not matter, nor what its reader may', async () => {
  await s.sql(`drop policy "own" on storage.objects`);
  assert.equal((await fetchSigned(good_)).text, 'hers');
  await docs.replace('a b/story.txt', 'newer');
  assert.equal((await fetchSigned(good_)).text, 'newer');
  good(await docs.remove('a b/story.txt'));
  refused(await fetchSigned(good_), 404, 'NoSuchKey');
});

test('a tenant that is suspended serves nothing', async () => {
  const theirs = bucket(s.b.service, 'docs');
  await theirs.put('x', 'x');
  const { signedURL } = good(await theirs.sign('x', { expiresIn: 600 }));
  assert.equal((await fetchSigned(signedURL)).text, 'x');
  await s.tenon('tenant', 'suspend', 'b');
  const answer = await eventually('the suspension', async () => {
    const got = await fetchSigned(signedURL);
    return got.status !== 200 && got;
  });
  refused(answer, 403, 'AccessDenied');
});
