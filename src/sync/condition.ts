import { NotOwnerError, SystemError } from '../errors.js';
import { hide } from '../memory/carried.js';
import { BODY, Cell } from '../memory/cell.js';
import type { Handle, Openable } from '../memory/handle.js';
import { CELL_WORDS, SLOTS } from '../memory/layout.js';
import { checkName } from '../memory/names.js';
import type { LocalState } from '../memory/segment.js';
import { unlinkNamed } from '../memory/shared-object.js';
import type { Words } from '../memory/words.js';
import {
  checkFunction,
  checkInteger,
  checkObject,
  checkTimeout,
  checkWaitOptions,
  type NameOptions,
  type WaitOptions,
} from '../options.js';
import { prepareWait, waitAsync } from '../wait/async.js';
import { type Place, Queue } from '../wait/queue.js';
import { waitSync } from '../wait/sync.js';
import {
  type AnyLock,
  initLock,
  joinHandle,
  lockDiffers,
  Opened,
  openLock,
  openWithLock,
  planLock,
} from './attached-lock.js';
import { AwaitSignal, cancel, enter, notify, RECORD_WORDS, type Signals, use } from './core/signals.js';
import { Lock } from './lock.js';
import { Lockable } from './lockable.js';
import { RLock } from './rlock.js';

const TICKETS = BODY;
const RECORDS = CELL_WORDS * 2;
const WORDS = RECORDS + SLOTS * RECORD_WORDS;
/** ms between two looks where no thread can be made that sleeps. */
const LOOK_AGAIN = 20;

/** What all wrappers of one condition share in this thread. */
class Local implements LocalState {
  readonly claims = { count: 0 };
  /** Tickets of this thread's waits, oldest first. */
  readonly tickets = new Queue<number>();

  afterFork(): void {
    this.claims.count = 0;
    this.tickets.clear();
  }
}

/** One wait that has begun. It goes on when the wrapper is closed, so it has the words for itself. */
interface Waiting {
  m: Words;
  signals: Signals;
  signal: AwaitSignal;
  ticket: Place<number>;
  saved: unknown;
  notified: boolean;
}

/**
 * Lets threads and tasks wait, in any process, until another one that holds the same lock notifies them.
 *
 * - **The lock** is an {@link RLock} of its own, or the one that is given. It is held when `wait` is called (which
 *   releases all its levels, and has them again when it returns, rejects or throws) and for `notify`.
 * - **Fairness**: the longest wait is notified first, over processes as far as their oldest waits tell.
 * - **Spurious wakeups**: none in normal operation. When a process is killed in the middle of `notify`, or while it has the
 *   lock, a wait may be notified that need not have been; `waitFor` looks again by itself.
 * - **Deaths**: a waiter that is killed neither hangs the notifier nor swallows a notification that another could have
 *   used: it is passed on. The lock's owner may die as for {@link Lock}; the condition's `ownerDied` is the lock's.
 */
export class Condition extends Lockable<'condition'> {
  readonly lock: Lock | RLock;
  readonly #local: Local;

  /**
   * A new condition of `lock`, or of a new RLock; or with `name` the one of that name, whose lock must be its own or
   * named itself. Errors: `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`, wrong arguments.
   */
  constructor(lock?: Lock | RLock, options?: NameOptions);
  /** @internal A wrapper of what has been opened. */
  constructor(opened: Opened);
  constructor(lock?: Lock | RLock | Opened, options?: NameOptions) {
    const made = lock instanceof Opened ? lock : create(lock, options);
    super(made.cell);
    this.lock = made.lock;
    hide(this, 'lock');
    const { segment, index } = made.cell;
    let local = segment.locals.get(index) as Local | undefined;
    if (!local) {
      local = new Local();
      segment.locals.set(index, local);
    }
    this.#local = local;
  }

  /** Opens the condition of a handle, with its lock. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'condition'>): Condition {
    return openWithLock(
      handle,
      (own) => Cell.open(own, ['condition']),
      (cell) => cell.at + WORDS,
      (opened) => new Condition(opened),
    );
  }

  /** Removes a name; who has the condition open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  /** Names the lock too, where that is an object of its own. */
  override get handle(): Handle<'condition'> {
    return joinHandle(super.handle, this.cell, this.lock);
  }

