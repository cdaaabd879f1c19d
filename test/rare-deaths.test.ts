import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { Lock } from 'forklock';
import { describe, expect, test } from 'vitest';
import { compile } from './programs/compile.mjs';
import { Actor } from './support/actor.js';
import { startGroup } from './support/group.js';
import { useTroupe } from './support/stage.js';
import { freshName, Party, share } from './support/subjects.js';
import { until } from './support/time.js';

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

const inNamespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;
const canUnshare = spawnSync(inNamespace[0], [...inNamespace.slice(1), 'true']).status === 0;
if (!canUnshare) console.log('A holder in another PID namespace: skipped, because unshare --pid is refused');

describe.runIf(canUnshare)('a holder in another PID namespace, as in a container that shares /dev/shm', () => {
  /** Holds a named lock there, as a thread whose id is nobody's here. It ends by SIGKILL when it is written to. */
  async function startHolder(name: string) {
    // Pids are given out in order: it will be some time before this one comes here.
    const nobodys = ((spawnSync('true').pid + 10_000) % 30_000) + 300;
    const program = `
      import { Lock } from 'forklock';
      new Lock({ name: ${JSON.stringify(name)} }).acquire();
      process.stdin.once('data', () => process.kill(process.pid, 'SIGKILL'));
      console.log(process.pid);`;
    const command = 'echo $0 > /proc/sys/kernel/ns_last_pid && "$@"';
    const node = [process.execPath, '--input-type=module', '-e', program];
    const { child, ended } = startGroup([...inNamespace, 'sh', '-c', command, String(nobodys), ...node], {
      stdin: 'pipe',
    });
    const [tid] = await once(child.stdout, 'data');
    return { child, ended, tid: Number(tid) };
  }

  test("is not taken for dead, although its thread id is nobody's here; and its death is noticed", async () => {
    const name = freshName();
    const { child, ended, tid } = await startHolder(name);
    expect(existsSync(`/proc/${tid}`)).toBe(false);
    const other = await troupe.lend('process');
    await other.make('Lock', 'o', { name });
    const observed = new Lock({ name });
    expect(await other.call('o', 'acquire', 500)).toBe(false);
    const next = other.call('o', 'acquire');
    await until(() => observed.waiting === 1);
    child.stdin!.write('die');
    expect(await next).toBe(true);
    expect(await other.read('o', 'ownerDied')).toBe(true);
    await ended;
    observed.close();
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
      ({ require }, library, handle, holds) => {
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
