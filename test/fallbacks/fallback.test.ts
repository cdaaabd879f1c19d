import type { Condition, Lock } from 'forklock';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Actor, type Mode, PROCESSES, Troupe } from '../support/actor.js';
import { deaths } from '../support/deaths.js';
import { METHODS } from '../support/processes.js';
import { until } from '../support/time.js';

/**
 * Where the kernel has no futex_waitv (Linux before 5.16, some containers), waits use a plain futex in slices, and look
 * for deaths after each. Here that way is forced, for every participant: also for this process, which therefore must
 * not load forklock before the variable is set.
 */
const env = { FORKLOCK_PLAIN_FUTEX: '1' };
process.env.FORKLOCK_PLAIN_FUTEX = '1';
const forklock = await import('forklock');
afterAll(() => {
  delete process.env.FORKLOCK_PLAIN_FUTEX;
});

const troupe = new Troupe({ env });
afterAll(() => troupe.dismiss());

type Form = 'sync' | 'async';
const places: [title: string, modes: [Mode, Mode, Mode]][] = [
  ['threads', ['thread', 'thread', 'thread']],
  ['processes', ['process', 'process', 'process']],
  ['threads and processes', ['process', 'thread', 'process']],
  ...METHODS.map((method): (typeof places)[number] => [`processes by ${method}`, [method, method, method]]),
];

beforeAll(async () => {
  // The variable has got to the actors.
  for (const mode of ['thread', ...PROCESSES] as const) {
    const actor = await troupe.lend(mode);
    expect(await actor.run(() => process.env.FORKLOCK_PLAIN_FUTEX)).toBe('1');
  }
  await troupe.collect();
});

// biome-ignore lint/suspicious/noExplicitAny: objects of all classes
type Any = any;
const call = (actor: Actor, form: Form, path: string, method: string, timeout?: number): Promise<Any> =>
  form === 'sync' ? actor.call(path, method, timeout) : actor.call(path, `${method}Async`, { timeout });

const faces: { title: string; make(): Any; cls: string; side?: string }[] = [
  { title: 'Lock', cls: 'Lock', make: () => new forklock.Lock() },
  { title: 'RLock', cls: 'RLock', make: () => new forklock.RLock() },
  { title: 'Semaphore', cls: 'Semaphore', make: () => new forklock.Semaphore(1) },
  { title: 'Semaphore that recovers', cls: 'Semaphore', make: () => new forklock.Semaphore(1, { recover: true }) },
  { title: 'writing side of an RWLock', cls: 'RWLock', make: () => new forklock.RWLock(), side: 'write' },
];

for (const [place, modes] of places) {
  for (const form of ['sync', 'async'] as const) {
    describe(`without futex_waitv, ${form}, between ${place}`, () => {
      const stage = async (cls: string, make: () => Any): Promise<{ object: Any; actors: [Actor, Actor, Actor] }> => {
        await troupe.collect();
        const object = make();
        const actors = (await troupe.lendAll(modes)) as [Actor, Actor, Actor];
        for (const actor of actors) await actor.open(cls, 'o', object.handle);
        return { object, actors };
      };

      test.each(faces)(
        '$title: exclusion, waits, timeouts, and every waiter is served',
        async ({ cls, make, side }) => {
          const { object, actors } = await stage(cls, make);
          const [a, b, c] = actors;
          const path = side ? `o.${side}` : 'o';
          expect(await call(a, form, path, 'acquire')).toBe(true);
          expect(await b.call(path, 'tryAcquire')).toBe(false);
          expect(await call(b, form, path, 'acquire', 70)).toBe(false);
          const waits = [b, c].map(async (actor) => {
            expect(await call(actor, form, path, 'acquire')).toBe(true);
            await actor.call(path, 'release');
          });
          await until(() => object.waiting === 2);
          await a.call(path, 'release');
          await Promise.all(waits);
          expect(object.waiting).toBe(0);
          expect(await c.call(path, 'tryAcquire')).toBe(true);
          object.close();
        },
      );

      test('Event: set() with clear() behind it', async () => {
        const { object: event, actors } = await stage('Event', () => new forklock.Event());
        for (let i = 0; i < 5; i++) {
          const waits = actors.map((actor) => call(actor, form, 'o', 'wait'));
          await until(() => event.waiting === 3);
          event.set();
          event.clear();
          expect(await Promise.all(waits)).toEqual([true, true, true]);
        }
        event.close();
      });

      test('Condition: notify(1) and notifyAll()', async () => {
        const { object, actors } = await stage('Condition', () => new forklock.Condition());
        const condition = object as Condition;
        let woken = 0;
        const waits = actors.map((actor) =>
          actor
            .run(
              ({ get }, form) =>
                form === 'sync' ? get('o').with(() => get('o').wait()) : get('o').withAsync(() => get('o').waitAsync()),
              form,
            )
            .then((value) => {
              woken++;
              return value;
            }),
        );
        await until(() => condition.waiting === 3);
        expect(await condition.withAsync(() => condition.notify())).toBe(1);
        await until(() => woken === 1);
        expect(condition.waiting).toBe(2);
        expect(await condition.withAsync(() => condition.notifyAll())).toBe(2);
        expect(await Promise.all(waits)).toEqual([true, true, true]);
        condition.close();
      });

      test('Barrier: rounds, and a timeout that breaks it', async () => {
        const { object: barrier, actors } = await stage('Barrier', () => new forklock.Barrier(3));
        for (let i = 0; i < 5; i++) {
          const indices = await Promise.all(actors.map((actor) => call(actor, form, 'o', 'wait')));
          expect(indices.sort()).toEqual([0, 1, 2]);
        }
        const rejected = expect(call(actors[0], form, 'o', 'wait')).rejects.toMatchObject({
          name: 'BrokenBarrierError',
        });
        await until(() => barrier.waiting === 1);
        await expect(call(actors[1], form, 'o', 'wait', 10)).rejects.toMatchObject({ name: 'BrokenBarrierError' });
        await rejected;
        barrier.close();
      });
    });
  }
}