  /** See {@link Lock.acquire}, of the condition's lock. */
  acquire(timeout?: number): boolean {
    return this.lock.acquire(timeout);
  }

  acquireAsync(options?: WaitOptions): Promise<boolean> {
    return this.lock.acquireAsync(options);
  }

  tryAcquire(): boolean {
    return this.lock.tryAcquire();
  }

  release(): void {
    this.lock.release();
  }

  override withAsync<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    return this.lock.withAsync(fn, options);
  }

  /**
   * Releases the lock, blocks until a notification (true) or for `timeout` ms (false), and has the lock again when it
   * returns; getting it back is not bounded by the timeout. Error: `NotOwnerError` when the caller does not hold it.
   */
  wait(timeout?: number): boolean {
    const ms = checkTimeout(timeout);
    const deadline = performance.now() + ms;
    const wait = this.#enter('wait()');
    for (;;) {
      const woken = waitSync(this.cell, wait.signal, deadline - performance.now());
      try {
        restore(this.lock, wait.saved);
      } catch (error) {
        this.#abandon(wait);
        throw error;
      }
      const told = this.lock.ownerDied;
      if (this.#ends(wait, woken && !told)) return wait.notified || (woken && told);
      wait.saved = releaseAll(this.lock);
    }
  }

  /** As `wait`, without blocking the thread. On abort it rejects with `signal.reason`, having the lock again. */
  async waitAsync(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWaitOptions(options);
    const deadline = performance.now() + timeout;
    signal?.throwIfAborted();
    prepareWait(); // before the lock is released
    // The cells stay while the wait is on its way, also between its sleep and having the lock again.
    const { cell } = this;
    const lockCell = this.lock.cell;
    cell.retain();
    lockCell.retain();
    try {
      return await this.#waitAsync(this.#enter('waitAsync()'), deadline, signal);
    } finally {
      lockCell.release();
      cell.release();
    }
  }

  async #waitAsync(wait: Waiting, deadline: number, signal: AbortSignal | undefined): Promise<boolean> {
    for (;;) {
      let woken = false;
      let failure: { reason: unknown } | undefined;
      try {
        woken = await waitAsync(this.cell, wait.signal, { timeout: deadline - performance.now(), signal });
      } catch (reason) {
        failure = { reason };
      }
      try {
        await restoreAsync(lockOfPending(this.lock), wait.saved);
      } catch (error) {
        this.#abandon(wait);
        throw error;
      }
      if (failure) {
        this.#ends(wait, false, true);
        throw failure.reason;
      }
      const lock = lockOfPending(this.lock);
      const told = lock.ownerDied;
      if (this.#ends(wait, woken && !told)) return wait.notified || (woken && told);
      wait.saved = releaseAll(lock);
    }
  }

  /**
   * Waits until the predicate is truthy: returns its last value, which is falsy after `timeout` ms. The predicate runs
   * with the lock held, once before the first wait and after each notification.
   */
  waitFor<T>(predicate: () => T, timeout?: number): T {
    checkFunction(predicate, 'predicate');
    const deadline = performance.now() + checkTimeout(timeout);
    for (;;) {
      const value = predicate();
      const left = deadline - performance.now();
      if (value || left <= 0) return value;
      if (!this.wait(left)) return predicate();
    }
  }

  /** As `waitFor`, without blocking the thread; the predicate may return a promise. */
  async waitForAsync<T>(predicate: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    checkFunction(predicate, 'predicate');
    const { timeout, signal } = checkWaitOptions(options);
    const deadline = performance.now() + timeout;
    for (;;) {
      const value = await predicate();
      const left = deadline - performance.now();
      if (value || left <= 0) return value;
      if (!(await this.waitAsync({ timeout: left, signal }))) return predicate();
    }
  }

  /**
   * Notifies at most `n` waits, the longest first, and returns how many; they go on when they have the lock. Never
   * waits for them. Error: `NotOwnerError` when the caller does not hold the lock.
   */
  notify(n: number = 1): number {
    checkInteger(n, 'n', 0, Number.MAX_SAFE_INTEGER);
    this.#checkHeld('notify()');
    return notify(this.cell.m, this.#signals(), n);
  }

  /** Notifies all waits; returns how many. Error as for `notify`. */
  notifyAll(): number {
    this.#checkHeld('notifyAll()');
    return notify(this.cell.m, this.#signals(), Number.MAX_SAFE_INTEGER);
  }

  override close(): void {
    super.close();
    if (this.lock.cell.owner) this.lock.close();
  }

  #enter(what: string): Waiting {
    this.#checkHeld(what);
    const { m } = this.cell;
    const signals = this.#signals();
    const ticket = this.#local.tickets.push(enter(m, signals));
    const signal = new AwaitSignal(m, signals, this.#local.claims);
    return { m, signals, signal, ticket, saved: releaseAll(this.lock), notified: false };
  }

  /**
   * With the lock held again: whether the wait is over. It is when the lock came from an owner that died, as if notified:
   * to release it again would say that the data are in order.
   */
  #ends(wait: Waiting, woken: boolean, aborted = false): boolean {
    const { m, signals } = wait;
    const { tickets } = this.#local;
    wait.signal.settle();
    const { first } = tickets;
    const oldest = (first === wait.ticket ? first.after : first)?.value;
    if (!aborted && use(m, signals, oldest)) wait.notified = true;
    else if (woken) return false;
    else cancel(m, signals, oldest);
    tickets.remove(wait.ticket);
    return true;
  }

  /**
   * The lock could not be had again: its owner died, and it was made with `onOwnerDied: 'throw'`. Then nobody has it,
   * so nobody notifies, and the record can be changed without it.
   */
  #abandon(wait: Waiting): void {
    this.#ends(wait, false, true);
  }

  #checkHeld(what: string): void {
    const { lock } = this;
    const held = lock instanceof RLock ? lock.isHeldByCaller() : lock.isHeldByThread();
    if (!held) throw new NotOwnerError(`${what} of a Condition whose lock the caller does not hold`);
  }

  #signals(): Signals {
    const { at } = this.cell;
    return { tickets: at + TICKETS, records: at + RECORDS };
  }

  protected override describe(): Record<string, unknown> {
    return { lock: this.lock };
  }
}

