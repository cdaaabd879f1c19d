import { asyncCounting } from './counting.js';
import { asyncFlag } from './flag.js';
import { asyncLock } from './lock.js';
import { asyncSignals } from './signals.js';
import type { AsyncSuite } from './suite.js';

export const ASYNC_SUITES: readonly AsyncSuite[] = [asyncLock, asyncCounting, asyncFlag, asyncSignals];
