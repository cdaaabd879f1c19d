import type { Memory } from '../../src/memory/words.js';
import type { Wait } from '../../src/wait/wait.js';

/**
 * One participant's code as an automaton, which is built while it is explored.
 *
 * A program is a plain function. To find what it does next it is run again from its start: the phases that are over
 * (`api.run`, `api.wait`) return the results they had, and the memory operations of the current one are answered from
 * a log. The first operation without an answer is the next step, and there the run is cut off by an exception. What
 * follows from one point and one answer is always the same, so each such pair is run once; from then on the search
 * only follows pointers. No generators, no worker threads, no change to the code under test.
 *
 * The position in a program is: the results of its phases; the fields of the wait it drives; the log since that wait's
 * last sleep. Positions that are equal in these are one point, however they were reached.
 */

/** A change or check of the specification's own state, which no participant can see. It may throw a Violation. */
export type Ghost = (state: number[]) => void;

export class Violation extends Error {}

export interface Op {
  readonly kind: 'load' | 'store' | 'cas' | 'exchange' | 'add' | 'wake';
  readonly at: number;
  /** The value; for cas the expected one; for wake how many. */
  readonly a: number;
  readonly b: number;
}

export type How = 'done' | 'timeout' | 'abort';

export interface WaitOptions {
  /** 'never'; 'now' looks once, as a try does; 'ever' may run out at any time. Default 'never'. */
  timeout?: 'never' | 'now' | 'ever';
  /** An AbortSignal may fire at any time while the wait sleeps, or when it has been woken and did not run yet. */
  abort?: boolean;
  /** What the specification notes when it falls asleep. */
  asleep?: Ghost;
}

export interface Api {
  readonly m: Memory;
  /** Index of this participant in the scenario. */
  readonly index: number;
  /** A call into the core that does not sleep. Its result must be plain and small: it is part of the state. */
  run<T>(call: () => T): T;
  /** Drives a wait as src/wait does; `end` says what of the finished wait the program goes on with. */
  wait<W extends Wait, T>(make: () => W, options: WaitOptions, end: (wait: W, how: How) => T): T;
  /** Happens together with the operation that came last: for what is so from now on. */
  after(ghost: Ghost): void;
  /** Happens together with the operation that comes next: for what is so until now. */
  before(ghost: Ghost): void;
}

export type Body = (api: Api) => void;

type Mode = 'step' | 'last' | 'leave';

/** Where in the current phase: nothing of it, or with a wait that has been made. */
interface Part {
  readonly mode: Mode;
  readonly wait: Wait;
}

export type Stage = 'op' | 'sleep' | 'asleep' | 'done' | 'thrown';

/** A point of a program. */
export interface Point {
  readonly id: number;
  readonly stage: Stage;
  readonly op: Op | undefined;
  /** What it sleeps on, in the stages 'sleep' and 'asleep'. */
  readonly wait: Wait | undefined;
  /** Ghosts to run with the next operation. */
  readonly before: readonly Ghost[];
  /** Its thread runs no JavaScript of it now, so other tasks of the thread may go on. */
  readonly atRest: boolean;
  /** Whether it just did what others can see. To die after a mere look is the same as to die before it. */
  readonly killable: boolean;
  readonly mayTimeOut: boolean;
  readonly mayAbort: boolean;
  readonly error: unknown;
  readonly options: WaitOptions;
  readonly results: readonly unknown[];
  readonly part: Part | undefined;
  readonly log: readonly number[];
  readonly next: Map<number | Event, Step>;
}

/** What can happen to a program besides the answer to its operation. */
export type Event = 'slept' | 'woken' | 'timeout' | 'abort';

export interface Step {
  readonly point: Point;
  readonly after: readonly Ghost[];
}

/** Operations of one phase after which it is taken to run for ever. */
const ENDLESS = 500;

const PAUSE = Symbol('the next operation has no answer yet');
const SLEEP = Symbol('the wait sleeps');

const isWait = (value: unknown): value is Wait => typeof (value as Wait | null)?.step === 'function';

