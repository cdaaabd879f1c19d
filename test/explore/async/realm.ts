import { AsyncLocalStorage } from 'node:async_hooks';
import { constants } from 'node:os';
import { posix } from 'node:path';
import { runInThisContext } from 'node:vm';
import ts from 'typescript';
import { type Change, compile } from '../core.js';
import { aliveAt, generationAt, HIGH_AT, MEMBERS_AT } from '../words.js';
import type { JsThread } from './js-thread.js';
import { promiseClass } from './promises.js';

type Wrapped = (exports: object, require: (name: string) => object, ...globals: unknown[]) => void;

const unchanged = new Map<string, Wrapped>();

function wrap(file: string, changes: readonly Change[]): Wrapped {
  const isChanged = changes.some((change) => change.file === file);
  const known = isChanged ? undefined : unchanged.get(file);
  if (known) return known;
  const code = compile(file, changes, ts.ScriptTarget.ES2016);
  const globals = 'Promise, setTimeout, clearTimeout, performance, FinalizationRegistry, process, AbortSignal';
  const wrapped = runInThisContext(`(function (exports, require, ${globals}) {${code}\n})`, {
    filename: `explored-async/${file}`,
  }) as Wrapped;
  if (!isChanged) unchanged.set(file, wrapped);
  return wrapped;
}

/**
 * One thread's copy of the shipped classes and their waits (src/sync, src/wait, src/memory/cell.ts), with promises, timers
 * and a clock that are the thread's. It serves one schedule after the other, because to load it takes longer than to run
 * a schedule; what is left in it is forgotten as the child of a fork forgets what was its parent's.
 */
export class Realm {
  thread!: JsThread;
  onReady: (() => void) | undefined;
  readonly promise: PromiseConstructor;
  readonly #loaded = new Map<string, object>();
  readonly #changes: readonly Change[];
  #lastTimer = 0;

  constructor(slots: number, changes: readonly Change[]) {
    this.#changes = changes;
    this.promise = promiseClass((reaction) => this.thread.microtasks.push(reaction));
    const layout = this.load('memory/layout.ts');
    Object.assign(layout, { SLOTS: slots, HEAP_WORD: 0, HIGH_AT, MEMBERS_AT, aliveAt, generationAt });
  }

  serve(thread: JsThread): void {
    if (this.thread) {
      this.thread.dead = false;
      this.thread.over = true;
      (this.load('after-fork.ts') as typeof import('../../../src/after-fork.js')).runAfterFork(false);
    }
    this.thread = thread;
  }

  load(file: string): object {
    const known = this.#loaded.get(file) ?? this.#standIn(file);
    if (known) {
      this.#loaded.set(file, known);
      return known;
    }
    const exports = {};
    this.#loaded.set(file, exports);
    wrap(file, this.#changes)(
      exports,
      (name) => {
        if (name === 'node:os') return { constants, availableParallelism: () => 1 }; // nobody spins
        if (name === 'node:async_hooks') return { AsyncLocalStorage };
        if (name === 'node:util') return { inspect: { custom: Symbol('inspect') } };
        return this.load(posix.join(posix.dirname(file), name).replace(/\.js$/, '.ts'));
      },
      this.promise,
      (fire: () => void, ms: number) => {
        this.thread.timers.set(++this.#lastTimer, { due: this.thread.now + ms, fire });
        return this.#lastTimer;
      },
      (id: number | undefined) => this.thread.timers.delete(id ?? -1),
      { now: () => this.thread.now },
      Unregistered,
      { pid: 1, emitWarning: () => {} },
      Signal,
    );
    return exports;
  }

  #standIn(file: string): object | undefined {
    switch (file) {
      case 'native.ts':
        return { native: () => this.thread.native };
      case 'thread.ts': // one instance a thread
        return { join: () => {}, members: () => [], hearOfExit: () => {}, process: { pid: 1, emitWarning: () => {} } };
      case 'memory/segment.ts':
        return { Segment: class {} };
      case 'memory/hidden.ts':
        return { whyHidden: () => undefined };
      case 'memory/uses.ts':
        return { use: () => {}, unuse: () => {} };
      case 'memory/names.ts':
        return { checkName: (name: string) => name, fileName: (name: string) => name, nameOfFile: () => undefined };
      case 'memory/arena.ts':
        return {
          LARGEST_BLOCK: 1 << 16,
          allocate: (bytes: number) => this.thread.allocate(bytes),
          free: ({ cell }: { cell: number }, shared: boolean) => !shared && this.thread.give(cell),
        };
    }
    return undefined;
  }
}

/** A FinalizationRegistry: nothing is collected here. */
class Unregistered {
  register(): void {}
  unregister(): void {}
}

/** An AbortSignal whose listeners run where it fires, and throw there. */
export class Signal {
  aborted = false;
  reason: unknown;
  readonly #listeners = new Set<() => void>();

  addEventListener(_: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  fire(reason: unknown): void {
    this.aborted = true;
    this.reason = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear(); // each is there once
    for (const listener of listeners) listener();
  }

  get isHeard(): boolean {
    return this.#listeners.size > 0;
  }
}
