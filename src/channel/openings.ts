import type { SharedObject } from '../memory/shared-object.js';
import type { Lock } from '../sync/lock.js';
import type { RLock } from '../sync/rlock.js';
import type { RWLock } from '../sync/rwlock.js';
import { type Carried, KINDS, type Parts, type WrapperOptions } from './kinds.js';

const placeOf = ({ cell }: SharedObject): string => `${cell.segment.index}/${cell.index}`;

/**
 * The forklock objects that one message opens. Where a message has a lock and a condition of that lock, `condition.lock`
 * is the lock here too, whichever comes first; the same goes for the sides of an RWLock.
 */
export class Openings implements Parts {
  readonly objects = new Set<object>();
  readonly #parts = new Map<string, Lock | RLock | RWLock>();
  /** Parts that have not come by themselves yet. */
  readonly #unclaimed = new Set<SharedObject>();

  /** Opens what a handle of a class leads to. Undefined: there is no such class. */
  open(code: number, handle: string, options: WrapperOptions): Carried | undefined {
    const object = KINDS[code]?.open(handle, this, options);
    if (object) this.objects.add(object);
    return object;
  }

  itself<T extends Lock | RLock | RWLock>(lock: T): T {
    const place = placeOf(lock);
    const known = this.#parts.get(place);
    if (!known) this.#parts.set(place, lock);
    if (!known || !this.#unclaimed.delete(known)) return lock;
    lock.close();
    return known as T;
  }

  asPart<T extends Lock | RLock | RWLock>(lock: T): T {
    const place = placeOf(lock);
    const known = this.#parts.get(place);
    if (known) {
      lock.close();
      return known as T;
    }
    this.#parts.set(place, lock);
    this.#unclaimed.add(lock);
    return lock;
  }

  /** Closes all: the message turned out to be unreadable. */
  close(): void {
    for (const object of [...this.objects, ...this.#parts.values()]) (object as { close?(): void }).close?.();
  }
}
