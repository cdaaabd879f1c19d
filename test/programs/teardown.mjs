// Workers whose end comes in the middle of what they do, and what of them is left in the process: test/deaths/teardown.test.ts.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Event, fork, getContext, Lock, Semaphore, SharedMemory, Value, waitpid } from 'forklock';

const { setTimeout: later } = globalThis;

/** More than one waiter thread can sleep for. */
const MANY = 70;

/**
 * What a worker does when its end comes. `begun` counts that it has come so far; where a primitive says who waits,
 * that is asked instead.
 */
const STATES = {
  'that has not begun': () => {},
  'that has nothing pending': ({ event, begun }) => {
    event.isSet;
    begun();
    later(() => {}, 1e6);
  },
  'that is blocked': ({ event }) => event.wait(),
  'that waits asynchronously': ({ event }) => event.waitAsync(),
  'with more waits than one thread can sleep for': ({ event }) => {
    for (let i = 0; i < MANY; i++) event.waitAsync();
  },
  'that gets reports all the time': async ({ semaphore, begun }) => {
    const one = async () => {
      for (;;) {
        await semaphore.acquireAsync();
        begun();
      }
    };
    for (let i = 0; i < 8; i++) one();
  },
  'that maps memory all the time': ({ begun }) => {
    for (;;) {
      const memory = new SharedMemory({ size: 100_000 });
      memory.buffer;
      const value = new Value('int32');
      begun();
      memory.close();
      value.close();
    }
  },
  'that opens a name all the time': ({ name, begun }) => {
    for (;;) {
      const lock = new Lock({ name });
      lock.tryAcquire();
      begun();
      lock.close();
    }
  },
  'that owns a lock': ({ begun }) => {
    new Lock().acquire();
    begun();
    later(() => {}, 1e6);
  },
  'that watches a spawned process': (given) => watchProcess('spawn', given),
  'that watches a process of its fork server': (given) => watchProcess('forkserver', given),
  'that starts processes all the time': async ({ event, begun }) => {
    // A large environment takes the addon a while to read, so that most ends come while it does.
    for (let i = 0; i < 20_000; i++) process.env[`FORKLOCK_TEST_${i}`] = 'x';
    const { Process } = getContext('spawn');
    for (;;) {
      const child = new Process({ target: [import.meta.url, 'idle'], args: [event] });
      child.start();
      begun();
      child.terminate();
      await child.joinAsync();
    }
  },
  'that ends itself': async ({ event }) => {
    event.waitAsync();
    await sleep(1);
    process.exit(0);
  },
};

const WAITS = {
  'that is blocked': 1,
  'that waits asynchronously': 1,
  'with more waits than one thread can sleep for': MANY,
};

function watchProcess(method, { event, begun }) {
  const { Process } = getContext(method);
  const child = new Process({ target: [import.meta.url, 'idle'], args: [event], daemon: true });
  child.start();
  child.joinAsync();
  begun();
}

/** Starting a process takes longer than all the rest: some of these only. */
const states = Object.keys(STATES).filter((state) => !state.includes('process'));

/** What the processes of workers do. */
export const idle = (event) => void event.wait();

if (!isMainThread && workerData?.teardown) {
  const { state, event, semaphore, begun, ...rest } = workerData.teardown;
  if (state === 'that feeds the others') {
    const permits = Semaphore.from(semaphore);
    const nothing = new Int32Array(new SharedArrayBuffer(4));
    Atomics.store(begun, 0, 1);
    for (;;) {
      if (permits.value < 50) permits.release(16);
      Atomics.wait(nothing, 0, 0, 0.1);
    }
  }
  STATES[state]({
    ...rest,
    event: Event.from(event),
    semaphore: Semaphore.from(semaphore),
    begun: () => {
      Atomics.add(begun, 0, 1);
      Atomics.notify(begun, 0);
    },
  });
}

/** What all workers of a run share. */
class Stage {
  event = new Event();
  semaphore = new Semaphore(0);
  name = `teardown-${randomUUID()}`;
  #named = new Lock({ name: this.name });
  #fed = new Int32Array(new SharedArrayBuffer(4));
  #feeder = this.#start('that feeds the others', this.#fed);
  failures = [];

