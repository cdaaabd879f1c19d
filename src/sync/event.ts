import { BODY, Cell } from '../memory/cell.js';
import type { Openable } from '../memory/handle.js';
import { checkName } from '../memory/names.js';
import { SharedObject, unlinkNamed } from '../memory/shared-object.js';
import { checkObject, checkTimeout, checkWaitOptions, type NameOptions, type WaitOptions } from '../options.js';
import { waitAsync } from '../wait/async.js';
import { waitSync } from '../wait/sync.js';
import { AwaitSet, clear, isSet, set } from './core/flag.js';

const WORD = BODY;
const YES = Promise.resolve(true);

/**
 * A flag that can be waited for, over processes and threads. It begins cleared.
 *
 * A wait ends with true when the event is set, *or was set at any time during the wait*: `set()` with `clear()` right
 * behind it lets everybody through who was waiting. It has no owner, so nobody's death changes it.
 * What was written before a `set` is seen after the `wait` that it ended.
 */
export class Event extends SharedObject<'event'> {
  /** A new event, or with `name` the one of that name. Errors: `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`. */
  constructor(options?: NameOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(options?: NameOptions | Cell) {
    super(options instanceof Cell ? options : create(options));
  }

  /** Opens the event of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'event'>): Event {
    return new Event(Cell.open(handle, ['event']));
  }

  /** Removes a name; who has the event open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  get isSet(): boolean {
    return isSet(this.cell.m, this.cell.at + WORD);
  }

  /** Sets it and wakes everybody who waits. Setting it again changes nothing. */
  set(): void {
    set(this.cell.m, this.cell.at + WORD);
  }

  /** Clears it. Who was woken by a `set` before this gets through all the same. */
  clear(): void {
    clear(this.cell.m, this.cell.at + WORD);
  }

  /** Blocks the thread until the event is set: true. After `timeout` ms: false. */
  wait(timeout?: number): boolean {
    const checked = checkTimeout(timeout);
    const { cell } = this;
    return isSet(cell.m, cell.at + WORD) || waitSync(cell, new AwaitSet(cell.m, cell.at + WORD), checked);
  }

  /** Waits without blocking the thread: true, or false after `timeout` ms; rejects with `signal.reason` on abort. */
  waitAsync(options?: WaitOptions): Promise<boolean> {
    const { cell } = this;
    if (options === undefined && isSet(cell.m, cell.at + WORD)) return YES;
    return this.#waitSlowlyAsync(options);
  }

  async #waitSlowlyAsync(options: WaitOptions | undefined): Promise<boolean> {
    const { cell } = this;
    return waitAsync(cell, new AwaitSet(cell.m, cell.at + WORD), checkWaitOptions(options));
  }

  protected override describe(): Record<string, unknown> {
    return { isSet: this.isSet };
  }
}

function create(options: NameOptions | undefined): Cell {
  const { name } = options === undefined ? ({} as NameOptions) : (checkObject(options, 'options') as NameOptions);
  return Cell.create({ kind: 'event', bytes: 64, init: () => {} }, name === undefined ? undefined : checkName(name));
}
