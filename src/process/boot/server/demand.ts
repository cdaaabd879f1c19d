/** Each has some 3 MB of its own. */
const MOST_SPARES = 16;

/**
 * How many spare children a fork server keeps: one more than were asked for in a row, so that a row like the last one
 * leaves one, and none has to be forked while the processes of the row run. After shorter rows it is one less each time.
 */
export class Demand {
  #started = 0;
  #row = 0;
  #usual = 0;

  /** Somebody has asked for a process. */
  rises(): void {
    this.#started++;
    this.#row++;
  }

  /** Nobody has, for a while: what was asked for was a row. */
  rests(): void {
    if (this.#row === 0) return;
    this.#usual = Math.max(this.#row, this.#usual - 1);
    this.#row = 0;
  }

  /** A row has begun, and not ended. */
  get rising(): boolean {
    return this.#row > 0;
  }

  /** Who has started one process only, needs no two. */
  get spares(): number {
    return Math.min(this.#started, Math.max(this.#row, this.#usual) + 1, MOST_SPARES);
  }
}
