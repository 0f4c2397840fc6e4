// t/sdk/storage-images.mjs: `transform` of storage-js inside @supabase/supabase-js: public URLs, downloads, signed URLs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { accessControl } from '../lib/storage.mjs';
import { password, stack } from '../lib/stack.mjs';
import { look, png } from '../lib/picture.mjs';

const s = await stack();
const options = { auth: { autoRefreshToken: false, persistSession: false } };
const admin = createClient(s.origin, s.a.secret, options).storage;
const alice = createClient(s.origin, s.a.publishable, options);
await alice.auth.signInWithPassword({ email: s.alice.email, password });
const ok = ({ data, error }) => {
  assert.equal(error, null, `${error?.message} ${JSON.stringify(error)}`);
  return data;
};
const seen = async (bytes) => look(Buffer.from(await bytes.arrayBuffer()));

ok(await admin.createBucket('docs'));
ok(await admin.createBucket('open', { public: true }));
await s.sql(accessControl('docs'));
for (const bucket of ['docs', 'open']) ok(await admin.from(bucket).upload('a b.png', png(300, 200), { contentType: 'image/png' }));

test('getPublicUrl', async () => {
  const { publicUrl } = alice.storage.from('open').getPublicUrl('a b.png', { transform: { width: 150, quality: 60 }, download: 'small.png' }).data;
  assert.ok(publicUrl.includes('/render/image/public/open/'), publicUrl);
  const answer = await fetch(publicUrl, { headers: { accept: '*/*' } });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-disposition'), /small\.png/);
  assert.deepEqual(await seen(answer), { format: 'png', width: 150, height: 100 });
});

test('download', async () => {
  const docs = alice.storage.from('docs');
  assert.deepEqual(await seen(ok(await docs.download('a b.png', { transform: { width: 60, height: 60, resize: 'contain', format: 'origin' } }))), { format: 'png', width: 60, height: 40 });
  const { error } = await docs.download('none.png', { transform: { width: 60 } });
  assert.equal(error.status, 400);
});

test('createSignedUrl', async () => {
  const { signedUrl } = ok(await alice.storage.from('docs').createSignedUrl('a b.png', 60, { transform: { width: 30, height: 30, resize: 'fill' } }));
  assert.deepEqual(await seen(await fetch(signedUrl, { headers: { accept: 'image/webp' } })), { format: 'webp', width: 30, height: 30 });
});
