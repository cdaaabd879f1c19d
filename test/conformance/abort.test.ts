import { expect, test } from 'vitest';
import type { Actor } from '../support/actor.js';
import { inEveryVariant, inEveryVariantOf, scene, useTroupe, type Variant } from '../support/stage.js';
import { type Subject, subjects } from '../support/subjects.js';
import { until } from '../support/time.js';

/** What an AbortSignal does to a wait. Aborts are async by nature: the form says how the other parties wait. */

const troupe = useTroupe();

const readers: Subject = { title: 'reading side of an RWLock', cls: 'RWLock', args: [], side: 'read', owned: true };

async function heldScene(variant: Variant, subject: Subject) {
  const { object, actors, a, b, c } = await scene(troupe, variant, subject.cls, subject.args, subject.options);
  const path = subject.side ? `o.${subject.side}` : 'o';
  // biome-ignore lint/suspicious/noExplicitAny: objects of all classes
  const any = object as any;
  const waiting = (): number => (subject.cls === 'Condition' ? any.lock.waiting : any.waiting);
  /** What keeps others from getting it. */
  const blocker = subject.side ? 'o.write' : 'o';
  return { object: any, actors, a, b, c, path, blocker, waiting };
}

for (const [i, subject] of [...subjects, readers].entries()) {
  inEveryVariantOf(i, `abort of a wait for the ${subject.title}`, (variant) => {
    test('a signal that is aborted already rejects with its reason, and nothing is taken', async () => {
      const { a, b, path, blocker, waiting } = await heldScene(variant, subject);
      for (const held of [false, true]) {
        if (held) await b.actor.call(blocker, 'acquire');
        const same = await a.actor.run(async ({ get }, path) => {
          const reason = { why: 'because' };
          const options = { signal: AbortSignal.abort(reason) };
          const calls = [
            () => get(path).acquireAsync(options),
            () => get(path).holdAsync(options),
            () => get(path).withAsync(() => 1, options),
          ];
          const same: boolean[] = [];
          for (const call of calls) {
            same.push(
              await call().then(
                () => false,
                (error: unknown) => error === reason,
              ),
            );
          }
          return same;
        }, path);
        expect(same).toEqual([true, true, true]);
      }
      expect(waiting()).toBe(0);
      await b.actor.call(blocker, 'release');
      expect(await b.actor.call(blocker, 'tryAcquire')).toBe(true);
    });

    test('an abort ends the wait with its reason, and the next waiter gets what it would have got', async () => {
      const { a, b, c, path, blocker, waiting } = await heldScene(variant, subject);
      await b.actor.call(blocker, 'acquire');
      const aborted = a.actor.run(async ({ get, state }, path) => {
        const controller = new AbortController();
        state.abort = () => controller.abort('the reason');
        return get(path).acquireAsync({ signal: controller.signal, timeout: 60_000 });
      }, path);
      await until(() => waiting() === 1);
      const next = variant.form === 'sync' ? c.actor.call(blocker, 'acquire') : c.actor.call(blocker, 'acquireAsync');
      await until(() => waiting() === 2);
      const rejected = expect(aborted).rejects.toBe('the reason');
      await a.actor.run(({ state }) => (state.abort as () => void)());
      await rejected;
      await until(() => waiting() === 1);
      await b.actor.call(blocker, 'release');
      expect(await next).toBe(true);
      expect(waiting()).toBe(0);
    });

    test('an abort in the same tick as the release gives it to the task or leaves it free, every time', async () => {
      const { actors, a, path, blocker, waiting } = await heldScene(variant, subject);
      const outcomes = await a.actor.run(
        async ({ get }, path, blocker) => {
          const outcomes = { got: 0, aborted: 0 };
          for (let i = 0; i < 150; i++) {
            if (!(await get(blocker).acquireAsync({ timeout: 5_000 }))) throw new Error(`round ${i}: it is not free`);
            const controller = new AbortController();
            const wait = get(path)
              .acquireAsync({ signal: controller.signal })
              .then(
                () => 'got' as const,
                (error: unknown) => {
                  if (error !== 'stop') throw error;
                  return 'aborted' as const;
                },
              );
            if (i % 5 >= 2) await new Promise((resolve) => setImmediate(resolve));
            if (i % 2) controller.abort('stop');
            get(blocker).release();
            if (i % 5 === 4) await new Promise((resolve) => setImmediate(resolve));
            if (i % 5 === 3) await null;
            controller.abort('stop');
            const outcome: 'got' | 'aborted' = await wait;
            outcomes[outcome]++;
            if (outcome === 'got') get(path).release();
          }
          return outcomes;
        },
        path,
        blocker,
      );
      expect(outcomes.got + outcomes.aborted).toBe(150);
      expect(waiting()).toBe(0);
      expect(await actors[1].call(blocker, 'tryAcquire')).toBe(true);
    });

    test('a release by another party that races with the abort is never lost', async () => {
      const { a, b, c, path, blocker, waiting } = await heldScene(variant, subject);
      for (let i = 0; i < 15; i++) {
        await b.actor.call(blocker, 'acquire', 5_000);
        const aborted = a.actor.run(async ({ get, state }, path) => {
          const controller = new AbortController();
          state.abort = () => controller.abort('stop');
          return get(path)
            .acquireAsync({ signal: controller.signal })
            .then(
              () => get(path).release(),
              (error: unknown) => {
                if (error !== 'stop') throw error;
              },
            );
        }, path);
        const next = c.actor.run(
          async ({ get }, blocker, form) => {
            const got =
              form === 'sync' ? get(blocker).acquire(10_000) : await get(blocker).acquireAsync({ timeout: 10_000 });
            if (got) get(blocker).release();
            return got;
          },
          blocker,
          variant.form,
        );
        await until(() => waiting() === 2);
        await Promise.all([
          a.actor.run(({ state }) => (state.abort as () => void)()),
          b.actor.call(blocker, 'release'),
        ]);
        await aborted;
        expect(await next).toBe(true);
        expect(waiting()).toBe(0);
      }
      expect(await b.actor.call(blocker, 'tryAcquire')).toBe(true);
    });

    test('one signal serves many waits without a warning, and does nothing once they are over', async () => {
      const { a, b, c, path, blocker, waiting } = await heldScene(variant, subject);
      await b.actor.call(blocker, 'acquire');
      const all = a.actor.run(async ({ get, state }, path) => {
        const controller = new AbortController();
        state.abort = () => controller.abort('stop');
        const task = async (): Promise<void> => {
          await get(path).acquireAsync({ signal: controller.signal });
          get(path).release();
        };
        await Promise.all(Array.from({ length: 30 }, task));
      }, path);
      await until(() => waiting() === 30);
      await b.actor.call(blocker, 'release');
      await all;
      await a.actor.run(({ state }) => (state.abort as () => void)());
      expect(await a.actor.run(({ warnings }) => warnings.map(({ message }) => message))).toEqual([]);
      expect(await c.actor.call(blocker, 'tryAcquire')).toBe(true);
    });
  });
}

