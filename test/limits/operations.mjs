// Each public operation that takes something of the system. `prepare` makes what `run` needs, and runs without a limit;
// `works` throws when the result is not what it is without one; `untouched` when a `run` that failed has changed something.
import { strictEqual as is } from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import * as forklock from 'forklock';

const {
  Barrier,
  Condition,
  Event,
  Lock,
  RawArray,
  RawValue,
  RLock,
  RWLock,
  Semaphore,
  SharedArray,
  SharedMemory,
  Value,
} = forklock;

export const targets = new URL('./targets.mjs', import.meta.url).href;

let number = 0;
const freshName = () => `limits-${process.pid}-${number++}`;

const named = (Class, make) => ({
  prepare: () => freshName(),
  run: (name) => make(name),
  works(object, name) {
    const again = make(name);
    is(again.name, name);
    object.close();
    again.close();
    is(Class.unlink(name), true);
  },
  untouched: (name) => is(Class.unlink(name), false),
});

const holds = (lock) => {
  is(lock.acquire(0), true);
  lock.release();
};

/** What another process has, by its handle. */
const opened = (kind, open, works) => ({
  needs: 'peer',
  prepare: (peer) => peer.handles[kind],
  run: open,
  works,
});

const waiting = (make, wait, free) => ({
  prepare: make,
  run: wait,
  works(result, object) {
    is(result, false);
    free?.(object);
  },
  untouched(object) {
    is(object.waiting, 0);
    free?.(object);
  },
});

const soon = { timeout: 5 };

const waits = {
  'Lock.acquire': waiting(heldLock, (lock) => lock.acquire(5), free),
  'Lock.acquireAsync': waiting(heldLock, (lock) => lock.acquireAsync(soon), free),
  'RLock.acquireAsync': waiting(
    () => {
      const lock = new RLock();
      lock.acquire();
      return lock;
    },
    (lock) => new Promise((resolve, reject) => setImmediate(() => lock.acquireAsync(soon).then(resolve, reject))),
    free,
  ),
  'Semaphore.acquireAsync': waiting(
    () => new Semaphore(0),
    (semaphore) => semaphore.acquireAsync(soon),
  ),
  'RWLock.write.acquireAsync': waiting(readRWLock, (lock) => lock.write.acquireAsync(soon), freeReader),
  'RWLock.read.acquireAsync': waiting(
    writtenRWLock,
    (lock) => lock.read.acquireAsync(soon),
    (lock) => {
      is(lock.readers, 0);
      lock.write.release();
      lock.close();
    },
  ),
  'Event.waitAsync': waiting(
    () => new Event(),
    (event) => event.waitAsync(soon),
  ),
  'Condition.waitAsync': waiting(
    () => new Condition(),
    (condition) => condition.withAsync(() => condition.waitAsync(soon)),
    (condition) => condition.with(() => is(condition.notify(), 0)),
  ),
  // Whoever has come and cannot wait would break it for all.
  'Barrier.waitAsync': {
    prepare: () => new Barrier(2),
    async run(barrier) {
      const first = barrier.waitAsync({ timeout: 2000 });
      const both = await Promise.allSettled([first, barrier.waitAsync({ timeout: 2000 })]);
      const failed = both.find(({ status }) => status === 'rejected');
      if (failed) throw failed.reason;
      return both.map(({ value }) => value);
    },
    works: (indices) => is(String(indices.sort()), '0,1'),
    untouched(barrier) {
      is(barrier.broken, false);
      is(barrier.waiting, 0);
    },
  },
  // More than one thread can sleep on.
  '70 waits at once': {
    prepare: () => Array.from({ length: 70 }, () => new Event()),
    async run(events) {
      const settled = await Promise.allSettled(events.map((event) => event.waitAsync(soon)));
      const failed = settled.find(({ status }) => status === 'rejected');
      if (failed) throw failed.reason;
      return settled.every(({ value }) => value === false);
    },
    works: (all, events) => {
      is(all, true);
      for (const event of events) event.close();
    },
    untouched: (events) =>
      is(
        events.every((event) => event.waiting === 0),
        true,
      ),
  },
};

function heldLock() {
  const lock = new Lock();
  lock.acquire();
  return lock;
}

function free(lock) {
  lock.release();
  holds(lock);
  lock.close();
}

function readRWLock() {
  const lock = new RWLock();
  lock.read.acquire();
  return lock;
}

function freeReader(lock) {
  is(lock.writer, null);
  is(lock.readers, 1);
  lock.read.release();
  lock.close();
}

function writtenRWLock() {
  const lock = new RWLock();
  lock.write.acquire();
  return lock;
}

/** A process that counts how often it has run. Under a limit it may be started, and itself not live with that limit. */
const process_ = (method) => ({
  async prepare() {
    const count = new RawValue('int32');
    return {
      count,
      make: () => new (forklock.getContext(method).Process)({ target: [targets, 'add'], args: [count] }),
    };
  },
  run({ make }) {
    const child = make();
    child.start();
    is(child.join(20_000), true);
    const { exitCode } = child;
    child.close();
    return exitCode;
  },
  works(exitCode, { count }) {
    is(count.value, exitCode === 0 ? 1 : 0);
    count.value = 0;
  },
  untouched: ({ count }) => is(count.value, 0),
});

/** A child that runs already, for what is done with one. */
const running = (method, run, works = () => {}) => ({
  prepare() {
    const child = new (forklock.getContext(method).Process)({ target: [targets, 'stay'] });
    child.start();
    return child;
  },
  run,
  works(result, child) {
    works(result, child);
    end(child);
  },
  untouched: (child) => {
    is(child.isAlive(), true);
    end(child);
  },
});

function end(child) {
  child.kill();
  is(child.join(20_000), true);
  child.close();
}

