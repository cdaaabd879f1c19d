/**
 * Search without states, for what cannot be copied (promises, timers, closures): a schedule is a list of choices, and
 * each one is run from the start. First every schedule that differs from the usual one in at most so many choices
 * (context bounding, as in CHESS: most bugs need few preemptions), then random ones, which a seed repeats.
 */
export interface Chooser {
  /** A number below n; 0 goes on as before. `rare`: from this one on it is something that happens seldom (a death). */
  choose(n: number, rare: number): number;
}

/** Runs one schedule; says what went wrong, if something did. */
export type Run = (chooser: Chooser, trace?: string[]) => string | undefined;

export interface Bounds {
  /** Schedules with so many choices that are not the usual one, as many of them as `most` allows. */
  deviations: number;
  most: number;
  walks: number;
  seed: number;
}

export interface Found {
  wrong: string | undefined;
  /** Schedules with at most `deviations`, and whether those are all there are. */
  schedules: number;
  exhausted: boolean;
  walks: number;
  seed: number;
  ms: number;
  trace: string[];
}

/** A schedule that is followed as far as it goes, and then the usual one. */
class Following implements Chooser {
  readonly taken: number[] = [];
  readonly widths: number[] = [];
  readonly #given: readonly number[];

  constructor(given: readonly number[]) {
    this.#given = given;
  }

  choose(n: number): number {
    const choice = Math.min(this.#given[this.taken.length] ?? 0, n - 1);
    this.taken.push(choice);
    this.widths.push(n);
    return choice;
  }
}

class Wandering implements Chooser {
  readonly taken: number[] = [];
  readonly #random: () => number;
  readonly #turn: number;
  readonly #rare: number;

  constructor(random: () => number) {
    this.#random = random;
    // Some walks change often and some seldom, as some bugs need many changes and some a long run without one.
    this.#turn = [0.03, 0.1, 0.3, 0.6][Math.floor(random() * 4)]!;
    this.#rare = [0.005, 0.02, 0.1][Math.floor(random() * 3)]!;
  }

  choose(n: number, rare: number): number {
    const choice = this.#choose(n, rare);
    this.taken.push(choice);
    return choice;
  }

  #choose(n: number, rare: number): number {
    if (rare < n && this.#random() < this.#rare) return rare + Math.floor(this.#random() * (n - rare));
    if (rare < 2 || this.#random() >= this.#turn) return 0;
    return Math.floor(this.#random() * rare);
  }
}

export function search(run: Run, { deviations, most, walks, seed }: Bounds): Found {
  const started = performance.now();
  const found: Found = { wrong: undefined, schedules: 0, exhausted: true, walks: 0, seed, ms: 0, trace: [] };
  let failing: number[] | undefined;
  const stack: { choices: number[]; left: number }[] = [{ choices: [], left: deviations }];
  // The few deviations first: what is found then is short.
  for (let next = 0; next < stack.length && !failing; next++) {
    if (found.schedules >= most) {
      found.exhausted = false;
      break;
    }
    const { choices, left } = stack[next]!;
    const following = new Following(choices);
    found.wrong = run(following);
    found.schedules++;
    if (found.wrong !== undefined) failing = following.taken;
    else if (left > 0 && stack.length < 4 * most) {
      for (let at = choices.length; at < following.taken.length; at++) {
        for (let choice = 1; choice < following.widths[at]!; choice++) {
          stack.push({ choices: [...following.taken.slice(0, at), choice], left: left - 1 });
        }
      }
    }
  }
  const random = randomNumbers(seed);
  for (; !failing && found.walks < walks; found.walks++) {
    const wandering = new Wandering(random);
    found.wrong = run(wandering);
    if (found.wrong !== undefined) failing = wandering.taken;
  }
  if (failing) {
    run(new Following(shorten(run, failing)), found.trace);
  }
  found.ms = performance.now() - started;
  return found;
}

/** Leaves out each choice that the failure does not need. */
function shorten(run: Run, failing: number[]): number[] {
  let choices = [...failing];
  for (let changed = true; changed; ) {
    changed = false;
    for (let at = choices.length - 1; at >= 0; at--) {
      if (choices[at] === 0) continue;
      const fewer = [...choices];
      fewer[at] = 0;
      const following = new Following(fewer);
      if (run(following) === undefined) continue;
      choices = following.taken;
      changed = true;
    }
  }
  return choices;
}

/** Mulberry32. */
export function randomNumbers(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
