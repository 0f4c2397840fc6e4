// t/api/storage-policies.mjs: what policies on storage.objects see and decide: people, agents, custom roles, folders, operations
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessControl, base, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { hs256 } from '../lib/jwt.mjs';

const s = await stack();
const { alice, bob } = s;
const secret = s.settings['auth.jwt_secret'];
for (const id of ['avatars', 'docs', 'steps', 'ops', 'checked']) await makeBucket(s.a, id);

test('the policy of every guide: a folder for each person', async () => {
  await s.sql(`create policy "own folder" on storage.objects for insert to authenticated with check (bucket_id = 'avatars' and (storage.foldername(name))[1] = auth.uid()::text);
    create policy "own files" on storage.objects for select to authenticated using (bucket_id = 'avatars' and owner_id = (select auth.uid()::text));
    create policy "own files, changed" on storage.objects for update to authenticated using (bucket_id = 'avatars' and owner = auth.uid());
    create policy "own files, deleted" on storage.objects for delete to authenticated using (bucket_id = 'avatars' and owner = auth.uid());`);
  const hers = bucket(alice, 'avatars'), his = bucket(bob, 'avatars'), name = `${alice.user.id}/me.png`;
  good(await hers.put(name, 'png'));
  refused(await hers.put(`${bob.user.id}/me.png`, 'png'), 403, 'AccessDenied', { error: 'Unauthorized', message: 'new row violates row-level security policy' });
  refused(await hers.put('me.png', 'png'), 403, 'AccessDenied');
  refused(await his.put(name, 'png'), 403, 'AccessDenied');
  refused(await his.put(name, 'png', { 'x-upsert': 'true' }), 403, 'AccessDenied');
  refused(await his.replace(name, 'png'), 403, 'AccessDenied');
  refused(await his.get(name), 404, 'NoSuchKey');
  refused(await his.info(name), 404, 'NoSuchKey');
  refused(await his.sign(name), 404, 'NoSuchKey');
  refused(await his.move(name, `${bob.user.id}/x`), 404, 'NoSuchKey');
  refused(await his.copy(name, `${bob.user.id}/x`), 404, 'NoSuchKey');
  refused(await his.removeOne(name), 404, 'NoSuchKey');
  assert.deepEqual(good(await his.remove(name)), []);
  assert.deepEqual(good(await his.list(alice.user.id)), []);
  good(await hers.replace(name, 'newer'));
  assert.equal((await hers.get(name)).text, 'newer');
  assert.equal(good(await hers.remove(name)).length, 1);
});

test('what each step of an upload takes', async () => {
  const hers = bucket(alice, 'steps');
  refused(await hers.put('x', '1'), 403, 'AccessDenied');
  await s.sql(`create policy "steps add" on storage.objects for insert to authenticated with check (bucket_id = 'steps')`);
  good(await hers.put('x', '1'));
  refused(await hers.get('x'), 404, 'NoSuchKey');
  refused(await hers.put('y', '1', { 'x-upsert': 'true' }), 403, 'AccessDenied');
  refused(await hers.replace('y', '1'), 403, 'AccessDenied');
  await s.sql(`create policy "steps read" on storage.objects for select to authenticated using (bucket_id = 'steps')`);
  assert.equal((await hers.get('x')).text, '1');
  refused(await hers.replace('x', '2'), 403, 'AccessDenied');
  refused(await hers.replace('new', '2'), 403, 'AccessDenied');
  assert.equal((await hers.get('x')).text, '1', 'what is refused changes nothing');
  await s.sql(`create policy "steps edit" on storage.objects for update to authenticated using (bucket_id = 'steps')`);
  good(await hers.replace('x', '2'));
  assert.deepEqual(good(await hers.remove('x')), []);
  await s.sql(`create policy "steps drop" on storage.objects for delete to authenticated using (bucket_id = 'steps')`);
  assert.equal(good(await hers.remove('x')).length, 1);
});

