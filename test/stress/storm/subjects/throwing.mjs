// A lock with onOwnerDied: 'throw'. Who is told repairs the data under a second lock, and calls recover().
import { Lock, OwnerDiedError, RLock } from 'forklock';
import { PHASE } from '../journal.mjs';
import { takeAsync, takeSync } from './forms.mjs';
import { placeOfLock } from './owned.mjs';
import { Section } from './section.mjs';

const CLASSES = { Lock, RLock };

export class Throwing {
  index;
  #cls;
  #lock;
  #repairs;
  #section;

  constructor(journal, index, cls, lock, repairs) {
    this.index = index;
    this.#cls = cls;
    this.#lock = lock;
    this.#repairs = repairs;
    this.#section = new Section(journal, index);
  }

  static create(journal, index, cls) {
    return new Throwing(journal, index, cls, new CLASSES[cls]({ onOwnerDied: 'throw' }), new Lock());
  }

  static open(journal, index, { cls, handle, repairs }) {
    return new Throwing(journal, index, cls, CLASSES[cls].from(handle), Lock.from(repairs));
  }

  get spec() {
    return { type: 'Throwing', cls: this.#cls, handle: this.#lock.handle, repairs: this.#repairs.handle };
  }

  get title() {
    return `${this.#cls} that throws`;
  }

  get objects() {
    return [this.#lock, this.#repairs];
  }

  get places() {
    return [placeOfLock(this.#lock), placeOfLock(this.#repairs)];
  }

  actSync(lane) {
    try {
      takeSync(lane, this.#lock, (scoped) => this.#section.run(lane, false, scoped));
    } catch (error) {
      if (!(error instanceof OwnerDiedError)) throw error;
      this.#repairs.acquire();
      this.#repair(lane);
      this.#repairs.release();
    }
  }

  async actAsync(lane) {
    try {
      const section = (scoped) => this.#section.runAsync(lane, false, scoped);
      await takeAsync(lane, this.#lock, section, this.#lock instanceof RLock);
    } catch (error) {
      if (!(error instanceof OwnerDiedError)) throw error;
      await this.#repairs.acquireAsync();
      this.#repair(lane);
      this.#repairs.release();
    }
  }

  /** Nobody can have taken the lock since, because only who holds the second lock recovers. */
  #repair(lane) {
    lane.phase(PHASE.inside);
    this.#section.noteEntry();
    if (!this.#lock.ownerDied) return;
    lane.at('told of a death, before the repair');
    this.#section.mendAll();
    lane.at('told of a death, after the repair, before recover()');
    this.#lock.recover();
  }

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return this.#lock.waiting + this.#repairs.waiting;
  }

  isBusy() {
    return this.#lock.owner !== null || this.#repairs.owner !== null;
  }

  check() {
    const wrong = [];
    if (this.#lock.locked || this.#repairs.locked) wrong.push(['violations', 'it is held, and nobody holds it']);
    const { isTorn, holder } = this.#section;
    if ((isTorn || holder !== 0) && !this.#lock.ownerDied) {
      wrong.push(['unreported deaths', 'an owner died inside, and ownerDied is false']);
    }
    return wrong;
  }
}
