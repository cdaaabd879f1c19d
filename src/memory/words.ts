import { corrupt } from '../errors.js';
import { native } from '../native.js';
import { aliveAt, generationAt, HIGH_AT, MEMBERS_AT, SLOTS } from './layout.js';

/**
 * The only way in which the algorithms of sync/core touch shared memory. In production it is Atomics over a mapped
 * segment (`Words`, below: V8 inlines it away); in test/explore it is a model that tries every interleaving.
 * All operations are sequentially consistent.
 */
export interface Memory {
  /** Name of this participant: slot + 1 in bits 0–10, generation of the slot in bits 11–30. Never 0, never negative. */
  readonly me: number;
  /** Word that is increased and woken whenever a participant registers. */
  readonly membersAt: number;
  /** Word that says how many slots have ever been used. */
  readonly highAt: number;
  aliveAt(slot: number): number;
  generationAt(slot: number): number;
  load(at: number): number;
  store(at: number, value: number): void;
  cas(at: number, expected: number, value: number): number;
  exchange(at: number, value: number): number;
  add(at: number, by: number): number;
  /** Wakes at most n sleepers of a word. A system call: only where somebody may sleep. */
  wake(at: number, n: number): void;
}

export const EVERYONE = 0x7fffffff;

export class Words implements Memory {
  me = 0;
  readonly view: Int32Array;
  readonly index: number;
  readonly membersAt = MEMBERS_AT;
  readonly highAt = HIGH_AT;

  constructor(view: Int32Array, index: number) {
    this.view = view;
    this.index = index;
  }

  aliveAt(slot: number): number {
    return aliveAt(slot);
  }

  generationAt(slot: number): number {
    return generationAt(slot);
  }

  load(at: number): number {
    return Atomics.load(this.view, at);
  }

  store(at: number, value: number): void {
    Atomics.store(this.view, at, value);
  }

  cas(at: number, expected: number, value: number): number {
    return Atomics.compareExchange(this.view, at, expected, value);
  }

  exchange(at: number, value: number): number {
    return Atomics.exchange(this.view, at, value);
  }

  add(at: number, by: number): number {
    return Atomics.add(this.view, at, by);
  }

  wake(at: number, n: number): void {
    native().wake(this.index, at, n);
  }
}

// Names of participants.

const SLOT_MASK = 0x7ff;
const GENERATION_MASK = 0xfffff;
const TID_MASK = 0x3fffffff;
const OWNER_DIED = 0x40000000;

export const nameOf = (slot: number, generation: number): number => (slot + 1) | ((generation & GENERATION_MASK) << 11);

export const slotOf = (name: number): number => (name & SLOT_MASK) - 1;

export const generationOf = (name: number): number => (name >>> 11) & GENERATION_MASK;

/** `generation` as a slot has it, against the 20 bits of it that a name has. */
export const sameGeneration = (name: number, generation: number): boolean =>
  generationOf(name) === (generation & GENERATION_MASK);

export function isGone(alive: number): boolean {
  return (alive & TID_MASK) === 0 || (alive & OWNER_DIED) !== 0;
}

/**
 * Whether the participant of this name still runs. The alive word is read before the generation: both change
 * in one instant, so the other order could see a dead owner's generation beside its successor's life.
 */
export function isAlive(m: Memory, name: number): boolean {
  const slot = slotOf(name);
  if (slot < 0 || slot >= SLOTS) throw corrupt(`a lock word names slot ${slot}, which cannot be`);
  const alive = m.load(m.aliveAt(slot));
  const generation = m.load(m.generationAt(slot));
  return !isGone(alive) && sameGeneration(name, generation);
}

/** How many slots to look at: never more than there are, whatever the memory says. */
export function highOf(m: Memory): number {
  return Math.max(0, Math.min(SLOTS, m.load(m.highAt)));
}

/** A number for each name, which says nothing of the others': one to one on 31 bits. The addon's `mix_of` is the same. */
export function mixOf(name: number): number {
  let x = Math.imul(name, 0x9e3779b1) & 0x7fffffff;
  x = Math.imul(x ^ (x >>> 15), 0x85ebca6b) & 0x7fffffff;
  return x ^ (x >>> 13);
}

/**
 * Who lives, in 31 bits, to be compared with who lives later. Not how many: one may come while another one goes. Nor in
 * which slots: a newcomer has its slot, and that the generation of its own, before it can say that it is there, and
 * may be stopped or killed in between. Two different sets have the same digest with a probability of 2^-31.
 */
export function digestOfLiving(m: Memory): number {
  let digest = 0;
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    if (isGone(m.load(m.aliveAt(slot)))) continue;
    digest = (digest + mixOf(nameOf(slot, m.load(m.generationAt(slot))))) & 0x7fffffff;
  }
  return digest;
}
