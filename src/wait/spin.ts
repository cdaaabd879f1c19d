import { availableParallelism } from 'node:os';
import type { Memory } from '../memory/words.js';

/**
 * A sleep and a wake across processors cost some 30 µs (bench/async.mjs), so a far shorter look comes first: only while
 * nobody sleeps yet (then queueing up is fairer), and never with a single processor, where the owner could not run.
 * In turns of `relax`, about a nanosecond each.
 */
const BUDGET = availableParallelism() > 1 ? 10_000 : 0;

/**
 * Each look takes the line from the processor of the owner, which needs it for its release. So looks are apart, and get
 * further apart (T. E. Anderson, "The performance of spin lock alternatives for shared-memory multiprocessors", 1990): where
 * sections are short the owner gets through several of them meanwhile, as it does where waiters sleep at once.
 */
const FIRST_GAP = 200;
const LAST_GAP = 1000;
const GROWTH = 1.5;

/**
 * Reads the word until some of the bits of `mask` are set, or none (`wanted`), and then tries to take it. False: it gets
 * negative, which marks a sleeper, or time is up.
 */
export function spinToTake(
  m: Memory,
  at: number,
  mask: number,
  wanted: boolean,
  tryTake: (m: Memory, at: number) => boolean,
): boolean {
  let gap = FIRST_GAP;
  for (let spent = 0; spent < BUDGET; spent += gap) {
    relax(gap);
    const now = m.load(at);
    if (((now & mask) !== 0) === wanted) {
      if (tryTake(m, at)) return true;
    } else if (now < 0) return false;
    gap = Math.min(LAST_GAP, (gap * GROWTH) | 0);
  }
  return false;
}

const pause: (() => void) | undefined = (Atomics as { pause?: () => void }).pause;

/** How many turns one `Atomics.pause` lasts: 30 ns on an EPYC of Zen 3 class; other processors have others. */
const TURNS_OF_PAUSE = 30;

let sink = 0;

/** A while without touching the contended line. */
function relax(turns: number): void {
  if (pause) for (let i = 0; i < turns; i += TURNS_OF_PAUSE) pause();
  else for (let i = 0; i < turns; i++) sink = (sink + i) | 0; // Node < 24
}
