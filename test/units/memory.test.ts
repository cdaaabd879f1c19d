import { readdirSync } from 'node:fs';
import { Barrier, Condition, Event, Lock, RWLock, Semaphore } from 'forklock';
import { describe, expect, test } from 'vitest';
import { Actor, type Mode, PROCESSES } from '../support/actor.js';
import { sized, TWO_FORMS } from '../support/long.js';
import { script } from '../support/script.js';
import { useTroupe } from '../support/stage.js';
import { freshName, share } from '../support/subjects.js';

/** How long objects live, and what is left of them. */

const troupe = useTroupe();
const gc = { execArgv: ['--expose-gc'], deadline: 80_000 };

type SharedObject = Lock | Event | Semaphore | RWLock;

const stale = { name: 'HandleError', code: 'ERR_FORKLOCK_INVALID_HANDLE' };

describe.each(PROCESSES)('objects that are made and dropped: %s', (mode) => {
  // Each is a function of its own, because it is sent to the process as source.
  test(
    `${sized('20,000', '100,000')} locks, closed or just dropped, leave no descriptor, mapping or memory`,
    TWO_FORMS,
    async () => {
      const { printed, code, stderr } = await script(
        async ({ forklock, collect, mapped, print }, half) => {
          const usage = () => ({ ...mapped(), mb: process.memoryUsage().rss / 2 ** 20 });
          const round = async (n: number, close: boolean): Promise<void> => {
            for (let i = 0; i < n; i++) {
              const lock = new forklock.Lock();
              lock.acquire();
              lock.release();
              if (close) lock.close();
              if (i % 10_000 === 0) await collect();
            }
            await collect();
          };
          await round(20_000, true);
          await round(20_000, false);
          const before = usage();
          await round(half, true);
          await round(half, false);
          print({ before, after: usage() });
        },
        [sized(10_000, 50_000)],
        { ...gc, mode },
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const [{ before, after }] = printed;
      expect(after.fds).toBeLessThanOrEqual(before.fds);
      expect(after.maps).toBeLessThanOrEqual(before.maps);
      expect(after.mb - before.mb).toBeLessThan(40);
    },
  );

  test(
    `a burst of ${sized('30,000', '100,000')} that live at once leaves nothing when they are closed`,
    TWO_FORMS,
    async () => {
      const { printed, code } = await script(
        async ({ forklock, collect, mapped, print }, many) => {
          new forklock.Lock();
          const before = mapped();
          let locks: { acquire(): boolean; close(): void }[] = [];
          for (let i = 0; i < many; i++) locks.push(new forklock.Lock());
          for (const lock of locks) lock.acquire();
          const during = mapped();
          for (const lock of locks) lock.close();
          locks = [];
          await collect();
          print({ before, during, after: mapped() });
        },
        [sized(30_000, 100_000)],
        { ...gc, mode },
      );
      expect(code).toBe(0);
      const [{ before, during, after }] = printed;
      expect(during.fds).toBeGreaterThan(before.fds);
      expect(after.fds).toBeLessThanOrEqual(before.fds + 1);
      expect(after.maps).toBeLessThanOrEqual(before.maps + 2);
    },
  );

  test('every class can be made, shared and closed thousands of times', TWO_FORMS, async () => {
    const { printed, code, stderr } = await script(
      async ({ forklock, fs, print }, times) => {
        const makers: (() => { handle: string; close(): void })[] = [
          () => new forklock.Lock() as never,
          () => new forklock.RLock() as never,
          () => new forklock.Semaphore(2) as never,
          () => new forklock.Semaphore(2, { recover: true }) as never,
          () => new forklock.Semaphore(16_384, { recover: true }) as never,
          () => new forklock.BoundedSemaphore(2) as never,
          () => new forklock.Condition() as never,
          () => new forklock.Event() as never,
          () => new forklock.Barrier(2) as never,
          () => new forklock.RWLock() as never,
        ];
        const fds = (): number => fs.readdirSync('/proc/self/fd').length;
        const round = (n: number): void => {
          for (const make of makers) {
            for (let i = 0; i < n; i++) {
              const object = make();
              void object.handle; // given out, so it cannot be reused before everybody has been asked
              object.close();
            }
          }
        };
        round(200);
        (globalThis as { gc?: () => void }).gc!();
        const before = fds();
        round(times);
        print([before, fds()]);
      },
      [sized(300, 1000)],
      { ...gc, mode },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [[before, after]] = printed;
    expect(after).toBeLessThanOrEqual(before + 2);
  });

  test('named objects that are opened and closed again leave no descriptor', async () => {
    const name = freshName();
    const { printed, code, stderr } = await script(
      ({ forklock, fs, print }, name) => {
        const fds = (): number => fs.readdirSync('/proc/self/fd').length;
        const keeper = new forklock.Lock({ name });
        keeper.close();
        const before = fds();
        for (let i = 0; i < 500; i++) {
          const lock = new forklock.Lock({ name });
          const same = forklock.Lock.from(lock.handle);
          lock.acquire();
          same.release();
          lock.close();
          same.close();
        }
        print([before, fds()]);
      },
      [name],
      { ...gc, mode },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(printed[0][1]).toBeLessThanOrEqual(printed[0][0]);
  });
});

test.each(['in one go', 'with turns of the event loop between'])(
  'names that are opened and closed without end do not use up the mappings of a process, %s',
  TWO_FORMS,
  async (how) => {
    const { printed, code, stderr } = await script(
      async ({ forklock, fs, print }, name, turns, rounds) => {
        let most = 0;
        for (let i = 1; i <= rounds; i++) {
          new forklock.Lock({ name }).close();
          if (turns && i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
          if (i % 500 === 0) most = Math.max(most, fs.readFileSync('/proc/self/maps', 'latin1').split('\n').length);
        }
        forklock.Lock.unlink(name);
        print(most);
      },
      [freshName(), how !== 'in one go', sized(6_500, 12_000)] as const,
      { deadline: 80_000 },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // V8 unmaps what it collects, and is told to when there are some 2,000; 65,530 are all that a process may have.
    expect(printed[0]).toBeLessThan(6_000);
  },
);

test('failing to open or to make does not leave descriptors either', async () => {
  const name = freshName();
  const event = new Event({ name });
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 200; i++) {
    expect(() => new Lock({ name })).toThrow();
    expect(() => Lock.from(event.handle.replace('event', 'lock'))).toThrow();
    expect(() => Event.from(event.handle.replace(/:\d+$/, ':1'))).toThrow();
    expect(() => Event.from(event.handle.replace(/:0:(\d+)$/, ':7:$1'))).toThrow();
  }
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 2);
  expect(event.isSet).toBe(false);
  event.close();
});

describe('the handle of an object that is closed', () => {
  for (const mode of [...PROCESSES, 'thread'] as Mode[]) {
    test(`leads nowhere, not to the object that has its memory now, in a ${mode}`, async () => {
      const actor = await troupe.lend(mode);
      const makers: (() => SharedObject)[] = [
        () => new Lock(),
        () => new Event(),
        () => new Semaphore(3),
        () => new RWLock(),
      ];
      for (const make of makers) {
        const cls = make().constructor.name;
        const handles: string[] = [];
        for (let i = 0; i < 200; i++) {
          const object = make();
          handles.push(object.handle);
          object.close();
        }
        // More than enough to reuse the cells.
        const others = Array.from({ length: 300 }, make);
        for (const handle of handles.slice(0, 100)) {
          await expect(actor.open(cls, 'o', handle)).rejects.toMatchObject(stale);
        }
        for (const object of others) object.close();
      }
    });
  }

  test('in the same process leads nowhere either', () => {
    const lock = new Lock();
    const { handle } = lock;
    const same = Lock.from(handle);
    lock.close();
    expect(same.tryAcquire()).toBe(true); // it lives as long as somebody has it
    same.release();
    same.close();
    for (let i = 0; i < 100; i++) {
      const other = new Lock();
      void other.handle;
      other.close();
    }
    expect(() => Lock.from(handle)).toThrow(expect.objectContaining(stale));
  });
});

describe('an object whose creator', () => {
  type End = [title: string, mode: Mode, end: (actor: Actor) => Promise<unknown>];
  const ends: End[] = [
    ...PROCESSES.map((mode) => ['was killed', mode, (actor) => actor.kill()] satisfies End),
    ['was terminated', 'thread', (actor) => actor.terminate()],
    ...([...PROCESSES, 'thread'] as const).flatMap((mode): End[] => [
      ['closes it', mode, (actor) => actor.call('o', 'close')],
      [
        'ended by itself',
        mode,
        (actor) => {
          actor.post(({ detach }) => detach());
          return actor.exited;
        },
      ],
    ]),
  ];
  for (const [title, mode, end] of ends) {
    test(`${title} (${mode}) stays good for the others, and they can pass it on`, async () => {
      const creator = await Actor.start(mode);
      const kind = mode === 'thread' ? 'process' : mode;
      const [a, b, c] = (await troupe.lendAll([kind, 'thread', kind])) as [Actor, Actor, Actor];
      await creator.make('Semaphore', 'o', 1);
      await creator.run(({ get }) => get('o').handle); // so that it counts as given out
      const handle = String(await creator.read('o', 'handle'));
      await a.open('Semaphore', 'o', handle);
      await b.open('Semaphore', 'o', handle);
      await end(creator);
      expect(await a.call('o', 'acquire')).toBe(true);
      expect(await b.call('o', 'tryAcquire')).toBe(false);
      const acquired = b.call('o', 'acquireAsync');
      // The handle names a descriptor of who gives it, so it is good though the creator is gone.
      await c.open('Semaphore', 'o', String(await a.read('o', 'handle')));
      expect(await c.read('o', 'value')).toBe(0);
      await c.call('o', 'release');
      expect(await acquired).toBe(true);
      await creator.stop();
    });
  }

  test.each(PROCESSES)('is gone takes its handle with it when nobody else had opened it: %s', async (mode) => {
    const creator = await Actor.start(mode);
    const other = await troupe.lend(mode);
    await creator.make('Lock', 'o');
    const handle = String(await creator.read('o', 'handle'));
    await creator.kill();
    const failure = other.open('Lock', 'o', handle);
    await expect(failure).rejects.toMatchObject(stale);
    await expect(failure).rejects.toThrow(/process \d+ has ended/);
  });
});

test('a handle goes by workerData, nested as an object is in JSON', async () => {
  const objects = { lock: new Lock(), deep: [{ event: new Event() }], semaphore: new Semaphore(2) };
  const workerData = JSON.parse(JSON.stringify(objects));
  const actor = await Actor.start('thread', { workerData });
  await actor.run(({ forklock, put, workerData }) => {
    const { lock, deep, semaphore } = workerData as { lock: string; deep: { event: string }[]; semaphore: string };
    put('l', forklock.Lock.from(lock)).acquire();
    put('e', forklock.Event.from(deep[0]!.event)).set();
    put('s', forklock.Semaphore.from(semaphore)).acquire();
  });
  expect(objects.lock.locked).toBe(true);
  expect(objects.deep[0]!.event.isSet).toBe(true);
  expect(objects.semaphore.value).toBe(1);
  await actor.stop();
});

test.each(PROCESSES)('a handle goes by the environment, through a child to its own child: %s', async (mode) => {
  const barrier = new Barrier(2);
  const { printed, code, stderr } = await script(
    async ({ forklock, require, print }) => {
      const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
      const barrier = forklock.Barrier.from(process.env.FORKLOCK_TEST_HANDLE!);
      const source = `
        import('forklock').then(({ Barrier }) => {
          const barrier = Barrier.from(process.env.FORKLOCK_TEST_HANDLE);
          console.log(barrier.parties);
          barrier.abort();
        });
      `;
      const { stdout } = spawnSync(process.execPath, ['-e', source], {
        cwd: process.cwd(),
        env: { ...process.env, FORKLOCK_TEST_HANDLE: barrier.handle },
        encoding: 'utf8',
      });
      print(stdout.trim());
      print(barrier.broken);
    },
    [],
    { mode, env: { FORKLOCK_TEST_HANDLE: barrier.handle } },
  );
  expect({ code, stderr, printed }).toEqual({ code: 0, stderr: '', printed: ['2', true] });
  expect(barrier.broken).toBe(true);
  barrier.close();
});

test.each(PROCESSES)(
  'an object that was dropped after its handle was given out can still be opened: %s',
  async (mode) => {
    const actor = await Actor.start(mode, { execArgv: ['--expose-gc'] });
    const handles = await actor.run(async ({ forklock }) => {
      const handles: string[] = [];
      for (let i = 0; i < 20; i++) handles.push(new forklock.Lock().handle);
      for (let i = 0; i < 4; i++) {
        (globalThis as { gc?: () => void }).gc!();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      for (let i = 0; i < 100; i++) new forklock.Lock().close();
      return handles;
    });
    for (const handle of handles) {
      const lock = Lock.from(handle);
      expect(lock.tryAcquire()).toBe(true);
      lock.release();
      lock.close();
    }
    await actor.stop();
  },
);

test.each(PROCESSES)(
  "a condition's own lock lives as long as the condition, shared by its own handle: %s",
  async (mode) => {
    const condition = new Condition();
    const actor = await troupe.lend(mode);
    await actor.open('RLock', 'o', condition.lock.handle);
    await actor.call('o', 'acquire');
    expect(condition.lock.locked).toBe(true);
    expect(condition.tryAcquire()).toBe(false);
    await actor.call('o', 'release');
    expect(condition.tryAcquire()).toBe(true);
    condition.release();
    condition.close();
    expect(() => condition.lock.locked).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_CLOSED' }));
    expect(await actor.call('o', 'tryAcquire')).toBe(true);
  },
);

test('the slots of participants that have ended are used again', TWO_FORMS, async () => {
  const lock = new Lock();
  for (let i = 0; i < sized(10, 30); i++) {
    const actors = await Promise.all([Actor.start('thread'), Actor.start('thread')]);
    for (const actor of actors) {
      await actor.open('Lock', 'o', lock.handle);
      await actor.call('o', 'tryAcquire');
    }
    await Promise.all(actors.map((actor) => actor.stop()));
  }
  expect(lock.tryAcquire()).toBe(true);
  lock.close();
});

test.each(PROCESSES)(
  'an object that one has open twice is one object, and lives until both are closed: %s',
  async (mode) => {
    const actor = await troupe.lend(mode);
    const lock = await share('Lock', 'handle', [actor]);
    const first = Lock.from(lock.handle);
    const second = Lock.from(lock.handle);
    first.close();
    expect(second.tryAcquire()).toBe(true);
    expect(await actor.call('o', 'tryAcquire')).toBe(false);
    second.release();
    second.close();
    expect(lock.tryAcquire()).toBe(true);
  },
);

test.each(PROCESSES)(
  'a view that is kept is not given to another array when its object is collected: %s',
  async (mode) => {
    const { printed } = await script(
      async ({ forklock, collect, print }) => {
        const views: Int32Array[] = [];
        for (let i = 0; i < 50; i++) {
          const { view } = new forklock.RawArray('int32', 8);
          view.fill(i);
          views.push(view);
        }
        await collect();
        const others = Array.from({ length: 200 }, () => new forklock.RawArray('int32', 8).fill(-1));
        print([others.length, views.filter((view, i) => view.some((element) => element !== i)).length]);
      },
      [],
      { ...gc, mode },
    );
    expect(printed).toEqual([[200, 0]]);
  },
);
