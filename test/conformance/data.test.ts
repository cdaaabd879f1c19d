import { Array as ForklockArray, Lock, RawArray, RawValue, RLock, SharedArray, Value } from 'forklock';
import { describe, expect, test } from 'vitest';
import { type Actor, type Mode, PROCESSES } from '../support/actor.js';
import { METHODS } from '../support/processes.js';
import { useTroupe } from '../support/stage.js';
import { freshName } from '../support/subjects.js';

const troupe = useTroupe();

const mixes: Record<string, readonly Mode[]> = {
  'between threads': ['thread', 'thread'],
  'between processes': ['process', 'process'],
  'between a thread and a process': ['thread', 'process'],
  ...Object.fromEntries(METHODS.map((method) => [`between processes by ${method}`, [method, method]])),
};

const integers = [
  ['int8', -128, 127],
  ['uint8', 0, 255],
  ['int16', -32768, 32767],
  ['uint16', 0, 65535],
  ['int32', -(2 ** 31), 2 ** 31 - 1],
  ['uint32', 0, 2 ** 32 - 1],
] as const;

const codes = {
  b: 'int8',
  B: 'uint8',
  h: 'int16',
  H: 'uint16',
  i: 'int32',
  I: 'uint32',
  l: 'int64',
  L: 'uint64',
  q: 'int64',
  Q: 'uint64',
  f: 'float32',
  d: 'float64',
  '?': 'bool',
} as const;

describe('element types', () => {
  test.each(integers)('%s holds its whole range and refuses what is outside, changing nothing', (type, min, max) => {
    const value = new Value(type, min);
    expect(value.value).toBe(min);
    value.value = max;
    expect(value.value).toBe(max);
    for (const bad of [min - 1, max + 1, 0.5, Number.NaN]) {
      expect(() => {
        value.value = bad;
      }).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_FORKLOCK_OUT_OF_RANGE' }));
    }
    expect(value.value).toBe(max);
    expect(value.add(1)).toBe(max); // wraps around, as Atomics do
    expect(value.value).toBe(min);
  });

  test('64-bit integers are bigints, and take safe integers', () => {
    const signed = new Value('int64', -(2n ** 63n));
    expect(signed.value).toBe(-(2n ** 63n));
    expect(signed.sub(1n)).toBe(-(2n ** 63n));
    expect(signed.value).toBe(2n ** 63n - 1n);
    const unsigned = new Value('uint64', 7 as unknown as bigint);
    expect(unsigned.value).toBe(7n);
    expect(() => unsigned.exchange(-1n)).toThrow(RangeError);
    expect(() => unsigned.exchange(2n ** 64n)).toThrow(RangeError);
    expect(() => unsigned.exchange(0.5 as unknown as bigint)).toThrow(TypeError);
    expect(unsigned.exchange(2n ** 64n - 1n)).toBe(7n);
  });

  test('floats and booleans are what they are', () => {
    const double = new Value('float64', 0.1);
    expect(double.value).toBe(0.1);
    const single = new Value('float32', 0.1);
    expect(single.value).toBe(Math.fround(0.1));
    const flag = new Value('bool', true);
    expect(flag.value).toBe(true);
    flag.value = false;
    expect(flag.value).toBe(false);
    expect(new Value('bool').value).toBe(false);
    expect(() => {
      flag.value = 1 as unknown as boolean;
    }).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' }));
    expect(() => double.add(1)).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_NOT_INTEGER' }));
  });

  test.each(Object.entries(codes))("Python's code %s is %s", (code, name) => {
    expect(new RawValue(code as keyof typeof codes).type).toBe(name);
    expect(new RawArray(code as keyof typeof codes, 2).type).toBe(name);
  });

  test.each([['int128'], [''], ['c'], [1], [null], [undefined], ['__proto__'], ['toString']])(
    '%s is no type',
    (type) => {
      const bad = type as 'int8';
      for (const make of [() => new Value(bad), () => new RawArray(bad, 1)]) {
        expect(make).toThrow(expect.objectContaining({ code: expect.stringMatching(/INVALID_ARG_TYPE|OUT_OF_RANGE/) }));
      }
    },
  );
});

