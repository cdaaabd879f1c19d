import type { StartMethod } from 'forklock';

export const METHODS: readonly StartMethod[] = ['spawn', 'forkserver', 'fork'];

/** The module whose functions the tests run in processes. */
export const TARGETS = new URL('../programs/targets.mjs', import.meta.url).href;

/** Whether there is such a process. A zombie is one. */
export function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
