import { constants } from 'node:os';
import { inspect } from 'node:util';
import { afterForkInChild } from '../after-fork.js';
import { ClosedError, ProcessError, wrongType } from '../errors.js';
import { native } from '../native.js';
import { checkBoolean, checkObject, checkTimeout, checkWaitOptions, type WaitOptions } from '../options.js';
import type { Child } from './child/child.js';
import { atEndOfProcess, endChildren } from './exit.js';
import { getStartMethod, type StartMethod } from './methods.js';
import { current, setCurrent } from './self/current.js';
import { nextIdentity, refuseTooDeep, refuseWhileImporting, self, setAuthkey } from './self/self.js';
import type { Body, Header } from './start/message.js';
import { importing } from './start/run.js';
import { type Role, starters } from './starters.js';
import type { Place } from './target/place.js';
import { type AnyFunction, checkTarget, load, placeAt, type Target } from './target/target.js';
import { importInFork, WHEN_UNFINISHED } from './target/unfinished.js';

interface AnyArguments {
  args?: readonly unknown[] | undefined;
  /** Given to the target as one more argument, behind `args`. */
  kwargs?: Record<string, unknown> | undefined;
}

/** `args` has all parameters, or all but the last one, which is `kwargs` then. */
type ArgumentsFor<P extends unknown[]> =
  | (([] extends P ? { args?: Readonly<P> | undefined } : { args: Readonly<P> }) & { kwargs?: undefined })
  | (Required<P> extends [...infer A, infer K extends object]
      ? ([] extends A ? { args?: Readonly<A> | undefined } : { args: Readonly<A> }) & { kwargs: K }
      : never);

/** Of a function whose parameters are known, `args` and `kwargs` are checked against them. */
type Arguments<T> = [T] extends [never] // a cast
  ? AnyArguments
  : [T] extends [AnyFunction]
    ? number extends Parameters<T>['length']
      ? AnyArguments
      : ArgumentsFor<Parameters<T>>
    : AnyArguments;

export type ProcessOptions<T extends Target = Target> = {
  /** What `run()` calls in the new process. */
  target?: T | undefined;
  /** Default: the class and the number of the process, `Process-1`, and `Process-1:2` for the second child of that. */
  name?: string | undefined;
  /** Whether it ends with its parent. Default: as the process that makes it, which is false for a main process. */
  daemon?: boolean | undefined;
} & Arguments<T>;

type State = 'initial' | 'started' | 'stopped' | 'closed';

/** The processes that this thread has started and whose end nobody has seen yet. */
const children = new Set<Process>();
const endAllChildren = (): void => endChildren(children);

// The child of a fork has its parent's objects, but none of its children.
afterForkInChild((dryRun) => {
  if (dryRun) return;
  for (const process of children) forget(process);
  children.clear();
});
let forget: (process: Process) => void;
/** What is constructed is this process itself, no child of it. */
let reviving = false;

/** @internal What a new process makes of what it was told. */
export let revive: (
  Class: typeof Process,
  header: Pick<Header, 'name' | 'identity' | 'daemon' | 'authkey'>,
  target: Target | undefined,
  body: Body,
) => Process;

/**
 * A process that runs a function. In the new process `run()` is called, and awaited; then the process ends as any node
 * program does, when nothing keeps its event loop alive. What `run()` throws is printed with its stack, as is what its
 * promise rejects with, and the exit code is 1.
 *
 * - **Start methods**: see `StartMethod`. With `'fork'` the child has all that this process has in memory. With the
 *   others `target` has to be exported by a module, which the child imports, and `args` go as structured clones, in
 *   which forklock's objects can be nested anywhere.
 * - **Subclasses** override `run()`. With other start methods than `'fork'` the class has to be exported too; its
 *   constructor does not run in the child, and of the instance its own enumerable properties go there: no `#private`.
 * - **The child** has /dev/null for its standard input, and the environment, working directory and arguments
 *   (`process.argv` from the third on) of its parent.
 * - **The parent's event loop** lives as long as a child that is not a daemon. At the end of the parent by whatever way
 *   daemons end, by SIGTERM first if it ends by itself; other children live on when it is killed or exits.
 * - **Death**: however the child ends, `join` returns, `exitCode` says how, and no zombie stays.
 */
export class Process<T extends Target = Target> {
  #target: Target | undefined;
  /** In a fork: where the target is, as the parent has found it. */
  #place: Place | undefined;
  #args: readonly unknown[];
  #kwargs: Record<string, unknown> | undefined;
  #name: string;
  #daemon: boolean;
  #authkey: Buffer;
  #identity: readonly number[];
  #child: Child | undefined;
  #state: State | 'current' = 'initial';
  /** The process in which this object was made. */
  #creator = native().getpid();

  /** @internal Of the classes of a context. */
  static readonly startMethod: StartMethod | undefined = undefined;

