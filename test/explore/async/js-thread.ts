import type { Memory } from '../../../src/memory/words.js';
import { Violation } from '../program.js';
import { aliveAt, generationAt, HIGH_AT, MEMBERS_AT } from '../words.js';
import { KILLED } from './promises.js';
import { type Realm, Signal } from './realm.js';
import type { Waiter } from './waiter.js';
import type { World } from './world.js';

/**
 * A JavaScript thread: its event loop with tasks, turns, timers and signals, each of which runs when the schedule says
 * so; the memory as it sees it; and in the place of the addon a model of native/waiter.cc. Its modules are in realm.ts.
 */

/** What a task does: it yields what it waits for. */
export type Task = (thread: JsThread, index: number) => Generator<unknown, void, unknown>;

type Classes = typeof import('../../../src/sync/lock.js') &
  typeof import('../../../src/sync/rlock.js') &
  typeof import('../../../src/sync/semaphore.js') &
  typeof import('../../../src/sync/event.js') &
  typeof import('../../../src/sync/condition.js') &
  typeof import('../../../src/sync/barrier.js') &
  typeof import('../../../src/sync/rwlock.js');

/** Why an AbortSignal of the explorer fires. */
export const ABORTED = new Error('aborted by the schedule');

type Cells = { _lease?: { _pending: number } };

/** Words of one object that this thread has open. */
interface Block {
  at: number;
  words: number;
  /** It has been given back: from here on it may be another object's. */
  given: boolean;
}

export class JsThread {
  readonly world: World;
  readonly slot: number;
  readonly me: number;
  readonly waiter: Waiter;
  dead = false;
  /** Its JavaScript runs, or has been interrupted. */
  running = false;
  readonly ready: number[] = [];
  /** The thread-safe function has been called. */
  rung = false;
  /** Macrotasks that can run: tasks that have not begun, and turns that were asked for. */
  readonly turns: (() => void)[] = [];
  readonly timers = new Map<number, { due: number; fire: () => void }>();
  /** Signals that may fire. */
  readonly aborts = new Map<Signal, string>();
  /** Tasks that have not ended. */
  unfinished = 0;
  /** The schedule is over. */
  over = false;
  readonly microtasks: (() => void)[] = [];
  now = 1000;
  readonly #realm: Realm;
  /** For each cell, the waits that are counted. */
  readonly #waits = new Map<number, number>();
  readonly #blocks: Block[] = [];
  readonly #cells: Cells[] = [];
  /** Before the schedule begins: nothing of it can be seen yet. */
  #settingUp = true;

  constructor(world: World, slot: number, waiter: Waiter, realm: Realm) {
    this.world = world;
    this.slot = slot;
    this.me = (slot + 1) | (1 << 11);
    this.waiter = waiter;
    this.#realm = realm;
    realm.serve(this);
  }

