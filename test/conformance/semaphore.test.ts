import { expect, test } from 'vitest';
import { inEveryVariant, scene, useTroupe } from '../support/stage.js';
import { until } from '../support/time.js';

const troupe = useTroupe();

inEveryVariant('Semaphore', (variant) => {
  for (const recover of [false, true]) {
    const title = recover ? ', with recover' : '';

    test(`it lets as many through as it has permits${title}`, async () => {
      const { object, a, b, c } = await scene(troupe, variant, 'Semaphore', [3], { recover });
      expect(object.value).toBe(3);
      for (const [i, party] of [a, a, b].entries()) {
        expect(await party.acquire()).toBe(true);
        expect(object.value).toBe(2 - i);
        expect(await c.actor.read('o', 'value')).toBe(2 - i);
      }
      expect(await c.tryAcquire()).toBe(false);
      expect(await a.acquire(10)).toBe(false); // a second acquire of a holder waits too: it has no owner
      const acquired = c.acquire();
      await until(() => object.waiting === 1);
      await a.release();
      expect(await acquired).toBe(true);
      expect(object.value).toBe(0);
      await a.release();
      await b.release();
      await c.release();
      expect(object.value).toBe(3);
    });

    test(`release(n) brings n permits and wakes as many${title}`, async () => {
      const { object, a, b, c } = await scene(troupe, variant, 'Semaphore', [4], { recover });
      for (let i = 0; i < 4; i++) await a.acquire();
      const acquired = [b.acquire(), c.acquire()];
      await until(() => object.waiting === 2);
      await a.release(3);
      expect(await Promise.all(acquired)).toEqual([true, true]);
      expect(object.value).toBe(1);
      expect(object.waiting).toBe(0);
    });

    test(`release() refuses what is no count, and nothing has changed${title}`, async () => {
      const { object, a } = await scene(troupe, variant, 'Semaphore', [2], { recover });
      await a.acquire();
      for (const n of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
        await expect(a.release(n), String(n)).rejects.toMatchObject({
          name: 'RangeError',
          code: 'ERR_FORKLOCK_OUT_OF_RANGE',
        });
      }
      await expect(a.actor.call('o', 'release', '1')).rejects.toMatchObject({
        name: 'TypeError',
        code: 'ERR_FORKLOCK_INVALID_ARG_TYPE',
      });
      expect(object.value).toBe(1);
      await a.release();
      expect(object.value).toBe(2);
    });

    test(`no permit is lost or made up under contention${title}`, async () => {
      const { object, a, b, c } = await scene(troupe, variant, 'Semaphore', [2], { recover });
      await Promise.all(
        [a, b, c].map(({ actor, form }) =>
          actor.run(async ({ get }, form) => {
            const semaphore = get('o');
            for (let i = 0; i < 300; i++) {
              if (form === 'sync') semaphore.acquire();
              else await semaphore.acquireAsync();
              if (semaphore.value > 1) throw new Error(`${semaphore.value} permits are free while one is taken`);
              semaphore.release();
            }
          }, form),
        ),
      );
      expect(object.value).toBe(2);
      expect(object.waiting).toBe(0);
    });
  }

  test('it may begin without permits, and a release by anybody brings one', async () => {
    const { object, a, b } = await scene(troupe, variant, 'Semaphore', [0]);
    const acquired = a.acquire();
    await until(() => object.waiting === 1);
    await b.release();
    expect(await acquired).toBe(true);
    await b.release();
    await b.release(4);
    expect(object.value).toBe(5);
  });

  test('permits that recover are released by their holder only', async () => {
    const { object, a, b } = await scene(troupe, variant, 'Semaphore', [3], { recover: true });
    await a.acquire();
    await a.acquire();
    await b.acquire();
    await expect(b.release(2)).rejects.toMatchObject({ name: 'NotOwnerError', code: 'ERR_FORKLOCK_NOT_OWNER' });
    expect(object.value).toBe(0);
    await b.release();
    await expect(b.release()).rejects.toMatchObject({ name: 'NotOwnerError' });
    expect(object.value).toBe(1);
    await a.release(2);
    expect(object.value).toBe(3);
  });

  test('there are never more than the greatest number of permits', async () => {
    const most = 2 ** 24 - 1;
    const { object, a } = await scene(troupe, variant, 'Semaphore', [most]);
    await expect(a.release()).rejects.toMatchObject({ code: 'ERR_FORKLOCK_OVER_RELEASE' });
    expect(object.value).toBe(most);
    expect(await a.acquire()).toBe(true);
    await expect(a.release(2)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_OVER_RELEASE' });
    expect(object.value).toBe(most - 1);
    await a.release();
    expect(object.value).toBe(most);
  });

  test('its inspection shows the permits and the waiters', async () => {
    const { object, a } = await scene(troupe, variant, 'Semaphore', [2]);
    await a.acquire();
    expect(String(object)).toMatch(/^Semaphore \{.* value: 1, waiting: 0 \}$/);
  });
});

inEveryVariant('BoundedSemaphore', (variant) => {
  test('it never has more permits than it began with', async () => {
    const { object, a, b } = await scene(troupe, variant, 'BoundedSemaphore', [3]);
    await a.acquire();
    await a.acquire();
    await expect(b.release(3)).rejects.toMatchObject({
      name: 'ForklockError',
      code: 'ERR_FORKLOCK_OVER_RELEASE',
      message: expect.stringContaining('expected at most 3 permits'),
    });
    expect(object.value).toBe(1);
    await b.release(2);
    await expect(b.release()).rejects.toMatchObject({ code: 'ERR_FORKLOCK_OVER_RELEASE' });
    expect(object.value).toBe(3);
    expect(String(object)).toMatch(/^BoundedSemaphore \{.* value: 3/);
  });

  test('a bound of 0 is legal, and nothing can be released', async () => {
    const { object, a } = await scene(troupe, variant, 'BoundedSemaphore', [0]);
    expect(await a.acquire(0)).toBe(false);
    await expect(a.release()).rejects.toMatchObject({ code: 'ERR_FORKLOCK_OVER_RELEASE' });
    expect(object.value).toBe(0);
  });

  test('releases that race never exceed the bound', async () => {
    const { object, a, b, c } = await scene(troupe, variant, 'BoundedSemaphore', [50]);
    for (let i = 0; i < 25; i++) await a.acquire();
    const released = await Promise.all(
      [a, b, c].map(({ actor }) =>
        actor.run(({ get }) => {
          let released = 0;
          for (let i = 0; i < 25; i++) {
            try {
              get('o').release();
              released++;
            } catch (error) {
              if ((error as { code?: string }).code !== 'ERR_FORKLOCK_OVER_RELEASE') throw error;
            }
          }
          return released;
        }),
      ),
    );
    expect(released.reduce((sum, n) => sum + n)).toBe(25);
    expect(object.value).toBe(50);
  });
});
