import { AsyncLocalStorage } from 'node:async_hooks';
import { DeadlockError, NotOwnerError, outOfRange, TimeoutError } from '../errors.js';
import { BODY, Cell } from '../memory/cell.js';
import type { Openable } from '../memory/handle.js';
import type { LocalState } from '../memory/segment.js';
import { unlinkNamed } from '../memory/shared-object.js';
import { type CheckedWait, checkFunction, checkTimeout, checkWaitOptions, type WaitOptions } from '../options.js';
import { tryTake } from './core/owned.js';
import { createLock, DEPTH, type LockOptions, OwnedLock } from './lock.js';

const WORD = BODY;

/** How often its owner may acquire it without a release. */
const MOST_LEVELS = 0xffffff;

/** Who holds the lock within this thread. The shared word says only which thread. */
type Holder = object;

/** The thread itself: whoever calls `acquire` outside of the scopes of async tasks. */
const THREAD: Holder = { holder: 'thread' };

/** The scopes of `withAsync` that the running code is in, innermost first. */
interface Scope {
  lock: Local;
  holder: Holder;
  outer: Scope | undefined;
}

/** What all wrappers of one lock share in this thread. */
interface Local extends LocalState {
  holder: Holder | undefined;
}

let scopes: AsyncLocalStorage<Scope> | undefined;

/**
 * A lock that its owner may acquire again; it is free when it has been released as often. Only its owner may release.
 *
 * Who the owner is: for sync code the thread; for async code the async context. A `withAsync` within a `withAsync` of
 * the same lock goes through; two async tasks of one thread exclude each other, and a task excludes the thread's own
 * `acquire`. Each `acquireAsync` outside of a scope is a task of its own.
 *
 * Fairness, memory ordering and owner death are as for {@link Lock}; the next owner starts at depth 1.
 */
export class RLock extends OwnedLock<'rlock'> {
  readonly #local: Local;