inEveryVariant('abort of a wait for an Event', (variant) => {
  test('an aborted wait rejects with its reason, also when the event is set', async () => {
    const { object: event, a } = await scene(troupe, variant, 'Event');
    const abort = (actor: Actor): Promise<unknown> =>
      actor.run(({ get }) => get('o').waitAsync({ signal: AbortSignal.abort('stop') }));
    await expect(abort(a.actor)).rejects.toBe('stop');
    event.set();
    await expect(abort(a.actor)).rejects.toBe('stop');
    event.clear();
    const wait = a.actor.run(({ get, state }) => {
      const controller = new AbortController();
      state.abort = () => controller.abort('later');
      return get('o').waitAsync({ signal: controller.signal });
    });
    await until(() => event.waiting === 1);
    const rejected = expect(wait).rejects.toBe('later');
    await a.actor.run(({ state }) => (state.abort as () => void)());
    await rejected;
    expect(event.waiting).toBe(0);
  });

  test('AbortSignal.timeout() ends a wait with its TimeoutError', async () => {
    const { object: event, a } = await scene(troupe, variant, 'Event');
    const wait = a.actor.run(({ get }) => get('o').waitAsync({ signal: AbortSignal.timeout(20) }));
    await expect(wait).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(event.waiting).toBe(0);
  });

  test('set() in the same tick as the abort: the wait ends one way or the other', async () => {
    const { object: event, a } = await scene(troupe, variant, 'Event');
    const ends = await a.actor.run(async ({ get }) => {
      const event = get('o');
      let ends = 0;
      for (let i = 0; i < 200; i++) {
        event.clear();
        const controller = new AbortController();
        const wait = event.waitAsync({ signal: controller.signal }).then(
          (value: boolean) => value,
          (reason: unknown) => reason === 'stop',
        );
        if (i % 2) controller.abort('stop');
        event.set();
        controller.abort('stop');
        if (await wait) ends++;
      }
      return ends;
    });
    expect(ends).toBe(200);
    expect(event.waiting).toBe(0);
  });
});

