// The part of a victim that blocks a thread of its own: see victim.mjs.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import * as all from 'forklock';
import { isExpected, SYNC } from './operations.mjs';
import { randomOf } from './random.mjs';

const forklock = { ...all };

const { what, handles, classes, seed } = workerData;
const random = randomOf(seed);
const objects = Object.fromEntries(
  Object.entries(handles).map(([name, handle]) => [name, forklock[classes[name]].from(handle)]),
);

parentPort.postMessage(true);

function attempt(operation) {
  try {
    operation(objects);
  } catch (error) {
    if (!isExpected(error)) parentPort.postMessage(`${operation}: ${error?.stack ?? error}`);
  }
}

/** What is blocked for ever may be refused at once in damaged memory, and then this must not be a busy loop. */
const rest = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);

if (what === 'timed') {
  while (receiveMessageOnPort(parentPort) === undefined) attempt(random.pick(SYNC));
  for (;;) {
    attempt((o) => random.pick([o.never, o.lock, o.rwlock.write, o.barrier]).acquire?.());
    rest();
  }
} else if (what === 'untimed') {
  for (;;) {
    attempt((o) => o.never.acquire());
    rest();
  }
} else {
  for (;;) {
    attempt((o) => o.condition.acquire() && o.condition.wait(20));
    attempt((o) => o.condition.release());
    rest();
  }
}
