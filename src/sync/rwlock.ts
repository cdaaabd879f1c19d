import { DeadlockError, NotOwnerError } from '../errors.js';
import { hide, makeCarried } from '../memory/carried.js';
import { BODY, Cell, whenHeld } from '../memory/cell.js';
import type { Openable } from '../memory/handle.js';
import { SLOTS } from '../memory/layout.js';
import { checkName } from '../memory/names.js';
import { SharedObject, unlinkNamed } from '../memory/shared-object.js';
import { isAlive } from '../memory/words.js';
import { checkObject, checkTimeout, checkWaitOptions, type WaitOptions } from '../options.js';
import { waitAsync } from '../wait/async.js';
import { waitSync } from '../wait/sync.js';
import { freeDead, IMPATIENT, ownerOf, PATIENT } from './core/owned.js';
import {
  downgrade,
  dropRead,
  leaveWriting,
  ownReads,
  READER_WORDS,
  reads,
  type Sharing,
  TakeRead,
  TakeWrite,
  tryRead,
  tryWrite,
} from './core/sharing.js';
import type { LockOptions, Owner } from './lock.js';
import { type Acquirable, type Hold, hold, holdAsync, withHeld, withHeldAsync } from './lockable.js';
import { ownerDiedError, ownerDiedFlags, policyDiffers, reportOwnerDied, THROW_FLAG } from './owner-death.js';

const WORD = BODY;
const DIED = BODY + 1;
const WANT = BODY + 2;
const DRAIN = BODY + 3;
const INSIDE = BODY + 4;
const TURN = BODY + 5;
const READERS = 16;

const YES = Promise.resolve(true);

function sharingAt(at: number): Sharing {
  return {
    word: at + WORD,
    died: at + DIED,
    want: at + WANT,
    turn: at + TURN,
    drain: at + DRAIN,
    inside: at + INSIDE,
    readers: at + READERS,
  };
}

whenHeld('rwlock', (m, at) => ownerOf(m.load(at + WORD)) === m.me || ownReads(m, sharingAt(at)) > 0);

/** One side of an {@link RWLock}: the same face as a Lock's. */
export abstract class Side implements Acquirable {
  /** @internal */
  readonly cell: Cell;
  /** @internal */
  protected readonly words: Sharing;
  readonly #title: string;

  /** @internal */
  constructor(cell: Cell, title: string) {
    this.cell = cell;
    this.words = sharingAt(cell.at);
    hide(this, 'cell', 'words');
    makeCarried(this);
    this.#title = title;
  }

  /** Blocks the thread until it is held: true. After `timeout` ms: false. */
  abstract acquire(timeout?: number): boolean;
  /** Acquires without blocking the thread: true, or false after `timeout` ms; rejects with `signal.reason` on abort. */
  abstract acquireAsync(options?: WaitOptions): Promise<boolean>;
  /** Acquires if that is possible at once. */
  abstract tryAcquire(): boolean;
  /** Releases what this thread, or a task of it, holds. Error: `NotOwnerError`. */
  abstract release(): void;

