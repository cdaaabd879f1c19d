import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { script } from '../support/script.js';

/**
 * The kernel marks 2,048 words of a thread that ends. What a thread holds beyond its share of them is held by other threads
 * of its process (native/keepers.h), so each of these cases has more than two lists of them.
 */
const MANY = 3200;

/** Descriptors that a process may have here: each segment takes one. */
const limit = Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0) || 1e6;
const deadline = 60_000;
const enough = describe.skipIf(limit < MANY + 1000);

enough('many segments in one thread', () => {
  test('are closed in any order; what is left works', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock: { Lock }, print }, n) => {
        const locks = Array.from({ length: n }, (_, i) => {
          const name = `many-${process.pid}-${i}`;
          const lock = new Lock({ name });
          Lock.unlink(name);
          return lock;
        });
        const ok = (lock: InstanceType<typeof Lock>): boolean => lock.with(() => lock.locked);
        for (const lock of locks.filter((_, i) => i % 3 === 0)) lock.close(); // oldest first
        for (const lock of locks.filter((_, i) => i % 3 === 1).reverse()) lock.close();
        print(locks.filter((_, i) => i % 3 === 2).every(ok));
        const more = Array.from({ length: n / 2 }, () => new Lock());
        print(more.every(ok));
      },
      [MANY],
      { deadline },
    );
    expect({ printed, stderr, code }).toEqual({ printed: [true, true], stderr: '', code: 0 });
  });

  test.each(['RawArray', 'Array'] as const)(
    'of %s: opened and closed in time that grows with their number',
    async (cls) => {
      const { printed, stderr } = await script(
        ({ forklock, print }, cls, n) => {
          const before = process.cpuUsage();
          const all = Array.from({ length: n }, () => new forklock[cls]('uint8', 70_000));
          for (const array of all) array.close();
          const { user, system } = process.cpuUsage(before);
          print((user + system) / 1e6);
        },
        [cls, Math.min(10_000, limit - 1000)] as const,
        { deadline: 4 * deadline },
      );
      // Seconds of a processor; two on an idle machine, and 90 when each close looked through all that were open.
      expect(printed[0], stderr).toBeLessThan(10);
    },
  );

  test('beyond the limit of descriptors: EMFILE, and all that are there work', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock: { RawArray, Lock }, print }) => {
        const lock = new Lock();
        const all: InstanceType<typeof RawArray>[] = [];
        try {
          for (;;) all.push(new RawArray('int32', 20_000));
        } catch (error) {
          const { code, reason } = error as { code?: string; reason?: string };
          print([code, reason]);
        }
        for (const array of all) array.set(0, 1);
        print(all.every((array) => array.get(0) === 1));
        all.pop()!.close();
        print(new RawArray('int32', 20_000).length);
        print(lock.tryAcquire());
      },
      [],
      { under: ['prlimit', '--nofile=300'] },
    );
    expect({ printed, stderr, code }).toEqual({
      printed: [['ERR_FORKLOCK_SYSTEM', 'EMFILE'], true, 20_000, true],
      stderr: '',
      code: 0,
    });
  });
});

/** How a holder ends, as code of its own; `who` says where it runs. */
const endings: [title: string, who: 'process' | 'fork' | 'worker', end: string][] = [
  ['a process is killed', 'process', `process.kill(process.pid, 'SIGKILL')`],
  ['a process exits', 'process', 'process.exit()'],
  ['the child of a fork is killed', 'fork', `process.kill(process.pid, 'SIGKILL')`],
  ['a worker is terminated', 'worker', 'setInterval(() => {}, 1000)'],
];

enough('the end of a holder of many locks is told at once, when', () => {
  test.each(endings)('%s', async (_, who, end) => {
    const { printed, stderr, code } = await script(
      async ({ forklock: { Lock, RawValue, fork }, Worker, print }, n, who, end) => {
        const body = async (
          { Lock, RawValue }: Pick<typeof import('forklock'), 'Lock' | 'RawValue'>,
          prefix: string,
          n: number,
          ready: string,
          end: string,
        ): Promise<void> => {
          for (let i = 0; i < n; i++) new Lock({ name: `${prefix}-${i}` }).acquire();
          RawValue.from(ready).value = 1;
          // biome-ignore lint/security/noGlobalEval: it is this test's own
          globalThis.eval(end);
        };
        const prefix = `held-${process.pid}`;
        const ready = new RawValue('int32', 0);
        // First: what a process opens before a fork is open in its child.
        const waiters = [0, Math.floor(n / 2), n - 1].map((i) => new Lock({ name: `${prefix}-${i}` }));
        const args = JSON.stringify([prefix, n, ready.handle, end]);
        const source = `import('forklock').then((forklock) => (${body})(forklock, ...${args}))`;
        let worker: InstanceType<typeof Worker> | undefined;
        if (who === 'worker') {
          worker = new Worker(source, { eval: true });
        } else if (who === 'fork') {
          if (fork() === 0) await body({ Lock, RawValue }, prefix, n, ready.handle, end);
        } else {
          const { spawn } = process.getBuiltinModule('node:child_process');
          spawn(process.execPath, ['-e', source], { stdio: 'inherit' });
        }
        while (ready.value === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        const told = waiters.map((lock) => lock.acquireAsync({ timeout: 30_000 }));
        await worker?.terminate();
        print((await Promise.all(told)).every(Boolean) && waiters.every((lock) => lock.ownerDied));
        for (const lock of waiters) lock.release();
        let free = 0;
        for (let i = 0; i < n; i++) {
          const lock = new Lock({ name: `${prefix}-${i}` });
          if (lock.acquire(30_000)) free++;
          lock.release();
          lock.close();
          Lock.unlink(`${prefix}-${i}`);
        }
        print(free);
      },
      [MANY, who, end] as const,
      { deadline },
    );
    expect({ printed, code }, stderr).toEqual({ printed: [true, MANY], code: 0 });
  });

  test('the parent is killed of a child, by fork, that has them open, too', async () => {
    const { printed, stderr } = await script(
      async ({ forklock: { Lock, RawValue, fork }, print }, n) => {
        const names = Array.from({ length: n }, (_, i) => `parents-${process.pid}-${i}`);
        const locks = names.map((name) => new Lock({ name }));
        for (const name of names) Lock.unlink(name);
        for (const lock of locks) lock.acquire();
        const ready = new RawValue('int32', 0);
        const child = fork();
        if (child > 0) {
          while (ready.value === 0) await new Promise((resolve) => setTimeout(resolve, 5));
          process.kill(process.pid, 'SIGKILL');
        }
        print(locks.filter((lock) => lock.tryAcquire()).length);
        const told = [0, Math.floor(n / 2), n - 1].map((i) => locks[i]!.acquireAsync({ timeout: 30_000 }));
        ready.value = 1;
        print(await Promise.all(told));
        // The kernel goes through the locks of one thread after the other: some may still be on their way.
        print(locks.filter((lock) => lock.ownerDied || (lock.acquire(30_000) && lock.ownerDied)).length);
      },
      [MANY],
      { deadline },
    );
    expect(printed, stderr).toEqual([0, [true, true, true], MANY]);
  });
});