test('a policy may look at size, type and metadata before a byte is there', async () => {
  await s.sql(`create policy "checked add" on storage.objects for insert to authenticated with check (bucket_id = 'checked'
    and (metadata ->> 'contentLength')::int < 100 and metadata ->> 'mimetype' like 'image/%' and user_metadata ->> 'kind' = 'cat' and storage.extension(name) = 'png')`);
  const hers = bucket(alice, 'checked');
  const cat = { 'content-type': 'image/png', 'x-metadata': Buffer.from('{"kind":"cat"}').toString('base64') };
  good(await hers.put('a.png', 'x', cat));
  refused(await hers.put('b.png', 'x'.repeat(200), cat), 403, 'AccessDenied');
  refused(await hers.put('b.png', 'x', { ...cat, 'content-type': 'text/plain' }), 403, 'AccessDenied');
  refused(await hers.put('b.png', 'x', { 'content-type': 'image/png' }), 403, 'AccessDenied');
  refused(await hers.put('b.gif', 'x', cat), 403, 'AccessDenied');
});

test('functions of the app write no content', async () => {
  await s.ddl(`create function public.set_version(name text, version text) returns void language sql as
      'update storage.objects o set version = $2, size = 0 where o.name = $1';
    create function public.set_note(name text) returns void language sql as
      'update storage.objects o set user_metadata = ''{"note": "mine"}'' where o.name = $1'`);
  good(await bucket(s.a.service, 'docs').put('content', 'mine'));
  const version = (await s.rows(`select version from storage.objects where name = 'content'`))[0].version;
  await s.a.service.post('/rest/v1/rpc/set_note', { name: 'content' });
  const answer = await s.a.service.request('POST', '/rest/v1/rpc/set_version', { name: 'content', version: '00000000-0000-4000-8000-000000000000' });
  assert.equal(answer.json.code, '42501');
  assert.deepEqual((await s.rows(`select version, user_metadata from storage.objects where name = 'content'`))[0], { version, user_metadata: { note: 'mine' } });
});

test('the operation is known', async () => {
  await s.sql(`create table public.seen (n int generated always as identity, tenant_id uuid default tenon.tenant_id(), operation text);
    grant insert on public.seen to public;
    create policy "anybody" on public.seen for insert with check (true);
    create function public.note_operation() returns boolean language plpgsql security definer as $$ begin insert into public.seen (operation) values (storage.operation()); return true; exception when others then return true; end $$;
    grant execute on function public.note_operation() to public;
    create policy "ops add" on storage.objects for insert to authenticated with check (bucket_id = 'ops' and storage.allow_any_operation(array['object.upload', 'object.upload_update', 'storage.object.copy', 'object.sign_upload_url']));
    create policy "ops read" on storage.objects for select to authenticated using (bucket_id = 'ops' and storage.operation() in ('storage.object.get_authenticated', 'storage.object.upload_update', 'storage.object.info_authenticated', 'storage.object.sign', 'storage.object.sign_many', 'storage.object.list', 'storage.object.list_v2', 'storage.object.move', 'storage.object.copy', 'storage.object.delete', 'storage.object.delete_many'));
    create policy "ops edit" on storage.objects for update to authenticated using (bucket_id = 'ops' and storage.allow_any_operation(array['storage.object.upload_update', 'storage.object.move']));
    create policy "ops drop" on storage.objects for delete to authenticated using (bucket_id = 'ops' and storage.allow_any_operation(array['storage.object.delete', 'storage.object.delete_many']));`);
  const hers = bucket(alice, 'ops');
  good(await hers.put('a', '1'));
  good(await hers.replace('a', '2'));
  assert.equal((await hers.get('a')).status, 200);
  good(await hers.info('a'));
  good(await hers.sign('a'));
  assert.equal(good(await hers.signMany({ expiresIn: 9, paths: ['a'] }))[0].error, null);
  assert.equal(good(await hers.list()).length, 1);
  assert.equal(good(await hers.list2()).objects.length, 1);
  good(await hers.move('a', 'b'));
  good(await hers.copy('b', 'c'));
  good(await hers.signUpload('d'));
  assert.equal(good(await hers.remove('b')).length, 1);
  good(await hers.removeOne('c'));
});

