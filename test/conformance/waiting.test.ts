import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Barrier, Condition, Event, Lock, RLock, RWLock, Semaphore } from 'forklock';
import { describe, expect, test } from 'vitest';
import { Actor, PROCESSES } from '../support/actor.js';
import { script } from '../support/script.js';
import { useTroupe } from '../support/stage.js';
import { Party, share } from '../support/subjects.js';
import { timed, until } from '../support/time.js';

/** What a pending wait does to the thread, the process and the rest of the event loop. */

const troupe = useTroupe();

describe('a wait that is pending goes on when its wrapper is closed', () => {
  for (const lockClass of [Lock, RLock, undefined]) {
    test(`of a Condition with ${lockClass ? `a ${lockClass.name}` : 'a lock of its own'}: no notification is lost`, async () => {
      const closing = lockClass ? new Condition(new lockClass()) : new Condition();
      const condition = Condition.from(closing.handle);
      await closing.acquireAsync();
      const first = closing.waitAsync();
      closing.close();
      closing.lock.close();
      const notify = () => condition.withAsync(() => condition.notify());
      expect(await notify()).toBe(1);
      expect(await first).toBe(true);
      expect(condition.lock.locked).toBe(true);
      condition.release();
      const second = condition.withAsync(() => condition.waitAsync({ timeout: 10_000 }));
      await until(() => condition.waiting === 1 && !condition.lock.locked);
      expect(await notify()).toBe(1);
      expect(await second).toBe(true);
      condition.close();
    });
  }

  test('of a Condition that is aborted: it leaves no trace', async () => {
    const closing = new Condition(new Lock());
    const condition = Condition.from(closing.handle);
    closing.acquire();
    const controller = new AbortController();
    const wait = closing.waitAsync({ signal: controller.signal });
    closing.close();
    controller.abort(new Error('enough'));
    await expect(wait).rejects.toThrow('enough');
    expect(condition.notify()).toBe(0);
    condition.release();
    condition.close();
  });

  test('of an RLock: the next owner begins at depth 1', async () => {
    const closing = new RLock();
    const lock = RLock.from(closing.handle);
    const condition = new Condition(lock);
    lock.acquire();
    lock.acquire();
    const acquired = closing.acquireAsync();
    closing.close();
    const waited = condition.waitAsync(); // gives two levels back
    expect(await acquired).toBe(true);
    expect(lock.depth).toBe(1);
    condition.notify();
    lock.release();
    expect(await waited).toBe(true);
    expect(lock.depth).toBe(2);
    condition.close();
    lock.close();
  });

  test('of an RWLock whose writer dies', async () => {
    const victim = await Actor.start(PROCESSES[0]!);
    const closing = new RWLock();
    const lock = RWLock.from(closing.handle);
    await victim.open('RWLock', 'o', closing.handle);
    expect(await victim.call('o.write', 'acquire')).toBe(true);
    const acquired = closing.write.acquireAsync();
    closing.close();
    victim.signal('SIGKILL');
    expect(await acquired).toBe(true);
    expect(lock.ownerDied).toBe(true);
    lock.write.release();
    expect(lock.ownerDied).toBe(false);
    lock.close();
  });

  test('of a Barrier whose action runs', async () => {
    const closing = new Barrier(1, { action: () => new Promise((resolve) => setImmediate(resolve)) });
    const wait = closing.waitAsync();
    closing.close();
    const others = Array.from({ length: 8 }, () => new Barrier(2)); // in its memory, if it had been given back
    expect(await wait).toBe(0);
    expect(others.map(({ waiting, broken }) => ({ waiting, broken }))).toEqual(
      others.map(() => ({ waiting: 0, broken: false })),
    );
    for (const barrier of others) barrier.close();
  });
});