inEveryVariant('abort of a wait for a Condition', (variant) => {
  test('it rejects with its reason, has the lock again, and leaves its notification to the others', async () => {
    const { object: condition, a, b, c } = await scene(troupe, variant, 'Condition', [undefined]);
    const depth = a.actor.run(async ({ get, state }) => {
      const condition = get('o');
      const controller = new AbortController();
      state.abort = () => controller.abort('stop');
      return condition.withAsync(async () => {
        try {
          await condition.waitAsync({ signal: controller.signal });
          return 'notified';
        } catch (error) {
          return [error, condition.lock.depth];
        }
      });
    });
    await until(() => condition.waiting === 1);
    const second = b.actor.run(
      async ({ get }, form) =>
        form === 'sync' ? get('o').with(() => get('o').wait()) : get('o').withAsync(() => get('o').waitAsync()),
      variant.form,
    );
    await until(() => condition.waiting === 2);
    await a.actor.run(({ state }) => (state.abort as () => void)());
    expect(await depth).toEqual(['stop', 1]);
    expect(condition.waiting).toBe(1);
    expect(await c.actor.run(({ get }) => get('o').withAsync(() => get('o').notify()))).toBe(1);
    expect(await second).toBe(true);
    expect(condition.lock.locked).toBe(false);
  });

  test('a notification that races with the abort reaches somebody', async () => {
    const { object: condition, a, b } = await scene(troupe, variant, 'Condition', [undefined]);
    const waitOne = (actor: Actor): Promise<unknown> =>
      actor.run(async ({ get, state }) => {
        const condition = get('o');
        const controller = new AbortController();
        state.abort = () => controller.abort('stop');
        return condition.withAsync(() => condition.waitAsync({ signal: controller.signal })).catch((e: unknown) => e);
      });
    for (let i = 0; i < 30; i++) {
      const first = waitOne(a.actor);
      await until(() => condition.waiting === 1);
      const second = waitOne(b.actor);
      await until(() => condition.waiting === 2);
      const [notified] = await Promise.all([
        condition.withAsync(() => condition.notify(1)),
        a.actor.run(({ state }) => (state.abort as () => void)()),
      ]);
      expect(notified).toBe(1);
      if ((await first) === 'stop') expect(await second).toBe(true);
      else {
        expect(condition.waiting).toBe(1);
        await b.actor.run(({ state }) => (state.abort as () => void)());
        expect(await second).toBe('stop');
      }
      expect(condition.waiting).toBe(0);
    }
  });

  test('a signal that is aborted already ends waitAsync() before it begins', async () => {
    const { object: condition, a } = await scene(troupe, variant, 'Condition', [undefined]);
    const wait = a.actor.run(({ get }) =>
      get('o').withAsync(() => get('o').waitAsync({ signal: AbortSignal.abort('stop') })),
    );
    await expect(wait).rejects.toBe('stop');
    const waitFor = a.actor.run(({ get }) =>
      get('o').withAsync(() => get('o').waitForAsync(() => false, { signal: AbortSignal.abort('stop') })),
    );
    await expect(waitFor).rejects.toBe('stop');
    expect(condition.waiting).toBe(0);
    expect(condition.lock.locked).toBe(false);
  });
});

inEveryVariant('abort of a wait for a Barrier', (variant) => {
  test('it rejects with its reason, and breaks the barrier for the others', async () => {
    const { object: barrier, a, b } = await scene(troupe, variant, 'Barrier', [3]);
    const other = expect(b.wait()).rejects.toMatchObject({ name: 'BrokenBarrierError' });
    await until(() => barrier.waiting === 1);
    const wait = a.actor.run(({ get, state }) => {
      const controller = new AbortController();
      state.abort = () => controller.abort('stop');
      return get('o').waitAsync({ signal: controller.signal });
    });
    await until(() => barrier.waiting === 2);
    const rejected = expect(wait).rejects.toBe('stop');
    await a.actor.run(({ state }) => (state.abort as () => void)());
    await Promise.all([rejected, other]);
    expect(barrier.broken).toBe(true);
  });

  test('a signal that is aborted already does not count as an arrival', async () => {
    const { object: barrier, a, b, c } = await scene(troupe, variant, 'Barrier', [2]);
    const wait = a.actor.run(({ get }) => get('o').waitAsync({ signal: AbortSignal.abort('stop') }));
    await expect(wait).rejects.toBe('stop');
    expect(barrier.broken).toBe(false);
    expect(barrier.waiting).toBe(0);
    expect((await Promise.all([b.wait(), c.wait()])).sort()).toEqual([0, 1]);
  });
});
