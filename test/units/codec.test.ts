import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import v8 from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageChannel, Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import { decode, encode } from '../../dist/channel/codec.js';
import * as forklock from '../../dist/index.js';
import { native } from '../../dist/native.js';
import { own } from '../support/own.js';

/** Values with forklock objects in them, to bytes and back. The codec is internal: its modules are used one by one. */

const { Array: SharedArray, BoundedSemaphore, Condition, Event, Lock, RLock, RWLock } = forklock;
const { Barrier, RawArray, RawValue, Semaphore, SharedMemory, Value } = forklock;

// biome-ignore lint/suspicious/noExplicitAny: values of all kinds
type Any = any;

const back = <T>(value: T): T => decode(encode(value).bytes) as T;

function thrown(fn: () => unknown): Any {
  try {
    fn();
  } catch (error) {
    return error;
  }
  throw new Error('expected an error');
}

const program = fileURLToPath(new URL('../programs/codec.mjs', import.meta.url));

interface Scope {
  forklock: typeof forklock;
  encode: typeof encode;
  decode: typeof decode;
}

/** Somebody else who decodes what it is sent: see programs/codec.mjs. */
class Peer {
  readonly #end: ChildProcess | Worker;

  constructor(mode: string) {
    this.#end = mode === 'process' ? fork(program, { serialization: 'advanced' }) : new Worker(program);
  }

