import { corrupt, ForklockError, outOfRange, wrongType } from '../errors.js';
import { hide } from '../memory/carried.js';
import { BODY, Cell } from '../memory/cell.js';
import type { Handle, Openable } from '../memory/handle.js';
import { CELL_WORDS } from '../memory/layout.js';
import { checkName } from '../memory/names.js';
import { SharedObject, unlinkNamed } from '../memory/shared-object.js';
import { checkInteger, checkObject, type NameOptions, type WaitOptions } from '../options.js';
import {
  type AnyLock,
  initLock,
  joinHandle,
  type LockPlan,
  lockDiffers,
  Opened,
  openLock,
  openWithLock,
  planLock,
} from '../sync/attached-lock.js';
import {
  checkType,
  type ElementOf,
  type IntegerView,
  type TypeInfo,
  type TypeName,
  typeOfId,
  type View,
  type ViewOf,
} from './types.js';
import type { DataOptions } from './value.js';

const TYPE = BODY;
const LENGTH_LOW = BODY + 1;
const LENGTH_HIGH = BODY + 2;
/** Behind the header and the cell of the lock. */
const DATA = CELL_WORDS * 2;
const RAW_FLAG = 4;

/** 1 TiB: far beyond any machine's shared memory, and safe to compute with. */
const MAX_BYTES = 2 ** 40;

/** A view that somebody has kept keeps its memory: the object's cell is not given to another before both are gone. */
const cellOf = new WeakMap<View, Cell>();

function checkBound(bound: unknown, what: string): number | undefined {
  if (bound !== undefined && typeof bound !== 'number') throw wrongType(what, 'a number', bound);
  return bound;
}

