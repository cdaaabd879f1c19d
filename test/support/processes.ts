import type { StartMethod } from 'forklock';

export const METHODS: readonly StartMethod[] = ['spawn', 'forkserver', 'fork'];

/** The module whose functions the tests run in processes. */
export const TARGETS = new URL('../programs/targets.mjs', import.meta.url).href;
