import { RawArray } from 'forklock';
import { describe, expect, test } from 'vitest';
import { Actor, type Mode } from '../support/actor.js';
import { sized, TWO_FORMS } from '../support/long.js';
import { useTroupe } from '../support/stage.js';
import { type Form, share, subjects } from '../support/subjects.js';

/** Processes and worker threads, sync and async, all at once; with exact counting of what they protect. */

const troupe = useTroupe();

interface Member {
  mode: Mode;
  form: Form;
}

interface Crowd {
  title: string;
  crowd: Member[];
  /** How many of them are killed in a storm. */
  kills: number;
}

const sync = (mode: Mode): Member => ({ mode, form: 'sync' });
const async = (mode: Mode): Member => ({ mode, form: 'async' });

const crowds: Crowd[] = [
  {
    title: 'processes and threads',
    crowd: [sync('process'), async('process'), sync('process'), sync('thread'), async('thread')],
    kills: sized(5, 24),
  },
  {
    title: 'processes of each start method',
    crowd: [sync('fork'), async('fork'), sync('spawn'), sync('forkserver'), async('forkserver')],
    kills: sized(5, 15),
  },
];

describe.each(crowds)('a crowd of $title, some sync, some async', TWO_FORMS, ({ crowd }) => {
  test.each(subjects)('counts exactly under the $title', async ({ cls, args, options, side }) => {
    const each = sized(400, 2_000);
    const actors = await troupe.lendAll(crowd.map(({ mode }) => mode));
    const object = await share(cls, 'handle', actors, args, options);
    const counters = new RawArray('int32', 2);
    await Promise.all(
      actors.map((actor, i) =>
        actor.run(
          async ({ get, forklock }, path, form, handle, each) => {
            const lock = get(path);
            const { view } = forklock.RawArray.from(handle);
            const increment = (): void => {
              // Plain reads and writes: without the lock many would be lost.
              const value = view[0] as number;
              if (view[1] !== value) throw new Error(`another is inside: ${value} and ${view[1]}`);
              view[0] = value + 1;
              view[1] = value + 1;
            };
            if (form === 'sync') {
              for (let i = 0; i < each; i++) {
                lock.acquire();
                increment();
                lock.release();
              }
              return;
            }
            const task = async (): Promise<void> => {
              for (let i = 0; i < each / 4; i++) await lock.withAsync(increment);
            };
            await Promise.all([task(), task(), task(), task()]);
          },
          side ? `o.${side}` : 'o',
          crowd[i]!.form,
          String(counters.handle),
          each,
        ),
      ),
    );
    expect([...counters.view]).toEqual([each * crowd.length, each * crowd.length]);
    const face = side ? (object as unknown as Record<string, typeof object>)[side]! : object;
    expect((face as { tryAcquire(): boolean }).tryAcquire()).toBe(true);
    counters.close();
  });
});

/** Words of the storms: two that must be equal, and how often each participant has begun to change them. */
const [A, B, BEGUN] = [0, 1, 2];