  static {
    forget = (process) => process.#child?.close();
    revive = (Class, header, target, { args, kwargs, own }) => {
      // The constructor of this class runs, that of the subclass does not: it did in the parent.
      reviving = true;
      const process: Process = Reflect.construct(Process, [{ target, args, kwargs, name: header.name }], Class);
      reviving = false;
      process.#daemon = header.daemon;
      process.#identity = header.identity;
      process.#authkey = Buffer.from(header.authkey);
      process.#state = 'current';
      return Object.assign(process, own);
    };
  }

  /** Errors: `ERR_FORKLOCK_INVALID_ARG_TYPE`, `ERR_FORKLOCK_OUT_OF_RANGE`. Nothing is started yet. */
  constructor(options?: ProcessOptions<T>);
  constructor(options: ProcessOptions = {}) {
    const { target, args = [], kwargs, name, daemon } = checkObject(options, 'options') as ProcessOptions;
    if (target !== undefined) checkTarget(target);
    if (!Array.isArray(args)) throw wrongType('args', 'an array of arguments', args);
    if (kwargs !== undefined) checkObject(kwargs, 'kwargs');
    const me = self();
    this.#target = target;
    this.#args = [...args];
    this.#kwargs = kwargs;
    this.#daemon = daemon === undefined ? me.daemon : checkBoolean(daemon, 'daemon');
    this.#authkey = Buffer.from(me.authkey);
    if (name !== undefined) this.#name = checkName(name);
    this.#identity = reviving ? [] : nextIdentity();
    this.#name ??= `${this.constructor.name}-${this.#identity.join(':')}`;
  }

