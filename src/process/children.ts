import type { Process } from './process.js';

/** The processes that this thread has started and whose end nobody has seen yet. */
export const children = new Set<Process>();

/** The processes that this thread has started and that have not ended. Reaps those that have. */
export function activeChildren(): Process[] {
  for (const child of [...children]) child.isAlive();
  return [...children];
}
