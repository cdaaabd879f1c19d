import { expect, test } from 'vitest';
import type { Actor } from '../support/actor.js';
import { inEveryVariant, scene, useTroupe, type Variant } from '../support/stage.js';
import { Party } from '../support/subjects.js';
import { until } from '../support/time.js';

const troupe = useTroupe();

async function sides(variant: Variant) {
  const { object: rw, actors } = await scene(troupe, variant, 'RWLock');
  const both = (actor: Actor) => ({
    actor,
    read: new Party(actor, variant.form, 'o.read'),
    write: new Party(actor, variant.form, 'o.write'),
  });
  const [a, b, c] = actors;
  return { rw, a: both(a), b: both(b), c: both(c) };
}

const notOwner = { name: 'NotOwnerError', code: 'ERR_FORKLOCK_NOT_OWNER' };
const deadlock = { name: 'DeadlockError', code: 'ERR_FORKLOCK_DEADLOCK' };

inEveryVariant('RWLock', (variant) => {
  test('many read at once, and nobody writes meanwhile', async () => {
    const { rw, a, b, c } = await sides(variant);
    for (const [i, { read }] of [a, b, a, c].entries()) {
      expect(await read.acquire()).toBe(true);
      expect(rw.readers).toBe(i + 1);
    }
    expect(rw.read.tryAcquire()).toBe(true);
    rw.read.release();
    expect(rw.writer).toBeNull();
    for (const { write } of [a, b]) {
      expect(await write.tryAcquire()).toBe(false);
      expect(await write.acquire(0)).toBe(false);
      expect(await write.acquire(-1)).toBe(false);
    }
    expect(await b.write.acquire(20)).toBe(false);
    expect(String(rw)).toMatch(/^RWLock \{.* readers: 4, writer: null, ownerDied: false, waiting: 0 \}$/);
    for (const { read } of [a, b, a]) await read.release();
    expect(await b.write.tryAcquire()).toBe(false);
    await c.read.release();
    expect(rw.readers).toBe(0);
    expect(await b.write.tryAcquire()).toBe(true);
  });

  test('one writes, and nobody else reads or writes meanwhile', async () => {
    const { rw, a, b, c } = await sides(variant);
    expect(await a.write.acquire()).toBe(true);
    expect(rw.writer?.pid).toBe(a.actor.pid);
    expect(String(rw)).toContain(`writer: { pid: ${a.actor.pid}, tid: `);
    for (const { read, write } of [b, c]) {
      expect(await read.tryAcquire()).toBe(false);
      expect(await read.acquire(-1)).toBe(false);
      expect(await read.acquire(10)).toBe(false);
      expect(await write.tryAcquire()).toBe(false);
      expect(await write.acquire(10)).toBe(false);
    }
    expect(rw.readers).toBe(0);
    const readers = [b.read.acquire(), c.read.acquire()];
    await until(() => rw.waiting === 2);
    await a.write.release();
    expect(await Promise.all(readers)).toEqual([true, true]); // both at once
    expect(rw.readers).toBe(2);
    expect(rw.writer).toBeNull();
    expect(rw.waiting).toBe(0);
  });

  test('a writer that waits holds new readers off, and is not starved', async () => {
    const { rw, a, b, c } = await sides(variant);
    await a.read.acquire();
    const writes = b.write.acquire();
    await until(() => rw.waiting === 1);
    expect(rw.writer).toBeNull();
    expect(await c.read.tryAcquire()).toBe(false);
    const reads = c.read.acquire();
    await until(() => rw.waiting === 2);
    await a.read.release();
    expect(await writes).toBe(true);
    expect(rw.waiting).toBe(1);
    await b.write.release();
    expect(await reads).toBe(true);
  });

  test('a writer that gives up lets the readers go on that it held off', async () => {
    const { rw, a, b, c } = await sides(variant);
    await a.read.acquire();
    const writes = b.write.acquire(60);
    await until(() => rw.waiting === 1);
    const reads = c.read.acquire();
    expect(await writes).toBe(false);
    expect(await reads).toBe(true);
    expect(rw.readers).toBe(2);
  });

  test('a stream of readers that overlap does not keep a writer out', async () => {
    const { rw, a, b, c } = await sides(variant);
    const streams = [a, c].map(({ actor }) =>
      actor.run(async ({ get, state, emit }, form) => {
        const { read } = get('o');
        state.stop = false;
        let rounds = 0;
        emit('reading');
        while (!state.stop && rounds < 1e6) {
          if (form === 'sync') read.with(() => undefined);
          else await read.withAsync(() => new Promise((resolve) => setImmediate(resolve)));
          if (++rounds % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        return rounds;
      }, variant.form),
    );
    await Promise.all([a, c].map(({ actor }) => actor.event('reading')));
    for (let i = 0; i < 5; i++) {
      expect(await b.write.acquire()).toBe(true);
      await b.write.release();
    }
    await Promise.all(
      [a, c].map(({ actor }) =>
        actor.run(({ state }) => {
          state.stop = true;
        }),
      ),
    );
    await Promise.all(streams);
    expect(rw.readers).toBe(0);
  });

  test('downgrade() turns the writer into a reader, with no writer in between', async () => {
    const { rw, a, b, c } = await sides(variant);
    await a.write.acquire();
    const writes = b.write.acquire();
    await until(() => rw.waiting === 1);
    await (variant.sharing === 'name' ? a.actor.call('o', 'downgrade') : a.actor.call('o.write', 'downgrade'));
    expect(rw.readers).toBe(1);
    await expect(a.write.release()).rejects.toMatchObject(notOwner);
    await expect(a.actor.call('o.write', 'downgrade')).rejects.toMatchObject(notOwner);
    expect(await c.write.tryAcquire()).toBe(false);
    expect(rw.waiting).toBe(1);
    await a.read.release();
    expect(await writes).toBe(true);
    expect(rw.readers).toBe(0);
  });

  test('downgrade() lets waiting readers in', async () => {
    const { rw, a, b } = await sides(variant);
    await a.write.acquire();
    const reads = b.read.acquire();
    await until(() => rw.waiting === 1);
    await a.actor.call('o', 'downgrade');
    expect(await reads).toBe(true);
    expect(rw.readers).toBe(2);
  });

  test('an upgrade would wait for itself: DeadlockError, or false after a timeout', async () => {
    const { rw, a, b } = await sides(variant);
    await a.read.acquire();
    await expect(a.actor.call('o.write', 'acquire')).rejects.toMatchObject(deadlock);
    expect(await a.actor.call('o.write', 'acquire', 20)).toBe(false);
    expect(rw.readers).toBe(1);
    expect(await b.read.tryAcquire()).toBe(true);
    await b.read.release();
    await a.read.release();
    await a.write.acquire();
    for (const side of ['o.read', 'o.write']) {
      await expect(a.actor.call(side, 'acquire')).rejects.toMatchObject(deadlock);
      expect(await a.actor.call(side, 'acquire', 20)).toBe(false);
      expect(await a.actor.call(side, 'tryAcquire')).toBe(false);
    }
    expect(rw.writer?.pid).toBe(a.actor.pid);
    await a.write.release();
    expect(await b.write.acquire()).toBe(true);
  });

  test('only who holds a side can release it', async () => {
    const { rw, a, b } = await sides(variant);
    for (const { read, write } of [a, b]) {
      await expect(read.release()).rejects.toMatchObject(notOwner);
      await expect(write.release()).rejects.toMatchObject(notOwner);
    }
    await a.read.acquire();
    await expect(b.read.release()).rejects.toMatchObject(notOwner);
    await expect(a.write.release()).rejects.toMatchObject(notOwner);
    expect(rw.readers).toBe(1);
    await a.read.release();
    await a.write.acquire();
    await expect(a.read.release()).rejects.toMatchObject(notOwner);
    await expect(b.write.release()).rejects.toMatchObject(notOwner);
    await expect(b.actor.call('o', 'downgrade')).rejects.toMatchObject(notOwner);
    expect(rw.writer?.pid).toBe(a.actor.pid);
  });

  test('the reading side has the scoped forms, too', async () => {
    const { rw, a, b } = await sides(variant);
    await a.read.hold();
    await b.read.hold();
    expect(rw.readers).toBe(2);
    await a.read.drop();
    await a.read.drop();
    expect(rw.readers).toBe(1);
    await b.read.drop();
    await a.write.acquire();
    await expect(b.read.hold(10)).rejects.toMatchObject({ name: 'TimeoutError' });
    await a.write.release();
    const seen = await b.actor.run(async ({ get }, form) => {
      const { read } = get('o');
      const look = (): number => get('o').readers;
      const seen = form === 'sync' ? read.with(look) : await read.withAsync(look);
      const fail = (): never => {
        throw new Error('of the function');
      };
      try {
        if (form === 'sync') read.with(fail);
        else await read.withAsync(fail);
      } catch {}
      return seen;
    }, variant.form);
    expect(seen).toBe(1);
    expect(rw.readers).toBe(0);
  });

  test('readers never see what a writer has half written', async () => {
    const { a, b, c } = await sides(variant);
    const [left, right] = await a.actor.run(({ forklock, put }) => [
      String(put('left', new forklock.Semaphore(0)).handle),
      String(put('right', new forklock.Semaphore(0)).handle),
    ]);
    for (const { actor } of [b, c]) {
      await actor.open('Semaphore', 'left', left!);
      await actor.open('Semaphore', 'right', right!);
    }
    const write = a.actor.run(async ({ get }, form) => {
      const both = (): void => {
        get('left').release();
        get('right').release();
      };
      for (let i = 0; i < 200; i++) {
        if (form === 'sync') get('o').write.with(both);
        else await get('o').write.withAsync(both);
      }
    }, variant.form);
    const reads = [b, c].map(({ actor }) =>
      actor.run(async ({ get }, form) => {
        const same = (): void => {
          const [left, right] = [get('left').value, get('right').value];
          if (left !== right) throw new Error(`a reader saw ${left} and ${right}`);
        };
        for (let i = 0; i < 200; i++) {
          if (form === 'sync') get('o').read.with(same);
          else await get('o').read.withAsync(same);
        }
      }, variant.form),
    );
    await Promise.all([write, ...reads]);
    expect(await a.actor.read('right', 'value')).toBe(200);
  });
});
