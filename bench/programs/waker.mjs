// Releases a lock that another process (waiter.mjs) waits for, again and again. First line: { lock, shared, count, rest }.
// Answers { latencies }: nanoseconds from just before the release until the waiter's next line runs.
import { now, rest as pause } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { hear, say } from '../lib/program.mjs';

const { Lock, RawArray } = forklock;
const first = await hear();
const lock = Lock.from(first.lock);
const [turn, done, woke] = first.shared.map((handle) => RawArray.from(handle).view);
say({ ready: true });

for (;;) {
  const { count, rest } = await hear();
  const latencies = [];
  for (let i = 0; i < count; i++) {
    lock.acquire();
    const mine = Atomics.add(turn, 0, 1) + 1;
    while (lock.waiting < 1) await pause(1);
    // Both sides are idle by now, as both are in the C program.
    await pause(rest);
    const start = now();
    lock.release();
    while (Atomics.load(done, 0) !== mine) await pause(1);
    latencies.push(woke[0] - start);
  }
  say({ latencies });
}
