import { inspect } from 'node:util';
import { ENOENT } from '../errno.js';
import { checked } from '../errors.js';
import { native } from '../native.js';
import { hide, makeCarried } from './carried.js';
import { type Cell, KINDS } from './cell.js';
import type { Handle } from './handle.js';
import { checkName, FILE_REASONS, fileName, namedDirectory } from './names.js';

/** What every shared object can do. */
export abstract class SharedObject<Kind extends string = string> {
  /** @internal */
  readonly cell: Cell;

  /** @internal */
  constructor(cell: Cell) {
    this.cell = cell;
    hide(this, 'cell');
    makeCarried(this);
  }

  /**
   * A short string that opens the same object elsewhere: `X.from(handle)` in any other process of the same user or in
   * any worker thread. It names a descriptor of this process, so it is good as long as this process has the object open.
   */
  get handle(): Handle<Kind> {
    return this.cell.handle as Handle<Kind>;
  }

  /** The name that the object was created or opened with. */
  get name(): string | undefined {
    return this.cell.owner === undefined ? this.cell.segment.name : undefined;
  }

  /** How many waits there are on the object now, sync and async, over all processes. Waits of the dead do not count. */
  get waiting(): number {
    return this.cell.waiting;
  }

  /** The handle: so objects can be nested in JSON. */
  toJSON(): Handle<Kind> {
    return this.handle;
  }

  /**
   * Ends this wrapper's use. The object itself lives as long as anybody has it open. What this thread still holds is
   * not released. Waits that are pending go on. Twice is once.
   */
  close(): void {
    this.cell.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal What `inspect` shows between the brackets. */
  protected abstract describe(): Record<string, unknown>;

  toString(): string {
    return inspect(this, { breakLength: Number.POSITIVE_INFINITY });
  }

  [inspect.custom](_depth: number, options: object): string {
    const { title } = KINDS[this.cell.kind];
    if (this.cell.closed) return `${title} { closed }`;
    const name = this.name === undefined ? {} : { name: this.name };
    return `${title} ${inspect({ ...name, ...this.describe(), waiting: this.waiting }, options)}`;
  }
}

/**
 * Removes a name. Who has the object open keeps it; who asks for the name next makes a new one.
 * Returns false when there was no such name.
 */
export function unlinkNamed(name: unknown): boolean {
  const file = fileName(checkName(name));
  const result = native().unlinkName(namedDirectory(), file);
  if (result === ENOENT) return false;
  checked(result, `unlinking '${name}' in ${namedDirectory()}`, FILE_REASONS);
  return true;
}