describe('a thread that is blocked in a sync wait', () => {
  const blocks: [title: string, block: (actor: Actor, handle: string) => Promise<unknown>][] = [
    ['for ever', (actor) => actor.call('o', 'wait')],
    ['with a long timeout', (actor) => actor.call('o', 'wait', 60_000)],
  ];
  for (const [title, block] of blocks) {
    test(`a worker is terminated at once (promised: within 50 ms), ${title}`, async () => {
      const measured: number[] = [];
      const event = new Event();
      for (let i = 0; i < 5; i++) {
        const actor = await Actor.start('thread');
        await actor.open('Event', 'o', event.handle);
        block(actor, event.handle).catch(() => {});
        await until(() => event.waiting === 1);
        measured.push(await timed(actor.terminate()));
        expect(event.waiting).toBe(0);
      }
      measured.sort((x, y) => x - y);
      console.log(`terminate() of a blocked worker, ${title}: ${measured.map((ms) => ms.toFixed(1)).join(', ')} ms`);
      expect(measured[2]).toBeLessThan(500);
      event.close();
    });
  }
});

describe.each(PROCESSES)('a blocked thread: %s', (mode) => {
  test('process.exit() of the main thread ends a process with a blocked worker (promised: within 50 ms)', async () => {
    const { printed, code, stderr } = await script(
      async ({ forklock, Worker, print }) => {
        const event = new forklock.Event();
        const source = `
          const { workerData } = require('node:worker_threads');
          import('forklock').then(({ Event }) => Event.from(workerData).wait());
        `;
        for (let i = 0; i < 2; i++) new Worker(source, { eval: true, workerData: event.handle });
        while (event.waiting < 2) await new Promise((resolve) => setTimeout(resolve, 1));
        process.on('exit', () => print(Date.now()));
        process.exit(7);
      },
      [],
      { mode },
    );
    const ms = Date.now() - printed[0];
    console.log(`process.exit() with two blocked workers: ${ms} ms`);
    expect({ code, stderr }).toEqual({ code: 7, stderr: '' });
    expect(ms).toBeLessThan(1_000);
  });

  test('a signal without a handler ends a process that is blocked', async () => {
    const actor = await Actor.start(mode);
    const lock = await share('Lock', 'handle', [actor]);
    expect(lock.tryAcquire()).toBe(true);
    actor.call('o', 'acquire').catch(() => {});
    await until(() => lock.waiting === 1);
    const start = performance.now();
    actor.signal('SIGTERM');
    expect(await actor.exited).toEqual({ code: null, signal: 'SIGTERM' });
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(lock.waiting).toBe(0);
  });

  test('SIGSTOP and SIGCONT, and time that passes meanwhile, leave the wait and its deadline as they were', async () => {
    const actor = await Actor.start(mode);
    const event = await share('Event', 'handle', [actor]);
    const wait = actor.call('o', 'wait', 30_000);
    await until(() => event.waiting === 1);
    actor.signal('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 60));
    actor.signal('SIGCONT');
    expect(event.waiting).toBe(1);
    event.set();
    expect(await wait).toBe(true);
    await actor.stop();
  });
});

describe.each(PROCESSES)('pending async waits: %s', (mode) => {
  test('200 of them do not slow down fs, crypto, dns and timers', async () => {
    const { printed, code, stderr } = await script(
      async ({ forklock, require, print }) => {
        const { readFile } = require('node:fs/promises') as typeof import('node:fs/promises');
        const { pbkdf2 } = require('node:crypto') as typeof import('node:crypto');
        const { lookup } = require('node:dns/promises') as typeof import('node:dns/promises');
        const work = async (): Promise<number> => {
          const start = performance.now();
          for (let i = 0; i < 200; i++) {
            await readFile('/proc/self/status');
            await lookup('127.0.0.1');
            if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
            if (i % 50 === 0) {
              await new Promise<void>((resolve, reject) =>
                pbkdf2('a', 'b', 10, 8, 'sha1', (e) => (e ? reject(e) : resolve())),
              );
            }
          }
          return performance.now() - start;
        };
        await work();
        const without = Math.min(await work(), await work());
        const locks = Array.from({ length: 100 }, () => new forklock.Lock());
        for (const lock of locks) lock.acquire();
        const waits = [...locks, ...locks].map((lock) => lock.acquireAsync());
        const pending = locks.reduce((sum, lock) => sum + lock.waiting, 0);
        const withWaits = Math.min(await work(), await work());
        for (const lock of locks) {
          lock.release();
        }
        let got = 0;
        await Promise.all(
          waits.map(async (wait, i) => {
            if (await wait) got++;
            locks[i % 100]!.release();
          }),
        );
        print({ without, withWaits, pending, got });
      },
      [],
      { mode },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { without, withWaits, pending, got } = printed[0];
    console.log(`200 file reads and more: ${without.toFixed(1)} ms; with 200 pending waits ${withWaits.toFixed(1)} ms`);
    expect(pending).toBe(200);
    expect(got).toBe(200);
    // On libuv's pool the first of them would never have ended at all.
    expect(withWaits).toBeLessThan(10 * without + 1_000);
  });

  test('keep the process alive as a timer would', async () => {
    const { code, printed } = await script(
      async ({ forklock, print }) => {
        const event = new forklock.Event();
        setTimeout(() => print('alive'), 100).unref(); // does not keep it alive itself
        await event.waitAsync({ timeout: 200 });
        print('timed out');
      },
      [],
      { mode },
    );
    expect({ code, printed }).toEqual({ code: 0, printed: ['alive', 'timed out'] });
    const forEver = await script(({ forklock }) => void new forklock.Event().waitAsync(), [], { mode, deadline: 800 });
    expect(forEver).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test('do not keep it alive once they are settled or aborted', async () => {
    const { code, printed, stderr } = await script(
      async ({ forklock, print }) => {
        const locks = Array.from({ length: 20 }, () => new forklock.Lock());
        for (const lock of locks) lock.acquire();
        const controller = new AbortController();
        const aborted = locks.map((lock) => lock.acquireAsync({ signal: controller.signal }).catch((reason) => reason));
        const granted = locks.map((lock) => lock.acquireAsync());
        const late = locks.map((lock) => lock.acquireAsync({ timeout: 2 ** 40 }));
        const short = await Promise.all(locks.map((lock) => lock.acquireAsync({ timeout: 5 })));
        controller.abort('stop');
        const reasons = await Promise.all(aborted);
        for (const lock of locks) lock.release();
        const results = await Promise.all(granted);
        for (const lock of locks) lock.release();
        const lateResults = await Promise.all(late);
        print([
          short.every((x) => x === false),
          reasons.every((x) => x === 'stop'),
          results.every((x) => x === true),
          lateResults.every((x) => x === true),
          locks.reduce((sum, lock) => sum + lock.waiting, 0),
        ]);
      },
      [],
      { mode, deadline: 10_000 },
    );
    expect({ code, printed, stderr: stderr.replace(/^.*MaxListeners.*\n.*\n?/m, '') }).toEqual({
      code: 0,
      printed: [[true, true, true, true, 0]],
      stderr: '',
    });
  });

  test('a process that never waited, or waited synchronously only, ends by itself', async () => {
    const { code, printed } = await script(
      ({ forklock, print }) => {
        const lock = new forklock.Lock();
        print([lock.acquire(), lock.acquire(10), new forklock.Event().wait(10)]);
      },
      [],
      { mode },
    );
    expect({ code, printed }).toEqual({ code: 0, printed: [[true, false, false]] });
  });

  test('a timeout of more than 2^31 ms does not end at once', async () => {
    const [actor] = await troupe.lendAll([mode]);
    const event = await share('Event', 'handle', [actor!]);
    const waits = [2 ** 31, 2 ** 31 + 1, 2 ** 32 + 10, 2 ** 53, Number.MAX_VALUE].map((timeout) =>
      actor!.call('o', 'waitAsync', { timeout }),
    );
    let settled = 0;
    for (const wait of waits) wait.finally(() => settled++).catch(() => {});
    await until(() => event.waiting === waits.length);
    expect(await actor!.call('o', 'waitAsync', { timeout: 50 })).toBe(false); // time passes there
    expect(settled).toBe(0);
    expect(event.waiting).toBe(waits.length);
    expect(await actor!.run(({ warnings }) => warnings)).toEqual([]);
    event.set();
    expect(await Promise.all(waits)).toEqual(waits.map(() => true));
    const sync = actor!.call('o', 'clear').then(() => actor!.call('o', 'wait', 2 ** 40));
    await until(() => event.waiting === 1);
    event.set();
    expect(await sync).toBe(true);
  });

  test('on 300 different locks all resolve, though one sleep can watch 127 words at most', async () => {
    const [actor] = await troupe.lendAll([mode]);
    const locks = Array.from({ length: 300 }, () => new Lock());
    for (const lock of locks) lock.tryAcquire();
    const all = actor!.run(
      async ({ forklock }, handles) => {
        const locks = handles.map((handle) => forklock.Lock.from(handle));
        const got = await Promise.all(locks.map((lock) => lock.acquireAsync()));
        for (const lock of locks) lock.release();
        return got.filter(Boolean).length;
      },
      locks.map((lock) => String(lock.handle)),
    );
    await until(() => locks.every((lock) => lock.waiting === 1));
    // In an order that is not the one in which they began.
    for (let i = 0; i < 300; i++) locks[(i * 7) % 300]!.release();
    expect(await all).toBe(300);
    expect(locks.every((lock) => !lock.locked && lock.waiting === 0)).toBe(true);
    for (const lock of locks) lock.close();
  });

  test('on 300 different locks all learn of the death of their owner', async () => {
    const [actor, victim] = await Promise.all([troupe.lend(mode), Actor.start(mode)]);
    const locks = Array.from({ length: 300 }, () => new Lock());
    const handles = locks.map((lock) => String(lock.handle));
    await victim.run(({ forklock, put }, handles) => {
      for (const [i, handle] of handles.entries()) put(`l${i}`, forklock.Lock.from(handle)).acquire();
    }, handles);
    const all = actor.run(async ({ forklock }, handles) => {
      const locks = handles.map((handle) => forklock.Lock.from(handle));
      const got = await Promise.all(locks.map((lock) => lock.acquireAsync()));
      return got.filter((got, i) => got && locks[i]!.ownerDied).length;
    }, handles);
    await until(() => locks.every((lock) => lock.waiting === 1));
    const start = performance.now();
    await victim.kill();
    expect(await all).toBe(300);
    console.log(`300 async waits took over from one dead owner in ${(performance.now() - start).toFixed(1)} ms`);
    expect(performance.now() - start).toBeLessThan(2_000);
    for (const lock of locks) lock.close();
  });

  test('are not starved by sync waiters that acquire and release all the time', async () => {
    const [a, b, c] = (await troupe.lendAll([mode, mode, mode])) as [Actor, Actor, Actor];
    for (const cls of ['Lock', 'Semaphore'] as const) {
      const [lock, stop] = [await share(cls, 'handle', [a, b, c], cls === 'Semaphore' ? [1] : []), new Event()];
      const hammers = [a, b].map((actor) =>
        actor.run(({ get, forklock, emit }, stopHandle) => {
          const stop = forklock.Event.from(stopHandle);
          let rounds = 0;
          while (!stop.isSet) {
            get('o').acquire();
            const end = performance.now() + 3;
            while (performance.now() < end);
            get('o').release();
            if (rounds++ === 0) emit('hammering');
          }
          return rounds;
        }, String(stop.handle)),
      );
      await Promise.all([a, b].map((actor) => actor.event('hammering')));
      for (let i = 0; i < 5; i++) {
        expect(await c.call('o', 'acquireAsync', { timeout: 10_000 })).toBe(true);
        await c.call('o', 'release');
      }
      stop.set();
      for (const rounds of await Promise.all(hammers)) expect(rounds).toBeGreaterThan(0);
      expect(lock.waiting).toBe(0);
      stop.close();
      for (const actor of [a, b, c]) await actor.call('o', 'close');
    }
  });
});

/** Whether a waiter has asked to be the next: it has written its name behind the lock's word. */
function hasAsked(lock: Lock): boolean {
  const { at, m } = (lock as unknown as { cell: { at: number; m: { load(word: number): number } } }).cell;
  return m.load(at + 4) !== 0;
}

describe.each(PROCESSES)('a waiter whose turn it is, and that is stopped: %s', (mode) => {
  test.each(['sync', 'async'] as const)('does not keep a free lock from the others, %s', async (form) => {
    for (let reserved = false; !reserved; ) {
      const [stopped, other] = (await troupe.lendAll([mode, mode])) as [Actor, Actor];
      const lock = await share('Lock', 'handle', [stopped, other]);
      lock.acquire();
      const turn = stopped.call('o', 'acquireAsync');
      await until(() => lock.waiting === 1);
      // It loses races, until it asks to be the next; or it wins one, and all begins again.
      let lost = true;
      await until(() => {
        if (hasAsked(lock)) return true;
        lock.release();
        lost = lock.tryAcquire();
        return !lost;
      });
      if (lost) {
        stopped.signal('SIGSTOP');
        lock.release();
        expect(lock.tryAcquire()).toBe(false);
        reserved = true;
        expect(lock.locked).toBe(false);
        expect(await (form === 'sync' ? other.call('o', 'acquire', 10_000) : other.call('o', 'acquireAsync'))).toBe(
          true,
        );
        await other.call('o', 'release');
        stopped.signal('SIGCONT');
      }
      expect(await turn).toBe(true);
      await stopped.call('o', 'release');
    }
  });
});

describe('a worker with pending async waits', () => {
  const count = (what: 'task' | 'fd'): number => readdirSync(`/proc/self/${what}`).length;
  const mappings = async (): Promise<number> =>
    (await readFile('/proc/self/maps', 'utf8')).split('\n').filter((line) => /forklock|memfd/.test(line)).length;

  test('ends cleanly 50 times, in every way, and leaves no thread, descriptor or mapping', async () => {
    const lock = new Lock();
    const semaphore = new Semaphore(0);
    expect(lock.tryAcquire()).toBe(true);
    const once = async (i: number): Promise<void> => {
      const actor = await Actor.start('thread');
      await actor.open('Lock', 'o', lock.handle);
      await actor.open('Semaphore', 's', semaphore.handle);
      await actor.run(({ forklock, put }) => {
        const own = put('own', new forklock.Lock());
        own.acquire();
      });
      for (const key of ['o', 's', 'own']) actor.call(key, 'acquireAsync').catch(() => {});
      await until(() => lock.waiting === 1 && semaphore.waiting === 1);
      if (i % 2) {
        actor.post(() => process.exit(5));
        expect(await actor.exited).toEqual({ code: 5, signal: null });
      } else {
        await actor.terminate();
      }
      expect(actor.uncaught).toBeUndefined();
      expect(lock.waiting).toBe(0);
      expect(semaphore.waiting).toBe(0);
    };
    for (let i = 0; i < 6; i++) await once(i);
    const before = { mappings: await mappings(), tasks: 0, fds: 0 }; // first: it starts the threads of libuv's pool
    Object.assign(before, { tasks: count('task'), fds: count('fd') });
    for (let i = 0; i < 50; i++) await once(i);
    await until(() => count('task') <= before.tasks, 'the threads of the workers have ended');
    // libuv and V8 keep a few descriptors and mappings for later; per worker there would be fifty and more.
    expect(count('fd')).toBeLessThan(before.fds + 10);
    expect(await mappings()).toBeLessThan(before.mappings + 10);
    lock.close();
    semaphore.close();
  }, 60_000);

  test('whose waits are all settled ends by itself', async () => {
    const actor = await Actor.start('thread');
    const event = await share('Event', 'handle', [actor]);
    const wait = actor.call('o', 'waitAsync');
    await until(() => event.waiting === 1);
    event.set();
    expect(await wait).toBe(true);
    actor.post(({ detach }) => detach());
    expect(await actor.exited).toEqual({ code: 0, signal: null });
  });

  test('is kept alive by a wait, and ends by itself after it', async () => {
    const actor = await Actor.start('thread');
    const event = await share('Event', 'handle', [actor]);
    actor.post(({ get, detach }) => {
      get('o').waitAsync();
      detach();
    });
    await until(() => event.waiting === 1);
    const other = await troupe.lend('thread');
    await other.open('Event', 'o', event.handle);
    expect(await new Party(other, 'sync').wait(50)).toBe(false); // time passes
    expect(actor.alive).toBe(true);
    expect(event.waiting).toBe(1);
    event.set();
    expect(await actor.exited).toEqual({ code: 0, signal: null });
  });
});