  /** The classes of this thread's copy of the package; only what is asked for is loaded. */
  readonly classes = new Proxy({} as Classes, {
    get: (_, name: string) => {
      const file = name === 'BoundedSemaphore' ? 'semaphore' : name.toLowerCase();
      return (this.#realm.load(`sync/${file}.ts`) as Record<string, unknown>)[name];
    },
  });

  begin(tasks: readonly [Task, number][]): void {
    for (const [task, index] of tasks) {
      this.unfinished++;
      this.turns.push(() => this.#follow(task(this, index)));
    }
    this.#settingUp = false;
  }

  /** The specification's own state, changed between two operations. */
  note(ghost: (state: number[]) => void): void {
    ghost(this.world.state);
  }

  /** As `note`, together with an operation that the shipped code does next on this word. */
  noteWith(kind: 'add', at: number, ghost: (state: number[]) => void): void {
    this.expected = { kind, at, ghost };
  }
  private expected: { kind: string; at: number; ghost: (state: number[]) => void } | undefined;

  /** Lets the event loop turn. */
  turn(): unknown {
    return new this.#realm.promise<void>((resolve) => this.turns.push(resolve));
  }

  /** A signal that may fire at any time, also when the wait is over. */
  signal(name: string): AbortSignal {
    const signal = new Signal();
    this.aborts.set(signal, name);
    return signal as unknown as AbortSignal;
  }

  get canRun(): boolean {
    return !this.dead && !this.running && (this.turns.length > 0 || this.rung);
  }

  /** One turn of the event loop. */
  step(): string {
    const n = this.turns.length + (this.rung ? 1 : 0);
    const chosen = n > 1 ? this.world.chooser.choose(n, n) : 0;
    if (chosen < this.turns.length) {
      const [turn] = this.turns.splice(chosen, 1);
      this.run(turn!);
      return 'turns';
    }
    this.rung = false;
    this.run(this.#realm.onReady!);
    return 'hears from its waiter';
  }

  fire(id: number): void {
    const { due, fire } = this.timers.get(id)!;
    this.timers.delete(id);
    this.now = Math.max(this.now, due);
    this.run(fire);
  }

  abort(signal: Signal): void {
    this.aborts.delete(signal);
    this.run(() => signal.fire(ABORTED));
  }

  run(task: () => void): void {
    this.running = true;
    try {
      task();
      for (let next = this.microtasks.shift(); next; next = this.microtasks.shift()) next();
    } catch (error) {
      if (error !== KILLED) throw error;
    }
    this.running = false;
  }

  /** Waits of its tasks that are counted. */
  get waits(): number {
    return [...this.#waits.values()].reduce((sum, n) => sum + n, 0);
  }

  /** Waits that must sleep, where none can go on: all that do not stand behind another one. */
  get standing(): number {
    const { Line } = this.#realm.load('wait/line.ts') as typeof import('../../../src/wait/line.js');
    return this.waits - Line.behind();
  }

  /** Waits that its waiter sleeps for. */
  get sleepers(): number {
    const { Sleep } = this.#realm.load('wait/sleep.ts') as typeof import('../../../src/wait/sleep.js');
    return this.waiter.entries.reduce((sum, { id }) => sum + Sleep.sleepersOf(id), 0);
  }

  /** What a thread that is done must not have left behind. */
  leftover(): string | undefined {
    if (this.waits !== 0) return `thread ${this.slot} is counted as waiting ${this.waits} times, and does not wait`;
    if (this.timers.size > 0) return `thread ${this.slot} has a timer left, which keeps the process alive`;
    for (const [signal, name] of this.aborts) if (signal.isHeard) return `the signal of ${name} is still listened to`;
    if (this.waiter.entries.length > 0) return `the waiter of thread ${this.slot} sleeps for nobody`;
    for (const { _lease: lease } of this.#cells) {
      if (lease && lease._pending !== 0) return `an object of thread ${this.slot} has ${lease._pending} waits left`;
    }
    return undefined;
  }

  #follow(task: Generator<unknown, void, unknown>): void {
    const advance = (how: 'next' | 'throw', value: unknown): void => {
      let result: IteratorResult<unknown, void>;
      try {
        result = task[how](value);
      } catch (error) {
        if (error === KILLED) throw error;
        this.world.fail(error instanceof Violation ? error.message : `a task of thread ${this.slot} threw ${error}`);
      }
      if (result.done) this.unfinished--;
      else
        this.#realm.promise.resolve(result.value).then(
          (v) => advance('next', v),
          (e) => advance('throw', e),
        );
    };
    advance('next', undefined);
  }

  /** The n-th object of each thread is the same object. */
  allocate(bytes: number): object {
    const { at, words } = this.world.objects[this.#blocks.length]!;
    if (words < bytes / 4) throw new Error(`an object of ${bytes} bytes`);
    this.#blocks.push({ at, words, given: false });
    return { arena: { segment: this.#segment, inherited: false }, cell: at / 16, cells: words / 16 };
  }

  give(cell: number): void {
    for (const block of this.#blocks) if (block.at === cell * 16) block.given = true;
  }

  /** Notes the waits of an object, for `leftover`. */
  watch<T extends { cell: object }>(object: T): T {
    this.#cells.push(object.cell as Cells);
    return object;
  }

  #op(kind: 'load' | 'store' | 'cas' | 'exchange' | 'add' | 'wake', at: number, a = 0, b = 0): number {
    for (const { at: from, words, given } of this.#blocks) {
      if (given && at >= from && at < from + words) {
        this.world.fail(`thread ${this.slot} touches an object whose memory it has given back`);
      }
    }
    if (this.over) throw KILLED;
    if (this.#settingUp) return this.world.apply(kind, at, a, b);
    const result = this.world.operate(this, kind, at, a, b);
    const { expected } = this;
    if (expected && expected.kind === kind && expected.at === at) {
      this.expected = undefined;
      this.note(expected.ghost);
    }
    return result;
  }

  get memory(): Memory {
    this.#memory ??= {
      me: this.me,
      membersAt: MEMBERS_AT,
      highAt: HIGH_AT,
      aliveAt,
      generationAt,
      load: (at) => this.#op('load', at),
      store: (at, value) => void this.#op('store', at, value),
      cas: (at, expected, value) => this.#op('cas', at, expected, value),
      exchange: (at, value) => this.#op('exchange', at, value),
      add: (at, by) => this.#op('add', at, by),
      wake: (at, n) => void this.#op('wake', at, n),
    };
    return this.#memory;
  }
  #memory: Memory | undefined;

  get #segment(): object {
    this.#madeSegment ??= {
      index: 0,
      name: undefined,
      fd: 3,
      inode: 1,
      cookie: [1, 2, 3, 4],
      locals: new Map(),
      pidOf: () => 0,
      tidOf: () => 0,
      retain: () => {},
      release: () => {},
      words: { ...this.memory, view: this.world.state, index: 0 },
    };
    return this.#madeSegment;
  }
  #madeSegment: object | undefined;

  readonly native = {
    countWait: (_segment: number, cell: number, by: number): void => {
      this.world.check(this);
      const waits = (this.#waits.get(cell) ?? 0) + by;
      if (waits === 0) this.#waits.delete(cell);
      else this.#waits.set(cell, waits);
      if (waits < 0) this.world.fail('a wait was counted off twice');
    },
    onReady: (callback: () => void): void => {
      this.#realm.onReady = callback;
    },
    makeRoom: (): number => 0,
    nextReady: (): number => {
      this.world.point(this);
      return this.ready.shift() ?? -1;
    },
    sleepAsync: (id: number, watched: Int32Array): void => {
      const [, word, expected, members, owner, living] = watched as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      this.world.point(this);
      this.waiter.add({ id, word, expected, members, owner, living });
    },
    cancelAsync: (id: number): number => {
      this.world.point(this);
      if (this.waiter.remove(id)) return 1;
      const at = this.ready.indexOf(id);
      if (at >= 0) this.ready.splice(at, 1);
      return at >= 0 ? 1 : 0;
    },
    sum: () => 0,
    use: () => {},
  };
}
