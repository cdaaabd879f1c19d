import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, ftruncateSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import * as forklock from 'forklock';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { own, stranger } from '../support/own.js';
import { program } from '../support/program.js';
import { script } from '../support/script.js';
import { cleanUp, freshName } from '../support/subjects.js';

/** Files under forklock's names that others have made or changed; users who are not meant. */

afterEach(cleanUp);

const directory = `/dev/shm/forklock-${process.geteuid?.() ?? 0}`;
const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.log('Files of, and access by, other users: skipped, because this is not root');

describe('a block of SharedMemory', () => {
  const files: string[] = [];
  afterEach(() => {
    for (const file of files.splice(0)) rmSync(file, { force: true, recursive: true });
  });
  function block(): { name: string; file: string } {
    const name = own();
    const file = `/dev/shm/${name}`;
    writeFileSync(file, Buffer.alloc(100), { mode: 0o600 });
    files.push(file);
    return { name, file };
  }

  test.runIf(isRoot)('that belongs to somebody else is refused', () => {
    const { name, file } = block();
    const uid = stranger();
    chownSync(file, uid, uid);
    expect(() => new forklock.SharedMemory({ name })).toThrow(expect.objectContaining({ reason: 'EPERM' }));
  });

  test('that others may write to is refused; that others may read is not', () => {
    const { name, file } = block();
    for (const mode of [0o666, 0o620, 0o602]) {
      chmodSync(file, mode);
      expect(() => new forklock.SharedMemory({ name })).toThrow(expect.objectContaining({ reason: 'EPERM' }));
    }
    chmodSync(file, 0o644);
    new forklock.SharedMemory({ name }).close();
  });

  test('that is a pipe is refused, without waiting for who writes to it', () => {
    const { name, file } = block();
    rmSync(file);
    execFileSync('mkfifo', ['-m', '600', file]);
    expect(() => new forklock.SharedMemory({ name })).toThrow(expect.objectContaining({ reason: 'EBADMSG' }));
  });
});

describe('a segment whose header is right but for', () => {
  const HEAP = 135_168;
  const ROWS = 8 * 2 * 1023;

  function fileWith(heap: number, size = HEAP + heap + ROWS): string {
    const name = freshName();
    new forklock.Lock({ name }).close();
    const file = `${directory}/${encodeURIComponent(name)}`;
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, size);
    writeSync(fd, new Uint32Array([heap % 2 ** 32, Math.floor(heap / 2 ** 32)]), 0, 8, 16);
    closeSync(fd);
    return name;
  }

  test('nothing: it is opened', () => {
    const name = fileWith(8192);
    new forklock.Lock({ name }).close();
  });

  test.each([1, 64, 4095, 4097, 12_350])('a heap of %i bytes, which would put rows at odd places', (heap) => {
    const name = fileWith(heap);
    expect(() => new forklock.Lock({ name })).toThrow(expect.objectContaining({ reason: 'EBADMSG' }));
  });

  test('no heap at all', () => {
    const name = fileWith(0);
    expect(() => new forklock.Lock({ name })).toThrow(expect.objectContaining({ reason: 'EBADMSG' }));
  });

  test('a heap of a tebibyte, in a file of that size with nothing in it', () => {
    const name = fileWith(2 ** 40);
    expect(() => new forklock.Lock({ name })).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_SYSTEM' }));
    forklock.Lock.unlink(name);
  });
});

