import { RawArray, SharedArray } from '../data/array.js';
import { SharedMemory } from '../data/shared-memory.js';
import { RawValue, Value } from '../data/value.js';
import type { Handle } from '../memory/handle.js';
import { Barrier, type BarrierOptions } from '../sync/barrier.js';
import { Condition } from '../sync/condition.js';
import { Event } from '../sync/event.js';
import { Lock } from '../sync/lock.js';
import { RLock } from '../sync/rlock.js';
import { ReadSide, RWLock, type Side, WriteSide } from '../sync/rwlock.js';
import { BoundedSemaphore, Semaphore } from '../sync/semaphore.js';

/** A forklock object that a message can carry. */
export type Carried =
  | Lock
  | RLock
  | Semaphore
  | Condition
  | Event
  | Barrier
  | RWLock
  | Side
  | Value
  | RawValue
  | SharedArray
  | RawArray
  | SharedMemory;

/** The locks of one message that are parts of other objects in it. */
export interface Parts {
  /** A lock that comes by itself. Two wrappers of one lock stay two. */
  itself<T extends Lock | RLock | RWLock>(lock: T): T;
  /** A lock that comes as a part of another object. */
  asPart<T extends Lock | RLock | RWLock>(lock: T): T;
}

/** How the objects of a class go into a message and come out of it. */
export interface Kind<T extends Carried = Carried> {
  type: abstract new (...args: never[]) => T;
  /** What leads to the object. Options of an object are in its memory, but for what belongs to the wrapper. */
  handle(object: T): Handle;
  open(handle: string, parts: Parts, options: WrapperOptions): T;
}

/** What belongs to the wrapper and can be carried. */
export type WrapperOptions = Pick<BarrierOptions, 'timeout'>;

type Opener<T> = { from(handle: string): T };

function plain<T extends Exclude<Carried, Side>>(type: Kind<T>['type'] & Opener<T>): Kind {
  return { type, handle: (object) => (object as T).handle, open: (handle) => type.from(handle) };
}

/** An object that others have as a part of theirs. */
function part<T extends Lock | RLock | RWLock>(type: Kind<T>['type'] & Opener<T>): Kind {
  return {
    type,
    handle: (object) => (object as T).handle,
    open: (handle, parts) => parts.itself(type.from(handle)),
  };
}

/** An object that comes with a lock. */
function locked<T extends Condition | Value | SharedArray>(type: Kind<T>['type'] & Opener<T>): Kind {
  return {
    type,
    handle: (object) => (object as T).handle,
    open(handle, parts) {
      const object = type.from(handle);
      (object as { lock: Lock | RLock }).lock = parts.asPart(object.lock);
      return object;
    },
  };
}

function side(type: Kind<Side>['type'], which: 'read' | 'write'): Kind {
  return {
    type,
    handle: (object) => (object as Side).cell.handle,
    open: (handle, parts) => parts.asPart(RWLock.from(handle))[which],
  };
}

const barrier: Kind = {
  type: Barrier,
  handle: (object) => (object as Barrier).handle,
  open: (handle, _parts, options) => Barrier.from(handle, options),
};

/** Their places are what says the class in a message: new ones go to the end. */
export const KINDS: readonly Kind[] = [
  part(Lock),
  part(RLock),
  plain(Semaphore),
  plain(BoundedSemaphore),
  locked(Condition),
  plain(Event),
  barrier,
  part(RWLock),
  side(ReadSide, 'read'),
  side(WriteSide, 'write'),
  locked(Value),
  plain(RawValue),
  locked(SharedArray),
  plain(RawArray),
  plain(SharedMemory),
];

/** The number of an object's class; of an instance of a user's subclass, that of the class it extends. */
export function codeOf(object: object): number {
  // From the end: a BoundedSemaphore is a Semaphore too.
  return KINDS.findLastIndex(({ type }) => object instanceof type);
}
