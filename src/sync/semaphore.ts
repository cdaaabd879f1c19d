import { ForklockError, NotOwnerError } from '../errors.js';
import { BODY, Cell, whenHeld } from '../memory/cell.js';
import type { Handle, Openable } from '../memory/handle.js';
import { checkName } from '../memory/names.js';
import { unlinkNamed } from '../memory/shared-object.js';
import type { Words } from '../memory/words.js';
import {
  type CheckedWait,
  checkBoolean,
  checkInteger,
  checkObject,
  checkTimeout,
  checkWaitOptions,
  type NameOptions,
  type WaitOptions,
} from '../options.js';
import { waitAsync } from '../wait/async.js';
import { spinToTake } from '../wait/spin.js';
import { waitSync } from '../wait/sync.js';
import { type Count, givePermits, MAX_PERMITS, permits, TakePermit, tryTakePermit } from './core/counting.js';
import { IMPATIENT, PATIENT } from './core/owned.js';
import { freePermits, giveRows, heldBy, type Permits, TakeRow, tryTakeRow } from './core/permits.js';
import { Lockable } from './lockable.js';

export interface SemaphoreOptions extends NameOptions {
  /** Permits of a participant that dies return to the semaphore. Then only who holds a permit can release it. */
  recover?: boolean | undefined;
}

const RECOVER = 1;
const COUNT = BODY;
const BOUND = BODY + 1;
const WANT = BODY + 2;
const SIZE = BODY + 3;
const TABLE = 16;

/** A table of permits is searched from its start, so it should stay small; this bounds it. */
const MAX_RECOVERABLE = 16_384;

const YES = Promise.resolve(true);

function tableAt(m: Words, at: number): Permits {
  // The size is shared memory: what it says must fit into the segment.
  const size = Math.max(0, Math.min(m.load(at + SIZE), MAX_RECOVERABLE, m.view.length - (at + TABLE)));
  return { sequence: at + COUNT, want: at + WANT, table: at + TABLE, size };
}

for (const kind of ['semaphore', 'bounded-semaphore'] as const) {
  whenHeld(kind, (m, at) => m.load(at) >>> 8 === RECOVER && heldBy(m, tableAt(m, at), m.me) > 0);
}

/**
 * Counts permits: `acquire` takes one or waits, `release` brings some. Over processes and threads.
 *
 * - **Ownership**: none; any thread may release. With `recover: true` permits know their holder: those of a dead one
 *   are free at once, and only a holder can release.
 * - **Fairness**: as for {@link Lock}: barging, who has lost too often is served next, and async waits of one thread are
 *   served in their order.
 * - **Owner death**: without `recover`, permits that a dead process had are lost, as with POSIX semaphores.
 * - **Memory ordering**: what was written before a `release` is seen after an `acquire` that took its permit.
 */
export class Semaphore extends Lockable<'semaphore' | 'bounded-semaphore'> {
  readonly #recover: boolean;
  readonly #count: Count;

