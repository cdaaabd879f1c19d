import { corrupt, ForklockError, wrongType } from '../errors.js';
import { hide } from '../memory/carried.js';
import { BODY, Cell } from '../memory/cell.js';
import type { Handle, Openable } from '../memory/handle.js';
import { CELL_WORDS } from '../memory/layout.js';
import { checkName } from '../memory/names.js';
import { SharedObject, unlinkNamed } from '../memory/shared-object.js';
import { checkFunction, checkObject, type NameOptions, type WaitOptions } from '../options.js';
import {
  type AnyLock,
  initLock,
  joinHandle,
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
} from './types.js';

export interface DataOptions extends NameOptions {
  /** The lock of `update`, `with` and `lock`. Default: an RLock of its own. */
  lock?: AnyLock | true | undefined;
}

const TYPE = BODY;
/** 8-byte aligned, in the object's first cell. */
const DATA = BODY + 2;
const WORDS = CELL_WORDS * 2;
const RAW_FLAG = 4;

/** An element that is alone in its memory. */
abstract class Single<T extends TypeName, Kind extends string> extends SharedObject<Kind> {
  /** @internal */
  protected readonly info: TypeInfo;
  readonly #view: View;

  /** @internal */
  constructor(cell: Cell) {
    super(cell);
    const info = typeOfId(cell.m.load(cell.at + TYPE));
    if (!info) throw corrupt('a Value whose type is none');
    this.info = info;
    hide(this, 'info');
    this.#view = info.view(cell.segment.buffer, (cell.at + DATA) * 4, 1);
  }

  /** Name of the element type. */
  get type(): string {
    return this.info.name;
  }

  /**
   * The element. Reading and writing it is atomic, never torn, and sequentially consistent for integers. But
   * `v.value += 1` is a read and a write: another may write in between. Use `add`, or `update`.
   */
  get value(): ElementOf<T> {
    const view = this.#open();
    const { integer } = this.info;
    return this.info.give(integer ? Atomics.load(view as Int32Array, 0) : view[0]!) as ElementOf<T>;
  }

  set value(value: ElementOf<T>) {
    const view = this.#open();
    const stored = this.info.check(value, 'value');
    if (this.info.integer) Atomics.store(view as Int32Array, 0, stored as number);
    else view[0] = stored as number;
  }

  /** Adds atomically, wrapping around; returns the value before. Integers only. */
  add(n: ElementOf<T>): ElementOf<T> {
    return Atomics.add(this.#integers('add') as Int32Array, 0, this.info.check(n, 'n') as number) as ElementOf<T>;
  }

  /** Subtracts atomically, wrapping around; returns the value before. Integers only. */
  sub(n: ElementOf<T>): ElementOf<T> {
    return Atomics.sub(this.#integers('sub') as Int32Array, 0, this.info.check(n, 'n') as number) as ElementOf<T>;
  }

  /** Writes atomically; returns the value before. Integers only. */
  exchange(value: ElementOf<T>): ElementOf<T> {
    const view = this.#integers('exchange') as Int32Array;
    return Atomics.exchange(view, 0, this.info.check(value, 'value') as number) as ElementOf<T>;
  }

  /** Writes `value` atomically if the element is `expected`; returns the value before, either way. Integers only. */
  compareExchange(expected: ElementOf<T>, value: ElementOf<T>): ElementOf<T> {
    const view = this.#integers('compareExchange') as Int32Array;
    const from = this.info.check(expected, 'expected') as number;
    return Atomics.compareExchange(view, 0, from, this.info.check(value, 'value') as number) as ElementOf<T>;
  }

  #open(): View {
    if (this.cell.closed) this.cell.m.load(0); // throws
    return this.#view;
  }

  #integers(what: string): IntegerView {
    if (!this.info.integer) {
      throw new ForklockError(
        'ERR_FORKLOCK_NOT_INTEGER',
        `${what}() needs an integer type, and this is ${this.type}: use update()`,
      );
    }
    return this.#open() as IntegerView;
  }

  protected override describe(): Record<string, unknown> {
    return { type: this.type, value: this.value };
  }
}

/**
 * One shared number, bigint or boolean, with a lock. Its element is read and written without the lock (that is never
 * torn); the lock is for what takes more than one step: `update`, `with`.
 */
export class Value<T extends TypeName = 'int32'> extends Single<T, 'value'> {
  readonly lock: AnyLock;

  /**
   * A new value of a type, zero or `initial`; or with `name` the one of that name, whose element is kept.
   * Errors: wrong arguments, `ERR_FORKLOCK_NAME_CONFLICT`, `ERR_FORKLOCK_SYSTEM`.
   */
  constructor(type: T, initial?: ElementOf<T>, options?: DataOptions);
  /** @internal A wrapper of what has been opened. */
  constructor(opened: Opened);
  constructor(type: T | Opened, initial?: ElementOf<T>, options?: DataOptions) {
    const { cell, lock } = type instanceof Opened ? type : create(type, initial, options);
    super(cell);
    this.lock = lock;
    hide(this, 'lock');
  }

