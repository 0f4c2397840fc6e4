// t/api/storage-render.mjs: images in another size or format: GET /storage/v1/render/image/…
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { stack } from '../lib/stack.mjs';
import { accessControl, bucket, good, makeBucket, refused } from '../lib/storage.mjs';
import { bomb, decodePng, gif, jpeg, look, png } from '../lib/picture.mjs';

const s = await stack({ settings: { 'stream.threads': 64, 'storage.image_source_max': 2_000_000, 'storage.image_pixels_max': 4_000_000, 'storage.master_key': '17'.repeat(32) } });
const { alice, stranger, a, b } = s;
const anybody = a.anon.with({ apikey: null, authorization: null });
const pics = await makeBucket(a, 'pics', { public: true });
const own = await makeBucket(a, 'own');
await s.sql(accessControl('own'));

const base = '/storage/v1/render/image';
const render = (name, query = '', headers = {}, as = anybody) => as.request('GET', `${base}/public/pics/${name}${query}`, undefined, { headers });
const put = async (name, bytes, type, where = pics) => good(await where.put(name, bytes, { 'content-type': type, 'cache-control': 'max-age=77', 'x-upsert': 'true' }));
const picture = (answer) => {
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  const { format, width, height } = look(answer.bytes);
  assert.equal(answer.headers['content-type'], `image/${format}`);
  return `${format} ${width}x${height}`;
};
const folder = path.join(s.storageDir, 'images');
const made = () => (fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => f.name) : []);
const versionOf = async (name) => (await s.rows(`select version from storage.objects where name = '${name}'`))[0].version;

const thirds = png(300, 100, (x) => (x < 100 ? [255, 0, 0] : x < 200 ? [0, 255, 0] : [0, 0, 255]));
await put('wide.png', thirds, 'image/png');
await put('large.png', png(900, 600), 'image/png');
await put('grey.jpg', jpeg(160, 80), 'image/jpeg');
await put('turned.jpg', jpeg(160, 80, { shade: (x) => (x < 10 ? 20 : 230), orientation: 6, secret: 'taken at 47.37, 8.54' }), 'image/jpeg');
await put('moving.gif', gif(40, 20, [2, 3, 1]), 'image/gif');

test('sizes', async (t) => {
  const cases = [
    ['wide.png', '', '300x100'],
    ['wide.png', '?width=150', '150x50'],
    ['wide.png', '?height=50', '150x50'],
    ['wide.png', '?width=100&height=100', '100x100'],
    ['wide.png', '?width=100&height=100&resize=cover', '100x100'],
    ['wide.png', '?width=100&height=100&resize=contain', '100x33'],
    ['wide.png', '?width=100&height=100&resize=fill', '100x100'],
    ['wide.png', '?width=50&resize=fill', '50x100'],
    ['wide.png', '?width=0&height=50', '150x50'],
    ['wide.png', '?width=1&height=1', '1x1'],
    ['wide.png', '?width=1', '1x1'],
    // nothing is enlarged: a box that is too large becomes smaller
    ['wide.png', '?width=600', '300x100'],
    ['wide.png', '?width=600&height=600&resize=contain', '300x100'],
    ['wide.png', '?width=600&height=600&resize=fill', '100x100'],
    ['wide.png', '?width=600&height=600', '300x100'],
    ['wide.png', '?width=600&height=50', '300x50'],
    ['wide.png', '?width=5000&height=100000', '300x100'],
    ['large.png', '?width=450&height=600&resize=contain', '450x300'],
    ['turned.jpg', '', '80x160'],
    ['turned.jpg', '?width=40', '40x80'],
    ['turned.jpg', '?width=40&height=40', '40x40'],
    ['moving.gif', '?width=20', '20x10'],
    ['wide.png', '?width=150&whatever=1&gravity=north', '150x50'],
  ];
  for (const [name, query, size] of cases)
    await t.test(`${name}${query} is ${size}`, async () => assert.equal(picture(await render(name, query)).split(' ')[1], size));
});

test('what is cut off is what sticks out on both sides', async () => {
  const { pixel } = decodePng((await render('wide.png', '?width=100&height=100')).bytes);
  for (const [x, y] of [[0, 0], [99, 0], [50, 50], [0, 99], [99, 99]]) assert.deepEqual(pixel(x, y), [0, 255, 0], `${x}, ${y}`);
});

