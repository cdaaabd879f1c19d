import * as forklock from 'forklock';
import { expect, test } from 'vitest';
import { METHODS } from '../support/processes.js';
import { inEveryVariant, inEveryVariantOf, scene, useTroupe } from '../support/stage.js';
import { type ClassName, castAround, freshName } from '../support/subjects.js';
import { until } from '../support/time.js';

/** Handles, names, and the end of use: the same for every class. */

const troupe = useTroupe();

const constructions: { title: string; cls: ClassName; args: unknown[]; options?: object }[] = [
  { title: 'Lock', cls: 'Lock', args: [] },
  { title: 'RLock', cls: 'RLock', args: [] },
  { title: 'Semaphore', cls: 'Semaphore', args: [2] },
  { title: 'Semaphore that recovers', cls: 'Semaphore', args: [2], options: { recover: true } },
  { title: 'large Semaphore that recovers', cls: 'Semaphore', args: [16_384], options: { recover: true } },
  { title: 'BoundedSemaphore', cls: 'BoundedSemaphore', args: [2] },
  { title: 'Condition', cls: 'Condition', args: [undefined] },
  { title: 'Event', cls: 'Event', args: [] },
  { title: 'Barrier', cls: 'Barrier', args: [2] },
  { title: 'RWLock', cls: 'RWLock', args: [] },
];

/** Changes the object's state, and what the state is then: to see that two wrappers are of one object. */
const changes: Record<ClassName, { change: [path: string, method: string]; state: [path: string, property: string] }> =
  {
    Lock: { change: ['o', 'acquire'], state: ['o', 'locked'] },
    RLock: { change: ['o', 'acquire'], state: ['o', 'depth'] },
    Semaphore: { change: ['o', 'acquire'], state: ['o', 'value'] },
    BoundedSemaphore: { change: ['o', 'acquire'], state: ['o', 'value'] },
    Condition: { change: ['o', 'acquire'], state: ['o.lock', 'locked'] },
    Event: { change: ['o', 'set'], state: ['o', 'isSet'] },
    Barrier: { change: ['o', 'abort'], state: ['o', 'broken'] },
    RWLock: { change: ['o.read', 'acquire'], state: ['o', 'readers'] },
  };

// biome-ignore lint/suspicious/noExplicitAny: objects of all classes
type Any = any;

const handleOf = (cls: string, options?: object): string => {
  const object = new (forklock as Any)[cls](
    ...(cls === 'Barrier' ? [2] : cls === 'Condition' ? [undefined] : []),
    options,
  );
  return object.handle;
};