function copyOf(wait: Wait): Wait {
  const copy = Object.create(Object.getPrototypeOf(wait) as object) as Record<string, unknown>;
  for (const [name, value] of Object.entries(wait)) copy[name] = isWait(value) ? copyOf(value) : value;
  return copy as unknown as Wait;
}

/** Objects that are not waits are the memory, and where words are: the same for the whole run. */
function keyOf(wait: Wait): string {
  let key = wait.constructor.name;
  for (const value of Object.values(wait)) {
    if (isWait(value)) key += `(${keyOf(value)})`;
    else if (typeof value !== 'object') key += `,${value}`;
  }
  return key;
}

export interface Place {
  readonly index: number;
  readonly me: number;
  readonly membersAt: number;
  readonly highAt: number;
  aliveAt(slot: number): number;
  generationAt(slot: number): number;
  /** Value of a word that never changes in this scenario: no step of its own. */
  constant(at: number): number | undefined;
  /** Registers a point, and gives it its number. */
  register(make: (id: number) => Point): Point;
}

export class Program implements Api, Memory {
  readonly m: Memory = this;
  readonly index: number;
  readonly me: number;
  readonly membersAt: number;
  readonly highAt: number;
  readonly #place: Place;
  readonly #body: Body;
  readonly #points = new Map<string, Point>();
  // The run in progress.
  #results: unknown[] = [];
  #phase = 0;
  #part: Part | undefined;
  #log: readonly number[] = [];
  #answered = 0;
  #op: Op | undefined;
  #sleeping: Wait | undefined;
  #options: WaitOptions = {};
  /** The run has left the point that it began from. */
  #beyond = false;
  #after: Ghost[] = [];
  #before: Ghost[] = [];

  constructor(place: Place, body: Body) {
    this.#place = place;
    this.#body = body;
    this.index = place.index;
    this.me = place.me;
    this.membersAt = place.membersAt;
    this.highAt = place.highAt;
  }

  start(): Step {
    return this.#run([], undefined, [], true);
  }

  /** What follows when the operation of this point has this result, or this happens. */
  advance(point: Point, input: number | Event): Step {
    let step = point.next.get(input);
    if (!step) {
      step = this.#follow(point, input);
      point.next.set(input, step);
    }
    return step;
  }

  #follow({ results, part, log, wait, options }: Point, input: number | Event): Step {
    if (typeof input === 'number') return this.#run(results, part, [...log, input], false);
    this.#options = options;
    if (input === 'slept') {
      const after = options.asleep ? [options.asleep] : [];
      return { point: this.#pointOf('asleep', results, part, [], wait), after };
    }
    const mode = input === 'woken' ? 'step' : input === 'timeout' ? 'last' : 'leave';
    return this.#run(results, { mode, wait: (wait ?? part?.wait)! }, [], false);
  }

