import { readdirSync } from 'node:fs';
import { BoundedSemaphore, Condition, Event, Lock, OwnerDiedError, RLock, Semaphore } from 'forklock';
import { describe, expect, test } from 'vitest';
import { Actor, PROCESSES } from '../support/actor.js';
import { useTroupe } from '../support/stage.js';
import { cleanUp, share } from '../support/subjects.js';
import { SOON, until } from '../support/time.js';

/** Several async waits of one thread for one object: they are served in the order in which they came. */

const troupe = useTroupe();

/** What one participant at a time has, and as it is when somebody has it. */
const KINDS = [
  ['Lock', () => new Lock()],
  ['RLock', () => new RLock()],
  ['Semaphore', () => new Semaphore(1)],
  ['BoundedSemaphore', () => new BoundedSemaphore(1)],
  ['Semaphore with recover', () => new Semaphore(1, { recover: true })],
] as const;

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Goes on where the event loop looks at timers first, and then at what has been reported. */
const beforeTimers = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Keeps the event loop from what it would hear. */
function busy(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe.each(PROCESSES)('waits of one thread: %s', (mode) => {
  test('200 for one lock are served in their order', async () => {
    const [actor] = await troupe.lendAll([mode]);
    const lock = await share('Lock', 'handle', [actor!]);
    lock.acquire();
    const order = actor!.run(async ({ get }) => {
      const served: number[] = [];
      const wait = async (i: number): Promise<void> => {
        await get('o').acquireAsync();
        served.push(i);
        get('o').release();
      };
      await Promise.all(Array.from({ length: 200 }, (_, i) => wait(i)));
      return served;
    });
    await until(() => lock.waiting === 200);
    lock.release();
    expect(await order).toEqual(upTo(200));
  });

  test.each([
    ['Lock', []],
    ['RLock', []],
    ['Semaphore', [1]],
    ['Semaphore', [1, { recover: true }]],
  ] as const)(
    'are served in their order while another acquires and releases all the time: %s, %j',
    async (cls, args) => {
      const [waiter, hammer] = (await troupe.lendAll([mode, mode])) as [Actor, Actor];
      const object = await share(cls, 'handle', [waiter, hammer], [...args]);
      const [gate, stop] = [new Event(), new Event()];
      const hammered = hammer.run(
        ({ get, forklock }, handles) => {
          const [gate, stop] = handles.map((handle) => forklock.Event.from(handle));
          while (!stop!.isSet) {
            gate!.wait();
            get('o').acquire();
            get('o').release();
          }
        },
        [String(gate.handle), String(stop.handle)],
      );
      for (let round = 0; round < 10; round++) {
        object.acquire();
        const order = waiter.run(async ({ get, emit }) => {
          const served: number[] = [];
          const wait = async (i: number): Promise<void> => {
            await get('o').acquireAsync();
            served.push(i);
            get('o').release();
          };
          const waits = Array.from({ length: 40 }, (_, i) => wait(i));
          emit('queued'); // the other one may wait, too, so their number would not say it
          await Promise.all(waits);
          return served;
        });
        await waiter.event('queued');
        gate.set();
        object.release();
        expect(await order).toEqual(upTo(40));
        gate.clear();
      }
      stop.set();
      gate.set();
      await hammered;
      for (const event of [gate, stop]) event.close();
    },
  );

  test('of whom some give up are served in their order, and none is forgotten', async () => {
    const [waiter, hammer] = (await troupe.lendAll([mode, mode])) as [Actor, Actor];
    const lock = await share('Lock', 'handle', [waiter, hammer]);
    const stop = new Event();
    lock.acquire();
    const order = waiter.run(async ({ get, emit }) => {
      const served: number[] = [];
      const one = new AbortController();
      const wait = async (i: number): Promise<void> => {
        const options = [
          undefined,
          { signal: AbortSignal.timeout(1 + Math.floor(i / 10)) },
          { signal: one.signal },
          { timeout: 1 + i / 10 },
        ];
        if (
          !(await get('o')
            .acquireAsync(options[i % 4])
            .catch(() => false))
        )
          return;
        served.push(i);
        get('o').release();
      };
      const waits = Array.from({ length: 200 }, (_, i) => wait(i));
      emit('queued');
      setTimeout(() => one.abort(), 5);
      await Promise.all(waits);
      return served;
    });
    await waiter.event('queued');
    const hammered = hammer.run(({ get, forklock }, handle) => {
      const stop = forklock.Event.from(handle);
      while (!stop.isSet) {
        get('o').acquire();
        const end = performance.now() + 0.2;
        while (performance.now() < end);
        get('o').release();
      }
    }, String(stop.handle));
    lock.release();
    const served = await order;
    expect(served).toEqual([...served].sort((x, y) => x - y));
    expect(served.filter((i) => i % 4 === 0)).toEqual(upTo(50).map((i) => i * 4));
    stop.set();
    await hammered;
    expect(lock.waiting).toBe(0);
    stop.close();
  });

  test('all learn of an owner that died, the first of them first', async () => {
    for (const onOwnerDied of ['report', 'throw'] as const) {
      const [waiter, victim] = [await troupe.lend(mode), await Actor.start(mode)];
      const lock = new Lock({ onOwnerDied });
      for (const actor of [waiter, victim]) await actor.open('Lock', 'o', lock.handle);
      await victim.call('o', 'acquire');
      const order = waiter.run(async ({ get }) => {
        const told: string[] = [];
        const wait = async (i: number): Promise<void> => {
          try {
            await get('o').acquireAsync();
            told.push(`${i} ${get('o').ownerDied}`);
            get('o').release();
          } catch (error) {
            told.push(`${i} ${(error as Error).name}`);
          }
        };
        await Promise.all([0, 1, 2].map(wait));
        return told;
      });
      await until(() => lock.waiting === 3);
      await victim.kill();
      const reported = ['0 true', '1 false', '2 false'];
      expect(await order).toEqual(
        onOwnerDied === 'report' ? reported : upTo(3).map((i) => `${i} ${OwnerDiedError.name}`),
      );
      lock.close();
    }
  });
});

describe.each(KINDS)('waits of one thread for a %s', (_, make) => {
  test.each([
    ['', undefined, undefined],
    [', with options neither', { timeout: 60_000 }, { signal: new AbortController().signal }],
  ])(
    'are not passed by newcomers for ever: what is reserved for the first one is for nobody else%s',
    async (_title, waits, passes) => {
      const object = make();
      await object.acquireAsync();
      let served = false;
      const waited = object.acquireAsync(waits).then(() => {
        served = true;
        object.release();
      });
      const end = performance.now() + SOON;
      while (!served && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 1)); // in which it looks, and loses
        object.release();
        await object.acquireAsync(passes);
      }
      expect(served).toBe(true);
      object.release();
      await waited;
      object.close();
    },
  );

  test('one whose time is up does not pass the first one', async () => {
    const object = make();
    await object.acquireAsync();
    const first = object.acquireAsync();
    const second = object.acquireAsync({ timeout: 20 });
    await beforeTimers();
    object.release();
    busy(40);
    expect(await second).toBe(false);
    expect(await first).toBe(true);
    expect(object.waiting).toBe(0);
    object.release();
    object.close();
  });

  test('the end of the first one is the turn of the next', async () => {
    const object = make();
    await object.acquireAsync();
    const controller = new AbortController();
    const aborted = object.acquireAsync({ signal: controller.signal });
    const late = object.acquireAsync({ timeout: 20 });
    const next = object.acquireAsync();
    expect(object.waiting).toBe(3);
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    expect(await late).toBe(false);
    expect(object.waiting).toBe(1);
    object.release();
    expect(await next).toBe(true);
    object.release();
    object.close();
  });

  test('of those whom one signal aborts none gets it, and those behind do', async () => {
    const object = make();
    await object.acquireAsync();
    const controller = new AbortController();
    const aborted = upTo(3).map(() => object.acquireAsync({ signal: controller.signal }));
    const next = object.acquireAsync();
    object.release();
    controller.abort(new Error('all'));
    for (const { status } of await Promise.allSettled(aborted)) expect(status).toBe('rejected');
    expect(await next).toBe(true);
    expect(object.waiting).toBe(0);
    object.release();
    object.close();
  });

  test('go on when their wrapper is closed', async () => {
    const closing = make();
    const object = (make().constructor as unknown as { from(handle: unknown): typeof closing }).from(closing.handle);
    await object.acquireAsync();
    const order: number[] = [];
    const waits = upTo(3).map(async (i) => {
      await closing.acquireAsync();
      order.push(i);
      object.release();
    });
    closing.close();
    const others = upTo(8).map(() => new Lock()); // in its memory, if it had been given back
    object.release();
    await Promise.all(waits);
    expect(order).toEqual([0, 1, 2]);
    expect(others.map((lock) => lock.locked)).toEqual(others.map(() => false));
    for (const made of [object, ...others]) made.close();
  });
});

