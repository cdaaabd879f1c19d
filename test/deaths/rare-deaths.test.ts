import { readdirSync, readFileSync } from 'node:fs';
import { Lock, SharedArray, Value } from 'forklock';
import { describe, expect, test } from 'vitest';
import { compile } from '../programs/compile.mjs';
import { Actor, type Scope } from '../support/actor.js';
import { useTroupe } from '../support/stage.js';
import { freshName, Party, share } from '../support/subjects.js';
import { until } from '../support/time.js';

/**
 * Ends that differ from those of owner-death.test.ts for the process, and not for the kernel's list of what it held: so
 * with a Lock only. And what is no end, or one that the kernel does not mark.
 */

const troupe = useTroupe();
/** For a busy machine. */
const BOUND = 2_000;

const execLibrary = compile('exec.so', 'test/contract', ['exec.cc'], ['-shared', '-fPIC']);

const isExec = (pid: number): boolean => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sleep';

const ways: [title: string, end: (victim: Actor) => unknown, exit?: { code: number | null; signal: string | null }][] =
  [
    ['is ended by SIGTERM', (victim) => victim.signal('SIGTERM'), { code: null, signal: 'SIGTERM' }],
    ['is ended by SIGSEGV', (victim) => victim.signal('SIGSEGV'), { code: null, signal: 'SIGSEGV' }],
    [
      'does not handle a rejection',
      (victim) => victim.post(() => setImmediate(() => void Promise.reject(new Error('on purpose')))),
      { code: 1, signal: null },
    ],
    [
      'becomes another program by execve',
      (victim) => victim.post((_, library) => process.dlopen({ exports: {} }, library), execLibrary),
    ],
  ];

describe('a lock is left to the next one, who is told, when a process that holds it', () => {
  for (const [title, end, exit] of ways) {
    for (const form of ['sync', 'async'] as const) {
      test(`${title}: ${form}`, async () => {
        const [victim, other] = await Promise.all([Actor.start('process'), troupe.lend('process')]);
        const lock = await share('Lock', 'handle', [victim, other]);
        await victim.call('o', 'acquire');
        const next = new Party(other, form).acquire();
        await until(() => lock.waiting === 1);
        const start = performance.now();
        end(victim);
        expect(await next).toBe(true);
        expect(performance.now() - start).toBeLessThan(BOUND);
        expect(await other.read('o', 'ownerDied')).toBe(true);
        if (exit) {
          expect(await victim.exited).toEqual(exit);
        } else {
          await until(() => isExec(victim.pid));
          await victim.kill();
        }
      });
    }
  }
});

describe('a process that is killed', () => {
  for (const [cls, args, change] of [
    ['Value', ['int32', 5], ({ get }: Scope) => get('o').update(() => process.kill(process.pid, 'SIGKILL'))],
    ['Array', ['int32', [5, 6]], ({ get }: Scope) => get('o').with(() => process.kill(process.pid, 'SIGKILL'))],
  ] as const) {
    test(`in a change of ${cls} leaves its lock to the next one, who is told`, async () => {
      const [victim, other] = await Promise.all([Actor.start('process'), troupe.lend('process')]);
      const object = cls === 'Value' ? new Value(...(args as ['int32', number])) : new SharedArray(args[0], [5, 6]);
      for (const actor of [victim, other]) await actor.open(cls, 'o', object.handle);
      await other.call('o.lock', 'acquire');
      victim.post(change);
      await until(() => object.lock.waiting === 1);
      await other.call('o.lock', 'release');
      expect(await victim.exited).toEqual({ code: null, signal: 'SIGKILL' });
      expect(await other.call('o.lock', 'acquire')).toBe(true);
      expect(object.lock.ownerDied).toBe(true);
      expect(object instanceof Value ? object.value : object.slice()).toEqual(args[1]);
      await other.call('o.lock', 'release');
      object.close();
    });
  }

  test('while it makes a named object leaves a whole one, or none', async () => {
    const name = freshName();
    const files = () => readdirSync(`/dev/shm/forklock-${process.geteuid?.()}`).filter((file) => file.startsWith('#'));
    new Lock({ name }).close();
    const before = files();
    for (let i = 0; i < 20; i++) {
      const victim = await Actor.start('process');
      victim.post(({ forklock, emit }, name) => {
        emit('begins');
        const end = performance.now() + 1000;
        while (performance.now() < end) {
          const lock = new forklock.Lock({ name });
          lock.acquire();
          forklock.Lock.unlink(name);
          lock.close();
        }
      }, name);
      await victim.event('begins');
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      await victim.kill();
      const lock = new Lock({ name });
      expect(lock.tryAcquire()).toBe(true);
      lock.release();
      lock.close();
    }
    expect(files().filter((file) => !before.includes(file))).toEqual([]);
  });
});

