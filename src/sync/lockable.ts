import { generation } from '../after-fork.js';
import { TimeoutError, wrongType } from '../errors.js';
import { type Cell, KINDS } from '../memory/cell.js';
import { SharedObject } from '../memory/shared-object.js';
import { checkFunction, checkTimeout, checkWaitOptions, type WaitOptions } from '../options.js';

/**
 * Something that is held until it is released: by `using`, by `release()`, or at the latest by the end of the thread.
 * In the child of a fork nothing is held that the parent held, and a hold from before releases nothing.
 */
export class Hold {
  #release: (() => void) | undefined;
  readonly #generation = generation;

  /** @internal */
  constructor(release: () => void) {
    this.#release = release;
  }

  /** False once it has been released. */
  get held(): boolean {
    return this.#release !== undefined && this.#generation === generation;
  }

  /** Releases. Twice is once. */
  release(): void {
    const release = this.#release;
    this.#release = undefined;
    if (this.#generation === generation) release?.();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** What can be acquired and released; the scoped forms are the same for all. */
export interface Acquirable {
  acquire(timeout?: number): boolean;
  acquireAsync(options?: WaitOptions): Promise<boolean>;
  release(): void;
}

export function hold(what: Acquirable, title: string, timeout?: number): Hold {
  if (!what.acquire(timeout)) throw new TimeoutError(title, timeout ?? 0);
  return new Hold(() => what.release());
}

export async function holdAsync(what: Acquirable, title: string, options?: WaitOptions): Promise<Hold> {
  if (!(await what.acquireAsync(options))) throw new TimeoutError(title, options?.timeout ?? 0);
  return new Hold(() => what.release());
}

export function withHeld<T>(what: Acquirable, title: string, fn: () => T, timeout?: number): T {
  checkFunction(fn, 'fn');
  if (!what.acquire(timeout)) throw new TimeoutError(title, timeout ?? 0);
  const begun = generation;
  let result: T;
  try {
    result = fn();
  } finally {
    if (begun === generation) what.release();
  }
  if (typeof (result as PromiseLike<unknown> | null | undefined)?.then === 'function') {
    throw wrongType('fn', 'a synchronous function (its promise would outlive the hold: use withAsync)', fn);
  }
  return result;
}

export async function withHeldAsync<T>(
  what: Acquirable,
  title: string,
  fn: () => T | PromiseLike<T>,
  options?: WaitOptions,
): Promise<T> {
  checkFunction(fn, 'fn');
  if (!(await what.acquireAsync(options))) throw new TimeoutError(title, options?.timeout ?? 0);
  const begun = generation;
  try {
    return await fn();
  } finally {
    if (begun === generation) what.release();
  }
}

/** Base of the objects that can be held as a whole. */
export abstract class Lockable<Kind extends string = string> extends SharedObject<Kind> implements Acquirable {
  readonly #title: string;

  /** @internal */
  constructor(cell: Cell) {
    super(cell);
    this.#title = `the ${KINDS[cell.kind].title}`;
  }

  abstract acquire(timeout?: number): boolean;
  abstract acquireAsync(options?: WaitOptions): Promise<boolean>;
  abstract tryAcquire(): boolean;
  abstract release(): void;

  /** Acquires for a scope: `using held = lock.hold()`. Throws `TimeoutError` when it can't be had in `timeout` ms. */
  hold(timeout?: number): Hold {
    checkTimeout(timeout);
    return hold(this, this.#title, timeout);
  }

  /** As `hold`, without blocking the thread: `using held = await lock.holdAsync()`. */
  holdAsync(options?: WaitOptions): Promise<Hold> {
    checkWaitOptions(options);
    return holdAsync(this, this.#title, options);
  }

  /** Runs a synchronous function while holding; releases whatever happens. Throws `TimeoutError` as `hold` does. */
  with<T>(fn: () => T, timeout?: number): T {
    checkTimeout(timeout);
    return withHeld(this, this.#title, fn, timeout);
  }

  /** Runs a function while holding, until its promise has settled. Rejects with `TimeoutError` as `holdAsync` does. */
  withAsync<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    return withHeldAsync(this, this.#title, fn, options);
  }
}