test('stretched, all of it is there', async () => {
  const { pixel } = decodePng((await render('wide.png', '?width=90&height=100&resize=fill')).bytes);
  assert.deepEqual([pixel(5, 50), pixel(45, 50), pixel(85, 50)], [[255, 0, 0], [0, 255, 0], [0, 0, 255]]);
});

test('formats', async (t) => {
  const accept = 'text/html,image/webp,*/*;q=0.8';
  const cases = [
    ['wide.png', '', {}, 'png'],
    ['grey.jpg', '', {}, 'jpeg'],
    ['moving.gif', '', {}, 'gif'],
    ['wide.png', '', { accept }, 'webp'],
    ['grey.jpg', '', { accept: 'image/WEBP' }, 'webp'],
    ['wide.png', '', { accept: 'image/webp;q=0, */*' }, 'png'],
    ['wide.png', '', { accept: 'image/webpx, */*' }, 'png'],
    ['wide.png', '', { accept: 'image/*' }, 'png'],
    ['wide.png', '?format=origin', { accept }, 'png'],
    ['wide.png', '?format=webp', {}, 'webp'],
    ['wide.png', '?format=avif', { accept }, 'avif'],
    ['moving.gif', '?format=avif&width=20', {}, 'avif'],
  ];
  for (const [name, query, headers, format] of cases)
    await t.test(`${name}${query} ${headers.accept ?? ''} is ${format}`, async () => assert.equal(picture(await render(name, query, headers)).split(' ')[0], format));
  await t.test('WebP and AVIF are read as well', async () => {
    for (const format of ['webp', 'avif']) {
      await put(`made.${format}`, (await render('wide.png', `?format=${format}`)).bytes, `image/${format}`);
      assert.equal(picture(await render(`made.${format}`, '?width=30')), `${format} 30x10`);
      assert.equal(picture(await render(`made.${format}`, '?width=30&format=webp')), 'webp 30x10');
    }
  });
  await t.test('of moving pictures the first one', async () => {
    await put('once.gif', gif(40, 20, [2]), 'image/gif');
    const [moving, once] = [await render('moving.gif'), await render('once.gif')];
    assert.deepEqual(moving.bytes, once.bytes);
  });
  await t.test('a lower quality is smaller', async () => {
    const noise = png(200, 200, (x, y) => [(x * 7919 + y * 104729) % 256, (x * y) % 256, (x ^ y) % 256]);
    await put('noise.png', noise, 'image/png');
    const [low, usual, high] = await Promise.all(['20', '80', '100'].map((q) => render('noise.png', `?format=webp&quality=${q}`)));
    assert.ok(low.bytes.length < usual.bytes.length && usual.bytes.length < high.bytes.length);
    assert.deepEqual(usual.bytes, (await render('noise.png', '?format=webp')).bytes, '80 is the usual one');
  });
});

test('nothing of the metadata is left', async () => {
  const bytes = fs.readFileSync(path.join(import.meta.dirname, '../lib/picture.mjs')).subarray(0, 100);
  await put('words.png', png(20, 20, undefined, [['tEXt', Buffer.from('Comment\0taken at 47.37')], ['eXIf', bytes]]), 'image/png');
  for (const [name, query] of [['turned.jpg', ''], ['turned.jpg', '?format=webp'], ['turned.jpg', '?format=avif'], ['words.png', '']]) {
    const answer = await render(name, query);
    picture(answer);
    for (const trace of ['taken at', 'Comment', 'picture.mjs']) // libvips gives WebP an EXIF of its own, with the resolution
      assert.ok(!answer.bytes.includes(trace), `${name}${query} has ${trace}`);
  }
});

test('parameters that cannot be', async (t) => {
  const cases = ['width=-1', 'width=ten', 'width=1.5', 'height=1e3', 'width=99999999999999', 'quality=19', 'quality=101', 'quality=x', 'resize=crop', 'resize=COVER', 'format=png', 'format=jpg'];
  for (const query of cases)
    await t.test(query, async () => {
      const { message } = refused(await render('wide.png', `?${query}`), 400, 'InvalidRequest');
      assert.ok(message.startsWith(`querystring/${query.split('=')[0]} must be `), message);
    });
});

