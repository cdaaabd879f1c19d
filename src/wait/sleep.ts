import { afterForkInChild } from '../after-fork.js';
import { checked, type Reasons } from '../errors.js';
import { native } from '../native.js';
import { type Wait, watchedBy } from './wait.js';

/** Who sleeps. */
export interface Sleeper {
  /** The waiter thread saw a reason to look again. */
  woken(): void;
}

/** Those that a waiter thread has, by what is slept on, and by number. */
const alike = new Map<string, Sleep>();
const asleep = new Map<number, Sleep>();
let lastId = 0;
let listening = false;

afterForkInChild((dryRun) => {
  if (dryRun) return;
  alike.clear();
  asleep.clear();
});

export const SLEEPING = 'waiting in another thread';
export const REASONS: Reasons = {
  EAGAIN: 'that thread cannot be made: a limit on threads or on memory was reached (RLIMIT_NPROC, RLIMIT_AS, a cgroup)',
};

export function listen(): void {
  if (listening) return;
  const result = native().onReady(() => {
    for (let id = native().nextReady(); id >= 0; id = native().nextReady()) asleep.get(id)?.end();
  });
  checked(result, SLEEPING);
  listening = true;
}

function newId(): number {
  do lastId = (lastId + 1) & 0x7fffffff;
  while (asleep.has(lastId));
  return lastId;
}

/**
 * A sleep of the waiter thread, for all waits of this thread that have seen the same and so would sleep on the same: all
 * who wait for one event, or to read beside one writer. A million of them are one entry there.
 */
export class Sleep {
  readonly #id: number;
  readonly #key: string;
  readonly #sleepers = new Set<Sleeper>();

  private constructor(key: string) {
    this.#id = newId();
    this.#key = key;
  }

  /** Error: `ERR_FORKLOCK_SYSTEM`. */
  static begin(segment: number, wait: Wait, sleeper: Sleeper): Sleep {
    const watched = watchedBy(wait, segment);
    const key = watched.join();
    let sleep = alike.get(key);
    if (!sleep) {
      sleep = new Sleep(key);
      checked(native().sleepAsync(sleep.#id, watched), SLEEPING, REASONS);
      alike.set(key, sleep);
      asleep.set(sleep.#id, sleep);
    }
    sleep.#sleepers.add(sleeper);
    return sleep;
  }

  /** One of them does not sleep any more. */
  leave(sleeper: Sleeper): void {
    if (!this.#sleepers.delete(sleeper) || this.#sleepers.size > 0) return;
    this.#forget();
    native().cancelAsync(this.#id);
  }

  end(): void {
    this.#forget();
    const woken = [...this.#sleepers];
    this.#sleepers.clear();
    for (const sleeper of woken) sleeper.woken();
  }

  #forget(): void {
    alike.delete(this.#key);
    asleep.delete(this.#id);
  }

  /** @internal How many waits the entry of this number is for: the explorer asks. */
  static sleepersOf(id: number): number {
    const sleep = asleep.get(id);
    return sleep ? sleep.#sleepers.size : 0;
  }
}
