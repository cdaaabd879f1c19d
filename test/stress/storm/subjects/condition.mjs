// Condition: a store of items that its lock protects. What is put in is notified; nobody sleeps beside an item.
import { Condition } from 'forklock';
import { PHASE } from '../journal.mjs';
import { isAbort } from '../lane.mjs';
import { placeOfLock } from './owned.mjs';
import { Section } from './section.mjs';

const ITEMS = 0;
/** The lull: everybody goes home. */
const CLOSING = 1;

export class Conditions {
  index;
  #condition;
  #section;

  constructor(journal, index, condition) {
    this.index = index;
    this.#condition = condition;
    this.#section = new Section(journal, index);
  }

  static create(journal, index) {
    return new Conditions(journal, index, new Condition());
  }

  static open(journal, index, { handle }) {
    return new Conditions(journal, index, Condition.from(handle));
  }

  get spec() {
    return { type: 'Conditions', handle: this.#condition.handle };
  }

  get title() {
    return 'Condition';
  }

  get objects() {
    return [this.#condition];
  }

  get places() {
    const { cell, lock } = this.#condition;
    const records = { object: 'condition', words: cell.segment.words, at: cell.at, size: 32 + 5 * 1023 };
    return [placeOfLock(lock), records];
  }

  actSync(lane) {
    const condition = this.#condition;
    const timeout = lane.timeout();
    const how = lane.random.next();
    if (!condition.acquire(lane.timeout())) return;
    this.#enter(lane);
    if (how < 0.5) {
      this.#put(lane, how < 0.05);
    } else if (how < 0.75) {
      while (!this.#ready && this.#waits(lane, () => condition.wait(timeout)));
      this.#take();
    } else {
      this.#leave(lane);
      const ready = condition.waitFor(() => this.#looks(lane), timeout);
      if (!ready) this.#enter(lane);
      this.#take();
    }
    this.#leave(lane);
    condition.release();
  }

  async actAsync(lane) {
    const condition = this.#condition;
    const options = lane.waitOptions();
    const how = lane.random.next();
    await condition.acquireAsync();
    this.#enter(lane);
    try {
      if (how < 0.5) {
        await lane.lingerAsync();
        this.#put(lane, how < 0.05);
      } else if (how < 0.75) {
        while (!this.#ready) {
          this.#leave(lane);
          lane.phase(PHASE.waiting);
          const notified = await condition.waitAsync(options).finally(() => this.#enter(lane));
          if (!notified) break;
        }
        this.#take();
      } else {
        this.#leave(lane);
        let ready = false;
        try {
          ready = await condition.waitForAsync(() => this.#looks(lane), options);
        } finally {
          if (!ready) this.#enter(lane);
        }
        this.#take();
      }
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
    this.#leave(lane);
    condition.release();
  }

  get #ready() {
    return this.#section.word(ITEMS) > 0 || this.#section.word(CLOSING) !== 0;
  }

  /** With the lock: who died with it may have changed the items and told nobody. */
  #enter(lane) {
    const told = this.#condition.lock.ownerDied;
    this.#section.enter(lane, told);
    if (told) this.#condition.notifyAll();
  }

  #leave(lane) {
    this.#section.leave(lane);
  }

  #put(lane, toAll) {
    this.#section.begin(lane);
    this.#section.addWord(ITEMS, 1);
    this.#section.finish(lane);
    lane.at('with the items, before notify()');
    if (toAll) this.#condition.notifyAll();
    else this.#condition.notify();
  }

  #take() {
    if (this.#section.word(ITEMS) > 0) this.#section.addWord(ITEMS, -1);
  }

  #waits(lane, wait) {
    this.#leave(lane);
    lane.phase(PHASE.waiting);
    const notified = wait();
    this.#enter(lane);
    return notified;
  }

  /** As a predicate: stays inside when it is true. */
  #looks(lane) {
    this.#enter(lane);
    if (this.#ready) return true;
    this.#leave(lane);
    lane.phase(PHASE.waiting);
    return false;
  }

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return this.#condition.waiting + this.#condition.lock.waiting;
  }

  /** Who waits for an item, while there is none, waits with reason. */
  isBusy(_inLull, lanes) {
    if (this.#condition.lock.owner !== null) return true;
    return !this.#ready && lanes.length === this.#condition.waiting;
  }

  /** Notified by a set of the flag under the lock; not before all that can take an item has one. */
  async soothe() {
    if (this.#section.word(CLOSING) !== 0 || this.#section.word(ITEMS) > 0) return;
    if (!(await this.#condition.acquireAsync({ timeout: 5 }))) return;
    if (this.#condition.lock.ownerDied) this.#section.mendAll();
    this.#section.setWord(CLOSING, 1);
    this.#condition.notifyAll();
    this.#condition.release();
  }

  restore() {
    this.#section.setWord(CLOSING, 0);
  }

  check() {
    const { lock } = this.#condition;
    const { isTorn, holder } = this.#section;
    const wrong = [];
    if (lock.locked) wrong.push(['violations', 'it is held, and nobody holds it']);
    if ((isTorn || holder !== 0) && !lock.ownerDied) {
      wrong.push(['unreported deaths', 'an owner died inside, and ownerDied is false']);
    }
    return wrong;
  }
}
