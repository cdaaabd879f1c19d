import { availableParallelism } from 'node:os';
import type { Memory } from '../memory/words.js';

/**
 * A sleep and a wake across processors cost some 30 µs (bench/async.mjs), so a far shorter look comes first: only while
 * nobody sleeps yet (then queueing up is fairer), and never with a single processor, where the owner could not run.
 */
const ROUNDS = availableParallelism() > 1 ? 100 : 0;

const pause: (() => void) | undefined = (Atomics as { pause?: () => void }).pause;

/** Reads the word until some of the bits of `mask` are set, or none (`wanted`): true; or until it is negative, or time is up. */
function spin(m: Memory, at: number, mask: number, wanted: boolean): boolean {
  for (let i = 0; i < ROUNDS; i++) {
    const now = m.load(at);
    if (((now & mask) !== 0) === wanted) return true;
    if (now < 0) return false;
    if (pause) pause();
    else relax();
  }
  return false;
}

/** Until the word is 0, unless it gets negative, which marks a sleeper. */
export const spinUntilFree = (m: Memory, at: number): boolean => spin(m, at, -1, false);

/** Until some of these bits are set, unless the word gets negative. */
export const spinUntilSome = (m: Memory, at: number, bits: number): boolean => spin(m, at, bits, true);

let sink = 0;

/** A moment without touching the contended line, where `Atomics.pause` is missing (Node < 24). */
function relax(): void {
  for (let i = 0; i < 20; i++) sink = (sink + i) | 0;
}
