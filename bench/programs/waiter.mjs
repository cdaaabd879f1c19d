// Waits for a lock whenever it is its turn, blocking or not, and notes when it woke. See waker.mjs.
// First line: { lock, shared, blocking }.
import { now, rest } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { hear, say } from '../lib/program.mjs';

const { Lock, RawArray } = forklock;
const { lock: handle, shared, blocking } = await hear();
const lock = Lock.from(handle);
const [turn, done, woke] = shared.map((each) => RawArray.from(each).view);
say({ ready: true });
hear(); // ends this process when the parent does

for (;;) {
  while (Atomics.load(turn, 0) === done[0]) await rest(1);
  if (blocking) lock.acquire();
  else await lock.acquireAsync();
  const moment = now();
  lock.release();
  woke[0] = moment;
  Atomics.add(done, 0, 1);
}
