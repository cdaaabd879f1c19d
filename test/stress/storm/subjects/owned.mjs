// Lock and RLock, alone or as the lock of a Value or an Array; anonymous and named.
import { Lock, RLock, Array as SharedArray, Value } from 'forklock';
import { takeAsync, takeSync } from './forms.mjs';
import { Section } from './section.mjs';

const CLASSES = { Lock, RLock, Value, Array: SharedArray };

/** `{ object, words, at, size }` of a lock's word. */
export const placeOfLock = ({ cell }) => ({ object: 'lock', words: cell.segment.words, at: cell.at, size: 16 });

export class Owned {
  index;
  #cls;
  #object;
  #lock;
  #section;

  constructor(journal, index, cls, object) {
    this.index = index;
    this.#cls = cls;
    this.#object = object;
    this.#lock = object.lock ?? object;
    this.#section = new Section(journal, index);
  }

  static create(journal, index, cls, name) {
    const args = { Lock: [], RLock: [], Value: ['int32', 0], Array: ['int32', 2] }[cls];
    return new Owned(journal, index, cls, new CLASSES[cls](...args, ...(name ? [{ name }] : [])));
  }

  static open(journal, index, { cls, handle, name }) {
    return new Owned(journal, index, cls, name ? new CLASSES[cls]({ name }) : CLASSES[cls].from(handle));
  }

  get spec() {
    const { name, handle } = this.#object;
    return { type: 'Owned', cls: this.#cls, name, handle };
  }

  get title() {
    return `${this.#object.name === undefined ? '' : 'named '}${this.#cls}`;
  }

  get objects() {
    return [this.#object];
  }

  get places() {
    return [placeOfLock(this.#lock)];
  }

  // Participants.

  actSync(lane) {
    const lock = this.#lock;
    takeSync(lane, this.#withScopes(), (scoped) => {
      const levels = lock instanceof RLock && lane.random.chance(0.3) ? 1 + lane.random.below(2) : 0;
      for (let i = 0; i < levels; i++) lock.acquire();
      this.#section.run(lane, lock.ownerDied, scoped && levels === 0);
      for (let i = 0; i < levels; i++) lock.release();
    });
  }

  async actAsync(lane) {
    const lock = this.#lock;
    const section = (scoped) => this.#section.runAsync(lane, lock.ownerDied, scoped);
    await takeAsync(lane, this.#withScopes(), section, lock instanceof RLock);
  }

  /** The lock, with the scoped forms that the object itself has. */
  #withScopes() {
    const object = this.#object;
    const lock = this.#lock;
    if (object === lock) return lock;
    return {
      acquire: (timeout) => lock.acquire(timeout),
      tryAcquire: () => lock.tryAcquire(),
      release: () => lock.release(),
      hold: (timeout) => lock.hold(timeout),
      with: (fn, timeout) => object.with(fn, timeout),
      acquireAsync: (options) => lock.acquireAsync(options),
      holdAsync: (options) => lock.holdAsync(options),
      withAsync: (fn, options) => object.withAsync(fn, options),
    };
  }

  // The supervisor.

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return this.#lock.waiting;
  }

  /** Whether there is a reason to wait. */
  isBusy() {
    return this.#lock.owner !== null;
  }

  /** When nobody is in the middle of anything. */
  check() {
    const wrong = [];
    const { ownerDied, locked } = this.#lock;
    if (locked) wrong.push(['violations', 'it is held, and nobody holds it']);
    const { isTorn, holder } = this.#section;
    if ((isTorn || holder !== 0) && !ownerDied)
      wrong.push(['unreported deaths', 'an owner died inside, and ownerDied is false']);
    return wrong;
  }
}
