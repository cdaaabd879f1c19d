import { DeadlockError, NotOwnerError } from '../errors.js';
import { BODY, Cell, whenHeld } from '../memory/cell.js';
import type { Openable } from '../memory/handle.js';
import { checkName } from '../memory/names.js';
import { unlinkNamed } from '../memory/shared-object.js';
import { isAlive } from '../memory/words.js';
import {
  type CheckedWait,
  checkObject,
  checkTimeout,
  checkWaitOptions,
  type NameOptions,
  type WaitOptions,
} from '../options.js';
import { waitAsync } from '../wait/async.js';
import { spinToTake } from '../wait/spin.js';
import { waitSync } from '../wait/sync.js';
import {
  freeDead,
  giveBackForOwner,
  IMPATIENT,
  type OwnedWord,
  ownerOf,
  PATIENT,
  Take,
  tryTake,
} from './core/owned.js';
import { Lockable } from './lockable.js';
import {
  type OnOwnerDied,
  ownerDiedError,
  ownerDiedFlags,
  policyDiffers,
  reportOwnerDied,
  THROW_FLAG,
} from './owner-death.js';

export interface LockOptions extends NameOptions {
  /** What `acquire` does when the owner has died. Belongs to the lock, not to the wrapper. Default `'report'`. */
  onOwnerDied?: OnOwnerDied | undefined;
}

/** Who holds a lock: `tid` is the kernel's number of the thread, equal to `pid` for a main thread. */
export interface Owner {
  pid: number;
  tid: number;
}

const WORD = BODY;
const DIED = BODY + 1;
const WANT = BODY + 2;
/** Word of an RLock: how often its owner has acquired it. */
export const DEPTH = BODY + 3;
const TURN = BODY + 4;

const ownedAt = (at: number): OwnedWord => ({ word: at + WORD, died: at + DIED, want: at + WANT, turn: at + TURN });

const YES = Promise.resolve(true);

for (const kind of ['lock', 'rlock'] as const) whenHeld(kind, (m, at) => ownerOf(m.load(at + WORD)) === m.me);

/** What Lock and RLock have in common: an owned word, and what to do about an owner that died. */
export abstract class OwnedLock<Kind extends string = string> extends Lockable<Kind> {
  /** @internal */
  constructor(cell: Cell) {
    super(cell);
  }

  /** Whether somebody alive holds it. */
  get locked(): boolean {
    return this.owner !== null;
  }

  /** Who holds it, or null. A dead owner is none. */
  get owner(): Owner | null {
    const { m, at, segment } = this.cell;
    const name = ownerOf(m.load(at + WORD));
    if (name === 0 || !isAlive(m, name)) return null;
    return { pid: segment.pidOf(name), tid: segment.tidOf(name) };
  }

  /**
   * Whether an owner died while it held the lock and nobody has put that right: true from the death until the next
   * owner releases, or until `recover()`.
   */
  get ownerDied(): boolean {
    const { m, at } = this.cell;
    const name = ownerOf(m.load(at + WORD));
    return m.load(at + DIED) !== 0 || (name !== 0 && !isAlive(m, name));
  }

  /**
   * Declares the data to be in order after an owner's death. A lock made with `onOwnerDied: 'throw'` is free then; for
   * an owner that was told of the death, `ownerDied` becomes false. Returns whether there was anything to recover.
   */
  recover(): boolean {
    const { m, at } = this.cell;
    const freed = freeDead(m, ownedAt(at));
    return m.exchange(at + DIED, 0) !== 0 || freed !== 0;
  }

  /** @internal Name of the owner in the word, dead or not; 0: free. */
  protected ownerName(): number {
    const { m, at } = this.cell;
    return ownerOf(m.load(at + WORD));
  }

  /** @internal Whether this thread holds it, also by another instance of the package: who blocks it, blocks its owner. */
  protected isHeldHere(): boolean {
    return this.cell.segment.isOfThisThread(this.ownerName());
  }

  /** @internal Blocks for the word. */
  protected takeSync(timeout: number): boolean {
    const { m, at } = this.cell;
    const o = ownedAt(at);
    if (timeout > 0 && spinToTake(m, o.word, -1, false, tryTake)) return true;
    const take = new Take(m, o, PATIENT, this.#steals());
    return waitSync(this.cell, take, timeout) && this.#taken(take);
  }

  /** @internal */
  protected async takeAsync(options: CheckedWait): Promise<boolean> {
    const { m, at } = this.cell;
    options.signal?.throwIfAborted();
    if (tryTake(m, at + WORD)) return true; // as on the fast path: what is reserved is for the first in line
    const take = new Take(m, ownedAt(at), IMPATIENT, this.#steals());
    return (await waitAsync(this.cell, take, options)) && this.#taken(take);
  }

  /** @internal Gives the word back for whoever alive owns it. */
  protected giveForOwner(): boolean {
    const { m, at } = this.cell;
    return giveBackForOwner(m, ownedAt(at));
  }

  #steals(): boolean {
    return (this.cell.flags & THROW_FLAG) === 0;
  }

  #taken(take: Take): true {
    if (!take.owns) throw ownerDiedError(this.cell, take.deadOwner);
    if (take.deadOwner !== 0) reportOwnerDied(this.cell, take.deadOwner);
    return true;
  }