  /** Calls the target, if there is one, with `args`, and with `kwargs` behind them. A promise: it is awaited. */
  run(): unknown {
    const call = (target: (...args: unknown[]) => unknown): unknown =>
      target(...this.#args, ...(this.#kwargs === undefined ? [] : [this.#kwargs]));
    if (typeof this.#target === 'function') return call(this.#target);
    if (this.#target) {
      const place = this.#place ?? placeAt(this.#target);
      const loaded =
        this.#state === 'current' ? importing(() => load(place, importInFork), WHEN_UNFINISHED) : load(place);
      return loaded.then((target) => call(target as () => unknown));
    }
    return undefined;
  }

  /**
   * Starts the process, once. When it returns there is a process with that `pid`; what it runs begins a little later.
   *
   * Errors, after which nothing is started: `ERR_FORKLOCK_PROCESS`, when it has been started, in a daemon, while the
   * module of a target is imported, where 32 processes have started one another, and when what was started as the fork server
   * has not begun after 120 s; `ERR_FORKLOCK_TARGET`, for a function or class that this start method cannot carry;
   * `ERR_FORKLOCK_NOT_CLONEABLE` and `ERR_FORKLOCK_TOO_LARGE` (2 GiB) for such arguments; `ERR_FORKLOCK_FORK_UNSAFE` for the start method `'fork'`;
   * `ERR_FORKLOCK_SYSTEM`, for a limit on processes for one.
   */
  start(): void {
    this.#checkOpen();
    if (this.#state !== 'initial') throw new ProcessError(`${this.#title} has been started already`);
    if (this.#creator !== native().getpid()) throw new ProcessError(`${this.#title} was made by another process`);
    if (self().daemon) throw new ProcessError(`a daemon cannot start processes: ${self().name} is one`);
    refuseWhileImporting(this.#title);
    refuseTooDeep(this.#title, this.#identity);
    activeChildren(); // reaps
    const method = (this.constructor as typeof Process).startMethod ?? getStartMethod();
    const child = starters[method].start(this.#role(), { args: this.#args, kwargs: this.#kwargs });
    this.#child = child;
    this.#state = 'started';
    this.#target = undefined;
    this.#args = [];
    this.#kwargs = undefined;
    children.add(this);
    child.whenOver(() => {
      children.delete(this);
      this.#state = 'stopped';
    });
    if (!this.#daemon) child.keep();
    atEndOfProcess(endAllChildren);
  }

  #role(): Role {
    const Class = this.constructor as typeof Process;
    return {
      name: this.#name,
      identity: this.#identity,
      daemon: this.#daemon,
      authkey: this.#authkey,
      target: this.#target,
      Class: isOurs(Class) ? undefined : Class,
      object: this,
      begin: (place) => {
        this.#state = 'current';
        this.#creator = native().getpid();
        this.#place = place;
      },
    };
  }

  /**
   * Blocks the thread until the process has ended: true. After `timeout` ms: false. Signals that kill end it too;
   * JavaScript signal handlers run only afterwards. Errors: `ERR_FORKLOCK_PROCESS` when it has not been started, is not
   * a child of this process, or is this process itself; `ERR_FORKLOCK_CLOSED`.
   */
  join(timeout?: number): boolean {
    const ms = checkTimeout(timeout);
    return this.#childTo('join').wait(ms);
  }

  /** As `join`, without blocking: resolves with true or false, rejects with `signal.reason` on abort. */
  async joinAsync(options?: WaitOptions): Promise<boolean> {
    const wait = checkWaitOptions(options);
    return this.#childTo('join').waitAsync(wait);
  }

  /** Whether it has been started and has not ended. True for the current process. */
  isAlive(): boolean {
    this.#checkOpen();
    if (this.#state === 'current') return true;
    return this.#child !== undefined && !this.#childTo('look at').look();
  }

  /** Sends SIGTERM. Nothing when it has ended: never to another process that got its pid. Errors: as those of `join`. */
  terminate(): void {
    this.#signal(constants.signals.SIGTERM);
  }

  /** Sends SIGKILL, as `terminate` does. */
  kill(): void {
    this.#signal(constants.signals.SIGKILL);
  }

  #signal(number: number): void {
    if (this.#state === 'current') {
      this.#checkOpen();
      process.kill(process.pid, number);
    } else {
      this.#childTo('signal').signal(number);
    }
  }

  /**
   * Gives back what this object needs of the system; only `name` can be used afterwards. Twice is once.
   * Error: `ERR_FORKLOCK_PROCESS` while it runs.
   */
  close(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'current') throw new ProcessError('the current process cannot be closed');
    if (this.#child && this.#creator === native().getpid() && !this.#child.look()) {
      throw new ProcessError(`${this.#title} is still running: join() or terminate() it before close()`);
    }
    this.#child?.close();
    this.#state = 'closed';
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get name(): string {
    return this.#name;
  }

  set name(name: string) {
    this.#name = checkName(name);
  }

  /** Whether it ends with its parent. Can be set until it is started. */
  get daemon(): boolean {
    return this.#daemon;
  }

  set daemon(daemon: boolean) {
    checkBoolean(daemon, 'daemon');
    if (this.#state !== 'initial')
      throw new ProcessError(`${this.#title} has been started: daemon cannot be set any more`);
    this.#daemon = daemon;
  }

  /** Undefined before `start()`. */
  get pid(): number | undefined {
    this.#checkOpen();
    return this.#state === 'current' ? native().getpid() : this.#child?.pid;
  }

  /** Null before `start()` and while it runs; -N when signal N ended it; 255 when the fork server died that knew it. */
  get exitCode(): number | null {
    this.#checkOpen();
    if (!this.#child || this.#state === 'current') return null;
    if (this.#creator === native().getpid()) this.#child.look();
    return this.#child.exitCode;
  }

  /** A pidfd: a descriptor that is readable when the process has ended. Valid until `close()`. */
  get sentinel(): number {
    return this.#childTo('watch').sentinel;
  }

  /** A secret that a process has in common with those that it starts: 32 random bytes, unless it was set. */
  get authkey(): Buffer {
    if (this.#state === 'current' && !this.#authkey.equals(self().authkey)) this.#authkey = Buffer.from(self().authkey);
    return this.#authkey;
  }

  set authkey(key: Uint8Array) {
    if (!(key instanceof Uint8Array)) throw wrongType('authkey', 'a Uint8Array', key);
    this.#authkey = Buffer.from(key);
    if (this.#state === 'current') setAuthkey(this.#authkey);
  }

  get #title(): string {
    return `process '${this.#name}'`;
  }

  #checkOpen(): void {
    if (this.#state === 'closed') throw new ClosedError(this.#title);
  }

  #childTo(what: string): Child {
    this.#checkOpen();
    if (this.#state === 'current') throw new ProcessError(`a process cannot ${what} itself`);
    if (!this.#child) throw new ProcessError(`${this.#title} has not been started: there is nothing to ${what}`);
    if (this.#creator !== native().getpid()) {
      throw new ProcessError(
        `${this.#title} is not a child of this process: only process ${this.#creator} can ${what} it`,
      );
    }
    return this.#child;
  }

  toString(): string {
    return inspect(this, { breakLength: Number.POSITIVE_INFINITY });
  }

  [inspect.custom](_depth: number, options: object): string {
    const title = this.constructor.name;
    const name = this.#name;
    if (this.#state === 'closed') return `${title} ${inspect({ name, state: 'closed' }, options)}`;
    const { pid, exitCode } = this;
    const state = this.#state === 'current' ? 'started' : this.#state;
    return `${title} ${inspect({ name, pid, state, exitCode, daemon: this.#daemon }, options)}`;
  }
}

/** The processes that this thread has started and that have not ended. Reaps those that have. */
export function activeChildren(): Process[] {
  for (const child of [...children]) child.isAlive();
  return [...children];
}

/** Classes whose instances are no more than what is carried anyway. */
const ours = new WeakSet<typeof Process>([Process]);

/** @internal */
export function declareOurs(Class: typeof Process): void {
  ours.add(Class);
}

function isOurs(Class: typeof Process): boolean {
  return ours.has(Class);
}

/** This process. In a program's main process it is called `MainProcess`. */
export function currentProcess(): Process {
  const known = current();
  if (known instanceof Process) return known;
  const made = revive(Process, self(), undefined, { args: [], kwargs: undefined, own: {} });
  setCurrent(made);
  return made;
}

function checkName(name: unknown): string {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name);
  return name;
}
