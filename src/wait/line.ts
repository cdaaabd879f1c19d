import { afterForkInChild } from '../after-fork.js';

/** A wait that stands in a line. */
export interface Standing {
  /** Looks once. True: it is over, and has left the line. False: it sleeps until there is a reason to look again. */
  look(): boolean;
  /** How often the line has looked in vain since it came. */
  missed(looks: number): void;
  /** What it sleeps on has changed, and it has not heard of that yet. */
  readonly hasNews: boolean;
}

const lines = new Map<number, Line>();

const keyOf = (segment: number, word: number): number => segment * 2 ** 32 + word;

afterForkInChild((rehearsing) => {
  if (!rehearsing) lines.clear(); // who stands in them is the parent's
});

/**
 * This thread's waits for one thing, in the order in which they came. The first one looks and sleeps for all. If the
 * others did so too, one of them could look right after a release, and the first one right before it. It also makes
 * one sleep of any number of waits.
 */
export class Line {
  readonly #key: number;
  /** With what `#looks` was when they came. */
  readonly #waits = new Map<Standing, number>();
  /** How often a first one has looked in vain. */
  #looks = 0;

  private constructor(key: number) {
    this.#key = key;
  }

  /** The line that there is. */
  static at(segment: number, word: number): Line | undefined {
    return lines.get(keyOf(segment, word));
  }

  /** Puts a wait at the end of its line. */
  static join(segment: number, word: number, wait: Standing): Line {
    const line = Line.at(segment, word) ?? new Line(keyOf(segment, word));
    if (line.length === 0) lines.set(line.#key, line);
    line.#waits.set(wait, line.#looks);
    return line;
  }

  get length(): number {
    return this.#waits.size;
  }

  /** Whether the first one is about to look. */
  get hasNews(): boolean {
    for (const first of this.#waits.keys()) return first.hasNews;
    return false;
  }

  leave(wait: Standing): void {
    this.#waits.delete(wait);
    if (this.length === 0) lines.delete(this.#key);
  }

  /** The first one looks; if that was its end the next one does, and so on. (A line may be too long for a recursion.) */
  advance(): void {
    for (const [wait, since] of this.#waits) {
      wait.missed(this.#looks - since);
      if (wait.look()) continue;
      this.#looks++;
      return;
    }
  }
}