  protected override describe(): Record<string, unknown> {
    return { locked: this.locked, owner: this.owner, ownerDied: this.ownerDied };
  }
}

/**
 * A mutual exclusion lock over processes and threads. Not recursive. It is held by a thread (with `acquire`) or by an
 * async task (with `acquireAsync`); any thread or process may release it.
 *
 * - **Fairness**: barging is allowed, for throughput; who has lost too often is served next, async waits sooner than
 *   sync ones, because they come later to a lock that is free. Async waits of one thread are served in their order;
 *   an `acquireAsync` that finds the lock free does not wait.
 * - **Memory ordering**: all that was written before a `release` is seen after the `acquire` that follows it.
 * - **Owner death**: when the owner ends in any way (return, exit, terminate, SIGKILL), the next `acquire` succeeds at
 *   once, `ownerDied` is true until that owner releases, and a process warning `FORKLOCK_OWNER_DIED` names the dead
 *   pid. With `onOwnerDied: 'throw'`, `acquire` throws `OwnerDiedError` until `recover()` is called.
 * - **Uncontended**, a pair of acquire and release is two atomic operations and no system call.
 */
export class Lock extends OwnedLock<'lock'> {
  /**
   * A new lock, or with `name` the lock of that name.
   * Errors: `ERR_FORKLOCK_NAME_CONFLICT` when the name is of something else; `ERR_FORKLOCK_SYSTEM`.
   */
  constructor(options?: LockOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(options?: LockOptions | Cell) {
    super(options instanceof Cell ? options : createLock('lock', options));
  }

  /** Opens the lock of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'lock'>): Lock {
    return fromCell(Cell.open(handle, ['lock']));
  }

  /** Removes a name; who has the lock open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  /**
   * Blocks the thread until the lock is this thread's: true. After `timeout` ms: false.
   * Errors: `DeadlockError` when this thread holds it already and there is no timeout; `OwnerDiedError` (see above).
   */
  acquire(timeout?: number): boolean {
    const { cell } = this;
    const { m } = cell;
    if (timeout === undefined && tryTake(m, cell.at + WORD)) return true;
    return this.#acquireSlowly(checkTimeout(timeout));
  }

  #acquireSlowly(timeout: number): boolean {
    if (timeout === Number.POSITIVE_INFINITY && this.isHeldHere()) {
      throw new DeadlockError('this thread holds the Lock already, and it is not recursive: it would wait for itself');
    }
    return this.takeSync(timeout);
  }

  /** Acquires if that is possible at once. A dead owner's lock is. */
  tryAcquire(): boolean {
    const { cell } = this;
    const { m } = cell;
    return tryTake(m, cell.at + WORD) || this.takeSync(0);
  }

  /**
   * Acquires without blocking the thread: true, or false after `timeout` ms. Rejects with `signal.reason` on abort, and
   * then the lock is not held. The lock belongs to the async task that gets it: other tasks of the thread wait.
   */
  acquireAsync(options?: WaitOptions): Promise<boolean> {
    const { cell } = this;
    const { m } = cell;
    if (options === undefined && tryTake(m, cell.at + WORD)) return YES;
    return this.#acquireSlowlyAsync(options);
  }

  async #acquireSlowlyAsync(options: WaitOptions | undefined): Promise<boolean> {
    return this.takeAsync(checkWaitOptions(options));
  }

  /**
   * Releases, for whoever holds it. Error: `NotOwnerError` when nobody does (or only a dead owner: that is for the
   * next `acquire`, or for `recover`).
   */
  release(): void {
    const { cell } = this;
    const { m } = cell;
    if (m.cas(cell.at + WORD, m.me, 0) === m.me) return;
    if (!this.giveForOwner()) throw new NotOwnerError('release() of a Lock that nobody holds');
  }

  /** @internal Whether the caller may wait on, or notify, a condition of this lock: its thread, or a task of it, holds it. */
  isHeldByThread(): boolean {
    return this.ownerName() === this.cell.m.me;
  }
}

const fromCell = (cell: Cell): Lock => new Lock(cell);

/** @internal Makes or opens the cell of a lock. */
export function createLock(kind: 'lock' | 'rlock', options: LockOptions | undefined): Cell {
  const { name, onOwnerDied } =
    options === undefined ? ({} as LockOptions) : (checkObject(options, 'options') as LockOptions);
  return Cell.create(
    {
      kind,
      bytes: 64,
      flags: ownerDiedFlags(onOwnerDied),
      init: () => {},
      differs: (words, at) => policyDiffers(words.load(at) >>> 8, onOwnerDied),
    },
    name === undefined ? undefined : checkName(name),
  );
}
