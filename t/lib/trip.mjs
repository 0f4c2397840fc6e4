/* t/lib/trip.mjs: ends a process of a stack, or fails one of its calls, at a step that the test names (t/fault/trip.c)
 *
 *   const trip = makeTrip();                        // undefined where there is no compiler
 *   const s = await stack({ env: trip.env });
 *   trip.arm('kill', 3, s.workers('api'));          // before the third step that changes something
 *   …
 *   trip.disarm();                                  // {hit: true, steps: ['openat2', 'write', 'fsync', …]}
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

const modes = { count: 1, kill: 2, fail: 3 };
const head = 48, nameSize = 16, names = 4096;

export function makeTrip() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-trip-'));
  fs.chmodSync(dir, 0o755);
  after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const library = path.join(dir, 'trip.so');
  try {
    execFileSync(process.env.CC ?? 'cc', ['-O1', '-shared', '-fPIC', '-o', library, path.join(import.meta.dirname, '../fault/trip.c'), '-ldl'], { stdio: 'pipe' });
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
  const file = path.join(dir, 'control');
  fs.writeFileSync(file, Buffer.alloc(head + names * nameSize));
  fs.chmodSync(file, 0o666);
  const fd = fs.openSync(file, 'r+');
  after(() => fs.closeSync(fd));

  const write = (mode, step, pids) => {
    const control = Buffer.alloc(head);
    control.writeInt32LE(step, 4);
    pids.slice(0, 8).forEach((pid, i) => control.writeInt32LE(pid, 16 + 4 * i));
    fs.writeSync(fd, control, 4, head - 4, 4);
    fs.writeSync(fd, Buffer.from([mode, 0, 0, 0]), 0, 4, 0); // last, so that the rest is there
  };
  const read = () => {
    const control = Buffer.alloc(head + names * nameSize);
    fs.readSync(fd, control, 0, control.length, 0);
    const counted = Math.min(control.readInt32LE(8), names - 1);
    const steps = Array.from({ length: counted }, (_, i) => control.toString('latin1', head + (i + 1) * nameSize, head + (i + 2) * nameSize).replace(/\0.*$/s, ''));
    return { hit: control.readInt32LE(12) === 1, steps };
  };
  return {
    env: { LD_PRELOAD: library, TENON_TRIP: file },
    arm: (mode, step, pids) => write(modes[mode], step, pids),
    read,
    disarm: () => {
      const seen = read();
      write(0, 0, []);
      return seen;
    },
  };
}
