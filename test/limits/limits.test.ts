import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { compile } from '../programs/compile.mjs';
import { own } from '../support/own.js';
import { node, script } from '../support/script.js';
// @ts-expect-error: a program's part, in JavaScript
import { canUnshare, cells, inOwnShm } from './ways.mjs';

/** What an operation does when the system gives no more: test/limits/run.mjs tries all of them, this what differs. */

const isRoot = process.geteuid?.() === 0;

interface Row {
  name: string;
  n: number;
  outcome: 'works' | 'refused' | 'wrong';
  message?: string;
}

const table: [limit: string, reason: string, operations: string[], ...options: string[]][] = [
  [
    'descriptors',
    'EMFILE',
    [
      'RawArray of its own',
      'Lock by name',
      'Lock by name that is there',
      'Lock.unlink',
      'SharedMemory by name',
      'Lock.from',
      'SharedMemory.from',
      '70 waits at once',
      'fork and waitpid',
      'Process by spawn',
      'terminate of one by spawn',
      'sentinel of one by fork that has ended',
    ],
  ],
  [
    'bytes of /dev/shm',
    'ENOSPC',
    ['Array by name', 'SharedMemory by name', 'SharedMemory by name that another program has made with holes'],
    '--steps=0,4096,32768,262144',
  ],
  ['files of /dev/shm', 'ENOSPC', ['Lock by name', 'SharedMemory by name']],
  ['size of files', 'EFBIG', ['RawArray of its own', 'Lock by name', 'Process by spawn']],
  ['threads', 'EAGAIN', ['fork and waitpid'], '--steps=0,1,40'],
  [
    'allocations',
    'ENOMEM',
    ['RawArray of its own', 'Lock by name', 'SharedMemory by name', 'Lock.from', 'fork and waitpid', 'Process by fork'],
  ],
];

describe.runIf(canUnshare)('an operation succeeds, or says what the system said and has changed nothing', () => {
  test.each(table)(
    'with so many %s left',
    async (limit, reason, operations, ...options) => {
      const { rows, code, errors } = await cells(limit, ['--operations', operations.join(), ...options]);
      expect({ code, errors }).toEqual({ code: 0, errors: '' });
      expect((rows as Row[]).filter(({ outcome }) => outcome === 'wrong')).toEqual([]);
      expect((rows as Row[]).filter(({ outcome }) => outcome === 'refused').length).toBeGreaterThan(0);
      for (const { outcome, message } of rows) if (outcome === 'refused') expect(message).toContain(reason);
      for (const name of operations) {
        expect((rows as Row[]).filter((row) => row.name === name && row.outcome === 'works')).toHaveLength(1);
      }
    },
    60_000,
  );

  // The thread is made with the first wait, and stays.
  test.each(['Lock.acquireAsync', 'Condition.waitAsync', 'Barrier.waitAsync'])(
    'when there is no thread for the first %s, the promise rejects',
    async (name) => {
      const { rows, code, errors } = await cells('threads', ['--operations', name, '--steps', '0', '--first']);
      expect({ code, errors }).toEqual({ code: 0, errors: '' });
      expect(rows).toEqual([
        {
          name,
          n: 0,
          outcome: 'refused',
          code: 'ERR_FORKLOCK_SYSTEM',
          message: expect.stringMatching(/^waiting in another thread: EAGAIN, .*RLIMIT_NPROC/),
        },
      ]);
    },
  );

  test('a thread takes little address space', async () => {
    const { rows, errors } = await cells('address space', [
      ...['--operations', 'Lock.acquireAsync', '--steps', `${2 ** 20}`, '--first'],
    ]);
    expect({ errors, outcome: rows[0]?.outcome }).toEqual({ errors: '', outcome: 'works' });
  });
});

