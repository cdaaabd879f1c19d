import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { own } from '../support/own.js';
import { inEveryVariantOf, lockScene, useTroupe } from '../support/stage.js';
import { type Party, subjects } from '../support/subjects.js';
import { until } from '../support/time.js';

/** What everything with the face of a lock does. */

const troupe = useTroupe();

const wrongTimeouts = [Number.NaN, '10', null, 10n, {}, true];

for (const [i, subject] of subjects.entries()) {
  inEveryVariantOf(i, subject.title, (variant) => {
    test('only one has it at a time', async () => {
      const { a, b, c, face } = await lockScene(troupe, variant, subject);
      expect(await a.acquire()).toBe(true);
      for (const other of [b, c]) {
        expect(await other.tryAcquire()).toBe(false);
        expect(await other.acquire(0)).toBe(false);
        expect(await other.acquire(-1)).toBe(false);
        expect(await other.acquire(Number.NEGATIVE_INFINITY)).toBe(false);
      }
      expect(face.tryAcquire()).toBe(false);
      await a.release();
      expect(await b.acquire(0)).toBe(true);
      expect(await c.tryAcquire()).toBe(false);
      await b.release();
      expect(await c.tryAcquire()).toBe(true);
      expect(await a.acquire(-1)).toBe(false);
      await c.release();
      expect(face.tryAcquire()).toBe(true);
      face.release();
    });

    test.each([undefined, Number.POSITIVE_INFINITY, 2 ** 40, 60_000])(
      'who waits with timeout %s gets it when it is released',
      async (timeout) => {
        const { a, b, waiting } = await lockScene(troupe, variant, subject);
        await a.acquire();
        const acquired = b.acquire(timeout);
        await until(() => waiting() === 1);
        await a.release();
        expect(await acquired).toBe(true);
        expect(waiting()).toBe(0);
        expect(await a.tryAcquire()).toBe(false);
      },
    );

    test('a wait ends after its timeout, not before, and leaves no trace', async () => {
      const { a, b, waiting } = await lockScene(troupe, variant, subject);
      await a.acquire();
      const start = performance.now();
      expect(await b.acquire(30)).toBe(false);
      expect(performance.now() - start).toBeGreaterThan(29);
      expect(waiting()).toBe(0);
      expect(await b.acquire(0.5)).toBe(false);
      await a.release();
      expect(await b.acquire(30)).toBe(true);
    });

    test('a timeout that is no number is a TypeError, whether or not it is free', async () => {
      const { a, b, waiting } = await lockScene(troupe, variant, subject);
      for (const state of ['free', 'held']) {
        if (state === 'held') await a.acquire();
        for (const timeout of wrongTimeouts) {
          await expect(b.acquire(timeout), `${state}, ${timeout}`).rejects.toMatchObject({
            name: 'TypeError',
            code: 'ERR_FORKLOCK_INVALID_ARG_TYPE',
            message: expect.stringMatching(/timeout: expected a number of milliseconds, got /),
          });
          await expect(b.hold(timeout)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' });
        }
      }
      expect(waiting()).toBe(0);
      await a.release();
      expect(await b.acquire(0)).toBe(true);
    });

    test('each release lets one waiter through', async () => {
      const { a, b, c, waiting } = await lockScene(troupe, variant, subject);
      await a.acquire();
      let got = 0;
      const holders: Party[] = [];
      const waits = [b, c].map(async (party) => {
        expect(await party.acquire()).toBe(true);
        got++;
        holders.push(party);
      });
      await until(() => waiting() === 2);
      expect(got).toBe(0);
      await a.release();
      await until(() => got === 1);
      await until(() => waiting() === 1);
      expect(await a.tryAcquire()).toBe(false);
      expect(got).toBe(1);
      await holders[0]!.release();
      await Promise.all(waits);
      expect(waiting()).toBe(0);
      await holders[1]!.release();
      expect(await a.tryAcquire()).toBe(true);
    });

    test('a hold lasts until it is released, and releasing it twice is releasing it once', async () => {
      const { a, b } = await lockScene(troupe, variant, subject);
      await a.hold();
      expect(await b.tryAcquire()).toBe(false);
      await expect(b.hold(10)).rejects.toMatchObject({
        name: 'TimeoutError',
        code: 'ERR_FORKLOCK_TIMEOUT',
        message: expect.stringContaining('within 10 ms'),
      });
      await expect(b.hold(0)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_TIMEOUT' });
      await a.drop();
      expect(await b.tryAcquire()).toBe(true);
      await a.drop(); // is not b's
      expect(await a.tryAcquire()).toBe(false);
    });

    test('with() holds while its function runs, returns its result, and releases when it throws', async () => {
      const { a, b, face } = await lockScene(troupe, variant, subject);
      const outcome = await a.actor.run(
        async ({ get }, path, form) => {
          const o = get(path);
          const run = <T>(fn: () => T): T | Promise<T> => (form === 'sync' ? o.with(fn) : o.withAsync(fn));
          const result = await run(() => 'result');
          let thrown: unknown;
          try {
            await run(() => {
              throw new Error('of the function');
            });
          } catch (error) {
            thrown = (error as Error).message;
          }
          return { result, thrown };
        },
        a.path,
        a.form,
      );
      expect(outcome).toEqual({ result: 'result', thrown: 'of the function' });
      expect(await b.tryAcquire()).toBe(true);
      await expect(
        a.actor.run(
          ({ get }, path, form) =>
            form === 'sync' ? get(path).with(() => 1, 10) : get(path).withAsync(() => 1, { timeout: 10 }),
          a.path,
          a.form,
        ),
      ).rejects.toMatchObject({ name: 'TimeoutError', code: 'ERR_FORKLOCK_TIMEOUT' });
      await b.release();
      const inside = a.actor.run(
        ({ get, emit, state }, path, form) => {
          const inside = (): unknown => {
            emit('inside');
            if (form === 'async') return new Promise((resolve) => Object.assign(state, { resolve }));
            const end = performance.now() + 30;
            while (performance.now() < end);
            return undefined;
          };
          return form === 'sync' ? get(path).with(inside) : get(path).withAsync(inside);
        },
        a.path,
        a.form,
      );
      await a.actor.event('inside');
      if (a.form === 'async') {
        expect(await b.tryAcquire()).toBe(false);
        expect(face.tryAcquire()).toBe(false);
        await a.actor.run(({ state }) => (state.resolve as () => void)());
      }
      await inside;
      expect(await b.acquire()).toBe(true);
    });

    // A Semaphore has no bound.
    if (subject.title !== 'Semaphore')
      test('a release too many is an error and changes nothing', async () => {
        const { a, b, c } = await lockScene(troupe, variant, subject);
        const code = subject.title === 'BoundedSemaphore' ? 'ERR_FORKLOCK_OVER_RELEASE' : 'ERR_FORKLOCK_NOT_OWNER';
        await expect(a.release()).rejects.toMatchObject({ code });
        expect(await b.acquire()).toBe(true);
        expect(await c.tryAcquire()).toBe(false);
        if (subject.owned) {
          await expect(a.release()).rejects.toMatchObject({ code });
          expect(await c.tryAcquire()).toBe(false);
        }
        await b.release();
        await expect(b.release()).rejects.toMatchObject({ code });
        expect(await c.tryAcquire()).toBe(true);
        expect(await a.tryAcquire()).toBe(false);
      });

    if (!subject.owned)
      test('what is not owned may be released by anybody', async () => {
        const { a, b, c, waiting } = await lockScene(troupe, variant, subject);
        await a.acquire();
        const acquired = c.acquire();
        await until(() => waiting() === 1);
        await b.release();
        expect(await acquired).toBe(true);
        expect(await a.tryAcquire()).toBe(false);
      });

    test('a counter that it protects is exact', async () => {
      const { a, b, c, face } = await lockScene(troupe, variant, subject);
      const each = variant.form === 'sync' ? 400 : 250;
      const path = join(tmpdir(), own());
      await writeFile(path, new Uint8Array(4));
      try {
        const parties = [a, b, c];
        await Promise.all(
          parties.map((party) =>
            party.actor.run(
              async ({ get, fs }, path, form, counter, each) => {
                const o = get(path);
                const fd = fs.openSync(counter, 'r+');
                const word = new Uint32Array(1);
                const increment = (): void => {
                  fs.readSync(fd, word, 0, 4, 0);
                  word[0]!++;
                  fs.writeSync(fd, word, 0, 4, 0);
                };
                const half = each / 2;
                if (form === 'sync') {
                  for (let i = 0; i < half; i++) o.with(increment);
                  for (let i = 0; i < half; i++) {
                    o.acquire();
                    increment();
                    o.release();
                  }
                } else {
                  const task = async (): Promise<void> => {
                    for (let i = 0; i < half; i++) await o.withAsync(increment);
                  };
                  await Promise.all([task(), task()]); // tasks of one thread exclude each other too
                }
                fs.closeSync(fd);
              },
              party.path,
              party.form,
              path,
              each,
            ),
          ),
        );
        expect((await readFile(path)).readUInt32LE()).toBe(parties.length * each);
        expect(face.tryAcquire()).toBe(true);
      } finally {
        await rm(path);
      }
    });
  });
}
