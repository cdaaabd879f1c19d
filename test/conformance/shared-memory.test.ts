import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { SharedMemory } from 'forklock';
import { afterEach, describe, expect, test } from 'vitest';
import { PROCESSES } from '../support/actor.js';
import { own } from '../support/own.js';
import { useTroupe } from '../support/stage.js';

const troupe = useTroupe();

const names: string[] = [];
const newName = (): string => {
  const name = own();
  names.push(name);
  return name;
};
afterEach(() => {
  for (const name of names.splice(0)) SharedMemory.unlink(name);
});

const bytes = (memory: SharedMemory): Uint8Array => new Uint8Array(memory.buffer);

describe('SharedMemory', () => {
  test('an anonymous block is a SharedArrayBuffer that others open by its handle', async () => {
    const memory = new SharedMemory({ size: 10_000 });
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([memory.size, memory.buffer.byteLength, memory.name]).toEqual([10_000, 10_000, undefined]);
    expect(bytes(memory).every((b) => b === 0)).toBe(true);
    const modes = [...PROCESSES, 'thread'] as const;
    for (const mode of modes) {
      const [actor] = await troupe.lendAll([mode]);
      await actor!.open('SharedMemory', 'm', memory.handle);
      await actor!.run(({ get }) => {
        new Uint8Array(get('m').buffer)[9999]! += 1;
      });
    }
    expect(bytes(memory)[9999]).toBe(modes.length);
  });

  test('a named block is created once, attached by name or handle, and stays until it is unlinked', () => {
    const name = newName();
    const memory = new SharedMemory({ name, create: true, size: 100 });
    bytes(memory)[99] = 7;
    expect(memory.name).toBe(name);
    expect(() => new SharedMemory({ name, create: true, size: 100 })).toThrow(
      expect.objectContaining({ reason: 'EEXIST' }),
    );
    const again = new SharedMemory({ name: `/${name}` });
    expect([again.size, bytes(again)[99]]).toEqual([100, 7]);
    expect(bytes(SharedMemory.from(memory.handle))[99]).toBe(7);
    memory.close();
    again.close();
    const later = new SharedMemory({ name });
    expect(bytes(later)[99]).toBe(7);
    later.unlink();
    expect(bytes(later)[99]).toBe(7);
    expect(() => later.unlink()).toThrow(expect.objectContaining({ reason: 'ENOENT' }));
    expect(() => new SharedMemory({ name })).toThrow(expect.objectContaining({ reason: 'ENOENT' }));
    expect(SharedMemory.unlink(name)).toBe(false);
  });

  test('create without a name makes one up', () => {
    const memory = new SharedMemory({ create: true, size: 1 });
    names.push(memory.name!);
    expect(existsSync(`/dev/shm/${memory.name}`)).toBe(true);
    expect(memory.buffer.byteLength).toBe(1);
  });

  test('after close() the buffer is not given out, and close() again does nothing', () => {
    const memory = new SharedMemory({ size: 1 });
    const { buffer } = memory;
    memory.close();
    memory.close();
    expect(memory.size).toBe(1);
    for (const use of [() => memory.buffer, () => memory.handle]) {
      expect(use).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_CLOSED' }));
    }
    new Uint8Array(buffer)[0] = 1; // a buffer that somebody has kept stays mapped
  });

  test('bad arguments are errors, and make nothing', () => {
    for (const size of [0, -1, 0.5, Number.NaN, 2 ** 50]) {
      expect(() => new SharedMemory({ size })).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_OUT_OF_RANGE' }));
      const name = newName();
      expect(() => new SharedMemory({ name, create: true, size })).toThrow(RangeError);
      expect(existsSync(`/dev/shm/${name}`)).toBe(false);
    }
    expect(() => new SharedMemory({ create: true })).toThrow(TypeError);
    expect(() => new SharedMemory({} as object)).toThrow(TypeError);
    expect(() => new SharedMemory(null as unknown as object)).toThrow(TypeError);
    for (const name of ['', '/', '.', '..', 'a/b', '/a/b', '../x', 'a\0b', 'x'.repeat(256), '\ud800']) {
      expect(() => new SharedMemory({ name, create: true, size: 1 })).toThrow(RangeError);
    }
    expect(() => new SharedMemory({ name: 1 as unknown as string })).toThrow(TypeError);
    expect(() => SharedMemory.from('forklock1:lock:1.2.3.00000000000000000000000000000000:0:0')).toThrow(
      expect.objectContaining({ code: 'ERR_FORKLOCK_INVALID_HANDLE' }),
    );
  });

  test.each(['é'.repeat(100), '%'.repeat(200), '.x'])(
    'the handle of a name that is longer in it opens it: %s',
    (end) => {
      const memory = new SharedMemory({ name: newName() + end, create: true, size: 1 });
      SharedMemory.from(memory.handle).close();
      memory.unlink();
      for (const handle of [memory.handle, 'forklock1:memory:@a%2Fb:0:0', `forklock1:memory:@${'x'.repeat(300)}:0:0`]) {
        expect(() => SharedMemory.from(handle)).toThrow(
          expect.objectContaining({ code: 'ERR_FORKLOCK_INVALID_HANDLE' }),
        );
      }
      memory.close();
    },
  );

  test('an empty file, a directory and a symbolic link are not attached to', () => {
    const name = newName();
    writeFileSync(`/dev/shm/${name}`, '');
    expect(() => new SharedMemory({ name })).toThrow(expect.objectContaining({ reason: 'EBADMSG' }));
    execFileSync('rm', [`/dev/shm/${name}`]);
    execFileSync('mkdir', [`/dev/shm/${name}`]);
    expect(() => new SharedMemory({ name })).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_SYSTEM' }));
    execFileSync('rmdir', [`/dev/shm/${name}`]);
    execFileSync('ln', ['-s', '/etc/passwd', `/dev/shm/${name}`]);
    expect(() => new SharedMemory({ name })).toThrow(expect.objectContaining({ reason: 'ELOOP' }));
  });

  test.each(PROCESSES)('ten thousand blocks that are made and closed leave no descriptors behind: %s', async (mode) => {
    const [actor] = await troupe.lendAll([mode]);
    const grown = await actor!.run(({ forklock, fs }) => {
      const open = (): number => fs.readdirSync('/proc/self/fd').length;
      new forklock.SharedMemory({ size: 4096 }).close();
      const before = open();
      for (let i = 0; i < 10_000; i++) new forklock.SharedMemory({ size: 4096 }).close();
      return open() - before;
    });
    expect(grown).toBe(0);
  });
});

