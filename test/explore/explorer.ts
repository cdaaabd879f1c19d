import type { Core } from './core.js';
import { Violation } from './program.js';
import { randomNumbers } from './schedule.js';
import { type Path, type Scenario, World } from './world.js';

/**
 * The search: every reachable state once, depth first; or, where there are too many, as many as the limit allows and
 * then random schedules, which a seed repeats.
 */
export interface Limits {
  /** States to look at, at most. */
  states: number;
  /** Random schedules to run when that was not enough. */
  walks?: number;
  seed?: number;
}

export interface Report {
  /** What went wrong; undefined: nothing was found. */
  wrong: string | undefined;
  /** Whether all states were looked at. */
  exhausted: boolean;
  states: number;
  walks: number;
  seed: number;
  ms: number;
  /** The steps that lead to what went wrong. */
  trace: string[];
}

class Failure extends Error {
  readonly path: Path | undefined;

  constructor(message: string, path: Path | undefined) {
    super(message);
    this.path = path;
  }
}

export function explore(scenario: Scenario, { words }: Core, limits: Limits): Report {
  const started = performance.now();
  const world = new World(scenario, words);
  const seen = new Seen();
  const report: Report = {
    wrong: undefined,
    exhausted: false,
    states: 0,
    walks: 0,
    seed: limits.seed ?? 0,
    ms: 0,
    trace: [],
  };
  try {
    report.exhausted = searchAll(world, seen, limits.states);
    if (!report.exhausted) {
      const random = randomNumbers(report.seed);
      for (; report.walks < (limits.walks ?? 0); report.walks++) walk(world, random);
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report.wrong = error.message;
    report.trace = linesOf(error.path);
  }
  report.states = seen.size;
  report.ms = performance.now() - started;
  return report;
}

/** The shortest trace to a violation, breadth first: what to read when `explore` has found one. */
export function shortestTrace(scenario: Scenario, { words }: Core, limit: number): string[] | undefined {
  const world = new World(scenario, words);
  const seen = new Seen();
  let front: [number[], Path | undefined][] = [[world.initial, undefined]];
  try {
    while (front.length > 0 && seen.size < limit) {
      const behind: typeof front = [];
      for (const [state, path] of front) {
        guarded(path, () =>
          world.expand(state, path, (next, to) => {
            if (seen.add(next)) behind.push([next, to]);
          }),
        );
      }
      front = behind;
    }
  } catch (error) {
    if (error instanceof Failure) return [...linesOf(error.path), `→ ${error.message}`];
    throw error;
  }
  return undefined;
}

/** Steps of one schedule after which it is taken not to end: participants that wake each other for ever. */
const ENDLESS = 4000;

function searchAll(world: World, seen: Seen, limit: number): boolean {
  seen.add(world.initial);
  const states: number[][] = [world.initial];
  const paths: (Path | undefined)[] = [undefined];
  const depths = [0];
  while (states.length > 0) {
    if (seen.size > limit) return false;
    const state = states.pop()!;
    const path = paths.pop();
    const depth = depths.pop()! + 1;
    if (depth > ENDLESS) throw new Failure('a schedule does not come to an end', path);
    guarded(path, () =>
      world.expand(state, path, (next, to) => {
        if (!seen.add(next)) return;
        states.push(next);
        paths.push(to);
        depths.push(depth);
      }),
    );
  }
  return true;
}

/** One random schedule to its end. Deaths and timeouts are as likely as all the steps together, one time in ten. */
function walk(world: World, random: () => number): void {
  let state = world.initial;
  let path: Path | undefined;
  for (let depth = 0; ; depth++) {
    if (depth > ENDLESS) throw new Failure('a schedule does not come to an end', path);
    const steps: [number[], Path][] = [];
    const events: [number[], Path][] = [];
    guarded(path, () => world.expand(state, path, (next, to, event) => (event ? events : steps).push([next, to])));
    const from = steps.length === 0 || (events.length > 0 && random() < 0.1) ? events : steps;
    const chosen = from[Math.floor(random() * from.length)];
    if (!chosen) return;
    [state, path] = chosen;
  }
}

function guarded(path: Path | undefined, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (error instanceof Violation) throw new Failure(error.message, path);
    throw error;
  }
}

function linesOf(path: Path | undefined): string[] {
  const lines: string[] = [];
  for (let p = path; p; p = p.before) lines.push(p.text());
  return lines.reverse();
}

/**
 * The states that have been seen, as 64-bit hashes in an open table. Two states with one hash would hide one of them:
 * with five million states the chance of a single such pair is below one in a million.
 */
class Seen {
  #table = new Int32Array(1 << 17);
  #mask = (1 << 16) - 1;
  size = 0;

  /** False: it was there. */
  add(state: readonly number[]): boolean {
    let a = 0x2545f491;
    let b = 0x7feb352d;
    for (let i = 0; i < state.length; i++) {
      const x = state[i]!;
      a = Math.imul(a ^ x, 0x85ebca6b);
      a ^= a >>> 13;
      b = Math.imul(b + x, 0xc2b2ae35);
      b ^= (b >>> 16) ^ (a << 5);
    }
    a = Math.imul(a ^ (a >>> 16), 0x9e3779b1);
    b = Math.imul(b ^ (b >>> 15), 0x2c1b3c6d);
    if (!this.#insert(a | 1, b)) return false;
    this.size++;
    if (this.size * 2 > this.#mask) this.#grow();
    return true;
  }

  #insert(a: number, b: number): boolean {
    const table = this.#table;
    for (let i = b & this.#mask; ; i = (i + 1) & this.#mask) {
      if (table[2 * i] === 0) {
        table[2 * i] = a;
        table[2 * i + 1] = b;
        return true;
      }
      if (table[2 * i] === a && table[2 * i + 1] === b) return false;
    }
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Int32Array(old.length * 2);
    this.#mask = this.#table.length / 2 - 1;
    for (let i = 0; i < old.length; i += 2) if (old[i] !== 0) this.#insert(old[i]!, old[i + 1]!);
  }
}