test('a thousand waits for one lock are one sleep: no thread is there for the rest', async () => {
  const lock = new Lock();
  await lock.acquireAsync();
  const first = lock.acquireAsync();
  const before = readdirSync('/proc/self/task').length;
  const waits = upTo(999).map(() => lock.acquireAsync());
  expect(lock.waiting).toBe(1000);
  expect(readdirSync('/proc/self/task').length).toBe(before);
  lock.release();
  for (const wait of [first, ...waits]) {
    expect(await wait).toBe(true);
    lock.release();
  }
  lock.close();
});

test('20,000 waits that are served by one release', async () => {
  const semaphore = new Semaphore(0);
  const order: number[] = [];
  const waits = upTo(20_000).map((i) => semaphore.acquireAsync().then(() => order.push(i)));
  semaphore.release(20_000);
  await Promise.all(waits);
  expect(order).toEqual(upTo(20_000));
  expect(semaphore.value).toBe(0);
  semaphore.close();
});

test.each([false, true])('who may have a permit is not told that its time is up (recover: %s)', async (recover) => {
  const semaphore = new Semaphore(2, { recover });
  for (let i = 0; i < 2; i++) await semaphore.acquireAsync();
  const first = semaphore.acquireAsync();
  const second = semaphore.acquireAsync({ timeout: 20 });
  await beforeTimers();
  semaphore.release(2);
  busy(40);
  expect(await Promise.all([first, second])).toEqual([true, true]);
  semaphore.release(2);
  semaphore.close();
});

test('waits for a Condition are notified in their order, also beside one that gives up', async () => {
  const condition = new Condition(new Lock());
  const order: string[] = [];
  const wait = async (name: string, options?: { timeout?: number; signal?: AbortSignal }): Promise<void> => {
    await condition.acquireAsync();
    const notified = await condition.waitAsync(options).catch(() => 'aborted');
    order.push(`${name} ${notified}`);
    condition.release();
  };
  const controller = new AbortController();
  const waits = [wait('a', { signal: controller.signal }), wait('b', { timeout: 20 }), wait('c'), wait('d'), wait('e')];
  await until(() => condition.waiting === 5);
  controller.abort();
  await until(() => order.length === 2);
  expect(order.sort()).toEqual(['a aborted', 'b false']);
  for (let i = 3; i <= 5; i++) {
    await condition.withAsync(() => expect(condition.notify()).toBe(1));
    await until(() => order.length === i);
  }
  expect(order.slice(2)).toEqual(['c true', 'd true', 'e true']);
  await Promise.all(waits);
  condition.close();
  cleanUp();
});