const python = spawnSync('python3', ['-c', 'import multiprocessing.shared_memory, _posixshmem']);
if (python.status !== 0) {
  console.log('SharedMemory with Python: skipped, because there is no python3 with multiprocessing.shared_memory');
}

/** Python's resource tracker would unlink what it has attached to when it ends. */
const prelude = `
import sys
from multiprocessing import shared_memory, resource_tracker
def attach(name):
    s = shared_memory.SharedMemory(name=name)
    resource_tracker.unregister(s._name, 'shared_memory')
    return s
`;
const runPython = (code: string): string =>
  execFileSync('python3', ['-c', prelude + code], { encoding: 'utf8', timeout: 15_000 }).trim();

describe.skipIf(python.status !== 0)("SharedMemory with Python's multiprocessing.shared_memory", () => {
  test('Python opens a block that was made here, and both see what the other writes', () => {
    const name = newName();
    const memory = new SharedMemory({ name, create: true, size: 5000 });
    bytes(memory).set([1, 2, 3], 4997);
    const seen = runPython(`
s = attach('${name}')
print(s.size, list(s.buf[4997:5000]))
s.buf[0] = 42
s.close()`);
    expect(seen).toBe('5000 [1, 2, 3]');
    expect(bytes(memory)[0]).toBe(42);
  });

  test('a block that Python made opens here, and Python finds what was written', () => {
    const name = newName();
    runPython(`
s = shared_memory.SharedMemory(name='${name}', create=True, size=3)
s.buf[:] = bytes([7, 8, 9])
resource_tracker.unregister(s._name, 'shared_memory')
s.close()`);
    const memory = new SharedMemory({ name });
    expect([...bytes(memory).subarray(0, 3)]).toEqual([7, 8, 9]);
    expect(memory.size).toBe(3);
    bytes(memory)[1] = 80;
    expect(runPython(`s = attach('${name}'); print(s.buf[1]); s.close()`)).toBe('80');
    memory.unlink();
    expect(() => runPython(`attach('${name}')`)).toThrow(/FileNotFoundError/);
  });
});
