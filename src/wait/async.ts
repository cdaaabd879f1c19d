import { afterForkInChild } from '../after-fork.js';
import type { Cell } from '../memory/cell.js';
import { native } from '../native.js';
import type { CheckedWait } from '../options.js';
import { offAbort, onAbort } from './abort.js';
import type { Wait } from './wait.js';

/** The longest delay that setTimeout takes; longer ones are taken in pieces. */
export const LONGEST_TIMER = 0x7fffffff;

/** Waits whose word a waiter thread sleeps on, by id. */
const pending = new Map<number, PendingWait>();
/** Waits on the same word, in the order in which they came. */
const lines = new Map<number, Set<PendingWait>>();
let lastId = 0;
let listening = false;

// The parent's waits are the parent's: their promises stay as they are in the child, and none of them takes anything.
afterForkInChild((rehearsing) => {
  if (rehearsing) return;
  const waits = [...pending.values()];
  pending.clear();
  lines.clear();
  for (const wait of waits) wait.forget();
});

function listen(): void {
  if (listening) return;
  listening = true;
  native().onReady(() => {
    for (let id = native().nextReady(); id >= 0; id = native().nextReady()) {
      const wait = pending.get(id);
      pending.delete(id);
      if (!wait) continue;
      // The kernel does not know which of this thread's waits came first.
      const first = wait.firstInLine();
      if (first !== wait) first.lookAgain();
      wait.woken();
    }
  });
}

function newId(): number {
  do lastId = (lastId + 1) & 0x7fffffff;
  while (pending.has(lastId));
  return lastId;
}

class PendingWait {
  readonly #cell: Cell;
  readonly #wait: Wait;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (done: boolean) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #deadline: number;
  #timer: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #id = -1;
  /** Key of the line that it stands in. */
  #line = -1;

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
    cell.retain();
    native().countWait(cell.segment.index, cell.index, 1);
    if (this.#signal) onAbort(this.#signal, this);
    this.#setTimer();
    this.#sleep();
  }

  /** The waiter thread saw a reason to look again. The final step is taken here, on the JavaScript thread. */
  woken(): void {
    try {
      if (this.#wait.step()) this.#settle(() => this.#resolve(true));
      else this.#sleep();
    } catch (error) {
      this.#settle(() => this.#reject(error));
    }
  }

  firstInLine(): PendingWait {
    for (const first of lines.get(this.#line) ?? []) return first;
    return this;
  }

  /** Another wait on the same word was woken, and this one came first; or it is time to look (`Wait.again`). */
  lookAgain(): void {
    this.#wake();
    this.woken();
  }

  #stand(line: number): void {
    if (line === this.#line) return;
    const old = lines.get(this.#line);
    old?.delete(this);
    if (old?.size === 0) lines.delete(this.#line);
    this.#line = line;
    if (line < 0) return;
    const next = lines.get(line);
    if (next) next.add(this);
    else lines.set(line, new Set([this]));
  }

  #sleep(): void {
    const { word, expected, members, owner, dead, again } = this.#wait;
    clearTimeout(this.#again);
    this.#again = again > 0 ? setTimeout(() => this.lookAgain(), again) : undefined;
    this.#stand(this.#cell.segment.index * 2 ** 32 + word);
    this.#id = newId();
    pending.set(this.#id, this);
    native().sleepAsync(this.#id, this.#cell.segment.index, word, expected, members, owner, dead);
  }

  #wake(): void {
    pending.delete(this.#id);
    native().cancelAsync(this.#id);
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
    this.#wake();
    try {
      const done = this.#wait.step() || this.#wait.leave();
      this.#settle(() => this.#resolve(done));
    } catch (error) {
      this.#settle(() => this.#reject(error));
    }
  };

  /** A grant that raced with the abort is given back by `leave`, or delivered where it cannot be. */
  abort(): void {
    this.#wake();
    try {
      const done = this.#wait.leave();
      this.#settle(() => (done ? this.#resolve(true) : this.#reject(this.#signal?.reason)));
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
    this.#stand(-1);
    if (this.#signal) offAbort(this.#signal, this);
    native().countWait(this.#cell.segment.index, this.#cell.index, -1);
    this.#cell.release();
    deliver();
  }
}

/**
 * Resolves with true when the wait is done, with false after the timeout; rejects with `signal.reason` on abort.
 * A pending wait keeps the process alive, as a timer does.
 */
export function waitAsync(cell: Cell, wait: Wait, options: CheckedWait): Promise<boolean> {
  try {
    options.signal?.throwIfAborted();
    if (options.timeout <= 0) return Promise.resolve(wait.try());
    if (wait.step()) return Promise.resolve(true);
    listen();
    return new Promise((resolve, reject) => new PendingWait(cell, wait, options, resolve, reject));
  } catch (error) {
    return Promise.reject(error);
  }
}
