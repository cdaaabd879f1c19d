import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as forklock from 'forklock';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Actor, PROCESSES } from '../support/actor.js';
import { ownShm, stranger } from '../support/own.js';
import { script } from '../support/script.js';
import { cleanUp, freshName } from '../support/subjects.js';

/** What is refused, and how that is said. */

const { Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RWLock, Semaphore } = forklock;
afterEach(cleanUp);

const root = fileURLToPath(new URL('../..', import.meta.url));
const isRoot = process.geteuid?.() === 0;

const typeError = { name: 'TypeError', code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' };
const rangeError = { name: 'RangeError', code: 'ERR_FORKLOCK_OUT_OF_RANGE' };

// biome-ignore lint/suspicious/noExplicitAny: wrong types are the point
type Any = any;

function thrown(fn: () => unknown): Any {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('wrong arguments say what was expected and what was got', () => {
  const notObjects = [null, 1, 'x', true, 10n, () => {}];
  const notIntegers = ['1', null, {}, true, 1n];

  const constructors: [string, (options: unknown) => unknown][] = [
    ['Lock', (options) => new Lock(options as Any)],
    ['RLock', (options) => new RLock(options as Any)],
    ['RWLock', (options) => new RWLock(options as Any)],
    ['Event', (options) => new Event(options as Any)],
    ['Semaphore', (options) => new Semaphore(1, options as Any)],
    ['BoundedSemaphore', (options) => new BoundedSemaphore(1, options as Any)],
    ['Condition', (options) => new Condition(undefined, options as Any)],
    ['Barrier', (options) => new Barrier(2, options as Any)],
  ];
  test.each(constructors)('options and names of %s', (_title, make) => {
    for (const options of notObjects) {
      const error = thrown(() => make(options));
      expect(error).toMatchObject(typeError);
      expect(error.message).toMatch(/^options: expected an object, got .+/);
    }
    for (const name of [null, 1, {}, Symbol('x')]) {
      const error = thrown(() => make({ name }));
      expect(error).toMatchObject(typeError);
      expect(error.message).toMatch(/^name: expected a string, got .+/);
    }
    for (const name of ['', '\uD800', 'x'.repeat(256), 'ü'.repeat(50)]) {
      const error = thrown(() => make({ name }));
      expect(error, JSON.stringify(name.slice(0, 5))).toMatchObject(rangeError);
      expect(error.message).toMatch(/^name: expected .+, got .+/);
    }
  });

  test('counts', () => {
    for (const n of notIntegers) {
      for (const make of [
        () => new Semaphore(n as Any),
        () => new BoundedSemaphore(n as Any),
        () => new Barrier(n as Any),
      ]) {
        const error = thrown(make);
        expect(error).toMatchObject(typeError);
        expect(error.message).toMatch(/^(permits|parties): expected a number, got .+/);
      }
    }
    for (const n of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 24, 2 ** 53]) {
      for (const make of [() => new Semaphore(n), () => new BoundedSemaphore(n), () => new Barrier(n)]) {
        const error = thrown(make);
        expect(error, String(n)).toMatchObject(rangeError);
        expect(error.message).toMatch(/^(permits|parties): expected an integer from \d+ to \d+, got .+/);
      }
    }
    for (const n of [0, 16_385]) expect(thrown(() => new Semaphore(n, { recover: true }))).toMatchObject(rangeError);
    expect(thrown(() => new Barrier(undefined as Any))).toMatchObject(typeError);
  });

  test('flags, policies, actions and locks', () => {
    for (const recover of [1, 'yes', null]) {
      expect(thrown(() => new Semaphore(1, { recover: recover as Any }))).toMatchObject(typeError);
    }
    for (const onOwnerDied of ['ignore', '', 1, null, true]) {
      for (const Class of [Lock, RLock, RWLock]) {
        const error = thrown(() => new Class({ onOwnerDied: onOwnerDied as Any }));
        expect(error).toMatchObject(rangeError);
        expect(error.message).toContain("onOwnerDied: expected 'report' or 'throw', got");
      }
    }
    for (const action of [1, 'x', null, {}]) {
      expect(thrown(() => new Barrier(2, { action: action as Any }))).toMatchObject(typeError);
    }
    for (const timeout of [Number.NaN, '1', null]) {
      expect(thrown(() => new Barrier(2, { timeout: timeout as Any }))).toMatchObject(typeError);
    }
    for (const lock of [null, 1, 'x', {}, new Semaphore(1), new Event()]) {
      const error = thrown(() => new Condition(lock as Any));
      expect(error).toMatchObject(typeError);
      expect(error.message).toMatch(/^lock: expected a Lock or RLock.*, got .+/);
    }
    expect(thrown(() => new Condition(new Lock(), { name: freshName() }))).toMatchObject(typeError);
  });

  test('options of async waits', async () => {
    const lock = new Lock();
    const rw = new RWLock();
    const event = new Event();
    const barrier = new Barrier(2);
    const waits: ((options: unknown) => Promise<unknown>)[] = [
      (options) => lock.acquireAsync(options as Any),
      (options) => lock.withAsync(() => 1, options as Any),
      (options) => new RLock().acquireAsync(options as Any),
      (options) => new RLock().withAsync(() => 1, options as Any),
      (options) => new Semaphore().acquireAsync(options as Any),
      (options) => rw.read.acquireAsync(options as Any),
      (options) => rw.write.withAsync(() => 1, options as Any),
      (options) => event.waitAsync(options as Any),
      (options) => barrier.waitAsync(options as Any),
    ];
    for (const wait of waits) {
      for (const options of [null, 10, 'x', true]) await expect(wait(options)).rejects.toMatchObject(typeError);
      for (const timeout of [Number.NaN, '10', null, {}])
        await expect(wait({ timeout })).rejects.toMatchObject(typeError);
      for (const signal of [null, 1, {}, new EventTarget(), new AbortController()]) {
        const rejected = wait({ signal });
        await expect(rejected).rejects.toMatchObject(typeError);
        await expect(rejected).rejects.toThrow(/^options\.signal: expected an AbortSignal, got /);
      }
    }
    // Nothing has changed.
    expect(lock.locked).toBe(false);
    expect(rw.readers).toBe(0);
    expect(rw.writer).toBeNull();
    expect(barrier.broken).toBe(false);
    expect(barrier.waiting).toBe(0);
    expect(event.waiting).toBe(0);
  });

  test('functions of the scoped forms', async () => {
    const lock = new Lock();
    const rw = new RWLock();
    for (const fn of [undefined, null, 1, 'x', {}]) {
      for (const call of [
        () => lock.with(fn as Any),
        () => rw.read.with(fn as Any),
        () => new RLock().with(fn as Any),
      ]) {
        const error = thrown(call);
        expect(error).toMatchObject(typeError);
        expect(error.message).toMatch(/^fn: expected a function, got .+/);
      }
      for (const call of [
        () => lock.withAsync(fn as Any),
        () => rw.write.withAsync(fn as Any),
        () => new RLock().withAsync(fn as Any),
      ]) {
        await expect(call()).rejects.toMatchObject(typeError);
      }
    }
    expect(lock.locked).toBe(false);
    expect(rw.readers).toBe(0);
  });

  test('with() refuses a function whose promise would outlive the hold, and has released', () => {
    const lock = new Lock();
    const error = thrown(() => lock.with(async () => 1));
    expect(error).toMatchObject(typeError);
    expect(error.message).toContain('withAsync');
    expect(lock.locked).toBe(false);
  });

  test('a long value is not repeated in full', () => {
    const error = thrown(() => Lock.from('x'.repeat(10_000)));
    expect(error.message.length).toBeLessThan(300);
  });
});

describe('names', () => {
  const { geteuid } = process;
  const directory = `/dev/shm/forklock-${geteuid?.() ?? 0}`;

  test('any text is a name of its own, and none leads out of the directory', () => {
    const prefix = freshName();
    const odd = [
      '/',
      '..',
      '../x',
      '/etc/passwd',
      '.',
      '.hidden',
      'a b',
      '\0',
      '%',
      '%2F',
      'ü',
      '日本',
      '👍',
      '\n',
      '+:@',
      'con\\',
    ];
    const before = new Set(existsSync(directory) ? readdirSync(directory) : []);
    const names = [...odd.map((text) => `${text}${prefix}`), ...odd.map((text) => `${prefix}${text}`)];
    const locks: Map<string, Any> = new Map();
    let made: string[] = [];
    try {
      for (const name of names) {
        const lock = new Lock({ name });
        locks.set(name, lock);
        expect(lock.name).toBe(name);
        expect(lock.tryAcquire(), JSON.stringify(name)).toBe(true); // another name would not be free
        const same = new Lock({ name });
        expect(same.tryAcquire()).toBe(false);
        expect(Lock.from(lock.handle).locked).toBe(true);
        same.close();
      }
      made = readdirSync(directory).filter((file) => !before.has(file) && file.includes(encodeURIComponent(prefix)));
      expect(made).toHaveLength(names.length);
    } finally {
      for (const [name, lock] of locks) {
        lock.close();
        expect(Lock.unlink(name)).toBe(true);
      }
    }
    expect(readdirSync(directory).filter((file) => made.includes(file))).toEqual([]);
  });

  const alone = ownShm('4m', "Names of which nothing is this run's own");
  test.runIf(alone)('nor do those that are nothing but a way out', async () => {
    const { printed, code, stderr } = await script(
      ({ forklock, fs, print }) => {
        for (const name of ['/', '..', '../x', '.', '/etc/passwd', '\0']) {
          const lock = new forklock.Lock({ name });
          print([lock.name === name, lock.tryAcquire(), new forklock.Lock({ name }).tryAcquire()]);
          lock.close();
          print(forklock.Lock.unlink(name));
        }
        print([fs.readdirSync('/dev/shm'), fs.readdirSync(`/dev/shm/forklock-${process.geteuid?.()}`)]);
      },
      [],
      { under: alone! },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const last = printed.pop();
    expect(printed).toEqual(
      Array(6)
        .fill([[true, true, false], true])
        .flat(),
    );
    expect(last).toEqual([[expect.stringMatching(/^forklock-\d+$/)], []]);
  });

  test('unlink() refuses what is no name', () => {
    for (const name of [undefined, null, 1, {}])
      expect(thrown(() => Lock.unlink(name as Any))).toMatchObject(typeError);
    for (const name of ['', 'x'.repeat(300)]) expect(thrown(() => Lock.unlink(name))).toMatchObject(rangeError);
    expect(Lock.unlink(freshName())).toBe(false);
  });

  test('another kind, shape or policy under a name is an error that says which is there', () => {
    const makers: [string, (name: string) => { close(): void }][] = [
      ['Lock', (name) => new Lock({ name })],
      ['RLock', (name) => new RLock({ name })],
      ['Semaphore', (name) => new Semaphore(1, { name })],
      ['BoundedSemaphore', (name) => new BoundedSemaphore(1, { name })],
      ['Condition', (name) => new Condition(undefined, { name })],
      ['Event', (name) => new Event({ name })],
      ['Barrier', (name) => new Barrier(2, { name })],
      ['RWLock', (name) => new RWLock({ name })],
    ];
    for (const [there, make] of makers) {
      const name = freshName();
      const first = make(name);
      for (const [asked, again] of makers) {
        if (asked === there) {
          again(name).close();
          continue;
        }
        const error = thrown(() => again(name));
        expect(error, `${asked} over ${there}`).toMatchObject({ code: 'ERR_FORKLOCK_NAME_CONFLICT' });
        expect(error.message).toContain(name);
        expect(error.message).toContain(asked);
        expect(error.message).toMatch(new RegExp(`it is an? ${there}$`));
      }
      first.close();
    }
    const shapes: [make: (name: string) => { close(): void }, other: (name: string) => unknown, says: RegExp][] = [
      [(name) => new Semaphore(2, { name }), (name) => new Semaphore(3, { name }), /made with 2 permits/],
      [
        (name) => new Semaphore(2, { name }),
        (name) => new Semaphore(2, { name, recover: true }),
        /recover: false|smaller/,
      ],
      [(name) => new Semaphore(2, { name, recover: true }), (name) => new Semaphore(2, { name }), /recover: true/],
      [(name) => new BoundedSemaphore(2, { name }), (name) => new BoundedSemaphore(1, { name }), /made with 2 permits/],
      [(name) => new Barrier(2, { name }), (name) => new Barrier(3, { name }), /made for 2 parties/],
      [(name) => new Lock({ name }), (name) => new Lock({ name, onOwnerDied: 'throw' }), /onOwnerDied: 'report'/],
      [
        (name) => new Lock({ name, onOwnerDied: 'throw' }),
        (name) => new Lock({ name, onOwnerDied: 'report' }),
        /'throw'/,
      ],
      [
        (name) => new RWLock({ name, onOwnerDied: 'throw' }),
        (name) => new RWLock({ name, onOwnerDied: 'report' }),
        /'throw'/,
      ],
      [
        (name) => new Condition(undefined, { name }),
        (name) => new Condition(new RLock({ name: freshName() }), { name }),
        /it has another lock/,
      ],
      [
        (name) => new Condition(new RLock({ name: freshName() }), { name }),
        (name) => new Condition(new RLock({ name: freshName() }), { name }),
        /has another lock/,
      ],
    ];
    for (const [make, other, says] of shapes) {
      const name = freshName();
      const first = make(name);
      const error = thrown(() => other(name));
      expect(error, String(says)).toMatchObject({ code: 'ERR_FORKLOCK_NAME_CONFLICT' });
      expect(error.message).toMatch(says);
      first.close();
    }
  });

  test('who does not say a policy takes the one that is there', () => {
    const name = freshName();
    const first = new Lock({ name, onOwnerDied: 'throw' });
    const second = new Lock({ name });
    expect(second.tryAcquire()).toBe(true);
    expect(first.locked).toBe(true);
    second.close();
    first.close();
  });
});

describe('segment files that forklock did not write', () => {
  const directory = `/dev/shm/forklock-${process.geteuid?.() ?? 0}`;
  const fileOf = (name: string): string => join(directory, encodeURIComponent(name));

  /** Makes a good segment, spoils its file, and has a process of its own open it: a crash would be seen. */
  async function open(name: string) {
    return script(
      ({ forklock, print }, name) => {
        const results: unknown[] = [];
        for (const use of [
          () => new forklock.Lock({ name }),
          () => forklock.Lock.from(`forklock1:lock:@${encodeURIComponent(name)}:0:1`),
        ]) {
          try {
            use();
            results.push('opened');
          } catch (error) {
            const { name: type, code, message, reason } = error as Error & { code: string; reason: string };
            results.push({ type, code, message, reason });
          }
        }
        print(results);
      },
      [name],
    );
  }

  function goodFile(): string {
    const name = freshName();
    new Lock({ name }).close();
    return name;
  }

  const spoilers: [title: string, reason: string, spoil: (file: string) => void][] = [
    ['is empty', 'EBADMSG', (file) => writeFileSync(file, '')],
    ['is short', 'EBADMSG', (file) => writeFileSync(file, readFileSync(file).subarray(0, 40))],
    ['has no room for its slots', 'EBADMSG', (file) => truncateSync(file, 4096)],
    ['is a page short', 'EBADMSG', (file) => truncateSync(file, readFileSync(file).length - 4096)],
    ['is a page long', 'EBADMSG', (file) => truncateSync(file, readFileSync(file).length + 4096)],
    ['is all zeros', 'EBADMSG', (file) => writeFileSync(file, Buffer.alloc(readFileSync(file).length))],
    ['is text', 'EBADMSG', (file) => writeFileSync(file, 'hello world, '.repeat(20_000))],
    ['has another magic', 'EBADMSG', (file) => patch(file, 0, 0x12345678)],
    ['has another version', 'EBADMSG', (file) => patch(file, 1, 99)],
    ['is of another libc', 'EBADMSG', (file) => patch(file, 2, 7)],
    ['has an unknown type', 'EBADMSG', (file) => patch(file, 3, 99)],
    ['has a heap of another size', 'EBADMSG', (file) => patch(file, 4, 1 << 20)],
    ['has a huge heap', 'EBADMSG', (file) => patch(file, 5, 0x7fffffff)],
    ['may be read by others', 'EPERM', (file) => chmodSync(file, 0o644)],
    ['may be written by others', 'EPERM', (file) => chmodSync(file, 0o666)],
    [
      'is a directory',
      'EISDIR',
      (file) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
    [
      'is a symbolic link to a good one',
      'ELOOP',
      (file) => {
        copyFileSync(file, `${file}.good`);
        chmodSync(`${file}.good`, 0o600);
        rmSync(file);
        symlinkSync(`${file}.good`, file);
      },
    ],
    [
      'is a pipe',
      'EBADMSG',
      (file) => {
        rmSync(file);
        spawnSync('mkfifo', ['-m', '600', file]);
      },
    ],
  ];

  function patch(file: string, word: number, value: number): void {
    const bytes = readFileSync(file);
    bytes.writeInt32LE(value | 0, word * 4);
    writeFileSync(file, bytes);
  }

  test.each(spoilers)('one that %s is a clear error, never a crash', async (_title, reason, spoil) => {
    const name = goodFile();
    const file = fileOf(name);
    spoil(file);
    try {
      const { printed, code, signal, stderr } = await open(name);
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
      for (const result of printed[0]) {
        expect(result).toMatchObject({ type: 'SystemError', code: 'ERR_FORKLOCK_SYSTEM' });
        expect(result.message).toContain(name);
        if (reason !== 'EISDIR') expect(result.reason).toBe(reason);
        else expect(result.message).toMatch(/EISDIR|errno 21/);
      }
    } finally {
      for (const path of [file, `${file}.good`]) rmSync(path, { recursive: true, force: true });
    }
  });

  test.runIf(isRoot)('one that belongs to somebody else is refused', async () => {
    const name = goodFile();
    const uid = stranger();
    chownSync(fileOf(name), uid, uid);
    const { printed, code } = await open(name);
    expect(code).toBe(0);
    expect(printed[0][0]).toMatchObject({ code: 'ERR_FORKLOCK_SYSTEM', reason: 'EPERM' });
  });

  test('any word of a good one changed to anything never crashes or hangs who uses it', async () => {
    const { printed, code, signal, stderr } = await script(
      ({ forklock, fs, print }, prefix, directory) => {
        // A generator of its own, so that the same words are changed in every run.
        let seed = 12345;
        const random = (n: number): number => {
          seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
          return Math.floor((seed / 2 ** 32) * n);
        };
        const values = [0, 1, -1, 2, 0x7fffffff, -0x80000000, 0x7ff, 0x800, 0x40000000, 3, 1 << 12, 1 << 13, 0xfff];
        const makers: ((name: string) => Record<string, unknown>)[] = [
          (name) => new forklock.Lock({ name }) as unknown as Record<string, unknown>,
          (name) => new forklock.RLock({ name }) as unknown as Record<string, unknown>,
          (name) => new forklock.Semaphore(2, { name }) as unknown as Record<string, unknown>,
          (name) => new forklock.Semaphore(2, { name, recover: true }) as unknown as Record<string, unknown>,
          (name) => new forklock.BoundedSemaphore(2, { name }) as unknown as Record<string, unknown>,
          (name) => new forklock.Event({ name }) as unknown as Record<string, unknown>,
          (name) => new forklock.Barrier(2, { name }) as unknown as Record<string, unknown>,
          (name) => new forklock.RWLock({ name }) as unknown as Record<string, unknown>,
          (name) => new forklock.Condition(undefined, { name }) as unknown as Record<string, unknown>,
        ];
        const methods = [
          'acquire',
          'tryAcquire',
          'release',
          'wait',
          'set',
          'clear',
          'abort',
          'reset',
          'recover',
          'notifyAll',
        ];
        const wrong: string[] = [];
        let opened = 0;
        let refused = 0;
        for (const [k, make] of makers.entries()) {
          for (let i = 0; i < 60; i++) {
            const name = `${prefix}${k}-${i}`;
            const file = `${directory}/${encodeURIComponent(name)}`;
            try {
              (make(name) as { close(): void }).close();
              const bytes = fs.readFileSync(file);
              const changes = 1 + random(3);
              for (let j = 0; j < changes; j++) {
                // The header, the first slots, or the first cells of the heap.
                const at = [random(20), 1024 + random(64), 33792 + random(i % 2 ? 16 : 200)][random(3)]!;
                bytes.writeInt32LE(values[random(values.length)]!, at * 4);
              }
              fs.writeFileSync(file, bytes);
              const object = make(name);
              opened++;
              const faces = object.read ? [object, object.read, object.write] : [object];
              for (const face of faces as Record<string, (timeout?: number) => unknown>[]) {
                for (const method of methods) {
                  try {
                    face[method]?.(...(method === 'acquire' || method === 'wait' ? [3] : []));
                  } catch (error) {
                    if (!(error instanceof forklock.ForklockError)) wrong.push(`${name} ${method}: ${error}`);
                  }
                }
              }
              try {
                String(object);
                void object.waiting;
              } catch (error) {
                if (!(error instanceof forklock.ForklockError)) wrong.push(`${name} shown: ${error}`);
              }
              (object as { close?(): void }).close?.();
            } catch (error) {
              refused++;
              if (!(error instanceof forklock.ForklockError)) wrong.push(`${name}: ${(error as Error).stack}`);
            } finally {
              forklock.Lock.unlink(name);
            }
          }
        }
        print({ opened, refused, wrong });
      },
      [freshName(), directory],
      { deadline: 80_000 },
    );
    expect({
      code,
      signal,
      wrong: printed[0]?.wrong,
      stderr: stderr.replace(/^.*(OWNER_DIED|trace-warnings).*\n/gm, ''),
    }).toEqual({
      code: 0,
      signal: null,
      wrong: [],
      stderr: '',
    });
    expect(printed[0].opened).toBeGreaterThan(50);
    expect(printed[0].refused).toBeGreaterThan(50);
  }, 90_000);
});

describe('the directory of the named objects', () => {
  const small = ownShm('256k', 'A full /dev/shm');
  const large = ownShm('4m', 'A directory of others');

  test.runIf(small)('a full /dev/shm is an error at creation, never a SIGBUS later', async () => {
    const { printed, code, signal, stderr } = await script(
      ({ forklock, fs, print }) => {
        const results: unknown[] = [];
        const { free } = { free: () => fs.statfsSync('/dev/shm').bfree };
        let made = 0;
        for (; made < 1000; made++) {
          try {
            const lock = new forklock.Lock({ name: `full-${made}` });
            lock.acquire();
            lock.release();
          } catch (error) {
            const { name, code, message, reason } = error as Error & { code: string; reason: string };
            results.push({ name, code, message, reason });
            break;
          }
        }
        print({ made, results, free: free() });
        // Those that were made work on, and anonymous ones do not need it.
        for (let i = 0; i < made; i++) new forklock.Lock({ name: `full-${i}` }).with(() => 1);
        const lock = new forklock.Lock();
        print(lock.with(() => 'anonymous'));
        // When there is room again, so are names.
        for (let i = 0; i < made; i++) forklock.Lock.unlink(`full-${i}`);
        print(fs.readdirSync('/dev/shm/forklock-0'));
      },
      [],
      { under: small! },
    );
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    const [{ made, results }, anonymous, left] = printed;
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(100);
    expect(results).toEqual([
      {
        name: 'SystemError',
        code: 'ERR_FORKLOCK_SYSTEM',
        reason: 'ENOSPC',
        message: expect.stringContaining('is /dev/shm full?'),
      },
    ]);
    expect(anonymous).toBe('anonymous');
    expect(left).toEqual([]);
  });

  test.runIf(large && isRoot)('one that others may write to, or that is a link, is refused', async () => {
    const { printed, code } = await script(
      ({ forklock, fs, print }) => {
        const path = '/dev/shm/forklock-0';
        const attempt = (): unknown => {
          try {
            new forklock.Lock({ name: 'x' });
            return 'made';
          } catch (error) {
            return (error as { reason: string }).reason;
          }
        };
        fs.mkdirSync(path);
        fs.chmodSync(path, 0o777);
        print(attempt());
        fs.chmodSync(path, 0o700);
        fs.chownSync(path, 65534, 65534);
        print(attempt());
        fs.rmdirSync(path);
        fs.mkdirSync('/dev/shm/elsewhere', { mode: 0o700 });
        fs.symlinkSync('/dev/shm/elsewhere', path);
        print(attempt());
        fs.unlinkSync(path);
        fs.writeFileSync(path, '');
        print(attempt());
        fs.unlinkSync(path);
        print(attempt());
      },
      [],
      { under: large! },
    );
    expect(code).toBe(0);
    expect(printed.slice(0, 2)).toEqual(['EPERM', 'EPERM']);
    expect(printed[2]).not.toBe('made');
    expect(printed[3]).not.toBe('made');
    expect(printed[4]).toBe('made');
  });

  test.runIf(isRoot).each(PROCESSES)(
    "another user can open neither a user's names nor his handles: %s",
    async (mode) => {
      const name = freshName();
      const named = new Lock({ name });
      const lock = new Lock();
      const actor = await Actor.start(mode);
      const results = await actor.run(
        ({ forklock }, name, handles, uid) => {
          process.setgid?.(uid);
          process.setuid?.(uid);
          const attempt = (fn: () => unknown): unknown => {
            try {
              fn();
              return 'opened';
            } catch (error) {
              return (error as { code: string }).code;
            }
          };
          const opened = handles.map((handle) => attempt(() => forklock.Lock.from(handle)));
          // The name is free for this user: it is another lock.
          const own = new forklock.Lock({ name });
          const result = [own.tryAcquire()];
          forklock.Lock.unlink(name);
          return { opened, result };
        },
        name,
        [String(lock.handle), String(named.handle)],
        stranger(),
      );
      expect(results.opened).toEqual(['ERR_FORKLOCK_INVALID_HANDLE', 'ERR_FORKLOCK_INVALID_HANDLE']);
      expect(results.result).toEqual([true]);
      expect(named.locked).toBe(false);
      named.close();
      lock.close();
      await actor.stop();
    },
  );
});

describe('two copies of the package', () => {
  const copy = mkdtempSync(join(tmpdir(), 'forklock-copy-'));
  afterAll(() => rmSync(copy, { recursive: true }));
  for (const part of ['dist', 'package.json', 'build/Release/forklock.node']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  const other = (): Promise<typeof forklock> =>
    import(/* @vite-ignore */ pathToFileURL(join(copy, 'dist/index.js')).href);

  const errors = async (from: typeof forklock): Promise<Record<string, unknown>> => {
    const lock = new from.Lock();
    const barrier = new from.Barrier(2);
    lock.tryAcquire();
    const closed = new from.Event();
    closed.close();
    return {
      DeadlockError: thrown(() => lock.acquire()),
      TimeoutError: thrown(() => lock.hold(1)),
      NotOwnerError: thrown(() => new from.Lock().release()),
      ClosedError: thrown(() => closed.set()),
      HandleError: thrown(() => from.Lock.from('x')),
      BrokenBarrierError: thrown(() => barrier.wait(0)),
      OwnerDiedError: new from.OwnerDiedError('x', 1),
      SystemError: new from.SystemError('x', -1),
    };
  };

  test('instanceof works for the errors of the other', async () => {
    const copied = await other();
    expect(copied.Lock).not.toBe(forklock.Lock);
    for (const [thrower, catcher] of [
      [forklock, copied],
      [copied, forklock],
      [forklock, forklock],
    ] as const) {
      for (const [name, error] of Object.entries(await errors(thrower))) {
        const classes = catcher as Any;
        expect(error, name).toBeInstanceOf(Error);
        expect(error instanceof catcher.ForklockError, name).toBe(true);
        expect(error instanceof classes[name], name).toBe(true);
        expect((error as Error).name).toBe(name);
        const unrelated = name === 'ClosedError' ? 'DeadlockError' : 'ClosedError';
        expect(error instanceof classes[unrelated], name).toBe(false);
      }
    }
    class Own extends forklock.ForklockError {}
    expect(new copied.ForklockError('X', 'x') instanceof Own).toBe(false);
    expect(new Error('x') instanceof forklock.ForklockError).toBe(false);
    expect(Object.create(null) instanceof (forklock.TimeoutError as Any)).toBe(false);
    expect((null as Any) instanceof forklock.TimeoutError).toBe(false);
  });

  test('they share objects by handle and by name', async () => {
    const copied = await other();
    const name = freshName();
    const pairs = [
      [new forklock.Lock({ name }), new copied.Lock({ name })],
      (() => {
        const lock = new forklock.Lock();
        return [lock, copied.Lock.from(lock.handle as Any)];
      })(),
    ] as const;
    for (const [mine, theirs] of pairs) {
      expect(mine!.tryAcquire()).toBe(true);
      expect(theirs!.tryAcquire()).toBe(false);
      expect(theirs!.owner).toEqual(mine!.owner);
      const acquired = theirs!.acquireAsync();
      expect(mine!.waiting).toBe(1);
      mine!.release();
      expect(await acquired).toBe(true);
      theirs!.release();
      mine!.close();
      theirs!.close();
    }
  });
});
