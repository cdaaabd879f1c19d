import { Condition, Lock, RLock } from 'forklock';
import { expect, test } from 'vitest';
import type { Actor } from '../support/actor.js';
import { inEveryVariant, scene, useTroupe, type Variant } from '../support/stage.js';
import { freshName } from '../support/subjects.js';
import { until } from '../support/time.js';

const troupe = useTroupe();

/** Acquires, waits, releases; what the wait returned. */
function waitOnce(actor: Actor, form: string, timeout?: number, emitted?: unknown): Promise<boolean> {
  return actor.run(
    async ({ get, emit }, form, timeout, emitted) => {
      const condition = get<Condition>('o');
      if (form === 'sync') {
        condition.acquire();
        const result = condition.wait(timeout);
        if (emitted !== undefined) emit('woken', emitted);
        condition.release();
        return result;
      }
      return condition.withAsync(async () => {
        const result = await condition.waitAsync({ timeout });
        if (emitted !== undefined) emit('woken', emitted);
        return result;
      });
    },
    form,
    timeout,
    emitted,
  );
}

/** Notifies with the lock held, without blocking the process of the test. */
function notify(condition: Condition, n?: number): Promise<number> {
  return condition.withAsync(() => (n === undefined ? condition.notifyAll() : condition.notify(n)));
}

