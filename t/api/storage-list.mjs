// t/api/storage-list.mjs: POST /storage/v1/object/list/{bucket} and list-v2: folders, search, sorting, cursors, and who sees what
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { stack } from '../lib/stack.mjs';
import { timestamp, uuid } from '../lib/expect.mjs';

const s = await stack();
const { alice } = s;
const docs = await makeBucket(s.a, 'docs');
const tree = ['Zebra.txt', 'apple.txt', 'b/1', 'b/2', 'b/c/3', 'B2.txt', 'under_score', 'underXscore', '50%.txt', 'folder/a.txt', 'folder/Sub/x', 'folder/sub2/y'].filter((n) => !n.includes('%'));
for (const name of tree) good(await docs.put(name, name));
const names = (answer) => good(answer).map((e) => e.name);

test('one level, folders and files, by name whatever the case', async () => {
  assert.deepEqual(names(await docs.list()), ['apple.txt', 'b', 'B2.txt', 'folder', 'under_score', 'underXscore', 'Zebra.txt']);
  const [apple, b] = good(await docs.list());
  assert.match(apple.id, uuid);
  for (const time of [apple.created_at, apple.updated_at, apple.last_accessed_at]) assert.match(time, timestamp);
  assert.equal(apple.metadata.size, 9);
  assert.deepEqual(b, { name: 'b', id: null, updated_at: null, created_at: null, last_accessed_at: null, metadata: null });
});

test('names are relative to the prefix, with its slash or without', async () => {
  for (const prefix of ['folder', 'folder/']) assert.deepEqual(names(await docs.list(prefix)), ['a.txt', 'Sub', 'sub2']);
  assert.deepEqual(names(await docs.list('b/c')), ['3']);
  assert.deepEqual(names(await docs.list('/b')), []);
  assert.deepEqual(names(await docs.list('nothing')), []);
});

test('limit, offset, search, sorting', async () => {
  assert.deepEqual(names(await docs.list('', { limit: 2, offset: 1 })), ['b', 'B2.txt']);
  assert.deepEqual(names(await docs.list('', { search: 'UNDER_' })), ['under_score'], 'wildcards mean nothing');
  assert.deepEqual(names(await docs.list('', { search: 'b' })), ['b', 'B2.txt']);
  assert.deepEqual(names(await docs.list('folder', { search: 'su' })), ['Sub', 'sub2']);
  assert.deepEqual(names(await docs.list('', { sortBy: { column: 'name', order: 'desc' } })), ['Zebra.txt', 'underXscore', 'under_score', 'folder', 'B2.txt', 'b', 'apple.txt']);
  assert.deepEqual(names(await docs.list('', { sortBy: { column: 'created_at', order: 'desc' } })).slice(0, 3), ['folder', 'b', 'underXscore'], 'folders come first');
  assert.deepEqual(names(await docs.list('', { limit: 5000 })).length, 7);
});

const bodies = [[{ prefix: undefined }, "body must have required property 'prefix'"], [{ prefix: 7 }, 'body/prefix must be string'], [{ limit: 0 }, 'body/limit must be >= 1'], [{ offset: -1 }, 'body/offset must be >= 0'], [{ limit: 'many' }, 'body/limit must be integer'], [{ sortBy: 'name' }, 'body/sortBy must be object'], [{ sortBy: { column: 'owner' } }, /body\/column must be equal/], [{ sortBy: { column: 'name', order: 'up' } }, /body\/order must be equal/]];
for (const [body, message] of bodies) test(`list: ${JSON.stringify(body)} is refused`, async () => refused(await docs.list('', body), 400, 'InvalidRequest', { error: 'Error', message }));

test('what is not there, or not theirs, is an empty list', async () => {
  assert.deepEqual(good(await bucket(s.a.service, 'nowhere').list()), []);
  assert.deepEqual(good(await bucket(alice, 'docs').list()), []);
  assert.deepEqual(good(await bucket(s.b.service, 'docs').list()), []);
  assert.deepEqual(good(await bucket(alice, 'docs').list2()), { hasNext: false, folders: [], objects: [] });
  assert.deepEqual(good(await bucket(s.b.service, 'docs').list2()), { hasNext: false, folders: [], objects: [] });
  await s.sql(`create policy "folder b" on storage.objects for select to authenticated using (bucket_id = 'docs' and (storage.foldername(name))[1] = 'b' and storage.allow_any_operation(array['object.list', 'storage.object.list_v2']))`);
  assert.deepEqual(names(await bucket(alice, 'docs').list()), ['b']);
  assert.deepEqual(good(await bucket(alice, 'docs').list2()).objects.map((o) => o.name), ['b/1', 'b/2', 'b/c/3']);
  refused(await bucket(alice, 'docs').get('b/1'), 404, 'NoSuchKey');
});

/* --- version 2 -------------------------------------------------------------------------------------------------------------------- */

