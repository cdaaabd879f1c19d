import { rmSync } from 'node:fs';
import { Lock, RawArray, SharedMemory } from 'forklock';
import { expect, test } from 'vitest';
import { script } from '../support/script.js';
import { useTroupe } from '../support/stage.js';
import { until } from '../support/time.js';

/** Sentences of the documentation that say what does not work. */

const troupe = useTroupe();

test.each([['RawArray'], ['SharedMemory']])(
  'Atomics.wait and notify do not meet over two openings of a %s, in one process',
  async (cls) => {
    const made = cls === 'RawArray' ? new RawArray('int32', 4) : new SharedMemory({ size: 4096 });
    const words = made instanceof RawArray ? made.view : new Int32Array(made.buffer);
    const [actor] = await troupe.lendAll(['thread']);
    await actor!.open(cls as 'RawArray', 'o', made.handle);
    const waited = actor!.run(({ get }) => {
      const object = get('o');
      const view = object.view ?? new Int32Array(object.buffer);
      Atomics.store(view, 1, 1);
      const result = Atomics.wait(view, 0, 0, 200);
      Atomics.store(view, 1, 2);
      return result;
    });
    await until(() => Atomics.load(words, 1) === 1);
    let woken = 0;
    while (Atomics.load(words, 1) === 1) woken += Atomics.notify(words, 0);
    expect([woken, await waited]).toEqual([0, 'timed-out']);
  },
);

test('a name whose file was removed is made again by whoever opens it next: two locks', async () => {
  const name = `promised-limits-${process.pid}`;
  const lock = new Lock({ name });
  lock.acquire();
  rmSync(`/dev/shm/forklock-${process.geteuid!()}/${name}`); // as a login manager does with all of them
  const [actor] = await troupe.lendAll(['process']);
  const other = await actor!.run(({ forklock }, name) => new forklock.Lock({ name }).tryAcquire(), name);
  expect([other, lock.locked]).toEqual([true, true]);
  Lock.unlink(name);
  lock.close();
});

test('a handler of SIGTERM runs when the blocked wait has ended', async () => {
  const { printed, code } = await script(
    ({ forklock: { Lock }, print }) => {
      const lock = new Lock();
      lock.acquire();
      process.on('SIGTERM', () => print('handler'));
      process.kill(process.pid, 'SIGTERM');
      print(lock.acquire(100));
      setImmediate(() => setImmediate(() => process.exit()));
    },
    [],
    {},
  );
  expect({ printed, code }).toEqual({ printed: [false, 'handler'], code: 0 });
});
