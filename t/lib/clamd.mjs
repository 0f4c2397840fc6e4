/* t/lib/clamd.mjs: the real clamd with a signature of ours, and one that misbehaves
 *
 *   const scanner = await startClamd();     // scanner.address for storage.clamd; undefined where clamd is not installed
 *   const faulty = await faultyClamd();     // faulty.say = 'stream: OK' | null (hangs) | 'hang up'; faulty.received
 *
 * The real one has a configuration, a socket and a database of its own: two signatures, of a text that we call a virus and of the test file
 * of EICAR (which is no virus either). No freshclam and no network. Both end with the test file.
 */
import { after } from 'node:test';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { eventually } from './stack.mjs';

export const eicar = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!', '$H+H*'].join('');
export const ours = 'tenon test virus: nothing happens when this is run';

const hex = (text) => Buffer.from(text).toString('hex');

function find() {
  for (const file of ['/usr/sbin/clamd', '/usr/local/sbin/clamd']) if (fs.existsSync(file)) return file;
  return undefined;
}

export async function startClamd(settings = {}) {
  const binary = find();
  if (!binary) return undefined;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-clamd-'));
  fs.chmodSync(dir, 0o755);
  const database = path.join(dir, 'db');
  fs.mkdirSync(database);
  fs.writeFileSync(path.join(database, 'tenon.ndb'), `Tenon-Test:0:*:${hex(ours)}\nEicar-Test:0:0:${hex(eicar)}\n`);
  const socket = path.join(dir, 'clamd.sock');
  const conf = path.join(dir, 'clamd.conf');
  const lines = { Foreground: 'yes', LocalSocket: socket, LocalSocketMode: '666', DatabaseDirectory: database, TemporaryDirectory: dir, LogFile: path.join(dir, 'log'), StreamMaxLength: '5M', ...settings };
  fs.writeFileSync(conf, Object.entries(lines).map(([name, value]) => `${name} ${value}\n`).join(''));
  if (process.getuid() === 0) execFileSync('chown', ['-R', 'www-data', dir]);
  const clamd = spawn(binary, ['-c', conf, '-F'], { stdio: 'ignore', ...(process.getuid() === 0 && { uid: idOf('www-data', '-u'), gid: idOf('www-data', '-g') }) });
  const stop = async () => {
    if (clamd.exitCode === null && clamd.signalCode === null) {
      clamd.kill('SIGKILL');
      await once(clamd, 'exit');
    }
  };
  after(async () => {
    await stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  await eventually('clamd to listen', async () => {
    if (clamd.exitCode !== null) throw Object.assign(new Error(`clamd ended: ${fs.readFileSync(lines.LogFile, 'utf8')}`), { final: true });
    return fs.existsSync(socket) && (await ping(socket)) === 'PONG\0';
  }, 60_000);
  return { address: `unix:${socket}`, stop };
}

function idOf(user, which) {
  return Number(execFileSync('id', [which, user]).toString());
}

async function ping(socket) {
  const connection = net.connect(socket);
  try {
    await once(connection, 'connect');
    connection.write('zPING\0');
    const [answer] = await once(connection, 'data');
    return answer.toString();
  } catch {
    return undefined;
  } finally {
    connection.destroy();
  }
}

export async function faultyClamd() {
  const faulty = { say: 'stream: OK', received: [], address: '' };
  const connections = new Set();
  const server = net.createServer((connection) => {
    connections.add(connection);
    let bytes = Buffer.alloc(0);
    connection.on('error', () => {}).on('close', () => connections.delete(connection));
    if (faulty.say === 'hang up') return void connection.destroy();
    connection.on('data', (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      if (faulty.say === 'early') return void connection.end('INSTREAM size limit exceeded. ERROR\0');
      if (bytes.length < 14 || bytes.readUInt32BE(bytes.length - 4) !== 0) return; // ends with a piece of no length
      faulty.received.push(bytes);
      if (faulty.say !== null) connection.end(`${faulty.say}\0`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  faulty.address = `127.0.0.1:${server.address().port}`;
  after(() => {
    for (const connection of connections) connection.destroy();
    server.close();
  });
  return faulty;
}
