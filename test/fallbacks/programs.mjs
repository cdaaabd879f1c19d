// What runs under valgrind: `node programs.mjs <name>` prints "kept" when all is as it should be.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  Barrier,
  Condition,
  Event,
  Lock,
  Process,
  parentProcess,
  RLock,
  RWLock,
  Semaphore,
  setStartMethod,
  Value,
} from 'forklock';

const ROUNDS = 100;

/** A worker that gets the objects by their handles, and does `body`. */
function worker(body, handles) {
  const from = new URL('../../dist/forklock.js', import.meta.url).href;
  return new Worker(
    `import { workerData, parentPort } from 'node:worker_threads';
    import * as forklock from ${JSON.stringify(from)};
    ${body}`,
    { eval: true, workerData: handles, execArgv: ['--input-type=module'] },
  );
}

const soon = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

export const PROGRAMS = {
  /** Every class without contention. */
  async classes() {
    for (const lock of [new Lock(), new RLock(), new Semaphore(2), new RWLock().read, new RWLock().write]) {
      assert.equal(lock.acquire(), true);
      lock.release();
      assert.equal(await lock.acquireAsync(), true);
      lock.release();
    }
    const event = new Event();
    assert.equal(event.wait(5), false);
    event.set();
    assert.equal(event.wait(), true);
    const condition = new Condition();
    assert.equal(
      condition.with(() => condition.wait(5)),
      false,
    );
    assert.equal(new Barrier(1).wait(), 0);
    const value = new Value('int32', 41);
    value.value += 1;
    assert.equal(value.value, 42);
  },

  /** A worker and the main thread take turns. */
  async contend() {
    const lock = new Lock();
    const sum = new Int32Array(new SharedArrayBuffer(4));
    const other = worker(
      `const { handle, sum, rounds } = workerData;
      const lock = forklock.Lock.from(handle);
      for (let i = 0; i < rounds; i++) {
        lock.acquire();
        sum[0]++;
        lock.release();
      }`,
      { handle: String(lock.handle), sum, rounds: ROUNDS },
    );
    const ended = once(other, 'exit');
    for (let i = 0; i < ROUNDS; i++) {
      await lock.acquireAsync();
      sum[0]++;
      lock.release();
    }
    await ended;
    assert.equal(sum[0], 2 * ROUNDS);
  },

  /** Timeouts and aborts of waits, sync and async. */
  async timeouts() {
    const lock = new Lock();
    const holder = worker(
      `const lock = forklock.Lock.from(workerData.handle);
      lock.acquire();
      parentPort.once('message', () => lock.release());
      parentPort.postMessage('holds');`,
      { handle: String(lock.handle) },
    );
    await once(holder, 'message');
    assert.equal(lock.acquire(30), false);
    assert.equal(await lock.acquireAsync({ timeout: 30 }), false);
    const aborts = new AbortController();
    const rejected = assert.rejects(lock.acquireAsync({ signal: aborts.signal }), { name: 'AbortError' });
    await soon(() => lock.waiting === 1);
    aborts.abort();
    await rejected;
    holder.postMessage('release');
    assert.equal(lock.acquire(), true);
    lock.release();
    await once(holder, 'exit');
  },

  /** A worker that is terminated while it holds a lock. */
  async worker() {
    const lock = new Lock();
    const holder = worker(
      `forklock.Lock.from(workerData.handle).acquire();
      parentPort.postMessage('holds');
      setInterval(() => {}, 1000);`,
      { handle: String(lock.handle) },
    );
    await once(holder, 'message');
    const acquired = lock.acquireAsync();
    await soon(() => lock.waiting === 1);
    await holder.terminate();
    assert.equal(await acquired, true);
    assert.equal(lock.ownerDied, true);
  },

  /** A process that is killed while it holds a lock. */
  async process() {
    const lock = new Lock();
    const ready = new Event();
    setStartMethod('spawn');
    const child = new Process({ target: holdForEver, args: [lock, ready] });
    child.start();
    assert.equal(await ready.waitAsync(), true);
    const acquired = lock.acquireAsync();
    await soon(() => lock.waiting === 1);
    child.kill();
    assert.equal(await acquired, true);
    assert.equal(lock.ownerDied, true);
    assert.equal(lock.recover(), true);
    await child.joinAsync();
  },
};

export function holdForEver(lock, ready) {
  lock.acquire();
  ready.set();
  for (;;) new Event().wait();
}

const chosen = PROGRAMS[process.argv[2]];
// Not in its processes, and not where the names are read.
if (process.argv[1] === fileURLToPath(import.meta.url) && parentProcess() === null) {
  await chosen();
  console.log('kept');
}
