import type { Transfer } from './books.js';

/** What a teller is told to do. The objects travel as their handles, so all of it fits into one argument. */
export interface Assignment {
  /** `deposit` pays into one account, with or without the lock; `transfer` moves money between two, with it. */
  task: 'deposit-unprotected' | 'deposit-locked' | 'transfer' | 'die-half-done';
  transfers: number;
  start: string;
  lock: string;
  halfDone: string;
  books: string;
}

/** What a teller reports. Times are nanoseconds of the monotonic clock, which all processes share. */
export type Report =
  | { type: 'done'; transfers: number; startedAt: bigint; endedAt: bigint }
  | { type: 'inherited'; at: bigint; repaired: Transfer | null }
  | { type: 'warning'; code: string; message: string };