for (const [i, { title, cls, args, options }] of constructions.entries()) {
  for (const named of [false, true]) {
    test(`${title}: an argument of a Process is the same object, ${named ? 'named' : 'anonymous'}`, async () => {
      const all = { ...options, ...(named && { name: freshName() }) };
      const { object, actors } = await castAround(troupe, METHODS, cls, 'args', args, all);
      const { change, state } = changes[cls];
      const [before] = await Promise.all(actors.map((actor) => actor.read(...state)));
      await actors[0]!.call(...change);
      for (const actor of actors) {
        expect(await actor.read(...state)).not.toEqual(before);
        expect(await actor.read('o', 'name')).toBe(object.name);
      }
    });
  }

  inEveryVariantOf(i, title, (variant) => {
    test('the handle is a short string that opens the same object, in JSON and from any holder of it', async () => {
      const { object, actors } = await scene(troupe, variant, cls, args, options);
      const { handle } = object;
      expect(typeof handle).toBe('string');
      expect(handle.length).toBeLessThan(260);
      expect(handle).toMatch(/^forklock1:[!-~]+$/);
      expect(object.toJSON()).toBe(handle);
      expect(JSON.parse(JSON.stringify({ deep: [object] })).deep[0]).toBe(handle);
      // A handle that an opener gives names the opener, and works as well.
      const [a, b, c] = actors;
      const passedOn = String(await a.read('o', 'handle'));
      const { change, state } = changes[cls];
      await b.run(
        ({ get, put, forklock }, cls, handle) => {
          get('o').close();
          put('o', (forklock as Any)[cls].from(handle));
        },
        cls,
        passedOn,
      );
      const before = await c.read(...state);
      expect(await b.read(...state)).toEqual(before);
      await b.call(...change);
      for (const actor of [a, c]) expect(await actor.read(...state)).not.toEqual(before);
    });

    test('after close() everything is a ClosedError, and the object lives on for the others', async () => {
      const { object, actors } = await scene(troupe, variant, cls, args, options);
      const [a, b] = actors;
      const outcome = await a.run(async ({ get, inspect }, cls) => {
        const object = get('o');
        object.close();
        object.close();
        object[Symbol.dispose]();
        const calls: Record<string, () => unknown> = {
          handle: () => object.handle,
          toJSON: () => object.toJSON(),
          waiting: () => object.waiting,
        };
        const face = cls === 'RWLock' ? object.read : object;
        if (cls === 'RWLock') Object.assign(calls, { readers: () => object.readers, writer: () => object.writer });
        if (cls === 'Event') {
          Object.assign(calls, {
            isSet: () => object.isSet,
            set: () => object.set(),
            clear: () => object.clear(),
            wait: () => object.wait(0),
            waitAsync: () => object.waitAsync(),
          });
        } else if (cls === 'Barrier') {
          Object.assign(calls, {
            broken: () => object.broken,
            abort: () => object.abort(),
            reset: () => object.reset(),
            wait: () => object.wait(0),
            waitAsync: () => object.waitAsync({ timeout: 0 }),
          });
        } else {
          Object.assign(calls, {
            acquire: () => face.acquire(),
            acquireTimed: () => face.acquire(0),
            tryAcquire: () => face.tryAcquire(),
            acquireAsync: () => face.acquireAsync(),
            acquireAsyncTimed: () => face.acquireAsync({ timeout: 10 }),
            hold: () => face.hold(),
            holdAsync: () => face.holdAsync(),
            with: () => face.with(() => 1),
            withAsync: () => face.withAsync(() => 1),
            release: () => face.release(),
          });
        }
        if (cls === 'Condition') {
          Object.assign(calls, {
            wait: () => object.wait(0),
            notify: () => object.notify(),
            notifyAll: () => object.notifyAll(),
          });
        }
        const wrong: string[] = [];
        for (const [name, call] of Object.entries(calls)) {
          try {
            await call();
            wrong.push(`${name}: no error`);
          } catch (error) {
            const { name: type, code } = error as Error & { code?: string };
            if (type !== 'ClosedError' || code !== 'ERR_FORKLOCK_CLOSED') wrong.push(`${name}: ${error}`);
          }
        }
        return { wrong, shown: [String(object), inspect(object)] };
      }, cls);
      expect(outcome).toEqual({ wrong: [], shown: [`${cls} { closed }`, `${cls} { closed }`] });
      const { change, state } = changes[cls];
      const before = await b.read(...state);
      await b.call(...change);
      expect(await actors[2].read(...state)).not.toEqual(before);
      expect(String(object)).not.toContain('closed');
    });

    test('a handle of another kind, and what is no handle at all, is a HandleError or a TypeError', async () => {
      const { object, actors } = await scene(troupe, variant, cls, args, options);
      const { handle } = object;
      const { a, b } = { a: actors[0], b: actors[1] };
      const other = handleOf(cls === 'Event' ? 'Lock' : 'Event');
      await expect(a.open(cls, 'x', other)).rejects.toMatchObject({
        name: 'HandleError',
        code: 'ERR_FORKLOCK_INVALID_HANDLE',
        message: expect.stringContaining(`expected a handle of ${cls}`),
      });
      const parts = handle.split(':');
      const changed = (i: number, value: string): string => parts.with(i, value).join(':');
      const garbage = [
        '',
        'x',
        'forklock1',
        'forklock1:',
        handle.slice(0, -1).slice(0, handle.lastIndexOf(':')),
        `${handle}x`,
        `${handle}\0`,
        `${handle}:1`,
        ` ${handle}`,
        `${handle}\n`,
        handle.replace('forklock1', 'forklock2'),
        changed(1, 'mutex'),
        changed(1, cls === 'Event' ? 'lock' : 'event'),
        changed(2, '0.0.0.00000000000000000000000000000000'),
        changed(2, `${process.pid}.0.1.00000000000000000000000000000000`),
        changed(2, '4294967295.4.2.00000000000000000000000000000000'),
        changed(2, `@${encodeURIComponent(freshName())}`),
        changed(2, '@../../etc/passwd'),
        changed(2, '@%2E%2E'),
        changed(2, '@..'),
        changed(3, '9999999'),
        changed(3, '1'),
        changed(3, '-1'),
        changed(4, '1'),
        changed(4, '4294967295'),
        changed(4, '-1'),
        'forklock1:'.repeat(1e5),
        `${handle}${'0'.repeat(1e6)}`,
        '\uD800',
      ];
      for (const text of garbage) {
        const shown = JSON.stringify(text.slice(0, 100));
        const failure = await b.open(cls, 'x', text).then(
          () => undefined,
          (error) => error,
        );
        expect(failure, shown).toMatchObject({ name: 'HandleError', code: 'ERR_FORKLOCK_INVALID_HANDLE' });
        expect(failure.message.length, shown).toBeLessThan(400);
      }
      for (const value of [undefined, null, 1, {}, [handle], 10n, true]) {
        await expect(a.open(cls, 'x', value as Any)).rejects.toMatchObject({
          name: 'TypeError',
          code: 'ERR_FORKLOCK_INVALID_ARG_TYPE',
          message: expect.stringMatching(/handle: expected a handle \(string\), got /),
        });
      }
      // All that changed nothing.
      const { change, state } = changes[cls];
      const before = await a.read(...state);
      await a.call(...change);
      expect(await b.read(...state)).not.toEqual(before);
    });

    test('unlink() removes the name; who has the object open keeps it, who comes later makes a new one', async () => {
      const { object, actors } = await scene(troupe, { ...variant, sharing: 'name' }, cls, args, options);
      const [a, b, c] = actors;
      expect(object.name).toMatch(/^forklock-test\//);
      expect(await a.read('o', 'name')).toBe(object.name);
      const unlink = (): Promise<unknown> =>
        c.run(({ forklock }, cls, name) => (forklock as Any)[cls].unlink(name), cls, object.name!);
      const { handle } = object;
      expect(await unlink()).toBe(true);
      expect(await unlink()).toBe(false);
      const { change, state } = changes[cls];
      const before = await b.read(...state);
      await a.call(...change);
      expect(await b.read(...state)).not.toEqual(before);
      await c.make(cls, 'o', ...args, { ...options, name: object.name });
      expect(await c.read(...state)).toEqual(before);
      await c.run(({ forklock }, cls, name) => (forklock as Any)[cls].unlink(name), cls, object.name!);
      expect(handle).toContain('@');
    });

    test('an anonymous object has no name', async () => {
      const { object } = await scene(troupe, { ...variant, sharing: 'handle' }, cls, args, options);
      expect(object.name).toBeUndefined();
    });

    test('who asks first makes the named object, though many ask at once', async () => {
      const actors = await troupe.lendAll(variant.modes);
      const { change, state } = changes[cls];
      for (let i = 0; i < 5; i++) {
        const all = [...args, { ...options, name: freshName() }];
        await Promise.all(actors.map((actor) => actor.make(cls, 'o', ...all)));
        const before = await actors[0]!.read(...state);
        await actors[i % 3]!.call(...change);
        for (const actor of actors) expect(await actor.read(...state)).not.toEqual(before);
        await Promise.all(actors.map((actor) => actor.call('o', 'close')));
      }
    });
  });
}

inEveryVariant('closing while others wait', (variant) => {
  test('a wait that is pending when its wrapper is closed goes on', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'Lock');
    await a.acquire();
    const acquired = b.actor.call('o', 'acquireAsync');
    await until(() => lock.waiting === 1);
    await b.actor.call('o', 'close');
    expect(lock.waiting).toBe(1);
    await a.release();
    expect(await acquired).toBe(true);
    expect(lock.owner?.pid).toBe(b.actor.pid);
    lock.release();
  });

  test('close() does not release what the thread holds', async () => {
    const { object: lock, a, b } = await scene(troupe, variant, 'Lock');
    await a.acquire();
    await a.actor.call('o', 'close');
    expect(await b.tryAcquire()).toBe(false);
    expect(lock.owner?.pid).toBe(a.actor.pid);
    await b.release();
    expect(await b.tryAcquire()).toBe(true);
  });
});