function create(lock: unknown, options: NameOptions | undefined): Opened {
  const { name } = options === undefined ? ({} as NameOptions) : (checkObject(options, 'options') as NameOptions);
  const plan = planLock(lock, name);
  const cell = Cell.create(
    {
      kind: 'condition',
      bytes: (WORDS + plan.words) * 4,
      flags: plan.flags,
      init: (words, at) => initLock(plan, words, at, at + WORDS),
      differs: (words, at) => lockDiffers(plan, words, at, at + WORDS),
    },
    name === undefined ? undefined : checkName(name),
  );
  return new Opened(cell, plan.lock ?? openLock(cell, cell.at + WORDS, undefined));
}

function releaseAll(lock: AnyLock): unknown {
  return lock instanceof RLock ? lock.releaseAll() : lock.release();
}

function restore(lock: AnyLock, saved: unknown): void {
  if (lock instanceof RLock) lock.restore(saved as Parameters<RLock['restore']>[0]);
  else lock.acquire();
}

/** The lock for a wait that is pending: if it was closed meanwhile, a wrapper that was not. */
function lockOfPending(lock: AnyLock): AnyLock {
  if (!lock.cell.closed) return lock;
  const cell = lock.cell.retained();
  return lock instanceof RLock ? new RLock(cell) : new Lock(cell);
}

/** The wait must have its lock again: where there is no thread that could sleep for it, it looks again and again. */
async function restoreAsync(lock: AnyLock, saved: unknown): Promise<void> {
  for (;;) {
    try {
      if (lock instanceof RLock) await lock.restoreAsync(saved as Parameters<RLock['restoreAsync']>[0]);
      else await lock.acquireAsync();
      return;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
    }
  }
}
