// Whatever a caller gives: handles, names and arguments, at random by fast-check. `inputs.mjs [--seed n] [--runs n] [--seconds n]`.
// Each is done, or refused by an error with a code. Nothing blocks, no file is made outside of the directory, no descriptor is
// left. A failure is printed with its seed and the least input that shows it.
import { randomUUID } from 'node:crypto';
import { fstatSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import * as all from 'forklock';
import { FUNCTIONS, NOT_CALLED, processProperties } from './processes.mjs';

const forklock = { ...all };

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '300' },
    seconds: { type: 'string', default: '1000000' },
  },
});

const SLOW = 3000;
const directory = `/dev/shm/forklock-${process.geteuid()}`;

function isCoded(error) {
  return error instanceof Error && typeof error.code === 'string' && error.code.startsWith('ERR_FORKLOCK_');
}

/** Calls, and says what is wrong about how that ended; a result that can be closed is closed. */
function attempt(fn, allowed = () => false) {
  const start = performance.now();
  try {
    const result = fn();
    if (typeof result?.then === 'function') return result.then(close, (error) => check(error, allowed));
    close(result);
  } catch (error) {
    check(error, allowed);
  }
  const took = performance.now() - start;
  if (took > SLOW) throw new Error(`it took ${took} ms`);
}

function check(error, allowed) {
  if (!isCoded(error) && !allowed(error)) throw new Error(`not an error of forklock's: ${error?.stack ?? error}`);
}

/** Names that this made are removed; others work beside it in the same directories. */
function close(result) {
  const name = result?.close && result.name;
  if (typeof name === 'string' && !name.startsWith('fuzz-')) result.constructor.unlink?.(name);
  if (typeof result?.close === 'function') result.close();
  if (typeof result?.lock?.close === 'function') result.lock.close();
}

const CLASSES = {
  Lock: [],
  RLock: [],
  Semaphore: [2],
  BoundedSemaphore: [2],
  Condition: [],
  Event: [],
  Barrier: [2],
  RWLock: [],
  Value: ['int32', 0],
  RawValue: ['int64', 0n],
  Array: ['int8', 5],
  RawArray: ['float64', 5],
  SharedMemory: [{ size: 10 }],
};
const NAMES = Object.keys(CLASSES);
const make = (name) => new forklock[name](...CLASSES[name]);

const kept = NAMES.map(make);
const ownName = `fuzz-${randomUUID()}`;
const named = new forklock.Lock({ name: ownName });
const handles = [...kept.map((object) => object.handle), named.handle, new forklock.Condition(named).handle];

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary-ascii', maxLength: 300 }),
  fc.stringMatching(/^[./%\\:@+\0~-]{0,12}$/),
  fc.constantFrom(
    '..',
    '../x',
    '/etc/passwd',
    '%2e%2e%2f',
    '.',
    './.',
    'a/../../b',
    '\ud800',
    '__proto__',
    'constructor',
    'con\0d',
  ),
);
const number = fc.oneof(
  fc.nat(),
  fc.bigInt(),
  fc.constantFrom('0', '1', '00', '-1', '2147483648', '4294967296', '99999999999999999999', '1e3', ''),
);
const part = fc.oneof(
  number.map(String),
  anyText,
  fc.constantFrom(String(process.pid), '@', '@..', '@%2E%2E', `@${ownName}`),
);

/** A good handle of which a field, or some characters, are others. */
const damaged = fc
  .tuple(fc.constantFrom(...handles), fc.nat(11), part, fc.nat(200))
  .map(([handle, field, other, at]) => {
    if (field === 11) return handle.slice(0, at) + other + handle.slice(at + other.length);
    if (field === 10) return `${handle}+${other}`;
    if (field === 9) return handle + handle;
    const fields = handle.split(/([:.+])/);
    fields[(field * 2) % fields.length] = other;
    return fields.join('');
  });
const composed = fc
  .tuple(fc.constantFrom('lock', 'rlock', 'memory', 'value', 'array', 'barrier', 'x'), part, part, part)
  .map(([kind, segment, cell, cookie]) => `forklock1:${kind}:${segment}:${cell}:${cookie}`);
const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withTypedArray: true,
  withSparseArray: true,
});
const anyHandle = fc.oneof(damaged, composed, anyText, anything, fc.constantFrom(...handles));

