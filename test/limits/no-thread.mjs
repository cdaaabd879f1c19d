// Waits for which no thread can be made, while one thread sleeps for all that it can.
import { Barrier, Condition, Event, Lock } from 'forklock';
import { LIMITS } from './system.mjs';

const PER_THREAD = 60;
const print = (...values) => console.log(JSON.stringify(values));
const said = (promise) => promise.then(String, (error) => error.reason ?? String(error));
const turn = () => new Promise(setImmediate);

const events = Array.from({ length: PER_THREAD }, () => new Event());
const waits = events.map((event) => event.waitAsync());
LIMITS.threads.leave(0);

const lock = new Lock();
lock.acquire();
print('a lock', await said(lock.acquireAsync()));

const barrier = new Barrier(2);
print('a barrier', await said(barrier.waitAsync()), barrier.broken, barrier.waiting);

// Who is first in line gets its place back when it has looked in vain, unless somebody has taken it in the meantime.
events[0].set();
await waits[0];
await whenTaken('the line', async (take) => {
  const line = [0, 1, 2].map(() => lock.acquireAsync({ timeout: 500 }));
  lock.release(); // the thread sees it, and reports it
  take(() => lock.tryAcquire());
  return Promise.all(line.map(said));
});
lock.release();

// A condition's wait has its lock again in any case.
await whenTaken('a condition', async (take) => {
  const condition = new Condition();
  const notified = condition.withAsync(async () => (await condition.waitAsync()) && condition.lock.locked);
  await turn();
  condition.acquire();
  condition.notify();
  take(() => {});
  setTimeout(() => condition.release(), 100);
  return [await said(notified), condition.lock.locked];
});

/**
 * Has `body` do something by which the thread reports a wait, and takes its place before JavaScript hears of that. For this
 * the thread has to be fast enough, so it is tried again with more time.
 */
async function whenTaken(title, body) {
  for (let ms = 10; ms < 10_000; ms *= 2) {
    const event = new Event();
    let wait = Promise.resolve();
    const results = await body((then) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      then();
      wait = event.waitAsync();
      wait.catch(() => {});
    });
    event.set();
    const hadIt = await wait.then(
      () => true,
      () => false,
    );
    if (hadIt) return print(title, ...results);
  }
}

LIMITS.threads.lift();
print('again', await said(new Event().waitAsync({ timeout: 1 })));
for (const event of events) event.set();
print('all', (await Promise.all(waits)).every(Boolean), lock.waiting);
process.exit();