const forks = {
  'fork and waitpid': {
    prepare() {},
    run() {
      const pid = forklock.fork();
      if (pid === 0) process.exit(3);
      return forklock.waitpid(pid, { timeout: 20_000 });
    },
    works: (status) => is(status.exitCode, 3),
  },
  'fork and waitpidAsync': {
    prepare() {},
    run() {
      const pid = forklock.fork();
      if (pid === 0) process.exit(3);
      return forklock.waitpidAsync(pid, { timeout: 20_000 });
    },
    works: (status) => is(status.exitCode, 3),
  },
};

const children = Object.fromEntries(
  ['spawn', 'forkserver', 'fork'].flatMap((method) => [
    [`Process by ${method}`, { ...process_(method), keeps: method === 'forkserver' }],
    [
      `join of one by ${method}`,
      running(
        method,
        (child) => child.join(5),
        (ended) => is(ended, false),
      ),
    ],
    [
      `joinAsync of one by ${method}`,
      running(
        method,
        (child) => child.joinAsync(soon),
        (ended) => is(ended, false),
      ),
    ],
    [
      `activeChildren with one by ${method}`,
      running(
        method,
        () => forklock.activeChildren().length,
        (n) => is(n, 1),
      ),
    ],
    [
      `terminate of one by ${method}`,
      {
        ...running(method),
        run(child) {
          child.terminate();
          return child.join(20_000);
        },
        works(ended, child) {
          is(ended, true);
          is(child.exitCode, -15);
          child.close();
        },
      },
    ],
    [
      `sentinel of one by ${method} that has ended`,
      {
        prepare() {
          const child = new (forklock.getContext(method).Process)({ target: [targets, 'nothing'] });
          child.start();
          is(child.join(20_000), true);
          return child;
        },
        run: (child) => child.sentinel,
        works: (fd, child) => {
          is(fd >= 0, true);
          child.close();
        },
        untouched: (child) => child.close(),
      },
    ],
  ]),
);

const SIZE = 200_000;

export const operations = {
  Lock: { prepare() {}, run: () => new Lock(), works: closed(holds) },
  'RawArray of its own': {
    prepare() {},
    run: () => new RawArray('int8', SIZE),
    works: closed((array) => {
      array.fill(1);
      is(array.at(SIZE - 1), 1);
    }),
  },
  Value: {
    prepare() {},
    run: () => new Value('int32', 1),
    works: closed((value) =>
      is(
        value.update((n) => n + 1),
        2,
      ),
    ),
  },
  'Lock by name': named(Lock, (name) => new Lock({ name })),
  'Lock by name that is there': {
    needs: 'peer',
    prepare: (peer) => peer.names.lock,
    run: (name) => new Lock({ name }),
    works: closed(holds),
  },
  'RLock by name': named(RLock, (name) => new RLock({ name })),
  'RWLock by name': named(RWLock, (name) => new RWLock({ name })),
  'Semaphore by name': named(Semaphore, (name) => new Semaphore(1, { name })),
  'Event by name': named(Event, (name) => new Event({ name })),
  'Barrier by name': named(Barrier, (name) => new Barrier(2, { name })),
  'Condition by name': named(Condition, (name) => new Condition(undefined, { name })),
  'Value by name': named(Value, (name) => new Value('int32', 0, { name })),
  'Array by name': named(SharedArray, (name) => {
    const array = new SharedArray('int8', SIZE, { name });
    array.fill(1); // every byte of it can be touched
    return array;
  }),
  'Lock.unlink': {
    prepare() {
      const name = freshName();
      new Lock({ name }).close();
      return name;
    },
    run: (name) => Lock.unlink(name),
    works: (was) => is(was, true),
    untouched: (name) => is(Lock.unlink(name), true),
  },
  SharedMemory: { prepare() {}, run: () => new SharedMemory({ size: SIZE }), works: closed(filled) },
  'SharedMemory by name': {
    prepare: () => freshName(),
    run: (name) => new SharedMemory({ name, size: SIZE, create: true }),
    works(memory) {
      filled(memory);
      memory.close();
      memory.unlink();
    },
    untouched: (name) => is(SharedMemory.unlink(name), false),
  },
  'SharedMemory by name that is there': {
    needs: 'peer',
    prepare: (peer) => peer.names.memory,
    run: (name) => new SharedMemory({ name }),
    works: closed(filled),
  },
  'SharedMemory by name that another program has made with holes': {
    prepare() {
      const name = freshName();
      const fd = openSync(`/dev/shm/${name}`, 'wx', 0o600); // as Python makes one
      ftruncateSync(fd, 5 * 4096);
      closeSync(fd);
      return name;
    },
    run: (name) => new SharedMemory({ name }),
    works(memory) {
      filled(memory);
      memory.close();
      memory.unlink();
    },
    untouched: (name) => is(SharedMemory.unlink(name), true),
  },
  'SharedMemory.unlink': {
    prepare() {
      const name = freshName();
      new SharedMemory({ name, size: 1, create: true }).close();
      return name;
    },
    run: (name) => SharedMemory.unlink(name),
    works: (was) => is(was, true),
    untouched: (name) => is(SharedMemory.unlink(name), true),
  },
  'Lock.from': opened('lock', (handle) => Lock.from(handle), closed(holds)),
  'RawArray.from': opened(
    'array',
    (handle) => RawArray.from(handle),
    closed((array) => is(array.length, SIZE)),
  ),
  'SharedMemory.from': opened('memory', (handle) => SharedMemory.from(handle), closed(filled)),
  ...waits,
  ...forks,
  ...children,
};

function closed(works) {
  return (object) => {
    works(object);
    object.close();
  };
}

function filled({ buffer }) {
  new Uint8Array(buffer).fill(1);
}