  /** What a function, sent as source, makes of a value there. */
  async ask<T, R>(value: T, fn: (value: T, scope: Scope) => R): Promise<Awaited<R>> {
    const { bytes, objects } = encode(value, 'args');
    const message = { bytes: bytes.toString('base64'), source: fn.toString() };
    if (this.#end instanceof Worker) this.#end.postMessage(message);
    else this.#end.send(message);
    const [reply] = (await once(this.#end, 'message')) as [{ bytes: string; error?: Any }];
    expect(objects).toBeDefined(); // they had to be alive until now
    if (reply.error) throw Object.assign(new Error(reply.error.message), reply.error);
    return decode(Buffer.from(reply.bytes, 'base64')) as Awaited<R>;
  }

  end(): void {
    if (this.#end instanceof Worker) void this.#end.terminate();
    else this.#end.kill('SIGKILL');
  }
}

const peers = new Map(['process', 'thread'].map((mode) => [mode, new Peer(mode)]));
afterAll(() => {
  for (const peer of peers.values()) peer.end();
});

describe('values without forklock objects come back as from v8.serialize', () => {
  const cyclic: Any = { list: [1] };
  cyclic.list.push(cyclic, new Map([[cyclic, new Set([cyclic])]]));
  const twice = { a: 1 };
  class Point {
    x = 1;
    #hidden = 2;
    get sum(): number {
      return this.x + this.#hidden;
    }
  }
  const bytes = Uint8Array.from({ length: 24 }, (_, i) => i).buffer;
  const float16 = (globalThis as Any).Float16Array;
  const values: [string, unknown][] = Object.entries({
    undefined: undefined,
    null: null,
    booleans: [true, false],
    numbers: [0, -0, 1, -1, 2 ** 31, 2 ** 53, 1.5, Number.NaN, Infinity, -Infinity, Number.MIN_VALUE],
    bigints: [0n, -1n, 2n ** 64n, -(2n ** 200n)],
    strings: ['', 'a', 'ünïcödé', '\u{1F600}', '\uD800', 'x'.repeat(100_000)],
    boxed: [Object(1), Object('s'), Object(true), Object(1n)],
    dates: [new Date(0), new Date(Number.NaN)],
    regexps: [/a/, /b+/giu],
    'nested objects': { a: { b: { c: [{}] } }, 1: 'one', 'a key': 2 },
    'an object without a prototype': Object.assign(Object.create(null), { a: 1 }),
    'a key __proto__': JSON.parse('{"__proto__": {"x": 1}}'),
    "a key 'forklock'": { forklock: 1, nested: { forklock: { forklock: null } } },
    'an array with holes': Object.assign([1], { 2: 3 }),
    'an array with more than elements': Object.assign([1, 2], { extra: 'x' }),
    'a match': /(?<first>a)b/.exec('cab'),
    'a sparse array': Object.assign([], { 5: 1, 4000000000: 2 }),
    'a map': new Map<unknown, unknown>([
      [1, 'a'],
      [{ k: 1 }, [2]],
      [Number.NaN, new Map()],
    ]),
    'a set': new Set<unknown>([1, 'a', { b: 1 }, new Set([1])]),
    errors: [
      new Error('e'),
      new TypeError('t', { cause: { why: 1 } }),
      Object.assign(new RangeError('r'), { code: 'X' }),
    ],
    'a class instance': new Point(),
    getters: {
      get now() {
        return 1;
      },
    },
    'symbol keys and what cannot be enumerated': Object.defineProperty({ [Symbol('s')]: 1, a: 1 }, 'b', {
      value: () => {},
    }),
    cyclic,
    'an object twice': [twice, twice],
    'an ArrayBuffer': bytes,
    views: [
      new Int8Array(bytes),
      new Uint8Array(bytes, 1, 3),
      new Uint8ClampedArray(bytes, 2),
      new Int16Array(bytes, 2, 4),
      new Uint16Array(bytes),
      new Int32Array(bytes, 4),
      new Uint32Array(bytes),
      new Float32Array(bytes, 0, 2),
      new Float64Array(bytes, 8, 1),
      new BigInt64Array(bytes),
      new BigUint64Array(bytes, 16),
      new DataView(bytes, 3, 7),
      new Uint8Array(0),
      ...(float16 ? [new float16([1.5, -2])] : []),
    ],
    'Buffers of the pool': [Buffer.from('hello'), Buffer.alloc(0), Buffer.from('ü')],
    'values of another realm': runInNewContext('({ a: [1, new Map([[1, new Uint8Array(3)]])], e: new Error("x") })'),
  });

  test.each(values)('%s', (_title, value) => {
    const { bytes: encoded, objects } = encode(value);
    expect(objects).toEqual([]);
    const expected = v8.deserialize(v8.serialize(value));
    const decoded = decode(encoded);
    expect(decoded).toStrictEqual(expected);
    // As V8 writes both: also what an assertion would overlook.
    expect(v8.serialize(decoded).equals(v8.serialize(expected))).toBe(true);
  });

  test('a Buffer stays a Buffer; memory is copied, and no more of it than the view shows', () => {
    const buffer = Buffer.from('hello');
    const encoded = encode([buffer, buffer]);
    expect(encoded.bytes.length).toBeLessThan(50);
    const [one, two] = decode(encoded.bytes) as [Buffer, Buffer];
    expect(Buffer.isBuffer(one)).toBe(true);
    expect(one).toBe(two);
    expect(one.buffer.byteLength).toBe(5);
    one.fill(0);
    expect((decode(encoded.bytes) as [Buffer])[0].toString()).toBe('hello');
  });

  test('a key __proto__ is a key, also where forklock objects are put in their places', () => {
    const value = JSON.parse('{"__proto__": {"x": 1}}');
    value.lock = new Lock();
    const own = (object: object): Any => Object.getOwnPropertyDescriptor(object, '__proto__')!.value;
    own(value).inner = value.lock;
    const decoded = back(value);
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded)).toEqual(['__proto__', 'lock']);
    expect(own(decoded).inner).toBe(decoded.lock);
    expect(({} as Any).x).toBeUndefined();
  });

  test('what is nested too deeply for V8 is a RangeError, as with v8.serialize', () => {
    let deep: unknown = new Lock();
    for (let i = 0; i < 1_000_000; i++) deep = { deep };
    expect(() => encode(deep)).toThrow(RangeError);
  });
});

/** One object of each class, and whether what comes back is the same: it is asked both ways. */
const user = new Lock();
const classes: [string, () => Any, change: (object: Any) => unknown, seen: (object: Any) => unknown][] = [
  ['Lock', () => new Lock(), (o) => o.acquire(), (o) => [o.locked, o.tryAcquire()]],
  ['RLock', () => new RLock({ onOwnerDied: 'throw' }), (o) => o.acquire(), (o) => [o.locked, o.tryAcquire()]],
  ['Semaphore', () => new Semaphore(3), (o) => o.acquire(), (o) => o.value],
  ['Semaphore that recovers', () => new Semaphore(3, { recover: true }), (o) => o.acquire(), (o) => o.value],
  ['BoundedSemaphore', () => new BoundedSemaphore(1), (o) => o.acquire(), (o) => [o.value, o.tryAcquire()]],
  ['Condition', () => new Condition(), (o) => o.acquire(), (o) => [o.lock.locked, o.tryAcquire()]],
  ["Condition over a user's lock", () => new Condition(new Lock()), (o) => o.lock.acquire(), (o) => o.tryAcquire()],
  ['Event', () => new Event(), (o) => o.set(), (o) => o.isSet],
  ['Barrier', () => new Barrier(3, { timeout: 1 }), (o) => o.abort(), (o) => [o.parties, o.broken]],
  ['RWLock', () => new RWLock(), (o) => o.write.acquire(), (o) => [o.writer !== null, o.read.tryAcquire()]],
  ['reading side', () => new RWLock().read, (o) => o.acquire(), (o) => RWLock.from(o.cell.handle).readers],
  ['writing side', () => new RWLock().write, (o) => o.acquire(), (o) => o.tryAcquire()],
  ['Value', () => new Value('int64', 5n), (o) => o.add(2n), (o) => [o.type, o.value, o.lock.constructor.name]],
  [
    "Value with a user's lock",
    () => new Value('bool', true, { lock: user }),
    (o) => {
      o.value = false;
    },
    (o) => [o.value, o.lock.constructor.name],
  ],
  [
    'RawValue',
    () => new RawValue('float64', 0.5),
    (o) => {
      o.value = 1.5;
    },
    (o) => [o.type, o.value],
  ],
  ['Array', () => new SharedArray('uint16', [1, 2, 3]), (o) => o.set(0, 9), (o) => [o.type, [...o]]],
  [
    "Array with a user's lock",
    () => new SharedArray('d', 2, { lock: user }),
    (o) => o.fill(1.5),
    (o) => [o.type, [...o]],
  ],
  ['large Array', () => new SharedArray('float64', 100_000), (o) => o.set(99_999, 1), (o) => [o.length, o.at(-1)]],
  ['RawArray', () => new RawArray('bool', 3), (o) => o.set(1, true), (o) => [...o]],
  [
    'SharedMemory',
    () => new SharedMemory({ size: 10 }),
    (o) => new Uint8Array(o.buffer).fill(7),
    (o) => [o.size, new Uint8Array(o.buffer)[9]],
  ],
];

/** Each container, with how what is in it is found again. */
const containers: [string, put: (object: Any) => Any, get: (value: Any) => Any][] = [
  ['by itself', (o) => o, (v) => v],
  ['an object', (o) => ({ a: { o } }), (v) => v.a.o],
  ['an array', (o) => [1, [o]], (v) => v[1][0]],
  ['a sparse array', (o) => Object.assign([], { 4000000000: o }), (v) => v[4_000_000_000]],
  ['a property of an array', (o) => Object.assign([1, 2], { o }), (v) => v.o],
  ['a Map', (o) => new Map([['a', o]]), (v) => v.get('a')],
  [
    'a key of a Map',
    (o) =>
      new Map([
        [1, 0],
        [o, 5],
        [2, 0],
      ]),
    (v) => (v.size === 3 && v.get([...v.keys()][1]) === 5 ? [...v.keys()][1] : null),
  ],
  ['a Set', (o) => new Set([1, o, 2]), (v) => (v.has([...v][1]) ? [...v][1] : null)],
  ['the cause of an error', (o) => new Error('e', { cause: { o } }), (v) => v.cause.o],
  [
    'a class instance',
    (o) =>
      new (class Box {
        o = o;
      })(),
    (v) => v.o,
  ],
  [
    'a getter',
    (o) => ({
      get o() {
        return o;
      },
    }),
    (v) => v.o,
  ],
  [
    'a cycle',
    (o) => {
      const v: Any = { o };
      v.self = [v];
      return v;
    },
    (v) => v.self[0].self[0].o,
  ],
  [
    "a key 'forklock'",
    (o) => {
      const v = { forklock: o, x: 1 };
      return [v, v];
    },
    (v) => (v[0] === v[1] && v[0].x === 1 ? v[0].forklock : null),
  ],
  [
    'beside views',
    (o) => [Buffer.from('x'), o, new Int32Array(2)],
    (v) => (v[0].toString() === 'x' && v[2].length === 2 ? v[1] : null),
  ],
];

describe('forklock objects come back as the same objects', () => {
  test.each(classes)('%s: what is done elsewhere is seen here', async (_title, make, change, seen) => {
    const seenOf: unknown[] = [];
    for (const peer of peers.values()) {
      const object = make();
      const title = await peer.ask([object, `${change}`], ([theirs, changing]) => {
        // biome-ignore lint/security/noGlobalEval: as the program does
        globalThis.eval(changing)(theirs);
        return theirs.constructor.name;
      });
      expect(title).toBe(object.constructor.name);
      seenOf.push(seen(object));
    }
    expect(seenOf[0]).toEqual(seenOf[1]); // in a process as in a thread
    expect(seenOf[0]).not.toEqual(seen(make()));
  });

  const nested = containers.flatMap(([where, put, get]) =>
    classes.map(([title, make]) => [title, where, make, put, get] as const),
  );
  test.each(nested)('%s in %s', (_title, _where, make, put, get) => {
    const object = make();
    const { bytes, objects } = encode(put(object));
    expect(objects).toContain(object);
    const found = get(decode(bytes));
    expect(found).toBeInstanceOf(object.constructor);
    expect(found).not.toBe(object);
    if (found.handle !== undefined)
      expect(found.handle.replaceAll(/\d+\.\d+\./g, '')).toBe(object.handle.replaceAll(/\d+\.\d+\./g, ''));
    found.close?.();
  });

  test.each([...peers.keys()])('every class in every container, in another %s', async (mode) => {
    const objects = classes.map(([, make]) => make());
    for (const [where, put, get] of containers) {
      const names = await peers.get(mode)!.ask([objects.map(put), `${get}`] as const, ([values, getting]) =>
        // biome-ignore lint/security/noGlobalEval: as the program does
        values.map((value: Any) => globalThis.eval(getting)(value).constructor.name),
      );
      expect(names, where).toEqual(objects.map((object) => object.constructor.name));
    }
  });

  test('a lock that is held here cannot be taken there, and can afterwards', async () => {
    for (const peer of peers.values()) {
      const lock = new Lock();
      lock.acquire();
      const tryIt = ({ deep: [theirs] }: { deep: forklock.Lock[] }): boolean => theirs!.tryAcquire();
      expect(await peer.ask({ deep: [lock] }, tryIt)).toBe(false);
      lock.release();
      expect(await peer.ask({ deep: [lock] }, tryIt)).toBe(true);
      expect(lock.tryAcquire()).toBe(false);
    }
  });

  test('objects that were made there can come from there', async () => {
    for (const peer of peers.values()) {
      const { lock, memory } = await peer.ask(1, (_one, { forklock: { Lock, SharedMemory } }) => {
        const made = { lock: new Lock(), memory: new SharedMemory({ size: 3 }) };
        made.lock.acquire();
        new Uint8Array(made.memory.buffer)[2] = 8;
        return made;
      });
      expect(lock.tryAcquire()).toBe(false);
      expect([...new Uint8Array(memory.buffer)]).toEqual([0, 0, 8]);
    }
  });

  test('named objects come back under their names', () => {
    const name = own();
    const lock = new Lock({ name });
    const condition = new Condition(lock, { name: `${name}-condition` });
    try {
      const decoded = back({ lock, condition });
      expect(decoded.lock.name).toBe(name);
      expect(decoded.condition.name).toBe(`${name}-condition`);
      expect(decoded.condition.lock).toBe(decoded.lock);
    } finally {
      Lock.unlink(name);
      Condition.unlink(`${name}-condition`);
    }
  });

  test('a policy and a bound are in the memory; a timeout of a Barrier comes along', () => {
    expect((back(new Barrier(2, { timeout: 0 })) as Any).local.timeout).toBe(0);
    expect((back(new Barrier(2)) as Any).local.timeout).toBeUndefined();
    const semaphore = back(new BoundedSemaphore(1));
    expect(() => semaphore.release()).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_OVER_RELEASE' }));
  });

  test('an instance of a subclass comes back as one of the class of forklock', () => {
    class Mine extends Lock {
      mine = 1;
    }
    const lock = new Mine();
    lock.acquire();
    const decoded = back([lock])[0]!;
    expect(decoded.constructor).toBe(Lock);
    expect(decoded.locked).toBe(true);
  });
});

describe('identity', () => {
  test('one object twice is one; two objects of the same memory are two', () => {
    const lock = new Lock();
    const other = Lock.from(lock.handle);
    const { bytes, objects } = encode([
      lock,
      { lock },
      other,
      new Map([
        [lock, other],
        [other, lock],
      ]),
    ]);
    expect(objects).toEqual([lock, other]);
    const [a, b, c, map] = decode(bytes) as Any;
    expect(b.lock).toBe(a);
    expect(c).not.toBe(a);
    expect(map.get(a)).toBe(c);
    expect(map.get(c)).toBe(a);
  });

  const orders = [(parts: Any[]) => parts, (parts: Any[]) => parts.toReversed()];
  test.each(orders)('the lock of a condition or of data is the lock beside it, whichever is first (%#)', (order) => {
    const lock = new RLock();
    const value = new Value('int32', 0, { lock });
    const { bytes, objects } = encode(
      order([lock, new Condition(lock), new Condition(lock), value, new SharedArray('b', 1, { lock })]),
    );
    expect(objects).toHaveLength(5);
    const [own, ...others] = order(decode(bytes) as Any[]);
    for (const { lock: theirs } of others) expect(theirs).toBe(own);
  });

  test.each(orders)('an own lock beside its object (%#)', (order) => {
    for (const object of [new Condition(), new Value('int32'), new SharedArray('int32', 3)]) {
      const [lock, decoded] = order(back(order([object.lock, object])));
      expect(decoded.lock).toBe(lock);
      lock.acquire();
      expect(object.lock.tryAcquire()).toBe(true); // of this thread already
      object.lock.release();
      expect(object.lock.locked).toBe(true);
      lock.release();
      expect(object.lock.locked).toBe(false);
    }
  });

  test.each(orders)('the sides of an RWLock (%#)', (order) => {
    const rw = new RWLock();
    const [write, decoded, read] = order(back(order([rw.write, rw, rw.read])));
    expect(decoded.read).toBe(read);
    expect(decoded.write).toBe(write);
  });

  test('a lock that comes with an object is among those to keep alive', () => {
    const lock = new Lock();
    expect(encode(new Condition(lock)).objects).toContain(lock);
    const value = new Value('int32');
    expect(encode([value, value]).objects).toEqual([value]);
  });
});

describe('what cannot be carried', () => {
  const lock = new Lock();
  const array = new SharedArray('int32', 3);
  const cyclic: Any = { inner: { up: null } };
  cyclic.inner.up = cyclic;
  cyclic.f = function f() {};
  class Mine extends Lock {
    callback = () => {};
  }
  const expected = 'expected a value that can be cloned or a forklock object, got';
  const cases: [unknown, string][] = [
    [[{ callback: function f() {} }], `args[0].callback: ${expected} f (function)`],
    [() => {}, `args: ${expected} anonymous (function)`],
    [[lock, Symbol('s')], `args[1]: ${expected} Symbol(s) (symbol)`],
    [{ 'a b': { $ok: new WeakMap() } }, `args["a b"].$ok: ${expected} an instance of WeakMap`],
    [[new WeakRef({})], `args[0]: ${expected} an instance of WeakRef`],
    [[Promise.resolve()], `args[0]: ${expected} an instance of Promise`],
    [[new Proxy({}, {})], `args[0]: ${expected} a Proxy`],
    [
      new Map<unknown, unknown>([
        [1, 2],
        ['k', [() => {}]],
      ]),
      `args.get("k")[0]: ${expected} anonymous (function)`,
    ],
    [new Map([[{ f() {} }, 1]]), `args.keys()[0].f: ${expected} f (function)`],
    [new Map([[{}, Symbol.iterator]]), `args.values()[0]: ${expected} Symbol(Symbol.iterator) (symbol)`],
    [[new Set([1, Symbol.iterator])], `args[0].values()[1]: ${expected} Symbol(Symbol.iterator) (symbol)`],
    [[new Error('e', { cause: { f() {} } })], `args[0].cause.f: ${expected} f (function)`],
    [Object.assign([1], { f() {} }), `args.f: ${expected} f (function)`],
    [cyclic, `args.f: ${expected} f (function)`],
    [[new Mine()], `args[0].callback: ${expected} callback (function)`],
    [
      [{ a: array.view }],
      `args[0].a: ${expected} shared bytes (an instance of Int32Array): pass the Array, Value or SharedMemory whose memory it is`,
    ],
    [
      [new SharedMemory({ size: 3 }).buffer],
      `args[0]: ${expected} shared bytes (an instance of SharedArrayBuffer): pass the Array, Value or SharedMemory whose memory it is`,
    ],
    [
      [new DataView(new SharedArrayBuffer(3))],
      `args[0]: ${expected} shared bytes (an instance of DataView): pass the Array, Value or SharedMemory whose memory it is`,
    ],
    [
      [new Barrier(2, { action() {} })],
      `args[0]: ${expected} a Barrier with an action: pass its handle, and give the action to Barrier.from() there`,
    ],
  ];
  test.each(cases)('%o', (value, message) => {
    const error = thrown(() => encode(value, 'args'));
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ message, code: 'ERR_FORKLOCK_NOT_CLONEABLE' });
  });

  test('things of Node that are no data', () => {
    const { port1, port2 } = new MessageChannel();
    const error = thrown(() => encode({ port: port1 }));
    expect(error.code).toBe('ERR_FORKLOCK_NOT_CLONEABLE');
    expect(error.message).toMatch(/^value\.port: expected .* got an instance of MessagePort/);
    port1.close();
    port2.close();
  });

  test('a closed object', () => {
    const closed = new Lock();
    closed.close();
    const memory = new SharedMemory({ size: 3 });
    memory.close();
    expect(thrown(() => encode({ x: [closed] }, 'args'))).toMatchObject({
      code: 'ERR_FORKLOCK_CLOSED',
      message: 'args.x[0]: this Lock is closed',
    });
    expect(thrown(() => encode({ memory }, 'args'))).toMatchObject({
      code: 'ERR_FORKLOCK_CLOSED',
      message: 'args.memory: this SharedMemory is closed',
    });
  });

  test('what a getter throws is thrown', () => {
    const mine = new Error('mine');
    expect(
      thrown(() =>
        encode({
          get x() {
            throw mine;
          },
        }),
      ),
    ).toBe(mine);
    // After an error forklock objects are as before.
    expect(() => v8.serialize(lock)).toThrow();
  });

  test('other ways of cloning refuse forklock objects, on all versions of Node', () => {
    const objects = [lock, new Condition(), new RWLock().read, new Value('int32'), new SharedMemory({ size: 1 })];
    for (const object of objects) {
      expect(() => structuredClone({ object })).toThrow('a forklock object: pass its handle');
      expect(() => v8.serialize([object])).toThrow('a forklock object: pass its handle');
    }
    const error = thrown(() => encode({ a: { forklock: Symbol('a forklock object: pass its handle') } })); // of another copy
    expect(error.message).toContain('value.a.forklock: ');
  });
});

