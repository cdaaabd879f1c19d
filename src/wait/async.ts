import { afterForkInChild } from '../after-fork.js';
import { checked, outOfRange } from '../errors.js';
import type { Cell } from '../memory/cell.js';
import { native } from '../native.js';
import type { CheckedWait } from '../options.js';
import { offAbort, onAbort } from './abort.js';
import { Line, type Stand, type Standing } from './line.js';
import type { Place } from './queue.js';
import { listen, REASONS, SLEEPING, Sleep, type Sleeper } from './sleep.js';
import { MOST_WAITS, type Wait } from './wait.js';

/** The longest delay that setTimeout takes; longer ones are taken in pieces. */
export const LONGEST_TIMER = 0x7fffffff;

/** All that have not ended. */
const waits = new Set<PendingWait>();

// The parent's waits are the parent's: their promises stay as they are in the child, and none of them takes anything.
afterForkInChild((dryRun) => {
  if (dryRun) return;
  const forgotten = [...waits];
  waits.clear();
  for (const wait of forgotten) wait.forget();
});

function checkRoom(): void {
  if (waits.size < MOST_WAITS) return;
  throw outOfRange('async waits of this thread', `at most ${MOST_WAITS} at a time`, waits.size + 1);
}

/**
 * Makes sure that the next wait of this turn of the event loop can sleep, where its first look already changes something
 * for others. Errors: `ERR_FORKLOCK_SYSTEM`, `ERR_FORKLOCK_OUT_OF_RANGE`.
 */
export function prepareWait(): void {
  checkRoom();
  listen();
  checked(native().makeRoom(), SLEEPING, REASONS);
}

class PendingWait implements Standing, Sleeper {
  readonly #cell: Cell;
  readonly #wait: Wait;
  readonly #place: Place<Stand> | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (done: boolean) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #deadline: number;
  #timer: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  /** Undefined: it does not sleep, but looks, or stands behind one that does. */
  #asleep: Sleep | undefined;
  /** Its time is up: its next look is the last. */
  #late = false;

  constructor(
    cell: Cell,
    wait: Wait,
    options: CheckedWait,
    resolve: (done: boolean) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#cell = cell;
    this.#wait = wait;
    this.#signal = options.signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#deadline = performance.now() + options.timeout;
    const { segment, index } = cell;
    cell.retain();
    native().countWait(segment.index, index, 1);
    waits.add(this);
    if (this.#signal) onAbort(this.#signal, this);
    this.#setTimer();
    this.#place = wait.line < 0 ? undefined : Line.join(segment.index, wait.line, this);
    if (this.#place?.before) return;
    this.#sleep();
  }

  /** The waiter thread saw a reason to look again. The final step is taken here, on the JavaScript thread. */
  woken(): void {
    this.#asleep = undefined;
    this.lookAgain();
  }

  lookAgain(): void {
    if (this.#place) this.#place.value.line.advance();
    else this.look();
  }

  look(): boolean {
    if (this.#signal?.aborted) {
      this.#giveUp(); // of those that one signal aborts, none is served because another has gone
      return true;
    }
    this.#wake();
    try {
      if (this.#wait.step()) {
        this.#settle(() => this.#resolve(true));
      } else if (this.#late) {
        const done = this.#wait.leave();
        this.#settle(() => this.#resolve(done));
      } else {
        return !this.#sleep();
      }
    } catch (error) {
      this.#settle(() => this.#reject(error));
    }
    return true;
  }

  missed(looks: number): void {
    this.#wait.missed(looks);
  }

  get hasNews(): boolean {
    return this.#cell.segment.words.load(this.#wait.word) !== this.#wait.expected;
  }

  /** False: it cannot, so the wait is over, and has left no trace. */
  #sleep(): boolean {
    const { again } = this.#wait;
    clearTimeout(this.#again);
    this.#again = again > 0 ? setTimeout(() => this.lookAgain(), again) : undefined;
    try {
      this.#asleep = Sleep.begin(this.#cell.segment.index, this.#wait, this);
    } catch (error) {
      this.#endWith(error);
      return false;
    }
    return true;
  }

  /** False: it did not sleep. */
  #wake(): boolean {
    if (!this.#asleep) return false;
    this.#asleep.leave(this);
    this.#asleep = undefined;
    return true;
  }

  #setTimer(): void {
    const left = this.#deadline - performance.now();
    if (left === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(this.#expire, Math.min(Math.max(left, 0), LONGEST_TIMER));
  }

  readonly #expire = (): void => {
    if (performance.now() < this.#deadline) {
      this.#setTimer();
      return;
    }
    this.#late = true;
    // Who stands behind others does not pass them, but it may have its turn by what the first one has yet to hear.
    if (this.#asleep || this.#place?.value.line.hasNews) this.lookAgain();
    if (waits.has(this)) this.#settle(() => this.#resolve(false));
  };

  abort(): void {
    if (!waits.has(this)) return; // the end of another one, by the same signal, was the end of this one too
    const isFirst = this.#asleep !== undefined;
    this.#giveUp();
    if (isFirst) this.#place?.value.line.advance();
  }

  #giveUp(): void {
    const reason = this.#signal?.reason;
    if (this.#wake()) this.#endWith(reason);
    else this.#settle(() => this.#reject(reason));
  }

  /** A grant that has come meanwhile is given back by `leave`, or delivered where it cannot be. */
  #endWith(reason: unknown): void {
    try {
      const done = this.#wait.leave();
      this.#settle(() => (done ? this.#resolve(true) : this.#reject(reason)));
    } catch (error) {
      this.#settle(() => this.#reject(error));
    }
  }

  forget(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#again);
    this.#cell.release();
  }

  #settle(deliver: () => void): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#again);
    waits.delete(this);
    if (this.#place) this.#place.value.line.leave(this.#place);
    if (this.#signal) offAbort(this.#signal, this);
    native().countWait(this.#cell.segment.index, this.#cell.index, -1);
    this.#cell.release();
    deliver();
  }
}

/**
 * Resolves with true when the wait is done, with false after the timeout; rejects with `signal.reason` on abort.
 * A pending wait keeps the process alive, as a timer does. Rejects with `ERR_FORKLOCK_SYSTEM` when no thread can be made
 * that sleeps for it, and with `ERR_FORKLOCK_OUT_OF_RANGE` when this thread has as many waits as it may.
 */
export function waitAsync(cell: Cell, wait: Wait, options: CheckedWait): Promise<boolean> {
  try {
    options.signal?.throwIfAborted();
    if (options.timeout <= 0) return Promise.resolve(wait.try());
    checkRoom();
    const line = wait.line < 0 ? undefined : Line.at(cell.segment.index, wait.line);
    if (!line && wait.step()) return Promise.resolve(true);
    listen();
    return new Promise((resolve, reject) => new PendingWait(cell, wait, options, resolve, reject));
  } catch (error) {
    return Promise.reject(error);
  }
}
