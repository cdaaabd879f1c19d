// One of the two processes of pingpong.mjs. First line: { ping, pong, stop, serves }, then { think, ms } for each run.
// The one that serves answers { trips, took, switches, worked }, the other { switches, worked }: how often it went
// to sleep, and how long the work before each turn really lasted.
import { now } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { hear, say } from '../lib/program.mjs';
import { calibrate, consumed, work } from '../lib/work.mjs';

const { RawArray, Semaphore } = forklock;

function serve(ping, pong, loops, until) {
  let trips = 0;
  let x = 1;
  let end = 0;
  do {
    x = work(x, loops);
    ping.release();
    pong.acquire();
    trips++;
    end = now();
  } while (end < until);
  consumed(x);
  return { trips, end };
}

function answer(ping, pong, loops, stop) {
  let x = 1;
  for (;;) {
    ping.acquire();
    if (stop[0]) break;
    x = work(x, loops);
    pong.release();
  }
  consumed(x);
}

const first = await hear();
const [ping, pong] = [first.ping, first.pong].map((handle) => Semaphore.from(handle));
const stop = RawArray.from(first.stop).view;
const perNs = calibrate();
const measured = (loops) => {
  const start = now();
  for (let i = 0; i < 50; i++) consumed(work(i, loops));
  return (now() - start) / 50;
};
const switches = () => process.resourceUsage().voluntaryContextSwitches;
say({ ready: true });

for (;;) {
  const { think, ms } = await hear();
  const loops = Math.round(think * perNs);
  const before = switches();
  if (first.serves) {
    const start = now();
    const { trips, end } = serve(ping, pong, loops, start + ms * 1e6);
    const slept = switches() - before;
    Atomics.store(stop, 0, 1);
    ping.release();
    say({ trips, took: end - start, switches: slept, worked: measured(loops) });
  } else {
    answer(ping, pong, loops, stop);
    const slept = switches() - before;
    Atomics.store(stop, 0, 0);
    say({ switches: slept, worked: measured(loops) });
  }
}