test.runIf(canUnshare)(
  'of waits for which there is no thread each gets its own error, and the others go on',
  async () => {
    const { printed, code, stderr } = await node([fileURLToPath(new URL('./no-thread.mjs', import.meta.url))], {
      under: underLimits(),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(printed).toEqual([
      ['a lock', 'EAGAIN'],
      ['a barrier', 'EAGAIN', false, 0],
      ['the line', 'EAGAIN', 'EAGAIN', 'EAGAIN'],
      ['a condition', 'true', false],
      ['again', 'false'],
      ['all', true, 0],
    ]);
  },
);

function underLimits(): string[] {
  const asNobody = isRoot ? 'setpriv --reuid=54326 --regid=54326 --clear-groups --' : '';
  return [
    ...inOwnShm(undefined, asNobody),
    'prlimit',
    '--nproc=1000:1000',
    '--',
    fileURLToPath(new URL('./under.sh', import.meta.url)),
  ];
}

describe.runIf(canUnshare)('where /dev/shm', () => {
  const places: [title: string, reason: string, mount: string][] = [
    ['is read-only', 'EROFS', 'mount -t tmpfs -o ro limits /dev/shm'],
    ['is missing', 'ENOENT', 'mount -t tmpfs limits /dev'],
    ['is a file', 'ENOTDIR', 'mount -t tmpfs limits /dev && touch /dev/shm'],
    ['is full', 'ENOSPC', 'mount -t tmpfs -o nr_inodes=2 limits /dev/shm && touch /dev/shm/full'],
    ['holds a file instead of the directory', 'ENOTDIR', 'mount -t tmpfs limits /dev/shm && touch /dev/shm/forklock-0'],
    [
      'has a directory that others may write to',
      'EPERM',
      'mount -t tmpfs limits /dev/shm && mkdir -m 777 /dev/shm/forklock-0',
    ],
  ];
  test.each(places)('%s, what needs no name works, and what does says why not', async (title, reason, mount) => {
    const { printed, code, stderr } = await script(
      async ({ forklock, print }) => {
        const said = (fn: () => unknown): unknown => {
          try {
            return fn();
          } catch (error) {
            const { code, reason, message } = error as Error & { code: string; reason: string };
            return { code, reason, message };
          }
        };
        print(said(() => new forklock.Lock({ name: 'x' })));
        print(said(() => new forklock.Value('int32', 0, { name: 'x' })));
        const of = (make: (name: string) => unknown): unknown => said(() => typeof make('x'));
        print([
          of((name) => new forklock.SharedMemory({ name, size: 1, create: true })),
          of(() => new forklock.SharedMemory({ size: 1, create: true })),
          of((name) => new forklock.SharedMemory({ name: `${name}2` })),
        ]);
        print([
          of((name) => new forklock.RLock({ name })),
          of((name) => new forklock.RWLock({ name })),
          of((name) => new forklock.Semaphore(1, { name })),
          of((name) => new forklock.Condition(undefined, { name })),
          of((name) => new forklock.Event({ name })),
          of((name) => new forklock.Barrier(2, { name })),
          of((name) => new forklock.RawValue('int32', 0, { name })),
          of((name) => new forklock.RawArray('int32', 1, { name })),
          of((name) => new forklock.Array('int32', 1, { name })),
        ]);
        print(['lock', 'memory'].map((kind) => of((name) => open(kind, name))));
        function open(kind: string, name: string): unknown {
          const Class = kind === 'lock' ? forklock.Lock : forklock.SharedMemory;
          return Class.from(`forklock1:${kind}:@${name}3:0:0`);
        }
        print(said(() => forklock.Lock.unlink('x')));
        print(said(() => forklock.SharedMemory.unlink('x')));
        const lock = new forklock.Lock();
        const memory = new forklock.SharedMemory({ size: 1 });
        print([lock.acquire(0), forklock.Lock.from(lock.handle).locked, memory.size]);
      },
      [],
      { under: inOwnShm(mount) },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const refused = {
      code: 'ERR_FORKLOCK_SYSTEM',
      reason,
      message: expect.stringMatching(new RegExp(`/dev/shm.*: ${reason}, .`)),
    };
    const [lock, value, [memory, unnamed, attached], others, handles, unlinked, unlinkedMemory, anonymous] = printed;
    expect([lock, value]).toEqual([refused, refused]);
    for (const each of others) expect(each).toEqual(refused);
    const isWhole = /^is /.test(title);
    expect([memory, unnamed]).toEqual(isWhole ? [refused, refused] : ['object', 'object']);
    if (/missing|a file$/.test(title)) expect(attached).toEqual(refused);
    else expect(attached.message).toMatch(/: ENOENT, there is no such block$/);
    if (title === 'is missing')
      for (const each of [memory, unnamed, attached]) expect(each.message).toContain('is /dev/shm mounted?');
    for (const { code, message } of handles) {
      expect(code).toMatch(/^ERR_FORKLOCK_(INVALID_HANDLE|SYSTEM)$/);
      if (title === 'is missing') expect(message).toMatch(/there is no \/dev\/shm here$/);
    }
    for (const result of [unlinked, unlinkedMemory]) {
      if (typeof result === 'object') expect(result).toMatchObject({ code: 'ERR_FORKLOCK_SYSTEM' });
    }
    expect(anonymous).toEqual([true, true, 1]);
  });
});

describe('where a system call is refused', () => {
  const without = (calls: string): string[] => [compile('without', 'test/limits', ['without.cc']), calls];
  const probe = (under: string[]) =>
    script(
      async ({ forklock, fs, print }, targets) => {
        const said = (fn: () => unknown): unknown => {
          try {
            return fn();
          } catch (error) {
            const { code, reason, message } = error as Error & { code: string; reason: string };
            return { code, reason, message };
          }
        };
        const start = (method: 'spawn' | 'forkserver' | 'fork'): unknown => {
          const child = new (forklock.getContext(method).Process)({ target: [targets, 'nothing'] });
          child.start();
          child.join();
          return child.exitCode;
        };
        const children = () => fs.readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
        print([said(() => start('spawn')), said(() => start('forkserver')), said(() => start('fork'))]);
        print(
          said(() => {
            const pid = forklock.fork();
            if (pid === 0) process.exit();
            return forklock.waitpid(pid)?.exitCode;
          }),
        );
        print(said(() => new forklock.Lock().with(() => 'held')));
        print(children());
      },
      [new URL('./targets.mjs', import.meta.url).href],
      { under },
    );

  test.each([
    ['pidfd_open=ENOSYS', 'ENOSYS', 'pidfd_open is missing: it needs Linux 5.4'],
    ['pidfd_open=EPERM', 'EPERM', 'pidfd_open is refused: a seccomp profile'],
    ['pidfd_send_signal=ENOSYS', 'ENOSYS', 'pidfd_send_signal is missing'],
    ['waitid(P_PIDFD)=EINVAL', 'EINVAL', 'waitid takes no pidfd: that needs Linux 5.4'],
  ])('%s, nothing is started, and locks work', async (calls, reason, text) => {
    const { printed, code, stderr } = await probe(without(calls));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const refused = { code: 'ERR_FORKLOCK_SYSTEM', reason, message: expect.stringContaining(`${reason}, ${text}`) };
    expect(printed).toEqual([[refused, refused, refused], refused, 'held', '']);
  });

  test.each([
    ['memfd_create=ENOSYS', 'ENOSYS', 'memfd_create is missing'],
    ['memfd_create=EPERM', 'EPERM', 'memfd_create is refused'],
  ])('%s, it is said so', async (calls, reason, text) => {
    const { printed, code } = await probe(without(calls));
    expect(code).toBe(0);
    expect(printed[2]).toMatchObject({ code: 'ERR_FORKLOCK_SYSTEM', reason, message: expect.stringContaining(text) });
    for (const result of printed[0].slice(0, 2)) expect(result).toMatchObject({ code: 'ERR_FORKLOCK_SYSTEM', reason });
  });
});

test('a signal that comes while a file gets its pages is heard, and does not end that', async () => {
  const library = compile('interrupted.so', 'test/limits', ['interrupted.cc'], ['-shared', '-fPIC']);
  const { printed, code, stderr } = await script(
    async ({ forklock, print }, name) => {
      let heard = 0;
      process.on('SIGUSR2', () => heard++);
      const array = new forklock.RawArray('int8', 100_000, { name });
      const memory = new forklock.SharedMemory({ name, size: 100_000, create: true });
      forklock.RawArray.unlink(name);
      memory.unlink();
      print([array.length, memory.size]);
      while (heard === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    },
    [own()],
    { env: { ...process.env, LD_PRELOAD: library } },
  );
  expect({ printed, code, stderr }).toEqual({ printed: [[100_000, 100_000]], code: 0, stderr: '' });
});

// An upgrade replaces the file that runs. (Of a link: node is large.)
test('a program whose node was removed goes on starting processes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'forklock-limits-'));
  const node = join(folder, 'node');
  try {
    execFileSync('cp', ['--reflink=auto', process.execPath, node]);
    const source = `
      import { rmSync } from 'node:fs';
      import { getContext } from ${JSON.stringify(new URL('../../dist/forklock.js', import.meta.url).href)};
      rmSync(process.execPath);
      for (const method of ['spawn', 'forkserver']) {
        const child = new (getContext(method).Process)({ target: [process.env.TARGETS, 'nothing'] });
        child.start();
        child.join();
        console.log(method, child.exitCode);
      }`;
    const out = execFileSync(node, ['--input-type=module', '-e', source], {
      encoding: 'utf8',
      env: { ...process.env, TARGETS: new URL('./targets.mjs', import.meta.url).href },
    });
    expect(out).toBe('spawn 0\nforkserver 0\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
