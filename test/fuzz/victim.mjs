// Uses objects in shared memory that somebody else scribbles over: see scribble.mjs, which starts it and tells it what to do.
// `victim.mjs <seed>`. It says 'ready' with where its memory is, works until it is told to rest, says what happened, rests
// with waits that nothing ends, says what the rest cost, ends those waits, and then ends by itself.
import { Worker } from 'node:worker_threads';
import * as forklock from 'forklock';
import { ASYNC, CLASSES, CONDITIONS, isExpected, makeObjects, SYNC } from './operations.mjs';
import { randomOf } from './random.mjs';

/** What an operation may take beyond its timeout, on a loaded machine. */
const SLACK = 4000;
const REST = 400;

const random = randomOf(Number(process.argv[2]));
const objects = makeObjects(forklock);
const handles = Object.fromEntries(Object.entries(objects).map(([name, object]) => [name, object.handle]));
const { segment } = objects.lock.cell;

const SLOT = 1024; // the first word of the first slot, at which scribble.mjs aims, too
if ((segment.words.view[SLOT] & 0x3fffffff) !== process.pid) throw new Error('the first slot is somewhere else');

const unexpected = [];
let done = 0;
let failed = 0;

function note(what, error) {
  failed++;
  if (error?.name !== 'AbortError' && !isExpected(error)) unexpected.push(`${what}: ${error?.stack ?? error}`);
}

function sync() {
  const operation = random.pick(SYNC);
  const start = performance.now();
  try {
    operation(objects);
  } catch (error) {
    note(operation, error);
  }
  const took = performance.now() - start;
  if (took > SLACK) unexpected.push(`${operation} took ${took} ms`);
  done++;
}

/** Resolves with whether the promise has settled in time; its own outcome is noted. */
function settles(what, promise, ms) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const settled = promise.then(
    () => true,
    (error) => {
      if (error?.name !== 'AbortError') note(what, error);
      return true;
    },
  );
  return Promise.race([settled, late]).finally(() => clearTimeout(timer));
}

let working = true;
async function task() {
  while (working) {
    const operation = random.pick(ASYNC);
    const timed = random.below(2) === 0;
    const options = timed ? { timeout: 20 } : { signal: AbortSignal.timeout(20) };
    const start = performance.now();
    const promise = operation(objects, options).catch((error) => {
      if (error?.name !== 'TimeoutError') throw error;
    });
    if (!(await settles(operation, promise, SLACK))) {
      unexpected.push(`${operation} (${Object.keys(options)}) took more than ${performance.now() - start} ms`);
    }
    done++;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function tell(message) {
  process.send(message);
}

function told() {
  return new Promise((resolve) => process.once('message', resolve));
}

const program = new URL('./victim-worker.mjs', import.meta.url);
const workers = ['timed', 'untimed', 'condition'].map((what) => {
  const workerData = { what, handles, classes: CLASSES, seed: random.word() };
  const worker = new Worker(program, { workerData });
  worker.on('message', (message) => {
    if (typeof message === 'string') unexpected.push(`worker '${what}': ${message}`);
  });
  worker.on('error', (error) => unexpected.push(`worker '${what}' died of ${error?.stack ?? error}`));
  return worker;
});
await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));

const next = told();
tell({
  ready: true,
  fd: segment.fd,
  bytes: segment.buffer.byteLength,
  heapWord: objects.lock.cell.at - 16 * objects.lock.cell.index,
});
const tasks = Array.from({ length: 4 }, task);
const work = setInterval(sync, 1);
await next;
working = false;
clearInterval(work);
await Promise.all(tasks);

// The rest: nothing is done, and waits are pending that nothing ends. It must not cost the processor.
const ends = new AbortController();
const waits = ASYNC.map((operation) => [operation, operation(objects, { signal: ends.signal })]);
for (const name of CONDITIONS) {
  const condition = objects[name];
  // The wait of a condition ends when it has its lock again, which a scribble may keep from it for ever.
  try {
    if (condition.tryAcquire()) condition.waitAsync({ signal: ends.signal }).catch((error) => note('waitAsync', error));
  } catch (error) {
    note('tryAcquire', error);
  }
}
for (const [operation, wait] of waits) wait.catch((error) => error !== ends.signal.reason && note(operation, error));
const [timed] = workers;
timed.postMessage('rest');
await new Promise((resolve) => setTimeout(resolve, 50));
const cpu = process.cpuUsage();
const start = performance.now();
await new Promise((resolve) => setTimeout(resolve, REST));
const { user, system } = process.cpuUsage(cpu);
const load = (user + system) / 1000 / (performance.now() - start);

ends.abort();
for (const [operation, wait] of waits) {
  if (!(await settles(operation, wait, SLACK))) unexpected.push(`${operation} was not ended by an abort`);
}
const terminated = Promise.all(workers.map((worker) => worker.terminate()));
if (!(await settles('terminate', terminated, SLACK))) unexpected.push('a worker could not be terminated');
for (const object of Object.values(objects)) {
  try {
    object.close();
  } catch (error) {
    note('close', error);
  }
}
tell({ done, failed, load, unexpected });
// Other memory must be as good as before.
const fresh = new forklock.Lock();
fresh.close();
process.disconnect();
setTimeout(() => process.exit(0), 300).unref(); // waits of conditions may be pending for ever
if (random.below(2) === 0) process.exit(0);
