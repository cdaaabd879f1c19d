import { BrokenBarrierError } from '../errors.js';
import { BODY, Cell } from '../memory/cell.js';
import type { Openable } from '../memory/handle.js';
import { SLOTS } from '../memory/layout.js';
import { checkName } from '../memory/names.js';
import type { LocalState } from '../memory/segment.js';
import { SharedObject, unlinkNamed } from '../memory/shared-object.js';
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
import { waitSync } from '../wait/sync.js';
import {
  abort,
  arrivedOf,
  type Ending,
  type Endings,
  isBroken,
  MAX_PARTIES,
  Meet,
  type Meeting,
  RECORD_WORDS,
  reset,
} from './core/meeting.js';

export interface BarrierOptions extends NameOptions {
  /**
   * Runs once a round, in the last party to arrive, before anybody gets through. Belongs to the wrapper, because a
   * function cannot be shared: give it wherever the last party may be. If it throws, the barrier breaks. A promise is
   * awaited in `waitAsync` only.
   */
  action?: (() => unknown) | undefined;
  /** Milliseconds that a wait takes at most when it does not say. Belongs to the wrapper. */
  timeout?: number | undefined;
}

const STATE = BODY;
const PARTIES = BODY + 1;
const RECORDS = 16;

/** What all wrappers of one barrier share in this thread: its rounds that parties of it are counted in. */
class Local implements LocalState, Endings {
  readonly #rounds = new Map<number, { parties: number; ending: Ending | undefined }>();

  arrived(place: number): void {
    const round = this.#rounds.get(place);
    if (round) round.parties++;
    else this.#rounds.set(place, { parties: 1, ending: undefined });
  }

  left(place: number): void {
    const round = this.#rounds.get(place);
    if (round && --round.parties === 0) this.#rounds.delete(place);
  }

  note(place: number, ending: Ending): void {
    const round = this.#rounds.get(place);
    if (round) round.ending = ending;
  }

  get(place: number): Ending | undefined {
    return this.#rounds.get(place)?.ending;
  }

  afterFork(): void {
    this.#rounds.clear();
  }
}

/**
 * A place where `parties` threads or tasks, in any processes, wait for each other; reusable.
 *
 * All or none: when one party times out, is aborted, or dies while it waits, or its action throws, or somebody calls
 * `abort()`, the round is broken and *all* its parties get `BrokenBarrierError`; so does every later one until
 * `reset()`. What was written before a `wait` is seen by all after it.
 */
export class Barrier extends SharedObject<'barrier'> {
  readonly #action: (() => unknown) | undefined;
  readonly #timeout: number | undefined;
  readonly #local: Local;

  /**
   * A new barrier for 1 to 4095 parties, or with `name` the one of that name.
   * Errors: `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`, wrong arguments.
   */
  constructor(parties: number, options?: BarrierOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell, options?: BarrierOptions);
  constructor(parties: number | Cell, options?: BarrierOptions) {
    const checked = checkOptions(options);
    super(parties instanceof Cell ? parties : create(parties, checked.name));
    this.#action = checked.action;
    this.#timeout = checked.timeout;
    const { segment, index } = this.cell;
    let local = segment.locals.get(index) as Local | undefined;
    if (!local) {
      local = new Local();
      segment.locals.set(index, local);
    }
    this.#local = local;
  }

  /** Opens the barrier of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'barrier'>, options?: Omit<BarrierOptions, 'name'>): Barrier {
    return new Barrier(Cell.open(handle, ['barrier']), options);
  }

  /** @internal What belongs to the wrapper. */
  get local(): { action: (() => unknown) | undefined; timeout: number | undefined } {
    return { action: this.#action, timeout: this.#timeout };
  }

  /** Removes a name; who has the barrier open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  get parties(): number {
    return this.cell.m.load(this.cell.at + PARTIES);
  }

  /** How many parties wait in this round; 0 when it is broken. */
  override get waiting(): number {
    const w = this.cell.m.load(this.cell.at + STATE);
    return isBroken(w) ? 0 : arrivedOf(w) % this.parties;
  }

  get broken(): boolean {
    return isBroken(this.cell.m.load(this.cell.at + STATE));
  }

  /**
   * Blocks until all parties are here; returns the arrival index, 0 for the first. What ends it: the last party; or,
   * with `BrokenBarrierError`, whatever breaks the round (see above). A timeout breaks it, also one of 0 or less.
   */
  wait(timeout?: number): number {
    const ms = checkTimeout(timeout === undefined ? this.#timeout : timeout);
    const meet = this.#meet();
    waitSync(this.cell, meet, ms);
    if (meet.arrival === 'last') {
      try {
        this.#action?.();
      } catch (error) {
        meet.leave();
        throw error;
      }
      meet.open();
    }
    return indexOf(meet);
  }

  /** As `wait`, without blocking the thread. An abort breaks the round too, and rejects with `signal.reason`. */
  async waitAsync(options?: WaitOptions): Promise<number> {
    const checked = checkWaitOptions(options);
    if (options?.timeout === undefined && this.#timeout !== undefined) {
      checked.signal?.throwIfAborted();
      return this.waitAsync({ ...options, timeout: this.#timeout });
    }
    checked.signal?.throwIfAborted();
    if (checked.timeout > 0) prepareWait(); // who has come, and cannot wait, would break the round for all
    const { cell } = this;
    const meet = this.#meet();
    cell.retain(); // the last party's action may take its time
    try {
      await waitAsync(cell, meet, checked);
      if (meet.arrival === 'last') {
        try {
          await this.#action?.();
        } catch (error) {
          meet.leave();
          throw error;
        }
        meet.open();
      }
    } finally {
      cell.release();
    }
    return indexOf(meet);
  }

  /** Breaks the barrier until `reset()`: who waits, and who comes, gets `BrokenBarrierError`. */
  abort(): void {
    abort(this.cell.m, this.#meeting());
  }

  /** Makes a fresh round. Who waits in the old one gets `BrokenBarrierError`. */
  reset(): void {
    reset(this.cell.m, this.#meeting());
  }

  #meeting(): Meeting {
    const { at } = this.cell;
    return { state: at + STATE, records: at + RECORDS, parties: this.parties };
  }

  #meet(): Meet {
    return new Meet(this.cell.m, this.#meeting(), this.#local);
  }

  protected override describe(): Record<string, unknown> {
    return { parties: this.parties, broken: this.broken };
  }
}

function indexOf(meet: Meet): number {
  if (meet.arrival === 'through') return meet.index;
  throw new BrokenBarrierError();
}

function checkOptions(options: BarrierOptions | undefined): BarrierOptions {
  if (options === undefined) return {};
  const { name, action, timeout } = checkObject(options, 'options') as BarrierOptions;
  if (action !== undefined) checkFunction(action, 'action');
  checkTimeout(timeout);
  return { name: name === undefined ? undefined : checkName(name), action, timeout };
}

function create(parties: unknown, name: string | undefined): Cell {
  const n = checkInteger(parties, 'parties', 1, MAX_PARTIES);
  return Cell.create(
    {
      kind: 'barrier',
      bytes: (RECORDS + SLOTS * RECORD_WORDS) * 4,
      init: ({ view }, at) => {
        view[at + PARTIES] = n;
      },
      differs: ({ view }, at) =>
        view[at + PARTIES] === n ? undefined : `it was made for ${view[at + PARTIES]} parties`,
    },
    name,
  );
}
