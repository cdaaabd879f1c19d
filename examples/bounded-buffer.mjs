// Producers and consumers over a ring of eight places, each of them a process.
//
// The ring is an array in shared memory. One lock protects it, and two conditions belong to that lock: `notFull`,
// for which producers wait, and `notEmpty`, for which consumers wait. `waitFor` gives the lock up while it waits.
//
//   node examples/bounded-buffer.mjs
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Condition, Lock, RawArray } from 'forklock';

const PRODUCERS = 2;
const CONSUMERS = 2;
const ITEMS = 2_000; // of each producer
const TOTAL = PRODUCERS * ITEMS;
const PLACES = 8;
// The cells of the array: how many items are in, where the oldest is, how many were taken so far, the most that were
// ever in, then the places, and at the end two results for each consumer.
const [FILLED, OLDEST, TAKEN, PEAK, FIRST] = [0, 1, 2, 3, 4];
const RESULTS = FIRST + PLACES;

/** Who has not ended: if this program fails, nobody is left behind. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const [role, ...args] = process.argv.slice(2);
if (role === 'produce') produce(...args);
else if (role === 'consume') consume(...args);
else await main();

function produce(number, ringHandle, notFullHandle, notEmptyHandle) {
  const [ring, notFull, notEmpty] = open(ringHandle, notFullHandle, notEmptyHandle);
  for (let i = 0; i < ITEMS; i++) {
    notFull.lock.with(() => {
      notFull.waitFor(() => ring.view[FILLED] < PLACES);
      ring.view[FIRST + ((ring.view[OLDEST] + ring.view[FILLED]) % PLACES)] = Number(number) * ITEMS + i;
      ring.view[FILLED] += 1;
      ring.view[PEAK] = Math.max(ring.view[PEAK], ring.view[FILLED]);
      notEmpty.notify();
    });
  }
}

function consume(number, ringHandle, notFullHandle, notEmptyHandle) {
  const [ring, notFull, notEmpty] = open(ringHandle, notFullHandle, notEmptyHandle);
  let count = 0;
  let sum = 0;
  for (;;) {
    const item = notEmpty.lock.with(() => {
      notEmpty.waitFor(() => ring.view[FILLED] > 0 || ring.view[TAKEN] === TOTAL);
      if (ring.view[FILLED] === 0) return undefined;
      const oldest = ring.view[FIRST + ring.view[OLDEST]];
      ring.view[OLDEST] = (ring.view[OLDEST] + 1) % PLACES;
      ring.view[FILLED] -= 1;
      ring.view[TAKEN] += 1;
      notFull.notify();
      if (ring.view[TAKEN] === TOTAL) notEmpty.notifyAll(); // that was the last: the others can go home
      return oldest;
    });
    if (item === undefined) break;
    count += 1;
    sum += item;
  }
  ring.view[RESULTS + 2 * Number(number)] = count;
  ring.view[RESULTS + 2 * Number(number) + 1] = sum;
}

function open(ringHandle, notFullHandle, notEmptyHandle) {
  return [RawArray.from(ringHandle), Condition.from(notFullHandle), Condition.from(notEmptyHandle)];
}

async function main() {
  const ring = new RawArray('int32', RESULTS + 2 * CONSUMERS);
  const lock = new Lock();
  const notFull = new Condition(lock);
  const notEmpty = new Condition(lock);

  const start = (...roleAndNumber) => {
    const child = fork(new URL(import.meta.url), [...roleAndNumber, ring.handle, notFull.handle, notEmpty.handle], {
      timeout: 15_000,
      killSignal: 'SIGKILL',
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return success(child);
  };
  const ends = [];
  for (let i = 0; i < PRODUCERS; i++) ends.push(start('produce', String(i)));
  for (let i = 0; i < CONSUMERS; i++) ends.push(start('consume', String(i)));
  await Promise.all(ends);

  let count = 0;
  let sum = 0;
  for (let i = 0; i < CONSUMERS; i++) {
    const [ofOne, sumOfOne] = ring.view.subarray(RESULTS + 2 * i);
    console.log(`consumer ${i} took ${ofOne} items`);
    count += ofOne;
    sum += sumOfOne;
  }
  const expected = (TOTAL * (TOTAL - 1)) / 2; // the items are the numbers from 0 to TOTAL - 1
  console.log(`${PRODUCERS} producers made ${TOTAL} items, ${CONSUMERS} consumers took ${count}`);
  console.log(`sum of the items: expected ${expected}, got ${sum}`);
  console.log(`at most ${ring.view[PEAK]} of ${PLACES} places were full`);
  process.exitCode = count === TOTAL && sum === expected && ring.view[PEAK] <= PLACES ? 0 : 1;
}

/** Resolves when a process has ended well. */
async function success(child) {
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('a process failed');
}