const all = async (body) => {
  const pages = [];
  for (let cursor; ;) {
    const page = good(await docs.list2({ ...body, ...(cursor && { cursor }) }));
    pages.push(page);
    assert.equal('nextCursor' in page, page.hasNext);
    if (!page.hasNext) return pages;
    cursor = page.nextCursor;
    assert.ok(pages.length < 50, 'it goes on for ever');
  }
};
const sorted = [...tree].sort();

test('v2: full names, a plain prefix', async () => {
  const whole = good(await docs.list2());
  assert.deepEqual([whole.hasNext, whole.folders, whole.objects.map((o) => o.name)], [false, [], sorted]);
  assert.equal('key' in whole.objects[0], false);
  assert.deepEqual(good(await docs.list2({ prefix: 'unde' })).objects.map((o) => o.name), ['underXscore', 'under_score']);
  assert.deepEqual(good(await docs.list2({ prefix: 'under_' })).objects.map((o) => o.name), ['under_score']);
  const { id, created_at, updated_at, metadata } = whole.objects[0];
  assert.match(id, uuid);
  assert.match(created_at, timestamp);
  assert.match(updated_at, timestamp);
  assert.ok(metadata.size > 0);
});

test('v2: folders', async () => {
  const top = good(await docs.list2({ with_delimiter: true }));
  assert.deepEqual(top.folders.map((f) => [f.name, f.id]), [['b/', null], ['folder/', null]]);
  assert.deepEqual(top.objects.map((o) => o.name), ['B2.txt', 'Zebra.txt', 'apple.txt', 'underXscore', 'under_score']);
  const inside = good(await docs.list2({ with_delimiter: true, prefix: 'folder/' }));
  assert.deepEqual([inside.folders.map((f) => f.name), inside.objects.map((o) => [o.name, o.key])], [['folder/Sub/', 'folder/sub2/'], [['folder/a.txt', 'a.txt']]]);
});

for (const limit of [1, 2, 3, 5, 100])
  for (const order of ['asc', 'desc'])
    for (const column of ['name', 'created_at', 'updated_at'])
      test(`v2: pages of ${limit} by ${column} ${order}`, async () => {
        const pages = await all({ limit, sortBy: { column, order } });
        const seen = pages.flatMap((p) => p.objects.map((o) => o.name));
        assert.deepEqual([...seen].sort(), sorted, 'each once');
        const expected = column === 'name' ? sorted : tree;
        assert.deepEqual(seen, order === 'asc' ? expected : [...expected].reverse());
        for (const p of pages) assert.ok(p.objects.length + p.folders.length <= limit);
      });

test('v2: pages with folders', async () => {
  for (const column of ['name', 'created_at']) {
    const pages = await all({ limit: 2, with_delimiter: true, sortBy: { column, order: 'asc' } });
    assert.deepEqual(pages.flatMap((p) => p.folders.map((f) => f.name)), ['b/', 'folder/']);
    assert.deepEqual(pages.flatMap((p) => p.objects.map((o) => o.name)).sort(), ['B2.txt', 'Zebra.txt', 'apple.txt', 'underXscore', 'under_score']);
  }
});

test('v2: a cursor carries its sorting', async () => {
  const { nextCursor } = good(await docs.list2({ limit: 3, sortBy: { column: 'name', order: 'desc' } }));
  assert.deepEqual(good(await docs.list2({ cursor: nextCursor })).objects.map((o) => o.name), [...sorted].reverse().slice(3));
});

const cursors = ['nonsense', '!!!', Buffer.from('{}').toString('base64url'), Buffer.from('{"c":"owner","o":"asc","l":"x"}').toString('base64url'), Buffer.from('{"c":"name","o":"asc; drop","l":"x"}').toString('base64url'), Buffer.from('{"c":"created_at","o":"asc","l":"x","a":"now()"}').toString('base64url'), Buffer.from('[1]').toString('base64url')];
for (const cursor of cursors) test(`v2: the cursor ${cursor} is refused`, async () => refused(await docs.list2({ cursor }), 400, 'InvalidParameter', { error: 'InvalidParameter' }));

test('v2: what cannot be asked', async () => {
  refused(await docs.list2({ limit: 1001 }), 400, 'InvalidRequest', { message: 'body/limit must be <= 1000' });
  refused(await docs.list2({ limit: 0 }), 400, 'InvalidRequest');
  refused(await docs.list2({ with_delimiter: 'perhaps' }), 400, 'InvalidRequest');
  refused(await docs.list2({ cursor: Buffer.from('{"c":"created_at","o":"asc","l":"x","a":"2026-13-45T99:99:99"}').toString('base64url') }), 400, 'InvalidParameter');
  refused(await s.client().request('POST', `/storage/v1/object/list-v2/docs`, {}), 400, 'InvalidRequest');
});
