// Names that are made, opened, used and unlinked all the time, and objects that come and go.
import { Event, Lock, Semaphore } from 'forklock';
import { Section } from './section.mjs';

const NAMES = 4;

export class Names {
  index;
  #prefix;
  #section;

  constructor(journal, index, prefix) {
    this.index = index;
    this.#prefix = prefix;
    this.#section = new Section(journal, index);
  }

  static create(journal, index, prefix) {
    return new Names(journal, index, prefix);
  }

  static open(journal, index, { prefix }) {
    return new Names(journal, index, prefix);
  }

  get spec() {
    return { type: 'Names', prefix: this.#prefix };
  }

  get title() {
    return 'names, objects made and dropped';
  }

  get objects() {
    return [];
  }

  get places() {
    return [];
  }

  actSync(lane) {
    this.#section.noteEntry();
    const name = `${this.#prefix}-${lane.random.below(NAMES)}`;
    const how = lane.random.next();
    if (how < 0.2) {
      Lock.unlink(name);
    } else if (how < 0.7) {
      const lock = new Lock({ name });
      if (lock.acquire(20)) lock.release();
      lock.close();
    } else {
      for (const object of [new Lock(), new Semaphore(2, { recover: true }), new Event()]) {
        if (lane.random.chance(0.5)) object.handle;
        object.close();
      }
    }
  }

  async actAsync(lane) {
    this.actSync(lane);
  }

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return 0;
  }

  isBusy() {
    return true; // its locks have no one that could be asked
  }

  check() {
    return [];
  }

  removeAll() {
    for (let i = 0; i < NAMES; i++) Lock.unlink(`${this.#prefix}-${i}`);
  }
}