  #run(results: readonly unknown[], part: Part | undefined, log: readonly number[], start: boolean): Step {
    this.#results = [...results];
    this.#phase = 0;
    this.#part = part;
    this.#log = log;
    this.#answered = 0;
    this.#op = undefined;
    this.#sleeping = undefined;
    this.#beyond = start;
    this.#after = [];
    this.#before = [];
    let stage: Stage = 'done';
    let error: unknown;
    try {
      this.#body(this);
    } catch (thrown) {
      stage = thrown === PAUSE ? 'op' : thrown === SLEEP ? 'sleep' : 'thrown';
      if (stage === 'thrown') error = thrown;
    }
    const after = stage === 'op' ? this.#after : [...this.#after, ...this.#before];
    const point = this.#pointOf(stage, this.#results, this.#part, this.#log, this.#sleeping, error);
    return { point, after };
  }

  #pointOf(
    stage: Stage,
    results: readonly unknown[],
    part: Part | undefined,
    log: readonly number[],
    wait: Wait | undefined,
    error?: unknown,
  ): Point {
    const where = wait ? keyOf(wait) : part ? `${part.mode} ${keyOf(part.wait)} ${log}` : String(log);
    const key = `${stage} ${JSON.stringify(results)} ${where} ${error}`;
    let point = this.#points.get(key);
    if (!point) {
      const op = stage === 'op' ? this.#op : undefined;
      const fresh = log.length === 0;
      const between = stage === 'asleep' || (fresh && part?.mode === 'step');
      point = this.#place.register((id) => ({
        id,
        stage,
        op,
        wait,
        before: stage === 'op' ? this.#before : [],
        atRest: stage !== 'op' || fresh,
        killable: fresh || this.#hadEffect(results, part, log),
        options: this.#options,
        mayTimeOut: between && this.#options.timeout === 'ever',
        mayAbort: between && this.#options.abort === true,
        error,
        results,
        part,
        log,
        next: new Map(),
      }));
      this.#points.set(key, point);
    }
    return point;
  }

  /** Whether the last answer in the log was to an operation that changed or woke something. */
  #hadEffect(results: readonly unknown[], part: Part | undefined, log: readonly number[]): boolean {
    const key = part ? `${part.mode} ${keyOf(part.wait)} ${log.slice(0, -1)}` : String(log.slice(0, -1));
    const op = this.#points.get(`op ${JSON.stringify(results)} ${key} undefined`)?.op;
    if (!op) return true;
    return op.kind !== 'load' && (op.kind !== 'cas' || log.at(-1) === op.a);
  }

  // Api

  run<T>(call: () => T): T {
    if (this.#phase < this.#results.length) return this.#results[this.#phase++] as T;
    return this.#end(call());
  }

  wait<W extends Wait, T>(make: () => W, options: WaitOptions, end: (wait: W, how: How) => T): T {
    if (this.#phase < this.#results.length) return this.#results[this.#phase++] as T;
    this.#options = options;
    const wait = this.#part ? (copyOf(this.#part.wait) as W) : make();
    const mode = this.#part?.mode ?? 'step';
    if (options.timeout === 'now') return this.#end(end(wait, wait.try() ? 'done' : 'timeout'));
    if (mode !== 'leave' && wait.step()) return this.#end(end(wait, 'done'));
    if (mode !== 'step') return this.#end(end(wait, wait.leave() ? 'done' : mode === 'leave' ? 'abort' : 'timeout'));
    this.#sleeping = wait;
    this.#log = [];
    throw SLEEP;
  }

  #end<T>(result: T): T {
    this.#results.push(result);
    this.#phase++;
    this.#part = undefined;
    this.#log = [];
    this.#answered = 0;
    this.#beyond = true;
    return result;
  }

  after(ghost: Ghost): void {
    if (this.#beyond) (this.#before.length > 0 ? this.#before : this.#after).push(ghost);
  }

  before(ghost: Ghost): void {
    if (this.#beyond) this.#before.push(ghost);
  }

  // Memory

  #ask(kind: Op['kind'], at: number, a = 0, b = 0): number {
    if (this.#answered < this.#log.length) return this.#log[this.#answered++]!;
    if (this.#log.length > ENDLESS) throw new Error(`a call did not end after ${ENDLESS} operations`);
    if (!(at >= 0)) throw new Error(`an operation on word ${at}`);
    this.#op = { kind, at, a: a | 0, b: b | 0 };
    throw PAUSE;
  }

  aliveAt(slot: number): number {
    return this.#place.aliveAt(slot);
  }

  generationAt(slot: number): number {
    return this.#place.generationAt(slot);
  }

  load(at: number): number {
    return this.#place.constant(at) ?? this.#ask('load', at);
  }

  store(at: number, value: number): void {
    this.#ask('store', at, value);
  }

  cas(at: number, expected: number, value: number): number {
    return this.#ask('cas', at, expected, value);
  }

  exchange(at: number, value: number): number {
    return this.#ask('exchange', at, value);
  }

  add(at: number, by: number): number {
    return this.#ask('add', at, by);
  }

  wake(at: number, n: number): void {
    this.#ask('wake', at, n);
  }
}
