import type { Cell } from '../memory/cell.js';
import { native } from '../native.js';
import { type Wait, watchedBy } from './wait.js';

/**
 * Milliseconds of the longest uninterrupted native sleep. `worker.terminate()` cannot end a native call, only the
 * JavaScript between two; and a death that no kernel wake announced is noticed by the look after a slice.
 */
const SLICE = 20;

/** A function of its own: V8 checks for termination where a function is entered. */
function sleep(index: number, wait: Wait, ms: number): void {
  native().sleep(watchedBy(wait, index), ms);
}

/**
 * Blocks the thread until the wait is done (true) or `timeout` ms have passed (false).
 * What ends a sleep: see `Wait.step`. Signals that kill do; JavaScript signal handlers run only after the wait.
 */
export function waitSync(cell: Cell, wait: Wait, timeout: number): boolean {
  if (timeout <= 0) return wait.try();
  if (wait.step()) return true;
  const deadline = performance.now() + timeout;
  const { segment, index } = cell;
  native().countWait(segment.index, index, 1);
  try {
    for (let left = timeout; left > 0; left = deadline - performance.now()) {
      sleep(segment.index, wait, Math.min(left, SLICE));
      if (wait.step()) return true;
    }
    return wait.leave();
  } finally {
    native().countWait(segment.index, index, -1);
  }
}