  /** A new lock, or with `name` the lock of that name. Errors as for {@link Lock}. */
  constructor(options?: LockOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(options?: LockOptions | Cell) {
    super(options instanceof Cell ? options : createLock('rlock', options));
    const { segment, index } = this.cell;
    let local = segment.locals.get(index) as Local | undefined;
    if (!local) {
      local = { holder: undefined };
      segment.locals.set(index, local);
    }
    this.#local = local;
  }

  /** Opens the lock of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'rlock'>): RLock {
    return new RLock(Cell.open(handle, ['rlock']));
  }

  /** Removes a name; who has the lock open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  /** How often the owner has acquired it; 0 when it is free. */
  get depth(): number {
    return this.locked ? this.cell.m.load(this.cell.at + DEPTH) : 0;
  }

  /**
   * Blocks until the lock is the caller's: true at once when it is already. After `timeout` ms: false.
   * Errors: `DeadlockError` when an async task of this thread holds it and there is no timeout, because that task
   * could never run; `OwnerDiedError` as for {@link Lock}; `ERR_FORKLOCK_OUT_OF_RANGE` when the caller has it 16,777,215
   * times already, also from the other forms.
   */
  acquire(timeout?: number): boolean {
    const { m, at } = this.cell;
    if (timeout === undefined && tryTake(m, at + WORD)) {
      this.#begin(this.#scope() ?? THREAD);
      return true;
    }
    return this.#acquireSlowly(checkTimeout(timeout));
  }

  #acquireSlowly(timeout: number): boolean {
    const holder = this.#scope() ?? THREAD;
    if (this.#again(holder)) return true;
    if (timeout === Number.POSITIVE_INFINITY && this.isHeldHere()) {
      throw new DeadlockError(
        this.#mine()
          ? 'an async task of this thread holds the RLock: blocking the thread would never let it end'
          : 'another copy of the package holds the RLock in this thread: blocking the thread would never let it end',
      );
    }
    if (!this.takeSync(timeout)) return false;
    this.#begin(holder);
    return true;
  }

  /** Acquires if that is possible at once. */
  tryAcquire(): boolean {
    return this.acquire(0);
  }

  /**
   * Acquires for a task, without blocking the thread: true, or false after `timeout` ms; rejects with `signal.reason`
   * on abort. Inside of a scope of this lock (`withAsync`) it goes through at once.
   */
  async acquireAsync(options?: WaitOptions): Promise<boolean> {
    return this.#enterAsync(this.#scope() ?? { holder: 'task' }, checkWaitOptions(options));
  }

  async #enterAsync(holder: Holder, options: CheckedWait): Promise<boolean> {
    options.signal?.throwIfAborted();
    if (this.#again(holder)) return true;
    const { m } = this.cell; // the wrapper may be closed meanwhile
    if (!(await this.takeAsync(options))) return false;
    this.#begin(holder, 1, m);
    return true;
  }

  /** Gives back one level. Error: `NotOwnerError` when the caller does not hold the lock; nothing has changed then. */
  release(): void {
    const { m, at } = this.cell;
    const local = this.#local;
    if (local.holder === THREAD && m.view[at + DEPTH] === 1) {
      local.holder = undefined;
      if (m.cas(at + WORD, m.me, 0) === m.me) return;
      local.holder = THREAD;
    }
    const depth = this.#checkedDepth('release()');
    if (depth > 1) {
      m.store(at + DEPTH, depth - 1);
      return;
    }
    this.#end();
  }

  /**
   * Runs a function while holding, until its promise has settled. Within the function, and in whatever it awaits, this
   * lock can be acquired again.
   */
  override async withAsync<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    checkFunction(fn, 'fn');
    const inside = this.#scope();
    const holder = inside ?? { holder: 'scope' };
    if (!(await this.#enterAsync(holder, checkWaitOptions(options)))) {
      throw new TimeoutError('the RLock', options?.timeout ?? 0);
    }
    try {
      if (inside) return await fn();
      scopes ??= new AsyncLocalStorage();
      return await scopes.run({ lock: this.#local, holder, outer: scopes.getStore() }, fn);
    } finally {
      this.#leave(holder);
    }
  }

  /** @internal Gives back all levels, for a condition's wait. What `restore` needs to get them again. */
  releaseAll(): { depth: number; holder: Holder } {
    const saved = { depth: this.#checkedDepth('wait()'), holder: this.#local.holder as Holder };
    this.#end();
    return saved;
  }

  /** @internal */
  restore({ depth, holder }: { depth: number; holder: Holder }): void {
    this.takeSync(Number.POSITIVE_INFINITY);
    this.#begin(holder, depth);
  }

  /** @internal */
  async restoreAsync({ depth, holder }: { depth: number; holder: Holder }): Promise<void> {
    const { m } = this.cell;
    await this.takeAsync({ timeout: Number.POSITIVE_INFINITY, signal: undefined });
    this.#begin(holder, depth, m);
  }

  /** @internal Whether the caller may wait on, or notify, a condition of this lock. */
  isHeldByCaller(): boolean {
    return this.#mine() && this.#isHolder(this.#scope());
  }

  /** The holder whose scope the running code is in, if it is in one of this lock. */
  #scope(): Holder | undefined {
    for (let scope = scopes?.getStore(); scope; scope = scope.outer) {
      if (scope.lock === this.#local && scope.holder === this.#local.holder) return scope.holder;
    }
    return undefined;
  }

  #mine(): boolean {
    return this.ownerName() === this.cell.m.me;
  }

  #again(holder: Holder): boolean {
    if (this.#local.holder !== holder || !this.#mine()) return false;
    const { m, at } = this.cell;
    const depth = m.load(at + DEPTH) + 1;
    if (depth > MOST_LEVELS) throw outOfRange('depth', `at most ${MOST_LEVELS} levels of an RLock`, depth);
    m.store(at + DEPTH, depth);
    return true;
  }

  #begin(holder: Holder, depth = 1, m = this.cell.m): void {
    this.#local.holder = holder;
    m.view[this.cell.at + DEPTH] = depth; // only the owner writes it, and nobody decides anything by it
  }

  #end(): void {
    this.#local.holder = undefined;
    this.giveForOwner();
  }

  /** Code in a scope holds what the scope holds; other code holds what the thread or an unscoped task holds. */
  #isHolder(scope: Holder | undefined): boolean {
    const { holder } = this.#local;
    return scope !== undefined || holder === THREAD || (holder as { holder?: string } | undefined)?.holder === 'task';
  }

  #checkedDepth(what: string): number {
    if (!this.isHeldByCaller()) throw new NotOwnerError(`${what} of an RLock that the caller does not hold`);
    return this.cell.m.load(this.cell.at + DEPTH);
  }

  /** The end of a scope: what it holds is known, whatever context this runs in. */
  #leave(holder: Holder): void {
    if (this.#local.holder !== holder || !this.#mine()) return; // its function released it already
    const { m, at } = this.cell;
    const depth = m.load(at + DEPTH);
    if (depth > 1) m.store(at + DEPTH, depth - 1);
    else this.#end();
  }

  protected override describe(): Record<string, unknown> {
    return { ...super.describe(), depth: this.depth };
  }
}