  /** Acquires for a scope. Throws `TimeoutError` when it can't be had in `timeout` ms. */
  hold(timeout?: number): Hold {
    checkTimeout(timeout);
    return hold(this, this.#title, timeout);
  }

  holdAsync(options?: WaitOptions): Promise<Hold> {
    checkWaitOptions(options);
    return holdAsync(this, this.#title, options);
  }

  /** Runs a synchronous function while holding. */
  with<T>(fn: () => T, timeout?: number): T {
    checkTimeout(timeout);
    return withHeld(this, this.#title, fn, timeout);
  }

  /** Runs a function while holding, until its promise has settled. */
  withAsync<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    return withHeldAsync(this, this.#title, fn, options);
  }

  /** @internal Asked before a wait, because the wrapper may be closed meanwhile. */
  protected steals(): boolean {
    return (this.cell.flags & THROW_FLAG) === 0;
  }

  /** @internal What a wait found out about a dead owner. Also if it gave up then: nobody after it can find that out. */
  protected tell(take: TakeRead | TakeWrite, steals: boolean): void {
    if (take.deadOwner === 0) return;
    if (!steals) throw ownerDiedError(this.cell, take.deadOwner);
    reportOwnerDied(this.cell, take.deadOwner);
  }

  /** @internal Blocking for what this thread itself keeps from happening. */
  protected refuseDeadlock(timeout: number, certain: boolean): void {
    if (timeout === Number.POSITIVE_INFINITY && (certain || this.#isWrittenHere())) {
      throw new DeadlockError('this thread holds the other side of the RWLock: it would wait for itself');
    }
  }

  /** By another instance of the package in this thread. */
  #isWrittenHere(): boolean {
    const { m, segment } = this.cell;
    const writer = ownerOf(m.load(this.words.word));
    return writer !== m.me && segment.isOfThisThread(writer);
  }

  /** @internal */
  protected isWriter(): boolean {
    const { m } = this.cell;
    return ownerOf(m.load(this.words.word)) === m.me;
  }
}

/** The reading side: any number of holders, while nobody writes. */
export class ReadSide extends Side {
  /** @internal */
  constructor(cell: Cell) {
    super(cell, 'the reading side of the RWLock');
  }

  /**
   * See {@link Side.acquire}. Errors: `DeadlockError` when this thread writes and there is no timeout;
   * `ERR_FORKLOCK_OUT_OF_RANGE` when it reads 16,777,215 times already, also from the other forms.
   */
  acquire(timeout?: number): boolean {
    const { m } = this.cell;
    const ms = checkTimeout(timeout);
    if (tryRead(m, this.words)) return true;
    this.refuseDeadlock(ms, this.isWriter());
    const steals = this.steals();
    const take = new TakeRead(m, this.words, PATIENT, steals);
    try {
      return waitSync(this.cell, take, ms);
    } finally {
      this.tell(take, steals);
    }
  }

  tryAcquire(): boolean {
    return this.acquire(0);
  }

  acquireAsync(options?: WaitOptions): Promise<boolean> {
    const { m } = this.cell;
    if (options === undefined && tryRead(m, this.words)) return YES;
    return this.#acquireSlowlyAsync(options);
  }

  async #acquireSlowlyAsync(options: WaitOptions | undefined): Promise<boolean> {
    const { m } = this.cell;
    const steals = this.steals();
    const take = new TakeRead(m, this.words, IMPATIENT, steals);
    try {
      return await waitAsync(this.cell, take, checkWaitOptions(options));
    } finally {
      this.tell(take, steals);
    }
  }

  release(): void {
    const { m } = this.cell;
    if (ownReads(m, this.words) === 0)
      throw new NotOwnerError('release() of a read lock that this thread does not hold');
    dropRead(m, this.words);
  }
}

/** The writing side: one holder, while nobody reads. */
export class WriteSide extends Side {
  /** @internal */
  constructor(cell: Cell) {
    super(cell, 'the writing side of the RWLock');
  }

  /** See {@link Side.acquire}. Error: `DeadlockError` when this thread reads or writes and there is no timeout. */
  acquire(timeout?: number): boolean {
    const { m } = this.cell;
    const ms = checkTimeout(timeout);
    if (tryWrite(m, this.words)) return true;
    this.refuseDeadlock(ms, this.isWriter() || ownReads(m, this.words) > 0);
    const steals = this.steals();
    const take = new TakeWrite(m, this.words, PATIENT, steals);
    try {
      return waitSync(this.cell, take, ms);
    } finally {
      this.tell(take, steals);
    }
  }

  tryAcquire(): boolean {
    return this.acquire(0);
  }

  acquireAsync(options?: WaitOptions): Promise<boolean> {
    const { m } = this.cell;
    if (options === undefined && tryWrite(m, this.words)) return YES;
    return this.#acquireSlowlyAsync(options);
  }

  async #acquireSlowlyAsync(options: WaitOptions | undefined): Promise<boolean> {
    const { m } = this.cell;
    const steals = this.steals();
    const take = new TakeWrite(m, this.words, IMPATIENT, steals);
    try {
      return await waitAsync(this.cell, take, checkWaitOptions(options));
    } finally {
      this.tell(take, steals);
    }
  }

  release(): void {
    const { m } = this.#checked('release()');
    leaveWriting(m, this.words, true);
  }

  /** Becomes a reader, with no other writer in between. Release the reading side later. Error: `NotOwnerError`. */
  downgrade(): void {
    const { m } = this.#checked('downgrade()');
    downgrade(m, this.words, true);
  }

  #checked(what: string): Cell {
    const { m } = this.cell;
    if (m.load(this.words.inside) !== m.me)
      throw new NotOwnerError(`${what} of a write lock that this thread does not hold`);
    return this.cell;
  }
}

