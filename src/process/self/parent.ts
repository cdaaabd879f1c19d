import { inspect } from 'node:util';
import { checkTimeout, checkWaitOptions, type WaitOptions } from '../../options.js';
import { Awaited } from '../child/awaited.js';
import { isReadable, unwatch, watch } from '../child/descriptors.js';
import { type Parent, self } from './self.js';

class ParentEnd extends Awaited {
  readonly #pidfd: number;
  #ended = false;

  constructor(pidfd: number) {
    super();
    this.#pidfd = pidfd;
  }

  override look(): boolean {
    if (!this.#ended && isReadable(this.#pidfd)) {
      this.#ended = true;
      unwatch(this.#pidfd);
      this.over();
    }
    return this.#ended;
  }

  protected override descriptors(): readonly number[] {
    return [this.#pidfd];
  }

  protected override keepAlive(on: boolean): void {
    if (on && !this.#ended) watch(this.#pidfd, true, () => this.look());
    else unwatch(this.#pidfd);
  }
}

/** The process that started this one, as it can be seen from here. */
export class ParentProcess {
  readonly pid: number;
  readonly name: string;
  /** A pidfd of it: readable when it has ended. It is this process's own; do not close it. */
  readonly sentinel: number;
  readonly #end: ParentEnd;

  /** @internal */
  constructor({ pid, name, pidfd }: Parent) {
    this.pid = pid;
    this.name = name;
    this.sentinel = pidfd;
    this.#end = new ParentEnd(pidfd);
  }

  isAlive(): boolean {
    return !this.#end.look();
  }

  /** Blocks the thread until it has ended: true. After `timeout` ms: false. */
  join(timeout?: number): boolean {
    return this.#end.wait(checkTimeout(timeout));
  }

  /** Resolves with true when it has ended, with false after the timeout; rejects with `signal.reason` on abort. */
  async joinAsync(options?: WaitOptions): Promise<boolean> {
    return this.#end.waitAsync(checkWaitOptions(options));
  }

  toString(): string {
    return inspect(this, { breakLength: Number.POSITIVE_INFINITY });
  }

  [inspect.custom](_depth: number, options: object): string {
    const state = this.isAlive() ? 'started' : 'stopped';
    return `ParentProcess ${inspect({ name: this.name, pid: this.pid, state }, options)}`;
  }
}

let known: { of: Parent; parent: ParentProcess } | undefined;

/**
 * The process that started this one, or null in a program's main process. A module that is the target of processes and
 * a program of its own does what only the program should do after `if (parentProcess() === null)`.
 */
export function parentProcess(): ParentProcess | null {
  const { parent } = self();
  if (!parent) return null;
  if (known?.of !== parent) known = { of: parent, parent: new ParentProcess(parent) };
  return known.parent;
}
