import { readFileSync } from 'node:fs';
import type { StartMethod } from 'forklock';
import { until } from './time.js';

export const METHODS: readonly StartMethod[] = ['spawn', 'forkserver', 'fork'];

/** The module whose functions the tests run in processes. */
export const TARGETS = new URL('../programs/targets.mjs', import.meta.url).href;

/** Not, when it is a zombie: whose parent has died, for one, and which init has yet to reap, or never does. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/** When it does not run any more. */
export const isOver = (pid: number): Promise<void> => until(() => !isRunning(pid), `the end of process ${pid}`);
