// t/api/storage-errors.mjs: the one form of errors: HTTP 400, the real number in the body; and who is told what when nobody knows who asks
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessControl, base, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { hs256, now } from '../lib/jwt.mjs';

const s = await stack({ settings: { 'limits.enabled': 'off' } });
const { alice, stranger } = s;
await makeBucket(s.a, 'docs');
await s.sql(accessControl('docs'));
const nobody = s.client();
const secret = s.settings['auth.jwt_secret'];

/* Every route that takes a key, as it is asked. */
const routes = [
  ['GET', '/storage/v1/bucket'], ['POST', '/storage/v1/bucket', { name: 'x' }], ['GET', '/storage/v1/bucket/docs'], ['PUT', '/storage/v1/bucket/docs', { public: true }], ['DELETE', '/storage/v1/bucket/docs', {}], ['POST', '/storage/v1/bucket/docs/empty', {}],
  ['POST', '/storage/v1/object/docs/x', 'x'], ['PUT', '/storage/v1/object/docs/x', 'x'], ['DELETE', '/storage/v1/object/docs/x'], ['DELETE', '/storage/v1/object/docs', { prefixes: ['x'] }], ['GET', '/storage/v1/object/authenticated/docs/x'], ['GET', '/storage/v1/object/info/authenticated/docs/x'],
  ['POST', '/storage/v1/object/list/docs', { prefix: '' }], ['POST', '/storage/v1/object/list-v2/docs', {}], ['POST', '/storage/v1/object/sign/docs/x', { expiresIn: 1 }], ['POST', '/storage/v1/object/sign/docs', { expiresIn: 1, paths: ['x'] }], ['POST', '/storage/v1/object/upload/sign/docs/x', {}],
  ['POST', '/storage/v1/object/move', { bucketId: 'docs', sourceKey: 'x', destinationKey: 'y' }], ['POST', '/storage/v1/object/copy', { bucketId: 'docs', sourceKey: 'x', destinationKey: 'y' }], ['DELETE', '/storage/v1/cdn/docs'], ['DELETE', '/storage/v1/cdn/docs/x'], ['GET', '/storage/v1/bucket/docs/lifecycle'],
];
for (const [method, path, body] of routes) {
  test(`${method} ${path} without a key`, async () => {
    refused(await nobody.request(method, path, body), 400, 'InvalidRequest', { error: 'Error', message: "headers must have required property 'authorization'" });
  });
  test(`${method} ${path} with a bad one`, async () => {
    refused(await s.client({ apikey: 'tnp_nonsense' }).request(method, path, body), 403, 'AccessDenied', { error: 'Unauthorized' });
    refused(await s.a.anon.with({ authorization: 'Bearer nonsense' }).request(method, path, body), 403, 'AccessDenied', { error: 'Unauthorized' });
    refused(await s.client({ authorization: `Bearer ${hs256({ role: 'authenticated', exp: now() - 60 }, secret)}` }).request(method, path, body), 403, 'AccessDenied', { error: 'Unauthorized', message: /expired/ });
    refused(await s.a.anon.with({ authorization: `Bearer ${stranger.session.access_token}` }).request(method, path, body), 403, 'AccessDenied', { error: 'Unauthorized' });
  });
}

test('what has no route', async () => {
  refused(await alice.request('GET', `/storage/v1/nothing`), 404, 'route_not_found', { status: 404, error: 'Not Found' });
  refused(await alice.request('POST', `/storage/v1/vector/ListIndexes`, {}), 404, 'route_not_found', { status: 404 });
  refused(await alice.request('GET', `/storage/v1/iceberg/v1/config`), 404, 'route_not_found', { status: 404 });
  const answer = await alice.request('PATCH', `/storage/v1/bucket/docs`, {});
  refused(answer, 405, 'method_not_allowed', { status: 405 });
  assert.match(answer.headers.allow, /GET, HEAD/);
  refused(await alice.request('GET', base), 404, 'route_not_found', { status: 404 });
});

test("the app's own triggers and policies", async () => {
  await s.sql(`create function public.no_monday() returns trigger language plpgsql as $$ begin
      if new.name = 'monday' then raise exception 'not on a Monday'; end if;
      if new.name = 'own' then raise exception 'our own words' using errcode = 'PT418'; end if;
      return new; end $$;
    create trigger no_monday before insert on storage.objects for each row execute function public.no_monday()`);
  const hers = bucket(alice, 'docs');
  refused(await hers.put('monday', 'x'), 400, 'raise_exception', { message: 'not on a Monday' });
  assert.equal((await hers.put('own', 'x')).json.statusCode, '418');
  await s.sql(`create policy "broken" on storage.objects for select to anon using (bucket_id = 'docs' and 1 / (length(name) - length(name)) = 1)`);
  const broken = await bucket(s.a.anon, 'docs').list();
  assert.ok(broken.status === 200 || broken.json.statusCode === '400', broken.text);
});

test('answers of errors are kept by nobody, and carry the request', async () => {
  const answer = await bucket(alice, 'docs').get('nothing');
  assert.deepEqual([answer.headers['cache-control'], answer.headers['content-type']], ['no-store', 'application/json; charset=utf-8']);
  assert.match(answer.headers['x-request-id'], /^[0-9a-f]{32}$/);
  assert.equal((await bucket(alice, 'docs').list()).headers['cache-control'], 'no-store');
});

test('a page of another origin may ask', async () => {
  const preflight = await nobody.request('OPTIONS', `/storage/v1/object/docs/x`, undefined, { headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,apikey,x-upsert,cache-control,x-metadata,content-type' } });
  assert.equal(preflight.status, 204);
  for (const header of ['authorization', 'apikey', 'x-upsert', 'cache-control', 'x-metadata']) assert.match(preflight.headers['access-control-allow-headers'], new RegExp(header));
  assert.equal((await bucket(alice, 'docs').get('nothing')).headers['access-control-allow-origin'], '*');
});

test('rate limits keep their own status', async () => {
  s.configure({ 'limits.enabled': 'on', 'limits.read': '3/600:3' });
  await s.tenon('reload');
  const deadline = Date.now() + 20_000;
  let answer;
  do answer = await bucket(alice, 'docs').list();
  while (answer.status !== 429 && Date.now() < deadline);
  refused(answer, 429, 'over_request_rate_limit', { status: 429 });
  assert.ok(Number(answer.headers['retry-after']) > 0);
});
