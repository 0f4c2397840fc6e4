/* bench/storage.mjs: files beside nginx alone, on the same disk and in the same run; started by `bench/run storage`
 *
 *   download  a private file, with the caller's token and a policy, beside nginx sending the same bytes as a static file
 *   upload    POST of a new file each time, beside PUT of nginx's own WebDAV module, which neither synchronises nor computes checksums
 *   files     many small files by rclone: over S3, beside rclone copying them into a folder
 *   memory    of all our processes while many large uploads come at once
 *   listing   a folder of a bucket with a million files, beside the same one in a bucket with a thousand
 *
 * Numbers of one line compare; numbers of two machines do not.
 */
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { eventually, startStack } from '../t/lib/stack.mjs';
import { freePort, startCluster } from '../t/lib/postgres.mjs';
import { cores, CpuGroups, cpuOf, figure, footprint, machine, percent, wrk } from './lib.mjs';

const run = promisify(execFile);
const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '16' },
    large: { type: 'string', default: '1024' },
    uploads: { type: 'string', default: '50' },
    each: { type: 'string', default: '1024' },
    files: { type: 'string', default: '10000' },
    rows: { type: 'string', default: '1000000' },
    only: { type: 'string' },
    dir: { type: 'string' },
    'no-groups': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  console.log(`Usage: bench/run storage [--seconds 4] [--rounds 3] [--connections 16] [--large 1024] [--uploads 50] [--each 1024] [--files 10000]
                         [--rows 1000000] [--only download,upload,files,memory,listing] [--dir DIR] [--no-groups] [--json]

Prints files per second, or seconds, beside nginx alone, and their ratio. --large is the largest file and --each what each of the --uploads
brings at once, in MiB; the disk below --dir (the folder for temporary files) takes all of them. --no-groups leaves all servers in the control
group of the shell.`);
  process.exit(0);
}
const wanted = args.only?.split(',') ?? ['download', 'upload', 'files', 'memory', 'listing'];
const [seconds, rounds, connections] = [args.seconds, args.rounds, args.connections].map(Number);
const MiB = 2 ** 20;
const large = Number(args.large) * MiB;
const sizes = [['1 KiB', 1024], ['1 MiB', MiB], [`${args.large} MiB`, large]];
if (args.dir) process.env.TMPDIR = path.resolve(args.dir);
const groups = new CpuGroups();
const results = { machine: await machine(), groups: groups.isMade && !args['no-groups'] };
say(`${results.machine.text}; ${results.groups ? 'a cpu control group for each server' : 'no control groups'}`);

const cluster = await startCluster({ settings: { fsync: 'on', shared_buffers: "'256MB'", max_wal_size: "'2GB'" } });
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-bench-'));
fs.chmodSync(dir, 0o755);
let s, alice, reference;
try {
  s = await startStack({
    cluster,
    settings: { 'log.level': 'warn', 'server.database_wait_ms': 60_000, 'api.processes': cores, 'api.threads': 16, 'api.connections': 4, 'stream.processes': 1 },
  });
  ({ alice } = s);
  reference = await startReference();
  if (results.groups) {
    groups.move('postgres', Number(fs.readFileSync(`${cluster.data}/postmaster.pid`, 'utf8').split('\n')[0]));
    groups.move('tenon', s.master.pid);
    groups.move('nginx', s.nginx.pid);
    groups.move('reference', reference.pid);
  }
  await s.sql(`insert into storage.buckets (tenant_id, id, name) values ('${s.a.id}', 'b', 'b'), ('${s.a.id}', 'few', 'few'), ('${s.a.id}', 'many', 'many');
    create policy bench on storage.objects to authenticated using (owner_id = (select auth.uid())::text) with check (owner_id = (select auth.uid())::text)`);
  for (const [name, measure] of Object.entries({ download, upload, files, memory, listing })) if (wanted.includes(name)) await measure();
} finally {
  reference?.kill('SIGTERM');
  await s?.stop().catch((error) => console.error(error.message));
  cluster.remove();
  await groups.remove();
  fs.rmSync(dir, { recursive: true, force: true });
}
if (args.json) console.log(JSON.stringify(results, null, 2));