/** Elements of one type in shared memory. */
abstract class Elements<T extends TypeName, Kind extends string>
  extends SharedObject<Kind>
  implements Iterable<ElementOf<T>>
{
  /** @internal */
  protected readonly info: TypeInfo;
  readonly #view: View;

  /** @internal */
  constructor(cell: Cell) {
    super(cell);
    const info = typeOfId(cell.m.load(cell.at + TYPE));
    if (!info) throw corrupt('an Array whose element type is none');
    const length = lengthIn(cell.m.view, cell.at);
    const start = (cell.at + DATA) * 4;
    if (start + length * info.bytes > cell.segment.buffer.byteLength) throw corrupt('an Array larger than its segment');
    this.info = info;
    hide(this, 'info');
    this.#view = info.view(cell.segment.buffer, start, length);
    cellOf.set(this.#view, cell);
  }

  /** Name of the element type. */
  get type(): string {
    return this.info.name;
  }

  get length(): number {
    return this.view.length;
  }

  /**
   * A real typed array over the shared memory, for plain element access and everything that takes one (of `bool`: a
   * `Uint8Array` of 0 and 1). Nothing is checked, locked or ordered through it. It keeps the memory
   * while it lives (a `subarray` of it does not), but not after `close()`. `Atomics` work on it between processes, but for
   * `Atomics.wait`, `waitAsync` and `notify`: V8 keeps their waiters by buffer, and each opening of a handle has a buffer
   * of its own. To wait, use an Event, a Condition or a Semaphore.
   */
  get view(): ViewOf<T> {
    if (this.cell.closed) this.cell.m.load(0); // throws
    return this.#view as ViewOf<T>;
  }

  /** The element at an index, or `undefined`; a negative index counts from the end. */
  at(index: number): ElementOf<T> | undefined {
    const i = checkInteger(index, 'index', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const stored = (this.view as View)[i < 0 ? i + this.length : i];
    return stored === undefined ? undefined : (this.info.give(stored) as ElementOf<T>);
  }

  /** The element at an index. Atomic for integers. Error: `ERR_FORKLOCK_OUT_OF_RANGE`. */
  get(index: number): ElementOf<T> {
    const view = this.view as View;
    const i = this.#index(index);
    return this.info.give(this.info.integer ? Atomics.load(view as Int32Array, i) : view[i]!) as ElementOf<T>;
  }

  /** Writes an element. Atomic for integers. Errors: `ERR_FORKLOCK_OUT_OF_RANGE`, `ERR_FORKLOCK_INVALID_ARG_TYPE`. */
  set(index: number, value: ElementOf<T>): void {
    const view = this.view as View;
    const i = this.#index(index);
    const stored = this.info.check(value, 'value') as number;
    if (this.info.integer) Atomics.store(view as Int32Array, i, stored);
    else view[i] = stored;
  }

  /** A copy of the elements from `start` up to `end`, as `Array.prototype.slice` counts. */
  slice(start?: number, end?: number): ElementOf<T>[] {
    const part = (this.view as Uint8Array).subarray(checkBound(start, 'start'), checkBound(end, 'end'));
    return globalThis.Array.from(part, (stored) => this.info.give(stored) as ElementOf<T>);
  }

  /** Writes a value to the elements from `start` up to `end`. */
  fill(value: ElementOf<T>, start?: number, end?: number): this {
    const stored = this.info.check(value, 'value');
    (this.view as Uint8Array).fill(stored as number, checkBound(start, 'start'), checkBound(end, 'end'));
    return this;
  }

  /** Writes elements from `offset` on. All are checked before the first is written. */
  copyFrom(source: Iterable<ElementOf<T>>, offset: number = 0): this {
    const stored = storedOf(this.info, source, 'source');
    const at = checkInteger(offset, 'offset', 0, this.length);
    if (stored.length > this.length - at) {
      throw outOfRange('source', `at most ${this.length - at} elements from offset ${at}`, stored.length);
    }
    (this.view as Uint8Array).set(stored as number[], at);
    return this;
  }

  *[Symbol.iterator](): IterableIterator<ElementOf<T>> {
    for (let i = 0; i < this.length; i++) yield this.get(i);
  }

  /** Adds atomically, wrapping around; returns the element before. Integers only. */
  add(index: number, n: ElementOf<T>): ElementOf<T> {
    const view = this.#integers('add') as Int32Array;
    return Atomics.add(view, this.#index(index), this.info.check(n, 'n') as number) as ElementOf<T>;
  }

  /** Subtracts atomically, wrapping around; returns the element before. Integers only. */
  sub(index: number, n: ElementOf<T>): ElementOf<T> {
    const view = this.#integers('sub') as Int32Array;
    return Atomics.sub(view, this.#index(index), this.info.check(n, 'n') as number) as ElementOf<T>;
  }

  /** Writes atomically; returns the element before. Integers only. */
  exchange(index: number, value: ElementOf<T>): ElementOf<T> {
    const view = this.#integers('exchange') as Int32Array;
    return Atomics.exchange(view, this.#index(index), this.info.check(value, 'value') as number) as ElementOf<T>;
  }

  /** Writes atomically if the element is `expected`; returns the element before, either way. Integers only. */
  compareExchange(index: number, expected: ElementOf<T>, value: ElementOf<T>): ElementOf<T> {
    const view = this.#integers('compareExchange') as Int32Array;
    const from = this.info.check(expected, 'expected') as number;
    const to = this.info.check(value, 'value') as number;
    return Atomics.compareExchange(view, this.#index(index), from, to) as ElementOf<T>;
  }

  #index(index: number): number {
    return checkInteger(index, 'index', 0, this.length - 1);
  }

  #integers(what: string): IntegerView {
    if (!this.info.integer) {
      throw new ForklockError(
        'ERR_FORKLOCK_NOT_INTEGER',
        `${what}() needs an integer type, and this is ${this.type}: use with()`,
      );
    }
    return this.view as IntegerView;
  }

  protected override describe(): Record<string, unknown> {
    return { type: this.type, length: this.length };
  }
}

/**
 * A shared array of one element type and a fixed length, with a lock. Element access does not take the lock (it is
 * never torn, and atomic for integers); the lock is for what takes more than one step. Also exported as `Array`.
 */
export class SharedArray<T extends TypeName = 'int32'> extends Elements<T, 'array'> {
  readonly lock: AnyLock;

  /**
   * A new array of zeros of a length, or of initial elements; or with `name` the one of that name, whose elements are
   * kept. Errors: wrong arguments, `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`.
   */
  constructor(type: T, sizeOrInitial: number | Iterable<ElementOf<T>>, options?: DataOptions);
  /** @internal A wrapper of what has been opened. */
  constructor(opened: Opened);
  constructor(type: T | Opened, sizeOrInitial?: number | Iterable<ElementOf<T>>, options?: DataOptions) {
    const { cell, lock } = type instanceof Opened ? type : create(type, sizeOrInitial, options);
    super(cell);
    this.lock = lock;
    hide(this, 'lock');
  }

  /** Opens the array of a handle, with its lock. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from<T extends TypeName = TypeName>(handle: Openable<'array'>): SharedArray<T> {
    return openWithLock(
      handle,
      (own) => openCell(own, false),
      nameAt,
      (opened) => new SharedArray<T>(opened),
    );
  }

  /** Removes a name; who has the array open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  override get handle(): Handle<'array'> {
    return joinHandle(super.handle, this.cell, this.lock);
  }

  /** How many wait for the lock. */
  override get waiting(): number {
    return this.lock.waiting;
  }

  /** Runs a synchronous function while holding the lock. */
  with<R>(fn: () => R, timeout?: number): R {
    return this.lock.with(fn, timeout);
  }

  /** Runs a function while holding the lock, until its promise has settled. */
  withAsync<R>(fn: () => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    return this.lock.withAsync(fn, options);
  }
}

/** A shared array without a lock. See {@link SharedArray}. */
export class RawArray<T extends TypeName = 'int32'> extends Elements<T, 'raw-array'> {
  /** A new array of zeros of a length, or of initial elements; or with `name` the one of that name. */
  constructor(type: T, sizeOrInitial: number | Iterable<ElementOf<T>>, options?: NameOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(type: T | Cell, sizeOrInitial?: number | Iterable<ElementOf<T>>, options?: NameOptions) {
    super(type instanceof Cell ? type : createRaw(type, sizeOrInitial, options));
  }

  /** Opens the array of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from<T extends TypeName = TypeName>(handle: Openable<'raw-array'>): RawArray<T> {
    return new RawArray<T>(openCell(handle, true));
  }

  /** Removes a name; who has the array open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }
}

function openCell(handle: unknown, raw: boolean): Cell {
  const cell = Cell.open(handle, ['array'], raw);
  if (((cell.flags & RAW_FLAG) !== 0) === raw) return cell;
  cell.close();
  throw wrongType(
    'handle',
    raw ? 'one of a RawArray' : 'one of an Array',
    raw ? 'one of an Array' : 'one of a RawArray',
  );
}

function lengthIn(view: Int32Array, at: number): number {
  return (view[at + LENGTH_LOW]! >>> 0) + (view[at + LENGTH_HIGH]! >>> 0) * 2 ** 32;
}

const dataWords = (info: TypeInfo, length: number): number => Math.ceil((length * info.bytes) / 8) * 2;

/** Where the name of a lock is, behind the elements. */
function nameAt(cell: Cell): number {
  const info = typeOfId(cell.m.load(cell.at + TYPE));
  if (!info) throw corrupt('an Array whose element type is none');
  const at = cell.at + DATA + dataWords(info, lengthIn(cell.m.view, cell.at));
  if (at > cell.m.view.length) throw corrupt('an Array larger than its segment');
  return at;
}

function storedOf(info: TypeInfo, source: unknown, what: string): (number | bigint)[] {
  if (typeof source !== 'object' || source === null || !(Symbol.iterator in source)) {
    throw wrongType(what, 'an iterable of elements', source);
  }
  return globalThis.Array.from(source as Iterable<unknown>, (value, i) => info.check(value, `${what}[${i}]`));
}

interface Content {
  info: TypeInfo;
  length: number;
  stored: (number | bigint)[];
}

function checkContent(type: unknown, sizeOrInitial: unknown): Content {
  const info = checkType(type);
  if (typeof sizeOrInitial !== 'number') {
    const stored = storedOf(info, sizeOrInitial, 'initial');
    return { info, length: stored.length, stored };
  }
  return { info, length: checkInteger(sizeOrInitial, 'size', 0, Math.floor(MAX_BYTES / info.bytes)), stored: [] };
}

function makeCell(content: Content, plan: LockPlan, raw: boolean, name: string | undefined): Cell {
  const { info, length, stored } = content;
  const words = DATA + dataWords(info, length);
  return Cell.create(
    {
      kind: 'array',
      bytes: (words + plan.words) * 4,
      flags: raw ? RAW_FLAG : plan.flags,
      raw,
      init: (memory, at) => {
        const { view } = memory;
        view[at + TYPE] = info.id;
        view[at + LENGTH_LOW] = length | 0;
        view[at + LENGTH_HIGH] = Math.floor(length / 2 ** 32);
        const elements = info.view(view.buffer as SharedArrayBuffer, (at + DATA) * 4, length);
        (elements as Uint8Array).set(stored as number[]);
        if (!raw) initLock(plan, memory, at, at + words);
      },
      differs: (memory, at) => {
        const there = { info: typeOfId(memory.load(at + TYPE)), length: lengthIn(memory.view, at) };
        if (((memory.load(at) >>> 8) & RAW_FLAG) !== (raw ? RAW_FLAG : 0)) {
          return raw ? 'it is an Array with a lock' : 'it is a RawArray';
        }
        if (there.info !== info) return `its type is ${there.info?.name ?? 'unknown'}`;
        if (there.length !== length) return `its length is ${there.length}`;
        return raw ? undefined : lockDiffers(plan, memory, at, at + words);
      },
    },
    name,
  );
}

function create(type: unknown, sizeOrInitial: unknown, options: DataOptions | undefined): Opened {
  const { name, lock } = options === undefined ? ({} as DataOptions) : (checkObject(options, 'options') as DataOptions);
  const content = checkContent(type, sizeOrInitial);
  const plan = planLock(lock, name);
  const cell = makeCell(content, plan, false, name === undefined ? undefined : checkName(name));
  return new Opened(cell, plan.lock ?? openLock(cell, nameAt(cell), undefined));
}

function createRaw(type: unknown, sizeOrInitial: unknown, options: NameOptions | undefined): Cell {
  const { name } = options === undefined ? ({} as NameOptions) : (checkObject(options, 'options') as NameOptions);
  const none: LockPlan = { flags: RAW_FLAG, words: 0, lock: undefined, stored: '' };
  return makeCell(checkContent(type, sizeOrInitial), none, true, name === undefined ? undefined : checkName(name));
}
