import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { inEveryVariant, scene, useTroupe } from '../support/stage.js';
import { until } from '../support/time.js';

const troupe = useTroupe();

inEveryVariant('Lock', (variant) => {
  test('it says who holds it, and that nobody does', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'Lock');
    expect(lock.locked).toBe(false);
    expect(lock.owner).toBeNull();
    await a.acquire();
    expect(lock.locked).toBe(true);
    expect(await b.actor.read('o', 'locked')).toBe(true);
    const owner = await b.actor.read('o', 'owner');
    expect(owner).toEqual(lock.owner);
    expect(owner.pid).toBe(a.actor.pid);
    if (a.actor.mode !== 'thread') expect(owner.tid).toBe(a.actor.pid);
    else expect(owner.tid).not.toBe(a.actor.pid);
    expect(lock.ownerDied).toBe(false);
    expect(lock.recover()).toBe(false);
    expect(lock.locked).toBe(true);
    await b.release();
    expect(lock.owner).toBeNull();
  });

  test('its inspection shows the state, the owner and the waiters', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'Lock');
    expect(String(lock)).toMatch(/^Lock \{.* locked: false, owner: null, ownerDied: false, waiting: 0 \}$/);
    await a.acquire();
    const acquired = b.acquire();
    await until(() => lock.waiting === 1);
    expect(inspect(lock, { breakLength: Number.POSITIVE_INFINITY })).toBe(String(lock));
    expect(String(lock)).toContain(`locked: true, owner: { pid: ${a.actor.pid}, tid: `);
    expect(String(lock)).toContain('waiting: 1');
    expect(String(lock).includes('name:')).toBe(variant.sharing === 'name');
    await a.release();
    await acquired;
  });

  test('a second acquire of its owner would wait for itself: DeadlockError, or false after a timeout', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'Lock');
    await a.acquire();
    for (const timeout of [[], [Number.POSITIVE_INFINITY]]) {
      await expect(a.actor.call('o', 'acquire', ...timeout)).rejects.toMatchObject({
        name: 'DeadlockError',
        code: 'ERR_FORKLOCK_DEADLOCK',
      });
    }
    await expect(a.actor.run(({ get }) => get('o').with(() => 1))).rejects.toMatchObject({ name: 'DeadlockError' });
    await expect(a.actor.run(({ get }) => get('o').hold())).rejects.toMatchObject({ name: 'DeadlockError' });
    expect(await a.actor.call('o', 'acquire', 20)).toBe(false);
    expect(await a.acquire(0)).toBe(false);
    expect(await a.tryAcquire()).toBe(false);
    expect(lock.waiting).toBe(0);
    expect(lock.owner?.pid).toBe(a.actor.pid);
    await a.release();
    expect(await b.acquire()).toBe(true);
  });

  test('two async tasks of one thread exclude each other, and one may release for the other', async () => {
    const { object: lock, a } = await scene(troupe, variant, 'Lock');
    const second = a.actor.run(async ({ get, emit }) => {
      const lock = get('o');
      await lock.acquireAsync();
      emit('held');
      await lock.acquireAsync();
      return lock.locked;
    });
    await a.actor.event('held');
    await until(() => lock.waiting === 1);
    await a.release();
    expect(await second).toBe(true);
    expect(lock.waiting).toBe(0);
  });

  test('what was made with onOwnerDied is so for all who open it', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'Lock', [], { onOwnerDied: 'throw' });
    expect(await a.acquire()).toBe(true);
    expect(await b.acquire(0)).toBe(false);
    await a.release();
    expect(lock.ownerDied).toBe(false);
    expect(await b.acquire()).toBe(true);
  });

  test('many waiters all get it, one after another', async () => {
    const { object: lock, a, b, c } = await scene(troupe, variant, 'Lock');
    await a.acquire();
    const turns = [b, c].map(({ actor }) =>
      actor.run(async ({ get }) => {
        const lock = get('o');
        let inside = 0;
        let most = 0;
        const task = async (): Promise<void> => {
          await lock.acquireAsync();
          most = Math.max(most, ++inside);
          await new Promise((resolve) => setImmediate(resolve));
          inside--;
          lock.release();
        };
        await Promise.all(Array.from({ length: 20 }, task));
        return most;
      }),
    );
    await until(() => lock.waiting === 40);
    await a.release();
    expect(await Promise.all(turns)).toEqual([1, 1]);
    expect(lock.locked).toBe(false);
    expect(lock.waiting).toBe(0);
  });
});