inEveryVariant('Condition', (variant) => {
  test('wait() gives the lock to others and has it again when it was notified', async () => {
    const { object: condition, a } = await scene(troupe, variant, 'Condition', [undefined]);
    const woken = waitOnce(a.actor, a.form, undefined, 'a');
    await until(() => condition.waiting === 1);
    expect(condition.lock.locked).toBe(false);
    await condition.withAsync(async () => {
      expect(condition.notify()).toBe(1);
      // The waiter cannot go on before this releases: it waits for the lock now.
      await until(() => condition.lock.waiting === 1);
    });
    expect(await woken).toBe(true);
    await a.actor.event('woken');
    expect(condition.waiting).toBe(0);
    expect(condition.lock.locked).toBe(false);
  });

  test('wait() ends with false after its timeout, and has the lock again', async () => {
    const { object: condition, a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    const start = performance.now();
    expect(await waitOnce(a.actor, a.form, 30)).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(29);
    expect(await waitOnce(a.actor, a.form, 0)).toBe(false);
    expect(await waitOnce(a.actor, a.form, -1)).toBe(false);
    expect(condition.waiting).toBe(0);
    expect(await b.acquire(0)).toBe(true);
  });

  test('notify(n) wakes the n longest waits, notifyAll() the rest', async () => {
    const {
      object: condition,
      actors,
      form,
    } = {
      ...(await scene(troupe, variant, 'Condition', [undefined])),
      form: variant.form,
    };
    const order: number[] = [];
    const waits: Promise<unknown>[] = [];
    for (const [i, actor] of actors.entries()) {
      waits.push(waitOnce(actor, form).then(() => order.push(i)));
      await until(() => condition.waiting === i + 1);
    }
    expect(await notify(condition, 0)).toBe(0);
    expect(await notify(condition, 1)).toBe(1);
    await until(() => order.length === 1);
    expect(condition.waiting).toBe(2);
    expect(await notify(condition)).toBe(2);
    await Promise.all(waits);
    expect(order[0]).toBe(0);
    expect(await notify(condition)).toBe(0);
    expect(await notify(condition, 3)).toBe(0);
  });

  test('notify() is for those who wait, not for those who come', async () => {
    const { object: condition, a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    expect(await notify(condition, 5)).toBe(0);
    expect(await waitOnce(a.actor, a.form, 20)).toBe(false);
    const first = waitOnce(a.actor, a.form);
    await until(() => condition.waiting === 1);
    expect(await notify(condition, 5)).toBe(1);
    expect(await first).toBe(true);
    expect(await waitOnce(b.actor, b.form, 20)).toBe(false);
  });

  test('a wait that timed out does not use up a notification', async () => {
    const { object: condition, a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    for (let i = 0; i < 5; i++) {
      const short = waitOnce(a.actor, a.form, 10); // most often in the queue before the other
      const long = waitOnce(b.actor, b.form);
      expect(await short).toBe(false);
      await until(() => condition.waiting === 1);
      expect(await notify(condition, 1)).toBe(1);
      expect(await long).toBe(true);
    }
  });

  test('several tasks of one thread wait side by side, and are woken one by one', async () => {
    const { object: condition, a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    const done: number[] = [];
    const waits = [0, 1, 2, 3].map((i) => waitOnce(i < 3 ? a.actor : b.actor, 'async').then(() => done.push(i)));
    await until(() => condition.waiting === 4);
    for (let n = 1; n <= 4; n++) {
      expect(await notify(condition, 1)).toBe(1);
      await until(() => done.length === n);
      expect(condition.waiting).toBe(4 - n);
    }
    await Promise.all(waits);
  });

  test('wait() and notify() are for the holder of the lock only', async () => {
    const { object: condition, a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    for (const held of [false, true]) {
      if (held) await b.acquire();
      for (const call of [a.wait(), a.wait(0), a.actor.call('o', 'notify'), a.actor.call('o', 'notifyAll')]) {
        await expect(call).rejects.toMatchObject({ name: 'NotOwnerError', code: 'ERR_FORKLOCK_NOT_OWNER' });
      }
    }
    expect(condition.waiting).toBe(0);
  });

  test('wrong timeouts, counts and predicates are errors, and the lock is still held', async () => {
    const { object: condition, a } = await scene(troupe, variant, 'Condition', [undefined]);
    await a.acquire();
    for (const timeout of [Number.NaN, '1', null]) {
      await expect(a.wait(timeout)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' });
    }
    for (const n of [-1, 1.5, Number.NaN]) {
      await expect(a.actor.call('o', 'notify', n)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_OUT_OF_RANGE' });
    }
    await expect(a.actor.call('o', 'notify', '1')).rejects.toMatchObject({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' });
    const waitFor = variant.form === 'sync' ? 'waitFor' : 'waitForAsync';
    for (const predicate of [undefined, null, 'x', {}]) {
      await expect(a.actor.call('o', waitFor, predicate)).rejects.toMatchObject({
        code: 'ERR_FORKLOCK_INVALID_ARG_TYPE',
      });
    }
    expect(condition.lock.owner?.pid).toBe(a.actor.pid);
    expect(condition.waiting).toBe(0);
    await a.release();
  });

  test('wait() releases all levels of the RLock, and has as many again', async () => {
    const { object: condition, a } = await scene(troupe, variant, 'Condition', [undefined]);
    const depths = a.actor.run(async ({ get }, form) => {
      const condition = get('o');
      const { lock } = condition;
      if (form === 'sync') {
        for (let i = 0; i < 3; i++) condition.acquire();
        condition.wait();
        const depths = [lock.depth];
        for (let i = 0; i < 3; i++) condition.release();
        return [...depths, lock.depth];
      }
      return condition.withAsync(() =>
        condition.withAsync(async () => {
          lock.acquire();
          await condition.waitAsync();
          const { depth } = lock;
          lock.release();
          return [depth, lock.depth + (lock.owner ? 0 : 100) - 2];
        }),
      );
    }, variant.form);
    await until(() => condition.waiting === 1);
    expect((condition.lock as RLock).depth).toBe(0);
    expect(await notify(condition, 1)).toBe(1);
    expect(await depths).toEqual([3, 0]);
    expect(condition.lock.locked).toBe(false);
  });

  test('waitFor() looks first, after every notification, and at the end, and returns the last value', async () => {
    const { a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    const run = (values: unknown[], timeout?: number): Promise<{ result: unknown; calls: number }> =>
      a.actor.run(
        async ({ get }, form, values, timeout) => {
          const condition = get('o');
          let calls = 0;
          const predicate = (): unknown => values[Math.min(calls++, values.length - 1)];
          const result = await (form === 'sync'
            ? condition.with(() => condition.waitFor(predicate, timeout))
            : condition.withAsync(() => condition.waitForAsync(predicate, { timeout })));
          return { result, calls };
        },
        variant.form,
        values,
        timeout,
      );
    expect(await run(['yes'])).toEqual({ result: 'yes', calls: 1 });
    expect(await run([7], 0)).toEqual({ result: 7, calls: 1 });
    expect(await run([''], 0)).toEqual({ result: '', calls: 1 });
    expect(await run([0], -1)).toEqual({ result: 0, calls: 1 });
    expect(await run([null], 20)).toEqual({ result: null, calls: 2 });
    const third = run([false, 0, 'third']);
    for (let i = 0; i < 2; i++) {
      // The wait that was notified last may still count as waiting; only notify itself knows.
      await until(() => b.actor.run(({ get }) => get('o').withAsync(() => get('o').notify() === 1)));
    }
    expect(await third).toEqual({ result: 'third', calls: 3 });
  });

  test('waitFor() keeps its time over many notifications in vain', async () => {
    const { object: condition, a } = await scene(troupe, variant, 'Condition', [undefined]);
    const start = performance.now();
    let over = false;
    const result = a.actor
      .run(async ({ get }, form) => {
        const condition = get('o');
        return form === 'sync'
          ? condition.with(() => condition.waitFor(() => false, 60))
          : condition.withAsync(() => condition.waitForAsync(async () => false, { timeout: 60 }));
      }, variant.form)
      .finally(() => {
        over = true;
      });
    await until(async () => {
      await notify(condition);
      return over;
    });
    expect(await result).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(59);
  });

  test('a predicate that throws ends waitFor(), with the lock held', async () => {
    const { object: condition, a } = await scene(troupe, variant, 'Condition', [undefined]);
    await a.acquire();
    const failing = a.actor.run(({ get }, form) => {
      const predicate = (): never => {
        throw new Error('of the predicate');
      };
      return form === 'sync' ? get('o').waitFor(predicate) : get('o').waitForAsync(predicate);
    }, variant.form);
    await expect(failing).rejects.toThrow('of the predicate');
    expect(condition.lock.locked).toBe(true);
    await a.release();
  });

  test('producers and consumers over a condition lose and double nothing', async () => {
    const { object: condition, a, b, c } = await scene(troupe, variant, 'Condition', [undefined]);
    const count = await a.actor.run(({ forklock, put }) => put('items', new forklock.Semaphore(0)).handle);
    await Promise.all([b, c].map(({ actor }) => actor.open('Semaphore', 'items', count)));
    const rounds = 60;
    const consume = (actor: Actor): Promise<number> =>
      actor.run(
        async ({ get }, form, rounds) => {
          const condition = get('o');
          const items = get('items');
          let taken = 0;
          for (let i = 0; i < rounds; i++) {
            const take = (): void => {
              if (!items.tryAcquire()) throw new Error('the item that was there under the lock is gone');
              taken++;
            };
            if (form === 'sync') {
              condition.with(() => {
                condition.waitFor(() => items.value > 0);
                take();
              });
            } else {
              await condition.withAsync(async () => {
                await condition.waitForAsync(() => items.value > 0);
                take();
              });
            }
          }
          return taken;
        },
        variant.form,
        rounds,
      );
    const produced = a.actor.run(
      async ({ get }, form, rounds) => {
        const condition = get('o');
        const put = (): void => {
          get('items').release();
          condition.notify();
        };
        for (let i = 0; i < rounds; i++) {
          if (form === 'sync') condition.with(put);
          else await condition.withAsync(put);
        }
      },
      variant.form,
      2 * rounds,
    );
    expect(await Promise.all([consume(b.actor), consume(c.actor), produced])).toEqual([rounds, rounds, undefined]);
    expect(await a.actor.read('items', 'value')).toBe(0);
    expect(condition.waiting).toBe(0);
  });
});

/** A condition of a lock that was there before. */
async function withLock(variant: Variant, lockClass: 'Lock' | 'RLock') {
  const actors = (await troupe.lendAll(variant.modes)) as [Actor, Actor, Actor];
  if (variant.sharing === 'handle') {
    const lock = new { Lock, RLock }[lockClass]();
    const condition = new Condition(lock);
    for (const actor of actors) await actor.open('Condition', 'o', condition.handle);
    return { lock, condition, actors };
  }
  const lock = new { Lock, RLock }[lockClass]({ name: freshName() });
  const condition = new Condition(lock, { name: freshName() });
  const [a, ...others] = actors;
  await a.open('Condition', 'o', condition.handle);
  for (const actor of others) {
    await actor.run(
      ({ forklock, put }, cls, lockName, name) => {
        put('o', new forklock.Condition(new forklock[cls]({ name: lockName }), { name }));
      },
      lockClass,
      lock.name!,
      condition.name!,
    );
  }
  return { lock, condition, actors };
}

for (const lockClass of ['Lock', 'RLock'] as const) {
  inEveryVariant(`Condition of a ${lockClass} that was there before`, (variant) => {
    test('everybody who opens it has the same lock', async () => {
      const { lock, condition, actors } = await withLock(variant, lockClass);
      const [a, b, c] = actors;
      expect(condition.lock).toBe(lock);
      expect(await b.run(({ get, forklock }, cls) => get('o').lock instanceof forklock[cls], lockClass)).toBe(true);
      await a.call('o', 'acquire');
      expect(lock.locked).toBe(true);
      expect(await b.call('o.lock', 'tryAcquire')).toBe(false);
      expect(await c.call('o', 'tryAcquire')).toBe(false);
      await a.call('o', 'release');
      const woken = [a, b, c].map((actor) => waitOnce(actor, variant.form));
      await until(() => condition.waiting === 3);
      expect(lock.locked).toBe(false);
      const notified = await lock.withAsync(() => condition.notifyAll());
      expect(notified).toBe(3);
      expect(await Promise.all(woken)).toEqual([true, true, true]);
      expect(String(condition)).toContain(`lock: ${lockClass} {`);
      condition.close();
      expect(await lock.acquireAsync()).toBe(true); // it is not the condition's to close
      lock.close();
    });
  });
}