describe('a file that somebody makes shorter', () => {
  test('cannot be that of an anonymous object, nor can a handle lead to one that could', async () => {
    const { printed, ...end } = await program(`
      const lock = new Lock();
      const { fd } = lock.cell.segment;
      const attempt = (fn) => { try { fn(); return 'done'; } catch (error) { return error.code; } };
      print(attempt(() => fs.ftruncateSync(fd, 0)));
      print(attempt(() => fs.truncateSync('/proc/self/fd/' + fd, 4096)));
      print(lock.tryAcquire());
      const file = '/dev/shm/${own()}';
      fs.writeFileSync(file, fs.readFileSync('/proc/self/fd/' + fd), { mode: 0o600 });
      const copy = fs.openSync(file, 'r+');
      const { ino } = fs.fstatSync(copy);
      fs.unlinkSync(file);
      const [a, b, where, c, d] = lock.handle.split(':');
      const cookie = where.split('.')[3];
      print(attempt(() => Lock.from([a, b, [process.pid, copy, ino, cookie].join('.'), c, d].join(':'))));
    `);
    expect({ printed, end }).toMatchObject({
      printed: ['EPERM', 'EPERM', true, 'ERR_FORKLOCK_INVALID_HANDLE'],
      end: { code: 0, stderr: '' },
    });
  });

  test('under a name is refused from then on; a process that has it open is ended by the kernel, and no other', async () => {
    const name = freshName();
    const kept = new forklock.Event();
    const { printed, signal } = await program(`
      const lock = new Lock({ name: '${name}' });
      const event = Event.from('${kept.handle}');
      event.set();
      print(lock.tryAcquire());
      fs.truncateSync('${directory}/${encodeURIComponent(name)}', 0);
      print(lock.locked);
    `);
    expect(printed).toEqual([true]);
    expect(signal).toBe('SIGBUS');
    expect(() => new forklock.Lock({ name })).toThrow(expect.objectContaining({ reason: 'EBADMSG' }));
    forklock.Lock.unlink(name);
    expect(kept.isSet).toBe(true);
    kept.close();
  });
});

test.runIf(isRoot)('another user can open nothing, by handle or name, of any class', async () => {
  const objects = {
    Lock: new forklock.Lock(),
    RLock: new forklock.RLock(),
    Semaphore: new forklock.Semaphore(),
    BoundedSemaphore: new forklock.BoundedSemaphore(),
    Condition: new forklock.Condition(),
    Event: new forklock.Event(),
    Barrier: new forklock.Barrier(2),
    RWLock: new forklock.RWLock(),
    Value: new forklock.Value('int32'),
    RawArray: new forklock.RawArray('int32', 100_000),
    SharedMemory: new forklock.SharedMemory({ size: 10 }),
  };
  const name = freshName();
  const named = new forklock.Lock({ name });
  const block = new forklock.SharedMemory({ create: true, size: 10 });
  onTestFinished(() => {
    for (const end of ['', '-planted']) rmSync(`/dev/shm/${block.name}${end}`, { force: true });
  });
  const handles: [string, string][] = Object.entries(objects).map(([cls, object]) => [cls, object.handle]);
  const { printed, code, stderr } = await script(
    (
      { forklock, fs, print },
      handles: [string, string][],
      name: string,
      named: string,
      directory: string,
      block: string,
      uid: number,
    ) => {
      process.setgid?.(uid);
      process.setuid?.(uid);
      const attempt = (fn: () => unknown): unknown => {
        try {
          fn();
          return 'done';
        } catch (error) {
          const { code, reason } = error as { code: string; reason?: string };
          return reason ?? code;
        }
      };
      const classes = forklock as unknown as Record<string, { from(handle: string): unknown }>;
      print(handles.map(([cls, handle]) => attempt(() => classes[cls!]!.from(handle!))));
      print([
        attempt(() => forklock.Lock.from(named)),
        attempt(() => new forklock.SharedMemory({ name: block })),
        attempt(() => forklock.SharedMemory.unlink(block)),
        attempt(() => fs.readdirSync(directory)),
        attempt(() => fs.readFileSync(`${directory}/${encodeURIComponent(name)}`)),
        forklock.Lock.unlink(name),
      ]);
      // What this user could do to root: plant a block under a name.
      fs.writeFileSync(`/dev/shm/${block}-planted`, Buffer.alloc(100));
      fs.chmodSync(`/dev/shm/${block}-planted`, 0o666);
    },
    [handles, name, String(named.handle), directory, String(block.name), stranger()] as [
      [string, string][],
      string,
      string,
      string,
      string,
      number,
    ],
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(printed[0]).toEqual(handles.map(() => 'ERR_FORKLOCK_INVALID_HANDLE'));
  const [lock, memory, unlinked, list, file, unlinkedName] = printed[1];
  expect([lock, memory, unlinked, list, file, unlinkedName]).toEqual([
    'ERR_FORKLOCK_INVALID_HANDLE',
    'EACCES',
    'EPERM',
    'EACCES',
    'EACCES',
    false,
  ]);
  expect(() => new forklock.SharedMemory({ name: `${block.name}-planted` })).toThrow(
    expect.objectContaining({ reason: 'EPERM' }),
  );
  block.unlink();
  named.close();
  for (const object of [...Object.values(objects), block]) object.close();
});