/* The round in the middle. */
async function middle(measure) {
  const all = [];
  for (let i = 0; i < rounds; i++) all.push(await measure(i));
  return all.sort((x, y) => x - y)[rounds >> 1];
}

/* nginx alone: the same processes and limits, the same disk; static files and WebDAV. */
async function startReference() {
  const port = await freePort();
  for (const folder of ['files', 'temp']) {
    fs.mkdirSync(path.join(dir, folder));
    if (process.getuid() === 0) await run('chown', ['www-data', path.join(dir, folder)]);
  }
  fs.writeFileSync(path.join(dir, 'nginx.conf'), `
user www-data; worker_processes 2; pid ${dir}/nginx.pid; error_log ${dir}/error.log;
events { worker_connections 8192; }
http {
  access_log ${dir}/access.log combined buffer=64k flush=1s; sendfile on; default_type application/octet-stream; client_max_body_size 5g;
  client_body_temp_path ${dir}/temp; fastcgi_temp_path ${dir}/f; proxy_temp_path ${dir}/p; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  server { listen 127.0.0.1:${port} backlog=4096; root ${dir}/files; dav_methods PUT DELETE MKCOL; create_full_put_path on; }
}`);
  const child = spawn('nginx', ['-e', path.join(dir, 'error.log'), '-p', dir, '-c', path.join(dir, 'nginx.conf'), '-g', 'daemon off;'], { stdio: 'inherit' });
  child.origin = `http://127.0.0.1:${port}`;
  await eventually('nginx alone', async () => (await fetch(child.origin)).status > 0);
  return child;
}

