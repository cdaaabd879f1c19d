import { availableParallelism } from 'node:os';
import type { Memory } from '../memory/words.js';

/**
 * A sleep and a wake across processors cost some 30 µs, so a short look around comes first: about 2 µs, only while
 * nobody sleeps yet (then queueing up is fairer), and never with a single processor, where the owner could not run.
 */
const ROUNDS = availableParallelism() > 1 ? 100 : 0;

const pause: (() => void) | undefined = (Atomics as { pause?: () => void }).pause;

/** Reads the word until it is `wanted` (true) or negative, which marks a sleeper, or the time is up (false). */
export function spinUntil(m: Memory, at: number, wanted: number): boolean {
  for (let i = 0; i < ROUNDS; i++) {
    const now = m.load(at);
    if (now === wanted) return true;
    if (now < 0) return false;
    if (pause) pause();
    else relax();
  }
  return false;
}

let sink = 0;

/** About 20 ns without touching the contended line, where `Atomics.pause` is missing (Node < 24). */
function relax(): void {
  for (let i = 0; i < 20; i++) sink = (sink + i) | 0;
}