describe('without futex_waitv, deaths are noticed by a look every 20 or 50 ms', () => {
  const killing = deaths.filter(({ title }) => /SIGKILL|terminated/.test(title));
  const holdings: { title: string; cls: string; make(): Any; victim: string; waiter: string }[] = [
    { title: 'Lock', cls: 'Lock', make: () => new forklock.Lock(), victim: 'o', waiter: 'o' },
    { title: 'RLock', cls: 'RLock', make: () => new forklock.RLock(), victim: 'o', waiter: 'o' },
    {
      title: 'Semaphore that recovers',
      cls: 'Semaphore',
      make: () => new forklock.Semaphore(1, { recover: true }),
      victim: 'o',
      waiter: 'o',
    },
    { title: 'dead writer', cls: 'RWLock', make: () => new forklock.RWLock(), victim: 'o.write', waiter: 'o.read' },
    { title: 'dead reader', cls: 'RWLock', make: () => new forklock.RWLock(), victim: 'o.read', waiter: 'o.write' },
  ];
  const times: number[] = [];
  afterAll(() => {
    console.log(
      `without futex_waitv, from a death to the next owner: ${times.map((ms) => ms.toFixed(0)).join(', ')} ms`,
    );
  });

  for (const holding of holdings) {
    for (const death of killing) {
      for (const form of ['sync', 'async'] as const) {
        test(`${holding.title}: ${death.title}, ${form} waiter`, async () => {
          await troupe.collect();
          const [victim, other] = await Promise.all([Actor.start(death.mode, { env }), troupe.lend('process')]);
          const object = holding.make();
          for (const actor of [victim, other]) await actor.open(holding.cls, 'o', object.handle);
          await victim.call(holding.victim, 'acquire');
          const acquired = call(other, form, holding.waiter, 'acquire');
          await until(() => object.waiting === 1);
          const start = performance.now();
          const died = death.die(victim);
          expect(await acquired).toBe(true);
          times.push(performance.now() - start);
          expect(times.at(-1)).toBeLessThan(2_000);
          await died;
          if (holding.cls.endsWith('Lock') && holding.title !== 'dead reader') {
            expect(await other.read('o', 'ownerDied')).toBe(true);
          }
          object.close();
        });
      }
    }
  }

  for (const form of ['sync', 'async'] as const) {
    test(`Barrier: a killed party breaks it, ${form}`, async () => {
      await troupe.collect();
      const [victim, other] = await Promise.all([Actor.start('process', { env }), troupe.lend('process')]);
      const barrier = new forklock.Barrier(3);
      for (const actor of [victim, other]) await actor.open('Barrier', 'o', barrier.handle);
      victim.call('o', 'wait').catch(() => {});
      const rejected = expect(call(other, form, 'o', 'wait')).rejects.toMatchObject({ name: 'BrokenBarrierError' });
      await until(() => barrier.waiting === 2);
      await victim.kill();
      await rejected;
      barrier.close();
    });

    test(`Condition: a killed waiter swallows no notification, ${form}`, async () => {
      await troupe.collect();
      const [victim, other] = await Promise.all([Actor.start('process', { env }), troupe.lend('thread')]);
      const condition = new forklock.Condition();
      for (const actor of [victim, other]) await actor.open('Condition', 'o', condition.handle);
      const wait = (actor: Actor): Promise<boolean> =>
        actor.run(
          ({ get }, form) =>
            form === 'sync' ? get('o').with(() => get('o').wait()) : get('o').withAsync(() => get('o').waitAsync()),
          form,
        );
      wait(victim).catch(() => {});
      await until(() => condition.waiting === 1);
      const second = wait(other);
      await until(() => condition.waiting === 2);
      await condition.withAsync(async () => {
        expect(condition.notify(1)).toBe(1);
        await victim.kill();
      });
      expect(await second).toBe(true);
      condition.close();
    });
  }
});

describe('without futex_waitv, async waits', () => {
  test('on many locks at once all resolve, and the process ends', async () => {
    await troupe.collect();
    const actor = await troupe.lend('process');
    const locks: Lock[] = Array.from({ length: 20 }, () => new forklock.Lock());
    for (const lock of locks) lock.tryAcquire();
    const all = actor.run(
      async ({ forklock }, handles) => {
        const locks = handles.map((handle) => forklock.Lock.from(handle));
        return (await Promise.all(locks.map((lock) => lock.acquireAsync()))).filter(Boolean).length;
      },
      locks.map((lock) => String(lock.handle)),
    );
    await until(() => locks.every((lock) => lock.waiting === 1));
    for (const lock of locks) lock.release();
    expect(await all).toBe(20);
    for (const lock of locks) lock.close();
  });

  test('that are pending do not keep a worker from being terminated', async () => {
    const event = new forklock.Event();
    for (let i = 0; i < 10; i++) {
      const actor = await Actor.start('thread', { env });
      await actor.open('Event', 'o', event.handle);
      actor.call('o', 'waitAsync').catch(() => {});
      await until(() => event.waiting === 1);
      await actor.terminate();
      expect(event.waiting).toBe(0);
    }
    event.close();
  });
});