  /** Opens the value of a handle, with its lock. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from<T extends TypeName = TypeName>(handle: Openable<'value'>): Value<T> {
    return openWithLock(
      handle,
      (own) => openCell(own, false),
      (cell) => cell.at + WORDS,
      (opened) => new Value<T>(opened),
    );
  }

  /** Removes a name; who has the value open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }

  override get handle(): Handle<'value'> {
    return joinHandle(super.handle, this.cell, this.lock);
  }

  /** How many wait for the lock. */
  override get waiting(): number {
    return this.lock.waiting;
  }

  /** Under the lock, replaces the value by what `fn` makes of it; returns the new value. If `fn` throws, nothing changes. */
  update(fn: (value: ElementOf<T>) => ElementOf<T>, timeout?: number): ElementOf<T> {
    checkFunction(fn, 'fn');
    return this.lock.with(() => {
      const next = fn(this.value);
      this.value = next;
      return next;
    }, timeout);
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

/** One shared number, bigint or boolean, without a lock. See {@link Value}. */
export class RawValue<T extends TypeName = 'int32'> extends Single<T, 'raw-value'> {
  /** A new value of a type, zero or `initial`; or with `name` the one of that name. Errors as for {@link Value}. */
  constructor(type: T, initial?: ElementOf<T>, options?: NameOptions);
  /** @internal A wrapper of a cell that has been opened. */
  constructor(cell: Cell);
  constructor(type: T | Cell, initial?: ElementOf<T>, options?: NameOptions) {
    super(type instanceof Cell ? type : createRaw(type, initial, options));
  }

  /** Opens the value of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from<T extends TypeName = TypeName>(handle: Openable<'raw-value'>): RawValue<T> {
    return new RawValue<T>(openCell(handle, true));
  }

  /** Removes a name; who has the value open keeps it. Returns false when there was no such name. */
  static unlink(name: string): boolean {
    return unlinkNamed(name);
  }
}

function openCell(handle: unknown, raw: boolean): Cell {
  const cell = Cell.open(handle, ['value'], raw);
  if (((cell.flags & RAW_FLAG) !== 0) === raw) return cell;
  cell.close();
  throw wrongType('handle', raw ? 'one of a RawValue' : 'one of a Value', raw ? 'one of a Value' : 'one of a RawValue');
}

function fill(info: TypeInfo, initial: number | bigint, buffer: SharedArrayBuffer, at: number): void {
  info.view(buffer, (at + DATA) * 4, 1)[0] = initial as number;
}

function typeDiffers(info: TypeInfo, there: number): string | undefined {
  return there === info.id ? undefined : `its type is ${typeOfId(there)?.name ?? 'unknown'}`;
}

function create(type: unknown, initial: unknown, options: DataOptions | undefined): Opened {
  const info = checkType(type);
  const { name, lock } = options === undefined ? ({} as DataOptions) : (checkObject(options, 'options') as DataOptions);
  const stored = initial === undefined ? info.check(zeroOf(info), 'initial') : info.check(initial, 'initial');
  const plan = planLock(lock, name);
  const cell = Cell.create(
    {
      kind: 'value',
      bytes: (WORDS + plan.words) * 4,
      flags: plan.flags,
      init: (words, at) => {
        words.view[at + TYPE] = info.id;
        fill(info, stored, words.view.buffer as SharedArrayBuffer, at);
        initLock(plan, words, at, at + WORDS);
      },
      differs: (words, at) =>
        (words.load(at) >>> 8) & RAW_FLAG
          ? 'it is a RawValue'
          : (typeDiffers(info, words.load(at + TYPE)) ?? lockDiffers(plan, words, at, at + WORDS)),
    },
    name === undefined ? undefined : checkName(name),
  );
  return new Opened(cell, plan.lock ?? openLock(cell, cell.at + WORDS, undefined));
}

function createRaw(type: unknown, initial: unknown, options: NameOptions | undefined): Cell {
  const info = checkType(type);
  const { name } = options === undefined ? ({} as NameOptions) : (checkObject(options, 'options') as NameOptions);
  const stored = initial === undefined ? info.check(zeroOf(info), 'initial') : info.check(initial, 'initial');
  return Cell.create(
    {
      kind: 'value',
      bytes: CELL_WORDS * 4,
      flags: RAW_FLAG,
      raw: true,
      init: (words, at) => {
        words.view[at + TYPE] = info.id;
        fill(info, stored, words.view.buffer as SharedArrayBuffer, at);
      },
      differs: (words, at) =>
        (words.load(at) >>> 8) & RAW_FLAG ? typeDiffers(info, words.load(at + TYPE)) : 'it is a Value with a lock',
    },
    name === undefined ? undefined : checkName(name),
  );
}

function zeroOf(info: TypeInfo): number | bigint | boolean {
  return info.give(info.bytes === 8 && info.integer ? 0n : 0);
}