/**
 * Many readers or one writer, over processes and threads. Each side has the face of a Lock: `rw.read.with(fn)`.
 *
 * - **Fairness**: a writer that waits holds new readers off, so writers do not starve; readers that have lost too often
 *   are let in next. So reading is not recursive: a second `read.acquire` may wait for a writer that waits for the first.
 * - **Ownership**: a thread (or the tasks of a thread) releases what it holds, nobody else's.
 * - **Owner death**: a dead reader is not counted any more. A dead writer is like a dead owner of a {@link Lock}:
 *   `ownerDied`, a process warning, or `OwnerDiedError` with `onOwnerDied: 'throw'`, for the next reader or writer.
 *   `ownerDied` lasts until a writer has released, or `recover()`.
 * - **Memory ordering**: what was written before a write release is seen by who reads or writes afterwards.
 */
export class RWLock extends SharedObject<'rwlock'> {
  readonly read: ReadSide;
  readonly write: WriteSide;

  /** A new lock, or with `name` the one of that name. Errors: `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`. */
  constructor(options?: LockOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(options?: LockOptions | Cell) {
    super(options instanceof Cell ? options : create(options));
    this.read = new ReadSide(this.cell);
    this.write = new WriteSide(this.cell);
    hide(this, 'read', 'write');
  }

  /** Opens the lock of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'rwlock'>): RWLock {
    return new RWLock(Cell.open(handle, ['rwlock']));
  }

  /** Removes a name; who has the lock open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  /** How many read at the moment, in living processes. */
  get readers(): number {
    return reads(this.cell.m, sharingAt(this.cell.at));
  }

  /** Who writes, or null. A writer that still waits for readers, or is dead, is none. */
  get writer(): Owner | null {
    const { m, at, segment } = this.cell;
    const name = m.load(at + INSIDE);
    if (name === 0 || !isAlive(m, name)) return null;
    return { pid: segment.pidOf(name), tid: segment.tidOf(name) };
  }

  /** Whether a writer died while it wrote, and no writer has released since. */
  get ownerDied(): boolean {
    const { m, at } = this.cell;
    const inside = m.load(at + INSIDE);
    return m.load(at + DIED) !== 0 || (inside !== 0 && !isAlive(m, inside));
  }

  /** Declares the data to be in order after a writer's death. Returns whether there was anything to recover. */
  recover(): boolean {
    const { m, at } = this.cell;
    const { ownerDied } = this;
    freeDead(m, sharingAt(at));
    m.store(at + DIED, 0);
    return ownerDied;
  }

  /** From writer to reader: see {@link WriteSide.downgrade}. */
  downgrade(): void {
    this.write.downgrade();
  }

  protected override describe(): Record<string, unknown> {
    return { readers: this.readers, writer: this.writer, ownerDied: this.ownerDied };
  }
}

function create(options: LockOptions | undefined): Cell {
  const { name, onOwnerDied } =
    options === undefined ? ({} as LockOptions) : (checkObject(options, 'options') as LockOptions);
  return Cell.create(
    {
      kind: 'rwlock',
      bytes: (READERS + SLOTS * READER_WORDS) * 4,
      flags: ownerDiedFlags(onOwnerDied),
      init: () => {},
      differs: (words, at) => policyDiffers(words.load(at) >>> 8, onOwnerDied),
    },
    name === undefined ? undefined : checkName(name),
  );
}