test('headers', async (t) => {
  const answer = await render('wide.png', '?width=60&height=40&quality=70&resize=contain');
  picture(answer);
  await t.test('as the object has them', async () => {
    const object = await pics.head('wide.png');
    assert.equal(answer.headers['cache-control'], 'max-age=77');
    assert.equal(answer.headers['last-modified'], object.headers['last-modified']);
    assert.equal(answer.headers['x-transformations'], 'height:40,width:60,resize:contain,quality:70');
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(answer.headers['x-robots-tag'], 'none');
    assert.notEqual(answer.headers.etag, object.headers.etag);
    assert.match(answer.headers.etag, /^"[0-9a-f]{32}"$/);
  });
  await t.test('as a download', async () => {
    assert.equal(answer.headers['content-disposition'], undefined);
    assert.equal((await render('wide.png', '?width=60&download=')).headers['content-disposition'], 'attachment;');
    assert.equal((await render('wide.png', '?width=60&download=a%20b.png')).headers['content-disposition'], "attachment; filename=a%20b.png; filename*=UTF-8''a%20b.png");
  });
  await t.test('what depends on Accept says so', async () => {
    assert.equal(answer.headers.vary, 'Accept');
    assert.equal((await render('wide.png', '?width=60&format=origin')).headers.vary, undefined);
  });
  await t.test('each picture has its ETag', async () => {
    const tags = [];
    for (const [query, headers] of [['?width=60', {}], ['?width=61', {}], ['?width=60', { accept: 'image/webp' }], ['?width=60&quality=50', {}]]) tags.push((await render('wide.png', query, headers)).headers.etag);
    assert.equal(new Set(tags).size, 4);
    assert.equal((await render('wide.png', '?width=60&format=origin')).headers.etag, tags[0], 'the same picture by other words');
  });
  await t.test('304', async () => {
    const { etag, 'last-modified': modified } = answer.headers;
    const query = '?width=60&height=40&quality=70&resize=contain';
    for (const headers of [{ 'if-none-match': etag }, { 'if-none-match': `"x", W/${etag}` }, { 'if-none-match': '*' }, { 'if-modified-since': modified }]) {
      const again = await render('wide.png', query, headers);
      assert.deepEqual([again.status, again.bytes.length, again.headers.etag], [304, 0, etag], JSON.stringify(headers));
    }
    for (const headers of [{ 'if-none-match': '"x"' }, { 'if-none-match': '"x"', 'if-modified-since': modified }, { 'if-modified-since': 'Mon, 01 Jan 2001 00:00:00 GMT' }])
      picture(await render('wide.png', query, headers));
  });
  await t.test('HEAD', async () => {
    const head = await anybody.request('HEAD', `${base}/public/pics/wide.png?width=60&height=40&quality=70&resize=contain`);
    assert.deepEqual([head.status, head.bytes.length, head.headers['content-length'], head.headers.etag], [200, 0, String(answer.bytes.length), answer.headers.etag]);
  });
  await t.test('a range', async () => {
    const part = await render('wide.png', '?width=60&height=40&quality=70&resize=contain', { range: 'bytes=1-3' });
    assert.deepEqual([part.status, part.text], [206, 'PNG']);
  });
});

test('who may', async (t) => {
  await put('secret.png', thirds, 'image/png', own);
  const get = (as, kind, name = 'own/secret.png', query = '?width=30') => as.request('GET', `${base}/${kind}/${name}${query}`);
  await t.test('by a policy', async () => assert.equal(picture(await alice.request('GET', '/storage/v1/render/image/authenticated/own/secret.png?width=30')), 'png 30x10'));
  await t.test('with the secret key', async () => assert.equal(picture(await get(a.service, 'authenticated')), 'png 30x10'));
  await t.test('a public one by everybody with a key', async () => assert.equal(picture(await get(a.anon, 'authenticated', 'pics/wide.png')), 'png 30x10'));
  await t.test('not without the policy', async () => refused(await get(a.anon, 'authenticated'), 404, 'NoSuchKey'));
  await t.test('not in another tenant', async () => refused(await get(stranger, 'authenticated'), 404, 'NoSuchBucket'));
  await t.test('not without a key', async () => refused(await get(anybody, 'authenticated'), 400, 'InvalidRequest'));
  await t.test('nothing that is not public as public', async () => {
    for (const as of [anybody, alice, a.service]) refused(await get(as, 'public'), 404, 'NoSuchBucket');
  });
  await t.test('what is not there', async () => {
    refused(await get(alice, 'authenticated', 'own/none.png'), 404, 'NoSuchKey');
    refused(await get(anybody, 'public', 'pics/none.png'), 404, 'NoSuchKey');
    refused(await get(anybody, 'public', 'nowhere/none.png'), 404, 'NoSuchBucket');
  });
  await t.test('of another tenant by its name', async () => {
    const theirs = await makeBucket(b, 'theirs', { public: true });
    await put('wide.png', thirds, 'image/png', theirs);
    assert.equal(picture(await get(anybody, 'public', 'theirs/wide.png', '?width=30&tenant=b')), 'png 30x10');
    refused(await get(anybody, 'public', 'theirs/wide.png', '?width=30'), 404, 'NoSuchBucket');
  });
});