  #start(state, begun) {
    const teardown = {
      state,
      event: this.event.handle,
      semaphore: this.semaphore.handle,
      name: this.name,
      begun,
    };
    const worker = new Worker(new URL(import.meta.url), { workerData: { teardown } });
    worker.on('error', (error) => this.failures.push(`${state}: ${error.stack}`));
    return worker;
  }

  /** Until the worker that feeds the others has all that it opens, which is there until the end. */
  async isReady() {
    while (Atomics.load(this.#fed, 0) === 0) await sleep(1);
  }

  /** A worker in its state; a group of them is waited for together. */
  async workers(group) {
    const before = this.event.waiting;
    const started = group.map((state) => {
      const begun = new Int32Array(new SharedArrayBuffer(4));
      const worker = this.#start(state, begun);
      return { state, begun, worker, exited: once(worker, 'exit') };
    });
    for (const { state, begun, exited } of started) {
      if (state === 'that ends itself') await exited;
      else if (state in WAITS || state === 'that has not begun') continue;
      else while (Atomics.load(begun, 0) === 0) await sleep(1);
    }
    const waits = group.reduce((sum, state) => sum + (WAITS[state] ?? 0), before);
    while (this.event.waiting < waits) await sleep(1);
    return started.map(({ worker }) => worker);
  }

  /** Until they have ended, and have been reaped, each has a descriptor here, whatever has become of its worker. */
  async processesEnd() {
    if (!hasChildren()) return;
    this.event.set();
    while (hasChildren()) await sleep(1);
    this.event.clear();
  }

  async end() {
    await this.#feeder.terminate();
    this.event.close();
    this.semaphore.close();
    this.#named.close();
    Lock.unlink(this.name);
  }
}

/** Of any of its threads. */
function hasChildren() {
  return readdirSync('/proc/self/task').some((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/children`, 'latin1') !== '';
    } catch {
      return false; // it has ended
    }
  });
}

function counts() {
  const maps = readFileSync('/proc/self/maps', 'latin1').split('\n');
  return {
    threads: readdirSync('/proc/self/task').length,
    descriptors: readdirSync('/proc/self/fd').length,
    forklockMappings: maps.filter((line) => line.includes('forklock')).length,
    mappings: maps.length,
  };
}

const ZERO = ['threads', 'descriptors', 'forklockMappings'];

/** A joined thread stays in /proc for a moment, and what the main thread has closed is unmapped when it is collected. */
async function settled(before) {
  const end = performance.now() + 10_000;
  for (;;) {
    globalThis.gc?.();
    const now = counts();
    if (!before || ZERO.every((key) => now[key] <= before[key]) || performance.now() > end) return now;
    await sleep(10);
  }
}

/** Workers with an end at a random moment, in two batches: how much more there is after the second. */
async function growth(batch) {
  const stage = new Stage();
  await stage.isReady();
  await batch(stage);
  await sleep(100);
  const before = await settled();
  await batch(stage);
  const after = await settled(before);
  const waiting = stage.event.waiting;
  await stage.end();
  const grown = Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));
  return { grown, waiting, failures: stage.failures, before, after };
}

/** One worker after the other. */
const inSequence = (n) =>
  growth(async (stage) => {
    for (let i = 0; i < n; i++) {
      const [worker] = await stage.workers([states[i % states.length]]);
      const moment = performance.now() + Math.random();
      while (performance.now() < moment);
      await worker.terminate();
    }
  });

/** Many that end at once. */
const atOnce = (n, state) =>
  growth(async (stage) => {
    const group = Array.from({ length: n }, (_, i) => state ?? states[i % states.length]);
    const workers = await stage.workers(group);
    await Promise.all(workers.map((worker) => worker.terminate()));
    await stage.processesEnd();
  });

/** In the child of a fork: the pidfds of processes of workers that have ended, which are its parent's to reap. */
async function inherited(n) {
  const stage = new Stage();
  const workers = await stage.workers(Array(n).fill('that watches a spawned process'));
  await Promise.all(workers.map((worker) => worker.terminate()));
  await stage.end();
  const pidfds = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[pidfd]';
      } catch {
        return false; // of the listing itself
      }
    }).length;
  const here = pidfds();
  const child = fork();
  if (child === 0) process.exit(pidfds());
  return { here, there: waitpid(child).exitCode };
}

/** The process ends while its workers are in their states. */
async function exit(how) {
  const stage = new Stage();
  // Nobody who would make the name anew after it was unlinked.
  const group = states.filter((state) => state !== 'that ends itself' && state !== 'that opens a name all the time');
  const workers = await stage.workers(group);
  Lock.unlink(stage.name);
  if (how === 'while workers are terminated') for (const worker of workers) worker.terminate();
  process.exit(7);
}

const [, file, what, ...args] = process.argv;
if (isMainThread && file === fileURLToPath(import.meta.url)) {
  const numbers = args.map((arg) => (/^\d+$/.test(arg) ? Number(arg) : arg));
  console.log(JSON.stringify(await { inSequence, atOnce, inherited, exit }[what](...numbers)));
}
