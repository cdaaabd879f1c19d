// What runs under valgrind: `node programs.mjs <name>` prints "kept" when all is as it should be.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Barrier, Condition, Event, fork, Lock, RLock, RWLock, Semaphore, Value } from 'forklock';

const program = fileURLToPath(import.meta.url);
const ROUNDS = 20;

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

  /** A worker and the main thread take turns: it has to wait for each of its own. */
  async contend() {
    const lock = new Lock();
    const sum = new Int32Array(new SharedArrayBuffer(4));
    await lock.acquireAsync();
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
    let over = false;
    const ended = once(other, 'exit').then(() => {
      over = true;
    });
    while (!over) {
      await soon(() => over || lock.waiting === 1);
      lock.release();
      await lock.acquireAsync();
    }
    await ended;
    assert.equal(sum[0], ROUNDS);
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

  /** A process of node:child_process that is killed while it holds a lock. A `Process` needs pidfd_open. */
  async process() {
    const lock = new Lock();
    const child = spawn(process.execPath, [program, 'hold', lock.handle], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const acquired = lock.acquireAsync();
    await soon(() => lock.waiting === 1);
    child.kill('SIGKILL');
    assert.equal(await acquired, true);
    assert.equal(lock.ownerDied, true);
    assert.equal(lock.recover(), true);
  },

  /** valgrind's threads are never seen asleep: fork() says so. */
  async refusal() {
    assert.throws(() => fork(), { code: 'ERR_FORKLOCK_FORK_UNSAFE' });
  },
};

const [, main, name, handle] = process.argv;
if (main === program) {
  if (name === 'hold') {
    Lock.from(handle).acquire();
    console.log('holds');
    setInterval(() => {}, 1000);
  } else {
    await PROGRAMS[name]();
    console.log('kept');
  }
}
