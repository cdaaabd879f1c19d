// What each runner runs twice in one process: in two test files, for each of which it may evaluate this package anew.
import assert from 'node:assert/strict';
import { isMainThread } from 'node:worker_threads';
import {
  Event,
  fork,
  getContext,
  getpid,
  Lock,
  parentProcess,
  RawValue,
  RLock,
  Semaphore,
  waitpidAsync,
} from 'forklock';

import { add } from './targets.mjs';

const targets = new URL('./targets.mjs', import.meta.url);

async function start(method, target, args) {
  const { Process } = getContext(method);
  const child = new Process({ target, args });
  child.start();
  assert.equal(await child.joinAsync({ timeout: 20_000 }), true);
  const { exitCode } = child;
  child.close();
  return exitCode;
}

/** In a worker thread no runner can have it. */
function isRefused(error) {
  assert.equal(error.code, 'ERR_FORKLOCK_FORK_UNSAFE');
  assert.match(error.reason, /a worker thread cannot fork/);
  return true;
}

/** What a child finds out goes through shared memory, and what it throws must not come to the runner. */
function forked(body) {
  const pid = fork();
  if (pid > 0) return pid;
  let code = 99;
  try {
    code = body();
  } finally {
    process.exit(code);
  }
}

const everywhere = {
  'a lock excludes'() {
    const lock = new Lock();
    const same = Lock.from(lock.handle);
    assert.equal(lock.acquire(), true);
    assert.equal(same.tryAcquire(), false);
    assert.equal(lock.owner.pid, getpid());
    lock.release();
    assert.equal(same.acquire(1000), true);
    same.release();
    const rlock = new RLock();
    rlock.with(() => rlock.with(() => assert.equal(rlock.depth, 2)));
    assert.equal(rlock.locked, false);
    for (const each of [lock, same, rlock]) each.close();
  },

  async 'a wait is told of what it waits for'() {
    const [semaphore, event] = [new Semaphore(0), new Event()];
    const waits = [semaphore.acquireAsync(), semaphore.acquireAsync(), event.waitAsync()];
    setTimeout(() => semaphore.release(2), 5);
    setTimeout(() => event.set(), 5);
    assert.deepEqual(await Promise.all(waits), [true, true, true]);
    assert.equal(await semaphore.acquireAsync({ timeout: 5 }), false);
    await assert.rejects(semaphore.acquireAsync({ signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' });
    for (const each of [semaphore, event]) each.close();
  },

  async 'a lock that another test file may hold comes free'() {
    const lock = new Lock({ name: process.env.FORKLOCK_TEST_NAME });
    await lock.withAsync(async () => {
      assert.equal(lock.tryAcquire(), false);
      await new Promise((resolve) => setTimeout(resolve, 20));
    });
    lock.close();
  },

  'the program is a main process'() {
    assert.equal(parentProcess(), null);
  },
};

for (const method of ['forkserver', 'spawn']) {
  everywhere[`a process started by ${method} runs what its module exports`] = async () => {
    const sum = new RawValue('int32');
    assert.equal(await start(method, [targets, 'add'], [sum, 40, 2]), 0);
    assert.equal(sum.value, 42);
    sum.close();
  };
  everywhere[`a process started by ${method} runs a function of another module`] = async () => {
    const sum = new RawValue('int32');
    assert.equal(await start(method, add, [sum, 20, 3]), 0);
    assert.equal(sum.value, 23);
    sum.close();
  };
}

const byFork = {
  async 'a forked child has its own pid, and ends as it says'() {
    const [lock, said] = [new Lock(), new RawValue('int32')];
    lock.acquire();
    const ours = process.pid;
    const pid = forked(() => {
      if (lock.acquire(10)) return 1;
      if (process.pid === ours || getpid() !== process.pid) return 2;
      said.value = process.pid;
      return 3;
    });
    assert.deepEqual(await waitpidAsync(pid, { timeout: 20_000 }), { pid, exitCode: 3, signal: null });
    assert.equal(said.value, pid);
    assert.equal(process.pid, ours);
    lock.release();
    for (const each of [lock, said]) each.close();
  },

  async 'waits of the parent are not the child’s'() {
    const semaphore = new Semaphore(0);
    const wait = semaphore.acquireAsync();
    const pid = forked(() => semaphore.waiting);
    assert.deepEqual(await waitpidAsync(pid), { pid, exitCode: 1, signal: null });
    semaphore.release();
    assert.equal(await wait, true);
    semaphore.close();
  },

  async 'a process started by fork runs a function'() {
    const value = new RawValue('int32');
    let mine = 20;
    const code = await start('fork', () => {
      mine++;
      value.value = mine;
    }, []);
    assert.equal(code, 0);
    assert.deepEqual([mine, value.value], [20, 21]);
    value.close();
  },
};

const inThreads = {
  async 'a forked child has its own pid, and ends as it says'() {
    assert.throws(() => fork(), isRefused);
  },
  async 'waits of the parent are not the child’s'() {
    assert.throws(() => fork(), isRefused);
  },
  async 'a process started by fork runs a function'() {
    await assert.rejects(() => start('fork', () => {}, []), isRefused);
  },
};

export const cases = { ...everywhere, ...(isMainThread ? byFork : inThreads) };
