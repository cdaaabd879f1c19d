import { afterForkInChild } from '../after-fork.js';
import { type Place, Queue } from './queue.js';

/** A wait that stands in a line. */
export interface Standing {
  /** Looks once. True: it is over, and has left the line. False: it sleeps until there is a reason to look again. */
  look(): boolean;
  /** How often the line has looked in vain since it came. */
  missed(looks: number): void;
  /** What it sleeps on has changed, and it has not heard of that yet. */
  readonly hasNews: boolean;
}

/** One wait in a line. */
export interface Stand {
  readonly wait: Standing;
  /** How often a first one had looked in vain when it came. */
  readonly since: number;
  readonly line: Line;
}

const lines = new Map<number, Line>();

const keyOf = (segment: number, word: number): number => segment * 2 ** 32 + word;

afterForkInChild((dryRun) => {
  if (!dryRun) lines.clear(); // who stands in them is the parent's
});

/**
 * This thread's waits for one thing, in the order in which they came. The first one looks and sleeps for all. If the
 * others did so too, one of them could look right after a release, and the first one right before it. It also makes
 * one sleep of any number of waits.
 */
export class Line {
  readonly #key: number;
  readonly #waits = new Queue<Stand>();
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
  static join(segment: number, word: number, wait: Standing): Place<Stand> {
    const line = Line.at(segment, word) ?? new Line(keyOf(segment, word));
    if (line.length === 0) lines.set(line.#key, line);
    return line.#waits.push({ wait, since: line.#looks, line });
  }

  get length(): number {
    return this.#waits.length;
  }

  /** Whether the first one is about to look. */
  get hasNews(): boolean {
    return this.#waits.first?.value.wait.hasNews ?? false;
  }

  leave(place: Place<Stand>): void {
    this.#waits.remove(place);
    if (this.length === 0) lines.delete(this.#key);
  }

  /** The first one looks; if that was its end the next one does, and so on. (A line may be too long for a recursion.) */
  advance(): void {
    for (let first = this.#waits.first; first; first = this.#waits.first) {
      const { wait, since } = first.value;
      wait.missed(this.#looks - since);
      if (wait.look()) continue;
      this.#looks++;
      return;
    }
  }

  /** @internal How many waits stand behind others: the explorer asks. */
  static behind(): number {
    return [...lines.values()].reduce((sum, { length }) => sum + length - 1, 0);
  }
}