/** What a wait may be given so that it ends at once: all but what means for ever. */
const brief = fc.oneof(
  anything.filter((value) => value !== undefined && !(typeof value === 'number' && value > 2)),
  fc.constantFrom(0, -1, 1, -Infinity, Number.NaN, -0, 0.5),
);
const options2 = fc.oneof(
  anything.filter((value) => value !== undefined && (typeof value !== 'object' || value === null)),
  fc.record({ timeout: brief, signal: fc.oneof(anything, fc.constant(AbortSignal.abort())) }),
);

/** Of sizes, those that memory can be had for. */
const anyArgument = fc.oneof(
  anything,
  fc.constantFrom(
    ...kept,
    'int32',
    'b',
    '?',
    'float64',
    true,
    1,
    2,
    0,
    -1,
    2 ** 31,
    2 ** 53,
    2 ** 60,
    1e308,
    [1, 2],
    [true],
    [1n],
  ),
  fc.record(
    {
      name: fc.oneof(anyText, anything),
      size: fc.oneof(fc.nat(100_000), anything, fc.constantFrom(2 ** 40, 2 ** 39 + 1)),
      create: fc.oneof(fc.boolean(), anything),
      lock: fc.oneof(fc.constantFrom(...kept, true), anything),
      onOwnerDied: fc.oneof(fc.constantFrom('report', 'throw'), anything),
      recover: fc.oneof(fc.boolean(), anything),
      action: fc.oneof(
        fc.constant(() => {}),
        anything,
      ),
      timeout: brief,
      target: anything,
      args: anything,
      kwargs: anything,
      daemon: anything,
    },
    { requiredKeys: [] },
  ),
);

/** What blocks, and at which argument it says for how long. */
const BLOCKING = { acquire: 0, wait: 0, hold: 0, with: 1, waitFor: 1, update: 1, join: 0 };
const ASYNC = { acquireAsync: 0, waitAsync: 0, holdAsync: 0, withAsync: 1, waitForAsync: 1 };

/** The names of methods in forklock's types. What is left out there is for its own use. */
const types = ['sync', 'data', 'memory'].flatMap((folder) => {
  const path = new URL(`../../dist/${folder}/`, import.meta.url);
  return readdirSync(path)
    .filter((file) => file.endsWith('.d.ts'))
    .map((file) => readFileSync(new URL(file, path), 'utf8'));
});
const published = new Set(
  types
    .join('\n')
    .match(/^ {4}(?:\w+ )*\w+(?=[(<])/gm)
    .map((match) => match.trim().split(' ').at(-1)),
);
for (const name of ['constructor', 'close', 'toString']) published.delete(name);

function methodsOf(object) {
  const names = new Set();
  for (let at = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (published.has(name) && typeof value === 'function') names.add(name);
    }
  }
  return [...names];
}

/** Frees what a call may have taken, so that none after it waits for ever. */
function restore(object) {
  for (const side of [object, object.lock, object.read, object.write]) {
    for (let i = 0; i < 3; i++) {
      try {
        side?.release?.();
      } catch {}
    }
  }
}

function call(object, method, args, time, wait) {
  const given = [...args];
  const last = BLOCKING[method] ?? ASYNC[method];
  if (last !== undefined) {
    while (given.length <= last) given.push(undefined);
    given[last] = method in BLOCKING ? time : wait;
    if (last === 1 && given[0] === undefined) given[0] = () => {};
  }
  return object[method](...given);
}

// What a program gives as a function may throw what it likes; and the iteration of what was given is the giver's.
const isGivers = (error) => error?.givers === true;

/** What is exported is called by some property here, or it is said why it is not. */
const called = new Set([...NAMES, 'SharedArray', 'Process', ...FUNCTIONS, ...Object.keys(NOT_CALLED)]);
const missing = Object.keys(forklock).filter(
  (name) => !called.has(name) && !(forklock[name].prototype instanceof Error),
);
if (missing.length > 0) throw new Error(`nobody calls ${missing}`);

/** Where the file of a descriptor has its name; its link says where it was made, before it had one. */
function nameOf(fd, directory) {
  const { ino } = fstatSync(fd);
  return readdirSync(directory).find(
    (file) => lstatSync(`${directory}/${file}`, { throwIfNoEntry: false })?.ino === ino,
  );
}

function filesOpen() {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return fstatSync(fd).isFile();
      } catch {
        return false; // that of readdirSync
      }
    });
}

/** Accessors that can be set, of an object of each class and of a `Process`. */
const settable = [...NAMES, 'Process'].flatMap((name) => {
  const setters = [];
  for (let at = forklock[name].prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [key, { set }] of Object.entries(Object.getOwnPropertyDescriptors(at)))
      if (set) setters.push([name, key]);
  }
  return setters;
});

