import { expect, test } from 'vitest';
import { inEveryVariant, scene, useTroupe } from '../support/stage.js';
import { until } from '../support/time.js';

const troupe = useTroupe();

inEveryVariant('RLock', (variant) => {
  test('its thread acquires it again and again, and it is free when all levels are given back', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'RLock');
    for (let depth = 1; depth <= 5; depth++) {
      expect(await a.actor.call('o', 'acquire', ...(depth === 3 ? [10] : []))).toBe(true);
      expect(lock.depth).toBe(depth);
    }
    expect(await a.tryAcquire()).toBe(true);
    expect(lock.owner?.pid).toBe(a.actor.pid);
    for (let depth = 6; depth >= 1; depth--) {
      expect(lock.depth).toBe(depth);
      expect(await b.tryAcquire()).toBe(false);
      await expect(b.release()).rejects.toMatchObject({ name: 'NotOwnerError', code: 'ERR_FORKLOCK_NOT_OWNER' });
      expect(lock.depth).toBe(depth);
      await a.release();
    }
    expect(lock.depth).toBe(0);
    expect(lock.locked).toBe(false);
    await expect(a.release()).rejects.toMatchObject({ name: 'NotOwnerError' });
    expect(await b.acquire()).toBe(true);
    expect(lock.depth).toBe(1);
  });

  test('who waits gets it at the last release only', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'RLock');
    await a.actor.run(({ get }) => {
      for (let i = 0; i < 3; i++) get('o').acquire();
    });
    let got = false;
    const acquired = b.acquire().then((result) => {
      got = result;
    });
    await until(() => lock.waiting === 1);
    await a.release();
    await a.release();
    expect(lock.waiting).toBe(1);
    expect(got).toBe(false);
    await a.release();
    await acquired;
    expect(got).toBe(true);
    expect(lock.depth).toBe(1);
  });

  test('holds nest, and with() nests in with()', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'RLock');
    const depths = await a.actor.run(async ({ get }, form) => {
      const lock = get('o');
      const depths: number[] = [];
      const look = (): number => depths.push(lock.depth);
      if (form === 'sync') {
        const outer = lock.hold();
        lock.with(() => {
          look();
          lock.with(look);
          look();
        });
        const inner = lock.hold();
        look();
        inner.release();
        inner.release();
        look();
        outer.release();
      } else {
        await lock.withAsync(async () => {
          look();
          await lock.withAsync(look);
          await lock.withAsync(async () => {
            await null;
            look();
            const hold = await lock.holdAsync();
            look();
            hold.release();
          });
          look();
          await lock.withAsync(() => lock.with(look)); // sync code within the scope belongs to it
        });
      }
      look();
      return depths;
    }, variant.form);
    expect(depths).toEqual(variant.form === 'sync' ? [2, 3, 2, 2, 1, 0] : [1, 2, 2, 3, 1, 3, 0]);
    expect(lock.locked).toBe(false);
    expect(await b.tryAcquire()).toBe(true);
  });

  test('re-entry follows the async context: two tasks of one thread exclude each other', async () => {
    const { object: lock, a } = await scene(troupe, variant, 'RLock');
    const first = a.actor.run(async ({ get, state, emit }) => {
      await get('o').withAsync(async () => {
        emit('inside');
        await new Promise((resolve) => Object.assign(state, { resolve }));
        await get('o').withAsync(() => emit('nested'));
      });
    });
    await a.actor.event('inside');
    const log: string[] = [];
    const second = a.actor.run(({ get }) => get('o').withAsync(() => 'second')).then((value) => log.push(value));
    await until(() => lock.waiting === 1);
    expect(await a.actor.call('o', 'acquireAsync', { timeout: 10 })).toBe(false);
    expect(await a.tryAcquire()).toBe(false);
    await expect(a.release()).rejects.toMatchObject({ name: 'NotOwnerError' });
    await expect(a.actor.call('o', 'acquire')).rejects.toMatchObject({ name: 'DeadlockError' });
    expect(log).toEqual([]);
    await a.actor.run(({ state }) => (state.resolve as () => void)());
    await a.actor.event('nested');
    await Promise.all([first, second]);
    expect(log).toEqual(['second']);
    expect(lock.locked).toBe(false);
  });

  test('an async task waits for the thread itself, too', async () => {
    const { object: lock, a } = await scene(troupe, variant, 'RLock');
    await a.actor.call('o', 'acquire');
    const acquired = a.actor.call('o', 'withAsync', undefined).catch((error) => error.code);
    expect(await acquired).toBe('ERR_FORKLOCK_INVALID_ARG_TYPE');
    const ran = a.actor.run(({ get }) => get('o').withAsync(() => get('o').depth));
    await until(() => lock.waiting === 1);
    await a.actor.call('o', 'acquire');
    await a.release();
    expect(lock.waiting).toBe(1);
    await a.release();
    expect(await ran).toBe(1);
    expect(lock.locked).toBe(false);
  });

  test('what a scope has acquired more is still held when its function ends, and can be released', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'RLock');
    const depth = await a.actor.run(async ({ get }) => {
      const lock = get('o');
      return lock.withAsync(async () => {
        lock.acquire();
        await lock.acquireAsync();
        lock.release();
        lock.release();
        return lock.depth;
      });
    });
    expect(depth).toBe(1);
    expect(lock.depth).toBe(0);
    expect(await b.acquire()).toBe(true);
  });

  test('two objects of one lock in one thread are one owner', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'RLock');
    const depth = await a.actor.run(({ forklock, get, put }) => {
      const first = get<import('forklock').RLock>('o');
      const second = put('o2', forklock.RLock.from(first.handle));
      first.acquire();
      second.acquire();
      first.release();
      return second.depth;
    });
    expect(depth).toBe(1);
    expect(await b.tryAcquire()).toBe(false);
    await a.actor.call('o2', 'release');
    expect(lock.locked).toBe(false);
  });
});