describe('what is no death of the thread that holds, or looks like none', () => {
  test('a process that is stopped keeps what it holds, for as long as it is stopped', async () => {
    const [victim, other] = await Promise.all([Actor.start('process'), troupe.lend('process')]);
    const lock = await share('Lock', 'handle', [victim, other]);
    await victim.call('o', 'acquire');
    victim.signal('SIGSTOP');
    // Five of the looks for owners whose end the kernel has not marked.
    expect(await other.call('o', 'acquire', 500)).toBe(false);
    expect(lock.owner?.pid).toBe(victim.pid);
    const next = other.call('o', 'acquire');
    await until(() => lock.waiting === 1);
    victim.signal('SIGCONT');
    await victim.call('o', 'release');
    expect(await next).toBe(true);
    expect(lock.ownerDied).toBe(false);
    await victim.stop();
  });

  /** Calls execve in a worker thread of the victim, which has opened the lock, and perhaps holds it. */
  const execInWorker = (victim: Actor, lock: Lock, holds: boolean): Promise<void> =>
    victim.run(
      async ({ fs, require }, library, handle, holds) => {
        // While a thread is in execve no other can begin: one of libuv's pool that could not would abort the process.
        await fs.promises.access('/');
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const worker = new Worker(
          `const { parentPort, workerData: [library, handle, holds] } = require('node:worker_threads');
          import('forklock').then(({ Lock }) => {
            const lock = Lock.from(handle);
            if (holds) lock.acquire();
            parentPort.once('message', () => process.dlopen({ exports: {} }, library));
            parentPort.postMessage('ready');
          });`,
          { eval: true, workerData: [library, handle, holds] },
        );
        return new Promise((resolve) =>
          worker.once('message', () => {
            setImmediate(() => worker.postMessage('go'));
            resolve();
          }),
        );
      },
      execLibrary,
      lock.handle as string,
      holds,
    );

  test('execve in a worker thread: what another thread of the process holds is left to the next one', async () => {
    const [victim, other] = await Promise.all([Actor.start('process'), troupe.lend('process')]);
    const lock = await share('Lock', 'handle', [victim, other]);
    await victim.call('o', 'acquire');
    const next = other.call('o', 'acquire');
    await until(() => lock.waiting === 1);
    await execInWorker(victim, lock, false);
    expect(await next).toBe(true);
    expect(await other.read('o', 'ownerDied')).toBe(true);
    await until(() => isExec(victim.pid));
    await victim.kill();
  });

  for (const env of [{}, { FORKLOCK_PLAIN_FUTEX: '1' }]) {
    for (const form of ['sync', 'async'] as const) {
      const where = env.FORKLOCK_PLAIN_FUTEX ? ', without futex_waitv' : '';
      // The thread has the process's id by the time the kernel walks its list: it marks nothing, and wakes nobody.
      test(`execve in a worker thread that holds: a look of who waits finds it, ${form}${where}`, async () => {
        const [victim, other] = await Promise.all([Actor.start('process'), Actor.start('process', { env })]);
        const lock = await share('Lock', 'handle', [victim, other]);
        await execInWorker(victim, lock, true);
        await until(() => isExec(victim.pid));
        expect(await other.call('o', 'tryAcquire')).toBe(false);
        const start = performance.now();
        expect(await new Party(other, form).acquire()).toBe(true);
        expect(performance.now() - start).toBeLessThan(BOUND);
        expect(await other.read('o', 'ownerDied')).toBe(true);
        await Promise.all([victim.kill(), other.stop()]);
      });
    }
  }
});
