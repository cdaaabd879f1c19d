import { Barrier } from 'forklock';
import { expect, test } from 'vitest';
import { inEveryVariant, scene, useTroupe } from '../support/stage.js';
import { Party } from '../support/subjects.js';
import { until } from '../support/time.js';

const troupe = useTroupe();
const broken = { name: 'BrokenBarrierError', code: 'ERR_FORKLOCK_BROKEN_BARRIER' };

inEveryVariant('Barrier', (variant) => {
  test('nobody gets through before all are there; each learns when it arrived', async () => {
    const { object: barrier, a, b, c } = await scene(troupe, variant, 'Barrier', [3]);
    expect(barrier.parties).toBe(3);
    let through = 0;
    const waits: Promise<number>[] = [];
    for (const [i, party] of [b, c].entries()) {
      waits.push(party.wait().finally(() => through++));
      await until(() => barrier.waiting === i + 1);
    }
    expect(through).toBe(0);
    expect(String(barrier)).toMatch(/^Barrier \{.* parties: 3, broken: false, waiting: 2 \}$/);
    waits.push(a.wait(0)); // the last does not wait
    expect(await Promise.all(waits)).toEqual([0, 1, 2]);
    expect(barrier.waiting).toBe(0);
    expect(barrier.broken).toBe(false);
  });

  test('it is used again, for hundreds of rounds, and nobody is ever a round ahead', async () => {
    const { object: barrier, actors } = await scene(troupe, variant, 'Barrier', [3]);
    const rounds = 150;
    const counters = await actors[0].run(({ forklock, put }) => {
      return [
        put('n0', new forklock.Semaphore(0)),
        put('n1', new forklock.Semaphore(0)),
        put('n2', new forklock.Semaphore(0)),
      ].map(({ handle }) => String(handle));
    });
    for (const actor of actors.slice(1)) {
      for (const [i, handle] of counters.entries()) await actor.open('Semaphore', `n${i}`, handle);
    }
    const indices = await Promise.all(
      actors.map((actor, me) =>
        actor.run(
          async ({ get }, form, me, rounds) => {
            const barrier = get('o');
            const indices: number[] = [];
            for (let i = 1; i <= rounds; i++) {
              get(`n${me}`).release();
              indices.push(form === 'sync' ? barrier.wait() : await barrier.waitAsync());
              for (const other of ['n0', 'n1', 'n2']) {
                const { value } = get(other);
                if (value < i || value > i + 1) throw new Error(`round ${i}: another party is in round ${value}`);
              }
            }
            return indices;
          },
          variant.form,
          me,
          rounds,
        ),
      ),
    );
    for (let i = 0; i < rounds; i++) expect(indices.map((all) => all[i]).sort()).toEqual([0, 1, 2]);
    expect(barrier.broken).toBe(false);
    expect(barrier.waiting).toBe(0);
  });

  test('a barrier for one lets everybody through', async () => {
    const { a, b } = await scene(troupe, variant, 'Barrier', [1]);
    for (let i = 0; i < 3; i++) expect(await Promise.all([a.wait(), b.wait()])).toEqual([0, 0]);
  });

  test('a timeout breaks it for all, until reset()', async () => {
    const { object: barrier, a, b, c } = await scene(troupe, variant, 'Barrier', [3]);
    const first = b.wait();
    await until(() => barrier.waiting === 1);
    await expect(a.wait(20)).rejects.toMatchObject(broken);
    await expect(first).rejects.toMatchObject(broken);
    expect(barrier.broken).toBe(true);
    expect(await c.actor.read('o', 'broken')).toBe(true);
    expect(barrier.waiting).toBe(0);
    await expect(c.wait()).rejects.toMatchObject(broken);
    await c.actor.call('o', 'reset');
    expect(barrier.broken).toBe(false);
    expect((await Promise.all([a.wait(), b.wait(), c.wait()])).sort()).toEqual([0, 1, 2]);
  });

  test('a timeout of 0 or less breaks it too, unless all others are there', async () => {
    const { object: barrier, a, b } = await scene(troupe, variant, 'Barrier', [2]);
    for (const timeout of [0, -1]) {
      await expect(a.wait(timeout)).rejects.toMatchObject(broken);
      expect(barrier.broken).toBe(true);
      barrier.reset();
      const first = b.wait();
      await until(() => barrier.waiting === 1);
      expect(await a.wait(timeout)).toBe(1);
      expect(await first).toBe(0);
    }
  });

  test('a timeout that is no number is an error and breaks nothing', async () => {
    const { object: barrier, a } = await scene(troupe, variant, 'Barrier', [2]);
    for (const timeout of [Number.NaN, '1', null]) {
      await expect(a.wait(timeout)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' });
    }
    expect(barrier.broken).toBe(false);
    expect(barrier.waiting).toBe(0);
  });

  test('the timeout of the constructor is used when wait() does not say', async () => {
    const { object: barrier, a, b } = await scene(troupe, variant, 'Barrier', [2]);
    const own = new Party(a.actor, variant.form, 'own');
    await a.actor.open('Barrier', 'own', barrier.handle, { timeout: 20 });
    await expect(own.wait()).rejects.toMatchObject(broken);
    barrier.reset();
    const first = own.wait(Number.POSITIVE_INFINITY);
    await until(() => barrier.waiting === 1);
    expect(await b.wait()).toBe(1);
    expect(await first).toBe(0);
  });

  test('abort() breaks it for who waits and who comes', async () => {
    const { object: barrier, a, b, c } = await scene(troupe, variant, 'Barrier', [3]);
    const waits = [a.wait(), b.wait()].map((wait) => expect(wait).rejects.toMatchObject(broken));
    await until(() => barrier.waiting === 2);
    await c.actor.call('o', 'abort');
    await Promise.all(waits);
    expect(barrier.broken).toBe(true);
    await expect(c.wait()).rejects.toMatchObject(broken);
    barrier.reset();
    expect(barrier.broken).toBe(false);
  });

  test('reset() breaks the round of who waits, and the next round is fresh', async () => {
    const { object: barrier, a, b, c } = await scene(troupe, variant, 'Barrier', [3]);
    const waits = [a.wait(), b.wait()].map((wait) => expect(wait).rejects.toMatchObject(broken));
    await until(() => barrier.waiting === 2);
    await c.actor.call('o', 'reset');
    await Promise.all(waits);
    expect(barrier.broken).toBe(false);
    expect(barrier.waiting).toBe(0);
    barrier.reset();
    expect((await Promise.all([a.wait(), b.wait(), c.wait()])).sort()).toEqual([0, 1, 2]);
  });

  test('the action runs once a round, in the last party, before anybody gets through', async () => {
    const { object: barrier, actors } = await scene(troupe, variant, 'Barrier', [3]);
    for (const actor of actors) {
      await actor.run(({ forklock, put, state, emit }, handle) => {
        state.ran = 0;
        const action = (): void => {
          state.ran = (state.ran as number) + 1;
          emit('action');
        };
        put('acting', forklock.Barrier.from(handle, { action }));
      }, barrier.handle);
    }
    for (let i = 0; i < 5; i++) {
      const indices = await Promise.all(actors.map((actor) => new Party(actor, variant.form, 'acting').wait()));
      expect([...indices].sort()).toEqual([0, 1, 2]);
      await actors[indices.indexOf(2)]!.event('action');
    }
    const runs = await Promise.all(actors.map((actor) => actor.run(({ state }) => state.ran as number)));
    expect(runs.reduce((sum, n) => sum + n)).toBe(5);
  });

  test('an action that throws breaks it: its party gets the error, the others BrokenBarrierError', async () => {
    const { object: barrier, a, b, c } = await scene(troupe, variant, 'Barrier', [3]);
    await a.actor.run(({ forklock, put }, handle) => {
      const action = (): never => {
        throw new Error('of the action');
      };
      put('acting', forklock.Barrier.from(handle, { action }));
    }, barrier.handle);
    const waits = [b.wait(), c.wait()].map((wait) => expect(wait).rejects.toMatchObject(broken));
    await until(() => barrier.waiting === 2);
    await expect(new Party(a.actor, variant.form, 'acting').wait()).rejects.toThrow('of the action');
    await Promise.all(waits);
    expect(barrier.broken).toBe(true);
  });

  test('an action that takes time is awaited by waitAsync(), and nobody gets through before', async () => {
    const { object: barrier, a, b } = await scene(troupe, variant, 'Barrier', [2]);
    await a.actor.run(({ forklock, put, state, emit }, handle) => {
      const action = (): Promise<unknown> => {
        emit('acting');
        return new Promise((resolve) => Object.assign(state, { resolve }));
      };
      put('acting', forklock.Barrier.from(handle, { action }));
    }, barrier.handle);
    let through = false;
    const first = b.wait().finally(() => {
      through = true;
    });
    await until(() => barrier.waiting === 1);
    const last = a.actor.call('acting', 'waitAsync');
    await a.actor.event('acting');
    expect(through).toBe(false);
    expect(barrier.broken).toBe(false);
    await a.actor.run(({ state }) => (state.resolve as () => void)());
    expect(await Promise.all([first, last])).toEqual([0, 1]);
  });

  test('abort() while the action runs breaks the round for all', async () => {
    const { object: barrier, a, b } = await scene(troupe, variant, 'Barrier', [2]);
    await a.actor.run(({ forklock, put, get }, handle) => {
      const action = (): void => get('o').abort();
      put('acting', forklock.Barrier.from(handle, { action }));
    }, barrier.handle);
    const first = expect(b.wait()).rejects.toMatchObject(broken);
    await until(() => barrier.waiting === 1);
    await expect(new Party(a.actor, variant.form, 'acting').wait()).rejects.toMatchObject(broken);
    await first;
  });

  test('several tasks of one thread are several parties', async () => {
    const { object: barrier, a, b } = await scene(troupe, variant, 'Barrier', [4]);
    const tasks = a.actor.run(async ({ get }) => {
      const barrier = get('o');
      const indices: number[][] = [];
      for (let i = 0; i < 20; i++) {
        indices.push(await Promise.all([barrier.waitAsync(), barrier.waitAsync(), barrier.waitAsync()]));
      }
      return indices;
    });
    const other = b.actor.run(async ({ get }, form) => {
      for (let i = 0; i < 20; i++) await (form === 'sync' ? get('o').wait() : get('o').waitAsync());
    }, variant.form);
    for (const indices of await tasks) expect(new Set(indices).size).toBe(3);
    await other;
    expect(barrier.broken).toBe(false);
  });
});

test('a barrier is for 1 to 4095 parties', () => {
  for (const parties of [0, -1, 1.5, Number.NaN, 4096]) {
    expect(() => new Barrier(parties)).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_OUT_OF_RANGE' }));
  }
  const barrier = new Barrier(4095);
  expect(barrier.parties).toBe(4095);
  barrier.close();
});
