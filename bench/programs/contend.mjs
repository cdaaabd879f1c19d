// One of the two processes of contended.mjs: enters and leaves a lock as fast as it can until the time is over.
// First line: { peer, dir } or { lock }, and { counter }. Then for each run { inside, outside, start, ms } (ns, ns, the
// moment to begin, ms), answered with { sections, took, inside, outside }: how long the work really lasted.
import { now, spinUntil } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { openPeer } from '../lib/peers.mjs';
import { hear, say } from '../lib/program.mjs';
import { calibrate, consumed, work } from '../lib/work.mjs';

const { Lock, RawArray } = forklock;

// The same loop twice, because a call through a parameter would cost more than the lock of the first one.
function forklockRun(lock, counter, inside, outside, chunk, until) {
  let sections = 0;
  let x = 1;
  let end = 0;
  do {
    for (let i = 0; i < chunk; i++) {
      lock.acquire();
      counter[0] += 1;
      x = work(x, inside);
      lock.release();
      x = work(x, outside);
    }
    sections += chunk;
    end = now();
  } while (end < until);
  consumed(x);
  return { sections, end };
}

function peerRun({ hold }, counter, inside, outside, chunk, until) {
  let sections = 0;
  let x = 1;
  let end = 0;
  const section = () => {
    counter[0] += 1;
    x = work(x, inside);
  };
  do {
    for (let i = 0; i < chunk; i++) {
      hold(section);
      x = work(x, outside);
    }
    sections += chunk;
    end = now();
  } while (end < until);
  consumed(x);
  return { sections, end };
}

const first = await hear();
const run = first.peer ? peerRun : forklockRun;
const lock = first.peer ? openPeer(first.peer, first.dir) : Lock.from(first.lock);
const shared = RawArray.from(first.counter);
const perNs = calibrate();

// Compiles the loop, on a lock and a counter that nobody else uses.
const warm = first.peer ? openPeer(first.peer, first.warmDir) : new Lock();
for (const loops of [0, 200, 0]) run(warm, new RawArray('float64', 1).view, loops, loops, 256, now() + 60e6);
say({ ready: true });

/** Nanoseconds that so much work lasts here, now: the last of a few tries, which is compiled. */
function measured(loops) {
  let took = 0;
  let x = 1;
  for (let tries = 0; tries < 5; tries++) {
    const start = now();
    // One after the other, as between the locks: independent ones would overlap in the processor.
    for (let i = 0; i < 1000; i++) x = work(x, loops);
    took = now() - start;
  }
  consumed(x);
  return took / 1000;
}

for (;;) {
  const { inside, outside, start, ms } = await hear();
  const chunk = inside + outside > 0 ? 32 : 256;
  const [loopsIn, loopsOut] = [Math.round(inside * perNs), Math.round(outside * perNs)];
  spinUntil(start);
  const { sections, end } = run(lock, shared.view, loopsIn, loopsOut, chunk, start + ms * 1e6);
  say({ sections, took: end - start, inside: measured(loopsIn), outside: measured(loopsOut) });
}