  /**
   * A new semaphore with `permits` (0 to 16,777,215; with `recover` 1 to 16,384), or with `name` the one of that
   * name. Errors: `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`, wrong arguments.
   */
  constructor(permits?: number, options?: SemaphoreOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(permits: number | Cell = 1, options?: SemaphoreOptions) {
    super(permits instanceof Cell ? permits : create('semaphore', permits, options));
    const { m, at } = this.cell;
    this.#recover = (this.cell.flags & RECOVER) !== 0;
    const bound = Math.max(0, Math.min(m.load(at + BOUND), MAX_PERMITS));
    this.#count = { count: at + COUNT, want: at + WANT, bound };
  }

  /** Opens the semaphore of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'semaphore' | 'bounded-semaphore'>): Semaphore {
    return new Semaphore(Cell.open(handle, ['semaphore']));
  }

  /** Removes a name; who has the semaphore open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  /** Permits that can be taken now. */
  get value(): number {
    const { m } = this.cell;
    return this.#recover ? freePermits(m, this.#table()) : permits(m, this.#count);
  }

  /** Blocks the thread until a permit is taken: true. After `timeout` ms: false. */
  acquire(timeout?: number): boolean {
    const { cell } = this;
    if (timeout === undefined && !this.#recover && tryTakePermit(cell.m, cell.at + COUNT)) return true;
    return this.#acquireSlowly(checkTimeout(timeout));
  }

  #acquireSlowly(timeout: number): boolean {
    const { m, at } = this.cell;
    if (timeout > 0 && !this.#recover && spinToTake(m, at + COUNT, MAX_PERMITS, true, tryTakePermit)) {
      return true;
    }
    return waitSync(this.cell, this.#wait(PATIENT), timeout);
  }

  /** Takes a permit if there is one. */
  tryAcquire(): boolean {
    const { m, at } = this.cell;
    return this.#recover ? tryTakeRow(m, this.#table()) : tryTakePermit(m, at + COUNT) || this.#wait(PATIENT).try();
  }

  /** Takes a permit without blocking the thread: true, or false after `timeout` ms; rejects on abort. */
  acquireAsync(options?: WaitOptions): Promise<boolean> {
    if (options === undefined && this.#takeFree()) return YES;
    return this.#acquireSlowlyAsync(options);
  }

  async #acquireSlowlyAsync(options: WaitOptions | undefined): Promise<boolean> {
    const checked: CheckedWait = checkWaitOptions(options);
    checked.signal?.throwIfAborted();
    if (this.#takeFree()) return true;
    return waitAsync(this.cell, this.#wait(IMPATIENT), checked);
  }

  /**
   * Brings `n` permits and wakes as many waiters. Error: `ERR_FORKLOCK_OVER_RELEASE` when there would be more than the
   * bound; with `recover`, `NotOwnerError` when this thread holds fewer. Nothing has changed then.
   */
  release(n: number = 1): void {
    const { m } = this.cell;
    if (n !== 1) checkInteger(n, 'n', 1, MAX_PERMITS);
    if (this.#recover) {
      if (!giveRows(m, this.#table(), n))
        throw new NotOwnerError(`release(${n}) of more permits than this thread holds`);
    } else if (!givePermits(m, this.#count, n)) {
      throw new ForklockError(
        'ERR_FORKLOCK_OVER_RELEASE',
        `release(${n}): expected at most ${this.#count.bound} permits in all, and ${this.value} are free already`,
      );
    }
  }

  /** May pass a line, of this thread as of others. But a reserved permit is for the first one in it. */
  #takeFree(): boolean {
    const { m, at } = this.cell;
    return this.#recover ? tryTakeRow(m, this.#table(), false) : tryTakePermit(m, at + COUNT);
  }

  #table(): Permits {
    return tableAt(this.cell.m, this.cell.at);
  }

  #wait(patience: number): TakePermit | TakeRow {
    const { m } = this.cell;
    return this.#recover ? new TakeRow(m, this.#table(), patience) : new TakePermit(m, this.#count, patience);
  }

  protected override describe(): Record<string, unknown> {
    return this.#recover ? { value: this.value, recover: true } : { value: this.value };
  }
}

/** A semaphore that never has more permits than it began with: a release too many is an error and changes nothing. */
export class BoundedSemaphore extends Semaphore {
  /** As {@link Semaphore}; `permits` is also the bound. */
  constructor(permits?: number, options?: SemaphoreOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(permits: number | Cell = 1, options?: SemaphoreOptions) {
    super(permits instanceof Cell ? permits : create('bounded-semaphore', permits, options));
  }

  /** Opens the semaphore of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static override from(handle: Openable<'bounded-semaphore'>): BoundedSemaphore {
    return new BoundedSemaphore(Cell.open(handle, ['bounded-semaphore']));
  }

  override get handle(): Handle<'bounded-semaphore'> {
    return super.handle as Handle<'bounded-semaphore'>;
  }

  override toJSON(): Handle<'bounded-semaphore'> {
    return this.handle;
  }
}

function create(
  kind: 'semaphore' | 'bounded-semaphore',
  permits: unknown,
  options: SemaphoreOptions | undefined,
): Cell {
  const { name, recover = false } =
    options === undefined ? ({} as SemaphoreOptions) : (checkObject(options, 'options') as SemaphoreOptions);
  checkBoolean(recover, 'recover');
  const n = checkInteger(permits, 'permits', recover ? 1 : 0, recover ? MAX_RECOVERABLE : MAX_PERMITS);
  const bound = kind === 'bounded-semaphore' ? n : MAX_PERMITS;
  return Cell.create(
    {
      kind,
      bytes: recover ? TABLE * 4 + n * 4 : 64,
      flags: recover ? RECOVER : 0,
      init: ({ view }, at) => {
        view[at + COUNT] = recover ? 0 : n;
        view[at + BOUND] = bound;
        view[at + SIZE] = n;
      },
      differs: ({ view }, at) => {
        const there = { recover: view[at]! >>> 8 === RECOVER, permits: view[at + SIZE]! };
        if (there.recover !== recover) return `it was made with recover: ${there.recover}`;
        return there.permits === n ? undefined : `it was made with ${there.permits} permits`;
      },
    },
    name === undefined ? undefined : checkName(name),
  );
}
