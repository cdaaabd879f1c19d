import { asyncCounting } from './counting.js';
import { asyncFlag } from './flag.js';
import { asyncLock } from './lock.js';
import { asyncMeeting } from './meeting.js';
import { asyncPermits } from './permits.js';
import { asyncSharing } from './sharing.js';
import { asyncSignals } from './signals.js';
import type { AsyncSuite } from './suite.js';

export const ASYNC_SUITES: readonly AsyncSuite[] = [
  asyncLock,
  asyncCounting,
  asyncPermits,
  asyncSharing,
  asyncFlag,
  asyncSignals,
  asyncMeeting,
];
