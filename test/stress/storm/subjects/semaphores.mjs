// Semaphores: with `recover`, where the permits of the dead come back, and bounded, where they are lost.
import { BoundedSemaphore, Semaphore } from 'forklock';
import { PHASE } from '../journal.mjs';
import { takeAsync, takeSync } from './forms.mjs';
import { Section } from './section.mjs';

const PERMITS = 4;

export class Semaphores {
  index;
  #recover;
  #semaphore;
  #journal;
  #section;

  constructor(journal, index, recover, semaphore) {
    this.index = index;
    this.#journal = journal;
    this.#recover = recover;
    this.#semaphore = semaphore;
    this.#section = new Section(journal, index);
  }

  static create(journal, index, recover) {
    const semaphore = recover ? new Semaphore(PERMITS, { recover }) : new BoundedSemaphore(PERMITS);
    return new Semaphores(journal, index, recover, semaphore);
  }

  static open(journal, index, { recover, handle }) {
    return new Semaphores(journal, index, recover, (recover ? Semaphore : BoundedSemaphore).from(handle));
  }

  get spec() {
    return { type: 'Semaphores', recover: this.#recover, handle: this.#semaphore.handle };
  }

  get title() {
    return this.#recover ? 'Semaphore with recover' : 'BoundedSemaphore';
  }

  get objects() {
    return [this.#semaphore];
  }

  get places() {
    const { cell } = this.#semaphore;
    const size = this.#recover ? 16 + PERMITS : 16;
    return [{ object: this.#recover ? 'permits' : 'semaphore', words: cell.segment.words, at: cell.at, size }];
  }

  actSync(lane) {
    takeSync(lane, this.#semaphore, () => {
      this.#enter(lane);
      lane.linger();
      this.#leave(lane);
    });
  }

  async actAsync(lane) {
    await takeAsync(lane, this.#semaphore, async () => {
      this.#enter(lane);
      await lane.lingerAsync();
      this.#leave(lane);
    });
  }

  #enter(lane) {
    lane.phase(PHASE.inside);
    this.#section.noteEntry();
    lane.turnSection();
    const inside = this.#insiders();
    if (inside.length > PERMITS) {
      // Who is there at a second look as well has been there between the two: all of them at a time.
      const again = new Set(this.#insiders().map(String));
      const together = inside.filter((each) => again.has(String(each)));
      if (together.length > PERMITS) this.#journal.suspect(this.index, lane.token, PERMITS, together);
    }
    lane.at('with a permit');
  }

  /** Who has a permit; some of them may have died with it. */
  #insiders() {
    const lanes = this.#journal.lanesIn(this.index);
    return lanes.map(([seat, task]) => this.#journal.insider(seat, task)).filter((insider) => insider !== undefined);
  }

  #leave(lane) {
    lane.turnSection();
    lane.phase(PHASE.releasing);
  }

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return this.#semaphore.waiting;
  }

  isBusy() {
    return this.#semaphore.value === 0;
  }

  /** In a lull: when the dead have taken all permits with them, those who wait can only die, too. */
  soothe(lanes, remove) {
    const { value, waiting } = this.#semaphore;
    if (!this.#recover && value === 0 && waiting > 0 && waiting === lanes.length) remove(lanes);
  }

  check({ deaths }) {
    const wrong = [];
    const { value } = this.#semaphore;
    if (this.#recover) {
      if (value !== PERMITS) wrong.push(['leaks', `${PERMITS - value} of ${PERMITS} permits are gone`]);
      return wrong;
    }
    const lost = PERMITS - value;
    if (lost > deaths) wrong.push(['leaks', `${lost} permits are lost by ${deaths} deaths`]);
    return wrong;
  }

  /** Brings back what the dead have lost, and not one more. */
  restore() {
    if (this.#recover) return [];
    for (let lost = PERMITS - this.#semaphore.value; lost > 0; lost--) this.#semaphore.release();
    try {
      this.#semaphore.release();
    } catch (error) {
      if (error.code === 'ERR_FORKLOCK_OVER_RELEASE') return [];
      throw error;
    }
    return [['violations', 'a release beyond the bound']];
  }
}