function auth(client = alice) {
  return Object.entries(client.headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`).join('\n');
}

function curlAuth(client = alice) {
  return Object.entries(client.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
}

/* Seconds that curl takes for one large file. */
async function curl(...more) {
  const { stdout } = await run('curl', ['-fsS', '-o', '/dev/null', '-w', '%{time_total}', ...more]);
  return Number(stdout);
}

/* A file of that many bytes, sparse. */
function sparse(name, size) {
  const file = path.join(dir, name);
  fs.closeSync(fs.openSync(file, 'w'));
  fs.truncateSync(file, size);
  return file;
}

function compare(what, ours, theirs, unit, better) {
  const ratio = better === 'more' ? ours / theirs : theirs / ours;
  (results[what[0]] ??= {})[what[1]] = { ours, nginx: theirs, ratio };
  const show = (x) => (unit === '/s' ? figure(x) : x.toFixed(2).padStart(9));
  say(`  ${what[1].padEnd(10)} ${show(ours)} ${unit}   nginx alone ${show(theirs)} ${unit}   ${percent(ratio)}`);
}

/* --- download --------------------------------------------------------------------------------------- */

async function download() {
  say('Download of a private file');
  for (const [label, size] of sizes) {
    const file = sparse('file', size);
    const url = `${s.origin}/storage/v1/object/b/down-${size}`, plain = `${reference.origin}/down-${size}`;
    await curl('-X', 'POST', ...curlAuth(), '-H', 'content-type: application/octet-stream', '-T', file, url);
    fs.copyFileSync(file, path.join(dir, 'files', `down-${size}`));
    if (size > MiB) {
      const pairs = { ours: await middle(() => curl(...curlAuth(), url)), nginx: await middle(() => curl(plain)) };
      compare(['download', label], pairs.ours, pairs.nginx, 's', 'less');
      continue;
    }
    const load = (script, target) => wrk({ dir, script, url: target, seconds, connections }).then((r) => (checkErrors(r), r.rate));
    await load(auth(), url);
    const before = [cluster, s.master, s.nginx].map(cpu);
    const { requests } = await wrk({ dir, script: auth(), url, seconds, connections });
    const [postgres, workers, nginx] = [cluster, s.master, s.nginx].map((what, i) => (cpu(what) - before[i]) / requests);
    (results.download ??= {}).cpu = { ...results.download?.cpu, [label]: { postgres, workers, nginx } };
    say(`  ${label.padEnd(10)} takes ${postgres.toFixed(0)} µs of a processor in PostgreSQL, ${workers.toFixed(0)} in the workers, ${nginx.toFixed(0)} in nginx`);
    compare(['download', label], await middle(() => load(auth(), url)), await middle(() => load('', plain)), '/s', 'more');
  }
}

function cpu(what) {
  return cpuOf(what.pid ?? Number(fs.readFileSync(`${cluster.data}/postmaster.pid`, 'utf8').split('\n')[0]));
}

function checkErrors(result) {
  if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
}

/* --- upload ----------------------------------------------------------------------------------------- */

function uploading(method, size, folder, headers) {
  return `${headers}
wrk.method, wrk.headers["content-type"] = "${method}", "application/octet-stream"
local body, n, mark = string.rep("x", ${size}), 0, tostring({}):sub(8)
request = function()
  n = n + 1
  return wrk.format(nil, "${folder}/" .. mark .. "-" .. n, nil, body)
end`;
}

async function upload() {
  say('Upload of a new file');
  for (const [label, size] of sizes) {
    if (size > MiB) {
      const file = sparse('file', size);
      const ours = await middle((i) => curl('-X', 'POST', ...curlAuth(), '-H', 'content-type: application/octet-stream', '-H', 'Expect:', '-T', file, `${s.origin}/storage/v1/object/b/up-${size}-${i}`));
      const theirs = await middle((i) => curl('-H', 'Expect:', '-T', file, `${reference.origin}/up-${size}-${i}`));
      compare(['upload', label], ours, theirs, 's', 'less');
      continue;
    }
    const load = async (script, url) => {
      const result = await wrk({ dir, script, url, seconds, connections });
      checkErrors(result);
      return result.rate;
    };
    let round = 0;
    const ours = await middle(() => load(uploading('POST', size, `/storage/v1/object/b/${size}-${++round}`, auth()), s.origin));
    const theirs = await middle(() => load(uploading('PUT', size, `/${size}-${++round}`, ''), reference.origin));
    compare(['upload', label], ours, theirs, '/s', 'more');
  }
}

/* --- many small files ------------------------------------------------------------------------------- */

async function files() {
  const count = Number(args.files);
  const tree = path.join(dir, 'tree');
  for (let i = 0; i < count; i++) {
    if (i % 100 === 0) fs.mkdirSync(path.join(tree, String(i / 100)), { recursive: true });
    fs.writeFileSync(path.join(tree, String(Math.floor(i / 100)), `${i}.txt`), `file ${i}\n`.repeat(50));
  }
  const key = await s.tenon('s3-key', 'create', '--tenant', 'a', '--name', 'bench', '--json');
  if (key.code !== 0) throw new Error(key.stderr);
  const { access_key_id: id, secret_access_key: secret } = key.json;
  const rclone = async (env, target) => {
    const began = performance.now();
    await run('rclone', ['copy', '--transfers', '16', '--checkers', '16', '--config', '/dev/null', tree, target], { env: { PATH: process.env.PATH, HOME: dir, ...env } });
    return (performance.now() - began) / 1000;
  };
  const ours = await rclone({ RCLONE_CONFIG_T_TYPE: 's3', RCLONE_CONFIG_T_PROVIDER: 'Other', RCLONE_CONFIG_T_ACCESS_KEY_ID: id, RCLONE_CONFIG_T_SECRET_ACCESS_KEY: secret,
    RCLONE_CONFIG_T_ENDPOINT: `${s.origin}/storage/v1/s3`, RCLONE_CONFIG_T_REGION: 'us-east-1', RCLONE_CONFIG_T_FORCE_PATH_STYLE: 'true' }, 't:b/tree');
  const theirs = await rclone({}, path.join(dir, 'copy'));
  results.files = { ours: count / ours, disk: count / theirs };
  say(`${count.toLocaleString('en')} small files by rclone\n  over S3    ${figure(count / ours)} /s   into a folder ${figure(count / theirs)} /s`);
}

/* --- memory ----------------------------------------------------------------------------------------- */

/* One upload of zeros; gives what it was answered. */
function bring(name, size) {
  return new Promise((resolve, reject) => {
    const url = new URL(`${s.origin}/storage/v1/object/b/${name}`);
    const request = http.request({ host: url.hostname, port: url.port, path: url.pathname, method: 'POST', agent: false,
      headers: { ...alice.headers, 'content-type': 'application/octet-stream', 'content-length': size } }, (response) => response.resume().on('end', () => resolve(response.statusCode)));
    const piece = Buffer.alloc(MiB);
    let left = size;
    const more = () => {
      while (left > 0) {
        const length = Math.min(left, MiB);
        left -= length;
        if (!request.write(length === MiB ? piece : piece.subarray(0, length))) return void request.once('drain', more);
      }
      request.end();
    };
    request.on('error', reject);
    more();
  });
}

async function memory() {
  const count = Number(args.uploads), size = Number(args.each) * MiB;
  const before = footprint(s.master.pid);
  let most = before, over = false;
  const watching = (async () => {
    while (!over) {
      most = Math.max(most, footprint(s.master.pid));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  const statuses = await Promise.all(Array.from({ length: count }, (_, i) => bring(`memory-${i}`, size)));
  over = true;
  await watching;
  const failed = statuses.filter((status) => status !== 200);
  results.memory = { before_kib: before, most_kib: most, failed: failed.length };
  say(`Memory of all our processes while ${count} uploads of ${args.each} MiB come at once
  before     ${(before / 1024).toFixed(0).padStart(9)} MiB   at most ${(most / 1024).toFixed(0)} MiB${failed.length ? `   ${failed.length} failed: ${failed[0]}` : ''}`);
  for (let i = 0; i < count; i++) await alice.request('DELETE', `/storage/v1/object/b/memory-${i}`);
}

/* --- listing ---------------------------------------------------------------------------------------- */

async function fill(bucket, rows) {
  await s.sql(`set session_replication_role = replica;
    insert into storage.objects (tenant_id, bucket_id, name, owner_id, version, metadata, size)
    select '${s.a.id}', '${bucket}', 'f' || (i / 100) || '/' || i || '.txt', '${alice.user.id}', null, '{"size": 10, "mimetype": "text/plain"}', 10 from generate_series(0, ${rows - 1}) i;
    reset session_replication_role; analyze storage.objects`);
}

async function listing() {
  const rows = Number(args.rows);
  await fill('few', 1000);
  await fill('many', rows);
  say('Listing a folder of 100 files');
  for (const [label, limit] of [['all', 100], ['ten', 10]]) {
    const script = `${auth()}
wrk.method, wrk.headers["content-type"], wrk.body = "POST", "application/json", '{"prefix":"f5","limit":${limit}}'`;
    const load = async (bucket) => {
      const result = await wrk({ dir, script, url: `${s.origin}/storage/v1/object/list/${bucket}`, seconds, connections });
      checkErrors(result);
      return result.rate;
    };
    await load('many');
    const few = await middle(() => load('few')), many = await middle(() => load('many'));
    (results.listing ??= {})[label] = { few, many, ratio: many / few };
    say(`  ${label.padEnd(10)} ${figure(many)} /s among ${rows.toLocaleString('en')}   ${figure(few)} /s among 1,000   ${percent(many / few)}`);
  }
}

function say(text) {
  if (!args.json) console.log(text);
}