describe('Value', () => {
  test('compareExchange writes only over what is expected, and says what was there', () => {
    const value = new Value('uint8', 5);
    expect(value.compareExchange(4, 9)).toBe(5);
    expect(value.value).toBe(5);
    expect(value.compareExchange(5, 9)).toBe(5);
    expect(value.value).toBe(9);
  });

  test('update replaces the value under the lock, and keeps it when the function throws', () => {
    const value = new Value('float64', 2);
    expect(value.update((v) => (value.lock.locked ? v * 3 : -1))).toBe(6);
    expect(() =>
      value.update(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(() => value.update(() => 'x' as unknown as number)).toThrow(TypeError);
    expect(value.value).toBe(6);
    expect(value.lock.locked).toBe(false);
  });

  test('its lock is an RLock of its own, or the one that is given, everywhere', async () => {
    const own = new Value('int32');
    expect(own.lock).toBeInstanceOf(RLock);
    const lock = new Lock();
    const value = new Value('int32', 1, { lock });
    expect(value.lock).toBe(lock);
    const there = Value.from<'int32'>(value.handle);
    lock.acquire();
    expect(there.lock.locked).toBe(true);
    expect(() => there.update((v) => v + 1, 0)).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_TIMEOUT' }));
    lock.release();
    expect(there.update((v) => v + 1)).toBe(2);
    expect(() => new Value('int32', 0, { lock: {} as Lock })).toThrow(
      expect.objectContaining({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' }),
    );
  });

  test('a named one keeps its element, and a name of another type or lock is a conflict', () => {
    const name = freshName();
    const lockName = `${name}/lock`;
    try {
      const first = new Value('int32', 7, { name });
      expect(new Value('int32', 99, { name }).value).toBe(7);
      const conflict = { code: 'ERR_FORKLOCK_NAME_CONFLICT' };
      expect(() => new Value('int16', 0, { name })).toThrow(expect.objectContaining(conflict));
      expect(() => new RawValue('int32', 0, { name })).toThrow(expect.objectContaining(conflict));
      expect(() => new Lock({ name })).toThrow(/it is a Value/);
      const named = new Lock({ name: lockName });
      expect(() => new Value('int32', 0, { name, lock: named })).toThrow(expect.objectContaining(conflict));
      expect(() => new Value('int32', 0, { name: `${name}/other`, lock: new Lock() })).toThrow(TypeError);
      Value.unlink(name);
      const other = new Value('int32', 1, { name, lock: named });
      expect(Value.from(other.handle).lock.name).toBe(lockName);
      expect(first.value).toBe(7);
    } finally {
      Value.unlink(name);
      Lock.unlink(lockName);
    }
  });

  test('after close() every access is an error', () => {
    const value = new Value('int32', 1);
    value.close();
    for (const use of [() => value.value, () => value.add(1), () => value.handle, () => value.update((v) => v)]) {
      expect(use).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_CLOSED' }));
    }
  });
});

describe.each(Object.entries(mixes))('counting %s', (_title, modes) => {
  const each = async (work: (actor: Actor) => Promise<unknown>): Promise<void> => {
    const actors = await troupe.lendAll(modes);
    await Promise.all(actors.map(work));
  };

  test('atomic additions are all there at the end', async () => {
    const value = new Value('int64', 0n);
    await each(async (actor) => {
      await actor.open('Value', 'v', value.handle);
      await actor.run(({ get }) => {
        for (let i = 0; i < 20_000; i++) get('v').add(1n);
      });
    });
    expect(value.value).toBe(40_000n);
  });

  test('updates under the lock are all there at the end, sync and async', async () => {
    const value = new Value('float64', 0);
    await each(async (actor) => {
      await actor.open('Value', 'v', value.handle);
      await actor.run(async ({ get }) => {
        const v = get('v');
        for (let i = 0; i < 2000; i++) v.update((x: number) => x + 1);
        for (let i = 0; i < 200; i++) {
          await v.withAsync(() => {
            v.value = v.value + 1;
          });
        }
      });
    });
    expect(value.value).toBe(4400);
  });

  test('writes to an array are seen everywhere, and its atomic operations do not lose any', async () => {
    const array = new SharedArray('uint16', 9);
    await each(async (actor) => {
      await actor.open('SharedArray', 'a', array.handle);
      await actor.run(({ get }) => {
        const a = get('a');
        for (let i = 0; i < 8000; i++) a.add(i % 8, 1);
        a.with(() => {
          a.view[8] += 1;
        });
      });
    });
    expect([...array]).toEqual([2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2]);
  });

  test('a float64 is never seen half-written', async () => {
    const [low, high] = [1.5, -2.25e300];
    const value = new RawValue('float64', low);
    const actors = await troupe.lendAll(modes);
    for (const actor of actors) await actor.open('RawValue', 'v', value.handle);
    const written = actors[0]!.run(
      ({ get }, low, high) => {
        for (let i = 0; i < 200_000; i++) get('v').value = i % 2 === 0 ? low : high;
      },
      low,
      high,
    );
    const seen = await actors[1]!.run(({ get }) => {
      const values = new Set<number>();
      for (let i = 0; i < 200_000; i++) values.add(get('v').value);
      return [...values];
    });
    await written;
    for (const v of seen) expect([low, high]).toContain(v);
  });
});

describe('Array', () => {
  test('is SharedArray by another name', () => {
    expect(ForklockArray).toBe(SharedArray);
  });

  test('has elements, slices, iteration and a real typed array', () => {
    const array = new SharedArray('int32', [1, 2, 3, 4]);
    expect(array).toHaveLength(4);
    expect(array.view).toBeInstanceOf(Int32Array);
    expect(array.view.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([array.at(0), array.at(-1), array.at(4), array.at(-5)]).toEqual([1, 4, undefined, undefined]);
    expect(array.slice(1, -1)).toEqual([2, 3]);
    expect([...array]).toEqual([1, 2, 3, 4]);
    array.set(1, 20);
    array.view[2] = 30;
    expect(array.get(1) + array.get(2)).toBe(50);
    expect([...array.fill(9, 2)]).toEqual([1, 20, 9, 9]);
    expect([...array.copyFrom(new Set([5, 6]), 1)]).toEqual([1, 5, 6, 9]);
    expect([array.sub(0, 2), array.exchange(0, 7), array.compareExchange(0, 7, 8), array.get(0)]).toEqual([
      1, -1, 7, 8,
    ]);
    expect([...new RawArray('bool', [true, false])]).toEqual([true, false]);
    expect([...new RawArray('q', [1n, -1n])]).toEqual([1n, -1n]);
  });

  test('refuses indexes and elements that cannot be, and changes nothing', () => {
    const array = new SharedArray('uint8', [1, 2]);
    for (const index of [-1, 2, 0.5, Number.NaN, 2 ** 40]) {
      expect(() => array.get(index)).toThrow(RangeError);
      expect(() => array.set(index, 1)).toThrow(RangeError);
      expect(() => array.add(index, 1)).toThrow(RangeError);
    }
    expect(() => array.get('0' as unknown as number)).toThrow(TypeError);
    expect(() => array.set(0, 256)).toThrow(RangeError);
    expect(() => array.fill(-1)).toThrow(RangeError);
    expect(() => array.copyFrom([3, 4, 5])).toThrow(RangeError);
    expect(() => array.copyFrom([3, 'x' as unknown as number])).toThrow(/source\[1\]: expected a number/);
    expect(() => array.copyFrom(5 as unknown as number[])).toThrow(TypeError);
    expect([...array]).toEqual([1, 2]);
    for (const size of [-1, 0.5, Number.NaN, 2 ** 60]) expect(() => new RawArray('uint8', size)).toThrow(RangeError);
    for (const initial of [null, undefined, {}, 'x'] as unknown as number[]) {
      expect(() => new RawArray('uint8', initial)).toThrow(TypeError);
    }
  });

  test.each(PROCESSES)(
    'may be empty, or larger than the heap of an arena, and is the same elsewhere: %s',
    async (mode) => {
      expect([...SharedArray.from(new SharedArray('int8', 0).handle)]).toEqual([]);
      const [actor] = await troupe.lendAll([mode]);
      const large = new SharedArray('float64', 5_000_000);
      await actor!.open('SharedArray', 'a', large.handle);
      await actor!.run(({ get }) => get('a').set(4_999_999, 0.5));
      expect(large.get(4_999_999)).toBe(0.5);
    },
  );

  test('a named one keeps its elements; another length or type is a conflict', () => {
    const name = freshName();
    try {
      const array = new RawArray('int32', [1, 2, 3], { name });
      expect([...new RawArray('int32', 3, { name })]).toEqual([1, 2, 3]);
      expect([...RawArray.from<'int32'>(array.handle)]).toEqual([1, 2, 3]);
      expect(() => new RawArray('int32', 2, { name })).toThrow(/its length is 3/);
      expect(() => new RawArray('uint32', 3, { name })).toThrow(/its type is int32/);
      expect(() => new SharedArray('int32', 3, { name })).toThrow(/it is a RawArray/);
    } finally {
      RawArray.unlink(name);
    }
  });

  test('a handle of the other kind is refused', () => {
    expect(() => RawArray.from(`${new SharedArray('int8', 1).handle}`)).toThrow(TypeError);
    expect(() => SharedArray.from(`${new RawArray('int8', 1).handle}`)).toThrow(TypeError);
    expect(() => Value.from(`${new RawValue('int8').handle}`)).toThrow(TypeError);
    expect(() => RawValue.from(`${new RawArray('int8', 1).handle}`)).toThrow(
      expect.objectContaining({ code: 'ERR_FORKLOCK_INVALID_HANDLE' }),
    );
  });
});
