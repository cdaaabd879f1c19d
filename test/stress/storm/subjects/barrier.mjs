// Barrier: all parties of a round get through, or none.
import { Barrier, BrokenBarrierError } from 'forklock';
import { PHASE } from '../journal.mjs';
import { isAbort } from '../lane.mjs';
import { Section } from './section.mjs';

export const PARTIES = 3;
/** How many got through with each arrival index. */
const THROUGH = 0;
const BROKEN = THROUGH + PARTIES;

export class Barriers {
  index;
  #barrier;
  #section;
  #lane;
  #last = [0, 0, 0];

  constructor(journal, index, make) {
    this.index = index;
    this.#section = new Section(journal, index);
    this.#barrier = make(() => this.#lane?.at('in the action of a barrier'));
  }

  static create(journal, index) {
    return new Barriers(journal, index, () => new Barrier(PARTIES));
  }

  static open(journal, index, { handle }) {
    return new Barriers(journal, index, (action) => Barrier.from(handle, { action }));
  }

  get spec() {
    return { type: 'Barriers', handle: this.#barrier.handle };
  }

  get title() {
    return 'Barrier';
  }

  get objects() {
    return [this.#barrier];
  }

  get places() {
    const { cell } = this.#barrier;
    return [{ object: 'barrier', words: cell.segment.words, at: cell.at, size: 16 + 1023 }];
  }

  actSync(lane) {
    this.#lane = lane;
    try {
      this.#through(lane, this.#barrier.wait(lane.random.chance(0.85) ? undefined : lane.random.below(30)));
    } catch (error) {
      this.#broken(lane, error);
    }
  }

  async actAsync(lane) {
    this.#lane = lane;
    try {
      this.#through(lane, await this.#barrier.waitAsync(lane.random.chance(0.85) ? undefined : lane.waitOptions()));
    } catch (error) {
      this.#broken(lane, error);
    }
  }

  #through(lane, i) {
    lane.phase(PHASE.releasing);
    this.#section.noteEntry();
    this.#section.addWord(THROUGH + i, 1);
  }

  #broken(lane, error) {
    lane.phase(PHASE.releasing);
    if (!(error instanceof BrokenBarrierError) && !isAbort(error)) throw error;
    this.#section.addWord(BROKEN, 1);
    this.#section.noteEntry();
    this.#barrier.reset();
  }

  get entries() {
    return this.#section.entries;
  }

  /** Arrivals are no waits: who is in its action waits for nobody. */
  get waiting() {
    return this.#barrier.broken ? 0 : this.#barrier.waiting;
  }

  /** The parties that have arrived wait for the others, while all of them live. */
  isBusy(inLull, lanes) {
    return !inLull && !this.#barrier.broken && this.#barrier.waiting <= lanes.length;
  }

  calm() {
    this.#barrier.abort();
  }

  /** Who was on the way may have reset it, or arrived since. */
  soothe() {
    if (!this.#barrier.broken) this.#barrier.abort();
  }

  check({ deaths }) {
    const since = this.#counts.map((count, i) => count - this.#last[i]);
    const missing = Math.max(...since) - Math.min(...since);
    // A party that dies as it gets through is not counted.
    if (missing > deaths) return [['violations', `parties got through by index: ${since}, and ${deaths} have died`]];
    return [];
  }

  restore() {
    this.#last = this.#counts;
    this.#barrier.abort();
    this.#barrier.reset();
  }

  get #counts() {
    return [0, 1, 2].map((i) => this.#section.word(THROUGH + i));
  }
}
