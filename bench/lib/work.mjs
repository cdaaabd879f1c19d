// Busy work of a given length, calibrated against the clock: the same loop as in c/common.h, so that both sides of a
// comparison do the same wall time of work although one is compiled by V8 and the other by the C compiler.
import { now } from './clock.mjs';

/** Each step needs the one before it, so nothing can be folded. The result must be consumed. */
export function work(x, loops) {
  for (let i = 0; i < loops; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return x;
}

let sink = 0;

/** A number that depends on all the work done, to be printed or sent: proof for the compiler that it is needed. */
export const consumed = (x = 0) => {
  sink = (sink + x) | 0;
  return sink;
};

/** Loops a nanosecond: the fastest of many short tries, because the slower ones were interrupted. */
export function calibrate() {
  const loops = 20000;
  let best = Number.POSITIVE_INFINITY;
  // The first tries run before the optimising compiler has seen the loop; the best one does not.
  for (let i = 0; i < 400; i++) {
    const start = now();
    consumed(work(i, loops));
    best = Math.min(best, now() - start);
  }
  return loops / best;
}