describe('decode', () => {
  test('refuses what is not bytes, bytes of something else, and kinds that it does not know', () => {
    expect(thrown(() => decode('x' as Any)).code).toBe('ERR_FORKLOCK_INVALID_ARG_TYPE');
    for (const bytes of [
      [],
      [255],
      [255, 15],
      [0, 1, 2],
      [255, 15, 0x5c, 9],
      [255, 15, 0x5c, 1, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [255, 15, 0x5c, 0, 77, 0],
      [255, 15, 0x5c, 0, 6, 3, 1, 2, 3],
    ]) {
      expect(
        thrown(() => decode(Uint8Array.from(bytes))),
        `${bytes}`,
      ).toMatchObject({ name: 'ForklockError', code: 'ERR_FORKLOCK_CORRUPT' });
    }
  });

  test('an object that is gone is an error, and nothing stays open', async () => {
    const value = new Value('int32');
    const { segment, index } = (value as Any).cell;
    const openElsewhere = (): number => native().sum(segment.index, index, 1);
    for (const peer of peers.values()) {
      await peer.ask([value] as const, ([theirs]) => theirs.close());
      expect(openElsewhere()).toBe(0);
      const error: Any = await peer
        .ask([value] as const, ([theirs], { encode, decode, forklock: { SharedMemory } }) => {
          const gone = new SharedMemory({ size: 1 });
          const { bytes } = encode([theirs, gone]);
          gone.close();
          theirs.close();
          return decode(bytes);
        })
        .catch((thrown: Any) => thrown as Any);
      expect(error.code).toBe('ERR_FORKLOCK_INVALID_HANDLE');
      expect(openElsewhere()).toBe(0);
    }
  });

  test('bytes may be in shared memory, and anywhere in it', () => {
    const { bytes } = encode([1, Buffer.from('x')]);
    const shared = new Uint8Array(new SharedArrayBuffer(1000)).subarray(3, 3 + bytes.length);
    shared.set(bytes);
    expect(decode(shared)).toEqual([1, Buffer.from('x')]);
  });

  test('10,000 damaged messages are errors, or other values, and never a crash', () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
    const fuzz = fileURLToPath(new URL('../programs/codec-fuzz.mjs', import.meta.url));
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fuzz, `${seed}`, '10000'], {
      encoding: 'utf8',
      timeout: 25_000,
    });
    console.log(`seed ${seed}: ${stdout.trim()}`);
    expect({ status, signal, stderr }, `SEED=${seed}`).toEqual({ status: 0, signal: null, stderr: '' });
    const { fine, codes } = JSON.parse(stdout);
    expect(fine).toBeGreaterThan(100);
    expect(Object.keys(codes).sort()).toEqual(['ERR_FORKLOCK_CORRUPT', 'ERR_FORKLOCK_INVALID_HANDLE']);
  });
});