const properties = {
  handles: fc.property(fc.constantFrom(...NAMES), anyHandle, anyArgument, (name, handle, options) => {
    attempt(() => forklock[name].from(handle, options));
  }),

  setters: fc.property(fc.constantFrom(...settable), anyArgument, ([name, key], value) => {
    const object = name === 'Process' ? new forklock.Process() : make(name);
    attempt(() => {
      object[key] = value;
    });
    close(object);
  }),

  names: fc.property(fc.constantFrom(...NAMES.filter((name) => name !== 'SharedMemory')), anyText, (name, text) => {
    let object;
    try {
      object = new forklock[name](...CLASSES[name], ...Array(name === 'Condition' ? 1 : 0), { name: text });
    } catch (error) {
      check(error, () => false);
      return;
    }
    try {
      if (nameOf(object.cell.segment.fd, directory) === undefined) throw new Error(`it is not in ${directory}`);
      if (object.name !== text) throw new Error(`its name is ${object.name}`);
      forklock[name].from(object.handle).close();
      if (!forklock[name].unlink(text)) throw new Error('its name leads nowhere');
    } finally {
      close(object);
    }
  }),

  'names of shared memory': fc.property(fc.oneof(anyText, anything), fc.boolean(), (name, create) => {
    const before = new Set(filesOpen());
    attempt(() => {
      const memory = new forklock.SharedMemory({ name, size: 10, create });
      try {
        const made = filesOpen().filter((fd) => !before.has(fd));
        const named = made.filter((fd) => nameOf(fd, '/dev/shm') === memory.name);
        if (memory.name !== undefined && named.length !== 1) throw new Error('it is not in /dev/shm');
        forklock.SharedMemory.from(memory.handle).close();
      } catch (error) {
        close(memory);
        throw error;
      }
      return memory;
    });
  }),

  'names that are removed': fc.property(fc.constantFrom(...NAMES), fc.oneof(anyText, anything), (name, text) => {
    attempt(() => {
      const found = forklock[name].unlink(text);
      if (typeof found !== 'boolean') throw new Error(`it is ${found}`);
    });
  }),

  constructors: fc.property(
    fc.constantFrom(...NAMES, 'Process'),
    fc.array(anyArgument, { maxLength: 4 }),
    (name, args) => {
      attempt(() => new forklock[name](...args));
    },
  ),

  methods: fc.asyncProperty(
    fc.constantFrom(...NAMES.filter((name) => name !== 'SharedMemory')),
    fc.nat(),
    fc.array(anyArgument, { maxLength: 3 }),
    brief,
    options2,
    async (name, index, args, time, wait) => {
      const object = make(name);
      const target = object.read && index % 3 !== 0 ? (index % 3 === 1 ? object.read : object.write) : object;
      const methods = methodsOf(target);
      const method = methods[index % methods.length];
      if (index % 2 === 0) attempt(() => object.tryAcquire?.());
      try {
        await attempt(
          () => call(target, method, args, time, wait),
          (error) => isGivers(error) || error?.name === 'AbortError',
        );
      } catch (error) {
        throw new Error(`${name}.${method}: ${error.message}`);
      }
      restore(object);
      close(object);
    },
  ),

  ...processProperties({ attempt, anything, anyText, anyArgument, brief, options2 }),
};

const descriptors = () => readdirSync('/proc/self/fd').length;

const end = performance.now() + Number(options.seconds) * 1000;
let seed = Number(options.seed);
let rounds = 0;
let wrong = 0;
const before = descriptors();
do {
  for (const [name, property] of Object.entries(properties)) {
    const result = await fc.check(property, {
      seed,
      numRuns: Math.ceil(Number(options.runs) / (property.slower ?? 1)),
      interruptAfterTimeLimit: Math.max(1, end - performance.now()),
    });
    if (!result.failed || result.counterexample === null) continue;
    wrong++;
    console.error(`${name}, seed ${seed}: ${fc.stringify(result.counterexample)}\n${result.errorInstance?.message}`);
  }
  seed++;
  rounds++;
} while (options.seconds !== '1000000' && performance.now() < end && wrong === 0);
for (let i = 0; i < 5; i++) {
  globalThis.gc?.();
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const left = descriptors() - before;
if (left > 3) {
  wrong++;
  console.error(`${left} descriptors are left`);
}
forklock.Lock.unlink(ownName);
console.log(JSON.stringify({ rounds, wrong }));
process.exit(wrong === 0 ? 0 : 1);