describe.each(crowds)('a crowd of $title whose members are killed all the time', TWO_FORMS, ({ crowd, kills }) => {
  /** Changes the data for ever, until it is killed. */
  const join = (actor: Actor, form: Form, path: string, handle: string, me: number): void => {
    actor.post(
      async ({ get, forklock, emit }, form, path, handle, me) => {
        const face = get(path);
        const lock = get('o');
        const { view } = forklock.RawArray.from(handle);
        const change = (): void => {
          if (lock.ownerDied) {
            // It died with the data half changed: its change counts, if it has begun it.
            let begun = 0;
            for (let i = 2; i < view.length; i++) begun += view[i] as number;
            view[0] = begun;
            view[1] = begun;
          } else if (view[0] !== view[1]) {
            emit('wrong', `${view[0]} and ${view[1]}, and nobody has died`);
          }
          view[me]!++;
          view[0]!++;
          for (let i = (view[0] as number) % 50; i > 0; i--) Atomics.load(view as Int32Array, 0);
          view[1]!++;
        };
        emit('joined');
        for (let i = 0; ; i++) {
          if (form === 'sync') {
            face.acquire();
            change();
            face.release();
          } else {
            await face.withAsync(change);
          }
          if (form === 'sync' ? i % 20_000 === 0 : i % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      },
      form,
      path,
      handle,
      me,
    );
  };

  test.each([
    { cls: 'Lock', path: 'o' },
    { cls: 'RLock', path: 'o' },
    { cls: 'RWLock', path: 'o.write' },
  ] as const)('$cls: nothing is lost, nobody hangs, and every half-made change is reported', async ({ cls, path }) => {
    const data = new RawArray('int32', BEGUN + crowd.length + kills);
    const object = await share(cls, 'handle', []);
    const wrong: unknown[] = [];
    let last = BEGUN;
    const start = async ({ mode, form }: { mode: Mode; form: Form }): Promise<Actor> => {
      const actor = await Actor.start(mode);
      await actor.open(cls, 'o', object.handle);
      actor.event('wrong').then(
        (what) => wrong.push(what),
        () => {},
      );
      join(actor, form, path, data.handle, last++);
      await actor.event('joined');
      return actor;
    };
    const actors = await Promise.all(crowd.map(start));
    for (let i = 0; i < kills; i++) {
      const at = i % crowd.length;
      await actors[at]!.stop();
      actors[at] = await start(crowd[at]!);
      const before = data.view[A]!;
      const end = performance.now() + 10_000;
      while (data.view[A] === before) {
        if (performance.now() > end) throw new Error(`nobody goes on after kill ${i}: ${object}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await Promise.all(actors.map((actor) => actor.stop()));
    expect(wrong).toEqual([]);
    const { view } = data;
    const begun = view.slice(BEGUN).reduce((sum, n) => sum + n, 0);
    const face = path === 'o.write' ? (object as unknown as { write: { tryAcquire(): boolean } }).write : object;
    expect((face as { tryAcquire(): boolean }).tryAcquire()).toBe(true);
    if (object.ownerDied) {
      // The last one died inside: at most its change is half made.
      expect(begun - view[B]!).toBeLessThanOrEqual(1);
    } else {
      expect([view[A], view[B]]).toEqual([begun, begun]);
    }
    data.close();
  });

  test('Semaphore that recovers: all permits are there in the end', async () => {
    const semaphore = await share('Semaphore', 'handle', [], [3], { recover: true });
    const rounds = new RawArray('int32', 1);
    const start = async ({ mode, form }: { mode: Mode; form: Form }): Promise<Actor> => {
      const actor = await Actor.start(mode);
      await actor.open('Semaphore', 'o', semaphore.handle);
      actor.post(
        async ({ get, forklock, emit }, form, handle) => {
          const { view } = forklock.RawArray.from(handle);
          emit('joined');
          for (;;) {
            if (form === 'sync') get('o').acquire();
            else await get('o').acquireAsync();
            Atomics.add(view as Int32Array, 0, 1);
            get('o').release();
          }
        },
        form,
        String(rounds.handle),
      );
      await actor.event('joined');
      return actor;
    };
    const actors = await Promise.all(crowd.map(start));
    for (let i = 0; i < kills; i++) {
      const at = i % crowd.length;
      await actors[at]!.stop();
      actors[at] = await start(crowd[at]!);
      const before = Atomics.load(rounds.view as Int32Array, 0);
      const end = performance.now() + 10_000;
      while (Atomics.load(rounds.view as Int32Array, 0) === before) {
        if (performance.now() > end) throw new Error(`nobody goes on after kill ${i}: ${semaphore}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await Promise.all(actors.map((actor) => actor.stop()));
    expect(semaphore.value).toBe(3);
    expect(semaphore.waiting).toBe(0);
    rounds.close();
  });
});