test('signed', async (t) => {
  const sign = async (name, transform, where = bucket(alice, 'own')) => good(await where.sign(name, { expiresIn: 60, transform })).signedURL;
  const get = (url, headers = {}) => anybody.request('GET', `/storage/v1${url}`, undefined, { headers });
  const url = await sign('secret.png', { width: 60, height: 20, resize: 'contain', quality: 50 });
  assert.ok(url.startsWith('/render/image/sign/own/secret.png?token='), url);

  await t.test('without a key, for a while', async () => {
    const answer = await get(url);
    assert.equal(picture(answer), 'png 60x20');
    assert.equal(answer.headers['x-transformations'], 'height:20,width:60,resize:contain,quality:50');
    assert.equal(answer.headers['cache-control'], undefined);
    assert.ok(Date.parse(answer.headers.expires) - Date.now() < 61_000);
  });
  await t.test('the query says nothing', async () => assert.equal(picture(await get(`${url}&width=10&height=10&format=webp`)), 'png 60x20'));
  await t.test('with a format', async () => {
    assert.equal(picture(await get(await sign('secret.png', { width: 60, format: 'avif' }))), 'avif 60x20');
    assert.equal(picture(await get(await sign('secret.png', { format: 'origin' }), { accept: 'image/webp' })), 'png 300x100');
    assert.equal(picture(await get(await sign('secret.png', { width: 60 }), { accept: 'image/webp' })), 'webp 60x20');
  });
  await t.test('not for another object', async () => refused(await get(url.replace('secret.png', 'other.png')), 400, 'InvalidSignature'));
  await t.test('nor as the object itself', async () => refused(await get(url.replace('/render/image/sign/', '/object/sign/')), 400, 'InvalidSignature'));
  await t.test('not with a token that is none', async () => {
    refused(await anybody.request('GET', '/storage/v1/render/image/sign/own/secret.png?token=x.y.z'), 400, 'InvalidJWT');
    assert.equal((await get('/render/image/sign/own/secret.png')).status, 400);
    refused(await get(`/render/image/sign/own/secret.png?token=${alice.headers.authorization.slice(7)}`), 400, 'InvalidJWT');
  });
});

test('what is no image', async (t) => {
  const whole = png(400, 300, (x, y) => [(x * 31 + y * 17) % 256, (x * y) % 256, 7]);
  const lying = png(10, 10);
  lying.writeUInt32BE(100, 16); // the sum of its head is wrong now, and so is the length of its data
  const sources = {
    'text.png': ['hello', /not an image/],
    'page.png': ['<!doctype html><script>alert(1)</script>', /not an image/],
    'drawing.svg': ['<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><image href="file:///etc/passwd"/></svg>', /not an image/],
    'paper.pdf': ['%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF', /not an image/],
    'netpbm.ppm': [Buffer.concat([Buffer.from('P6 2 2 255\n'), Buffer.alloc(12)]), /not an image/],
    'list.csv': ['1,2,3\n4,5,6\n', /not an image/],
    'magick.mvg': ['push graphic-context\nimage over 0,0 0,0 "msl:/etc/passwd"\npop graphic-context\n', /not an image/],
    'script.ps': ['%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n', /not an image/],
    'vips.v': [Buffer.concat([Buffer.from([0x08, 0xf2, 0xa6, 0xb6]), Buffer.alloc(200)]), /not an image/],
    'nothing.png': ['', /not an image/],
    'head.png': [whole.subarray(0, 40), /damaged|not an image/],
    'half.png': [whole.subarray(0, whole.length / 2), /damaged/],
    'half.jpg': [jpeg(800, 800, { shade: (x, y) => (x * 37 + y * 91) % 256 }).subarray(0, 3000), /damaged/],
    'half.gif': [gif(400, 400).subarray(0, 300), /damaged/],
    'lying.png': [lying, /damaged/],
    'riff.webp': [Buffer.from('RIFF\xff\xff\xff\x7fWEBPVP8 \xff\xff\xff\x7f\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f', 'latin1'), /damaged|not an image|too large/],
    'bomb.png': [bomb(30_000, 30_000), /too large: it has more than 4000000 pixels/],
    'bomb.gif': [gif(1, 1, [1], [20_000, 20_000]), /too large/],
    'bomb.jpg': [jpeg(65_000, 65_000, { shade: () => 128, blocks: 10 }), /too large/],
    'heavy.png': [Buffer.concat([thirds, Buffer.alloc(2_000_000)]), /more than 2000000 bytes/],
  };
  for (const [name, [bytes, message]] of Object.entries(sources))
    await t.test(name, async () => {
      await put(name, Buffer.from(bytes), 'image/png');
      refused(await render(name, '?width=10'), 400, 'InvalidRequest', { message });
      refused(await render(name, '?width=10'), 400, 'InvalidRequest', { message }); // from memory
    });
  await t.test('what hangs on behind an image does not come along', async () => {
    await put('both.png', Buffer.concat([thirds, Buffer.from('<script>alert(1)</script>')]), 'text/html');
    const answer = await render('both.png', '?width=30');
    assert.equal(picture(answer), 'png 30x10');
    assert.ok(!answer.bytes.includes('script'));
  });
  await t.test('others are served meanwhile and afterwards', async () => assert.equal(picture(await render('wide.png', '?width=33')), 'png 33x11'));
});

