import { corrupt, HandleError, wrongType } from '../errors.js';
import { type Cell, header } from '../memory/cell.js';
import type { Handle } from '../memory/handle.js';
import { CELL_WORDS } from '../memory/layout.js';
import { fileName, nameOfFile } from '../memory/names.js';
import type { Words } from '../memory/words.js';
import { Lock } from './lock.js';
import { RLock } from './rlock.js';

/**
 * The lock that a Condition, Value or Array comes with: an RLock of its own, in the cell after its header; or a lock
 * that exists by itself, which the object's handle names too, and for a named object its memory.
 */
export type AnyLock = Lock | RLock;

/** Flags of the object. */
const OWN = 1;
const NAMED = 2;

/** Words at the end of a named object for the name of a lock that is not its own: a length, then UTF-16 code units. */
const NAME_WORDS = 129;
const MAX_UNITS = (NAME_WORDS - 1) * 2;

/** An object's cell and its lock, on the way from where they were found to the constructor. */
export class Opened {
  readonly cell: Cell;
  readonly lock: AnyLock;

  constructor(cell: Cell, lock: AnyLock) {
    this.cell = cell;
    this.lock = lock;
  }
}

export interface LockPlan {
  flags: number;
  /** Words that the object needs at its end. */
  words: number;
  /** The lock that was given; undefined: its own. */
  lock: AnyLock | undefined;
  stored: string;
}

/** `lock` as a user gave it; undefined or true: the object gets one of its own. `name` is the object's. */
export function planLock(lock: unknown, name: string | undefined): LockPlan {
  if (lock === undefined || lock === true) return { flags: OWN, words: 0, lock: undefined, stored: '' };
  if (!(lock instanceof Lock) && !(lock instanceof RLock))
    throw wrongType('lock', 'a Lock or RLock (for none there are RawValue and RawArray)', lock);
  if (name === undefined) return { flags: 0, words: 0, lock, stored: '' };
  if (lock.name === undefined) {
    throw wrongType('lock', 'a lock with a name, because the object has one and others must find both', lock);
  }
  return { flags: NAMED, words: NAME_WORDS, lock, stored: (lock instanceof RLock ? 'r' : 'l') + fileName(lock.name) };
}

/** Fills the words of the plan; `nameAt` is where the object's own words end. */
export function initLock(plan: LockPlan, words: Words, at: number, nameAt: number): void {
  if ((plan.flags & OWN) !== 0) header(words, at + CELL_WORDS, 'rlock');
  if ((plan.flags & NAMED) === 0) return;
  const units = new Uint16Array(MAX_UNITS);
  for (let i = 0; i < plan.stored.length; i++) units[i] = plan.stored.charCodeAt(i);
  words.view.set(new Int32Array(units.buffer), nameAt + 1);
  words.view[nameAt] = plan.stored.length;
}

export function lockDiffers(plan: LockPlan, words: Words, at: number, nameAt: number): string | undefined {
  const flags = words.load(at) >>> 8;
  const same =
    (flags & (OWN | NAMED)) === plan.flags && ((flags & NAMED) === 0 || readName(words, nameAt) === plan.stored);
  return same ? undefined : 'it has another lock';
}

function readName(words: Words, nameAt: number): string {
  const length = words.load(nameAt);
  if (length <= 0 || length > MAX_UNITS) throw corrupt("the name of an object's lock is damaged");
  const copy = words.view.slice(nameAt + 1, nameAt + NAME_WORDS);
  return String.fromCharCode(...new Uint16Array(copy.buffer, 0, length));
}

/** The lock of an object that is there. `part` is what its handle says of it. */
export function openLock(cell: Cell, nameAt: number, part: string | undefined): AnyLock {
  if ((cell.flags & OWN) !== 0) return new RLock(cell.embedded('rlock'));
  if (part !== undefined) return part.startsWith('forklock1:rlock:') ? RLock.from(part) : Lock.from(part);
  if ((cell.flags & NAMED) === 0) throw new HandleError('the handle lacks the part that names the lock');
  const stored = readName(cell.m, nameAt);
  const name = nameOfFile(stored.slice(1));
  if (name === undefined) throw corrupt("the name of an object's lock is damaged");
  return stored.startsWith('r') ? new RLock({ name }) : new Lock({ name });
}

/** Opens what a handle names with its lock, as `make` then has it; `nameAt` is where the object's own words end. */
export function openWithLock<T>(
  handle: unknown,
  open: (own: string) => Cell,
  nameAt: (cell: Cell) => number,
  make: (opened: Opened) => T,
): T {
  const [own, ofLock] = splitHandle(handle);
  const cell = open(own);
  try {
    return make(new Opened(cell, openLock(cell, nameAt(cell), ofLock)));
  } catch (error) {
    cell.close();
    throw error;
  }
}

/** Splits the handle of an object and of its lock. */
function splitHandle(handle: unknown): [own: string, ofLock: string | undefined] {
  if (typeof handle !== 'string') throw wrongType('handle', 'a handle (string)', handle);
  const [own, ofLock, ...rest] = handle.split('+');
  if (rest.length > 0) throw new HandleError('expected at most two parts in a handle');
  return [own!, ofLock];
}

export function joinHandle<Kind extends string>(
  own: Handle<Kind>,
  cell: Cell,
  lock: AnyLock | undefined,
): Handle<Kind> {
  return lock === undefined || (cell.flags & OWN) !== 0 ? own : (`${own}+${lock.handle}` as Handle<Kind>);
}
