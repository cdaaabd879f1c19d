import { counting } from './counting.js';
import { flag } from './flag.js';
import { meeting } from './meeting.js';
import { owned } from './owned.js';
import { permits } from './permits.js';
import { sharing } from './sharing.js';
import { signals } from './signals.js';
import type { Suite } from './suite.js';

export const SUITES: readonly Suite[] = [owned, counting, permits, sharing, flag, signals, meeting];