test('the folder of pictures', async (t) => {
  await t.test('twenty at once make one', async () => {
    await put('many.png', png(800, 800, (x, y) => [x % 256, y % 256, (x * y) % 256]), 'image/png');
    const answers = await Promise.all(Array.from({ length: 20 }, () => render('many.png', '?width=400&format=webp')));
    for (const answer of answers) assert.equal(picture(answer), 'webp 400x400');
    const version = await versionOf('many.png');
    assert.deepEqual(made().filter((f) => f.startsWith(version)).length, 1);
  });
  await t.test('a second request finds the file of the first', async () => {
    const version = await versionOf('many.png');
    const [file] = fs.readdirSync(folder, { recursive: true }).filter((f) => f.includes(version));
    const before = fs.statSync(path.join(folder, file));
    assert.match(file, new RegExp(`^${a.id}/${version.slice(-2)}/${version}\\.[0-9a-f]{32}$`));
    await render('many.png', '?width=400&format=webp');
    assert.equal(fs.statSync(path.join(folder, file)).ino, before.ino);
  });
  await t.test('nothing half done is left', () => assert.deepEqual(made().filter((f) => f.endsWith('.new')), []));
  await t.test('an object that is replaced has other pictures', async () => {
    await put('changing.png', png(40, 40, () => [255, 0, 0]), 'image/png');
    const before = await render('changing.png', '?width=10');
    await put('changing.png', png(40, 40, () => [0, 0, 255]), 'image/png');
    const after = await render('changing.png', '?width=10');
    assert.deepEqual([decodePng(before.bytes).pixel(5, 5), decodePng(after.bytes).pixel(5, 5)], [[255, 0, 0], [0, 0, 255]]);
    assert.notEqual(before.headers.etag, after.headers.etag);
  });
  await t.test('one that is deleted has none', async () => {
    good(await pics.remove('changing.png'));
    refused(await render('changing.png', '?width=10'), 404, 'NoSuchKey');
  });
  await t.test('nobody gets it from nginx by its name', async () => {
    const [file] = fs.readdirSync(folder, { recursive: true }).filter((f) => /\.[0-9a-f]{32}$/.test(f));
    assert.equal((await anybody.request('GET', `/_tenon/images/${file}`)).status, 404);
  });
});

test('of an encrypted bucket no picture lies about', async () => {
  const sealed = await makeBucket(a, 'sealed', { public: true });
  await s.sql(`update storage.buckets set encrypted = true where id = 'sealed'`);
  await put('wide.png', thirds, 'image/png', sealed);
  const before = made().length;
  const answer = await anybody.request('GET', `${base}/public/sealed/wide.png?width=30`);
  assert.equal(picture(answer), 'png 30x10');
  assert.equal(answer.headers['x-transformations'], 'width:30,resize:cover');
  assert.equal(answer.headers['content-length'], String(answer.bytes.length));
  const head = await anybody.request('HEAD', `${base}/public/sealed/wide.png?width=30`);
  assert.deepEqual([head.status, head.headers['content-length']], [200, String(answer.bytes.length)]);
  assert.equal(made().length, before);
  refused(await anybody.request('GET', `${base}/public/sealed/none.png?width=30`), 404, 'NoSuchKey');
});