test("custom roles, and subjects that are no UUIDs", async () => {
  const role = `clerk_${process.pid}`; // roles belong to the cluster, which other tests have as well
  await s.sql(`create role ${role} nologin; grant ${role} to tenon_authenticator; grant authenticated to ${role};
    grant select, insert, update, delete on storage.objects to ${role}; grant usage on schema storage to ${role};
    create policy "clerks" on storage.objects to ${role} using (bucket_id = 'docs') with check (bucket_id = 'docs' and owner_id = auth.jwt() ->> 'sub')`);
  const clerk = bucket(s.client({ authorization: `Bearer ${hs256({ role, sub: 'not-a-uuid' }, secret)}` }), 'docs');
  good(await clerk.put('tools', 'x'));
  assert.equal((await clerk.get('tools')).text, 'x');
  const [row] = await s.rows(`select owner, owner_id from storage.objects where name = 'tools'`);
  assert.deepEqual(row, { owner: null, owner_id: 'not-a-uuid' });
  const { url } = good(await clerk.signUpload('signed'));
  good(await s.client().request('PUT', base + url, 'x'));
  assert.equal((await s.rows(`select owner_id from storage.objects where name = 'signed'`))[0].owner_id, 'not-a-uuid');
  assert.equal((await s.client({ authorization: `Bearer ${hs256({ role: 'nobody_at_all' }, secret)}` }).request('POST', `/storage/v1/object/list/docs`, { prefix: '' })).status, 400);
});

test('agents: scopes name the bucket, and the person is the ceiling', async () => {
  await s.sql(accessControl('docs', 'authenticated, agent'));
  await s.sql(`create policy "see buckets" on storage.buckets for select to agent using (true)`);
  const agent = async (...scopes) => {
    const { id } = await alice.post('/auth/v1/agents', { name: `agent ${scopes.join(' ')}`, scopes });
    const { key } = await alice.post(`/auth/v1/agents/${id}/keys`, {});
    return s.client({ apikey: key });
  };
  const reader = await agent('storage:docs:read'), writer = await agent('storage:docs:*'), stranger = await agent('storage:avatars:*'), clerk = await agent('storage:buckets:read');
  good(await bucket(alice, 'docs').put('of alice', 'x'));
  assert.equal((await bucket(reader, 'docs').get('of alice')).text, 'x');
  assert.ok(good(await bucket(reader, 'docs').list()).length > 0);
  refused(await bucket(reader, 'docs').put('new', 'x'), 403, 'AccessDenied');
  assert.deepEqual(good(await bucket(reader, 'docs').remove('of alice')), []);
  good(await bucket(writer, 'docs').put('by agent', 'x'));
  assert.equal((await s.rows(`select owner_id from storage.objects where name = 'by agent'`))[0].owner_id, alice.user.id);
  refused(await bucket(stranger, 'docs').get('of alice'), 404, 'NoSuchKey');
  refused(await bucket(stranger, 'docs').put('new', 'x'), 403, 'AccessDenied');
  assert.deepEqual(good(await bucket(stranger, 'docs').list()), []);
  refused(await reader.request('GET', `/storage/v1/bucket`), 403, 'AccessDenied', { error: 'Unauthorized' });
  assert.ok(good(await clerk.request('GET', `/storage/v1/bucket`)).length >= 5);
  refused(await clerk.request('POST', `/storage/v1/bucket`, { name: 'x' }), 403, 'AccessDenied');
  refused(await writer.request('POST', `/storage/v1/bucket/docs/empty`, {}), 403, 'AccessDenied');
  assert.equal(good(await bucket(writer, 'docs').remove('by agent')).length, 1);
});

test('a broken policy is the server saying so, not a right', async () => {
  await makeBucket(s.a, 'broken');
  await s.sql(`create function public.gone(text) returns boolean language plpgsql as $$ begin return (select true from public.no_such_table); end $$;
    create policy "broken" on storage.objects for insert to anon with check (bucket_id = 'broken' and public.gone(name))`);
  const answer = await bucket(s.a.anon, 'broken').put('x', 'x');
  assert.deepEqual([answer.json.statusCode, answer.json.code, answer.json.error], ['503', 'DatabaseSchemaMismatch', 'DatabaseSchemaMismatch'], answer.text);
  assert.doesNotMatch(answer.text, /no_such_table/);
});
