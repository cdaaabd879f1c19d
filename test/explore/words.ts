import type { Memory } from '../../src/memory/words.js';
import type { Body, Op } from './program.js';

/**
 * The words that both searches are about: where they lie, what the participants' words mean, and how they are shown.
 * The layout is that of native/layout.h, without what the algorithms do not see.
 */
export const WAITERS = -0x80000000;
export const OWNER_DIED = 0x40000000;
export const TID = 0x3fffffff;

export const HIGH_AT = 0;
export const MEMBERS_AT = 1;
export const aliveAt = (slot: number): number => 2 + 2 * slot;
export const generationAt = (slot: number): number => 3 + 2 * slot;
/** A participant's name, as the words of locks have it: native/participant.cc. */
export const nameOf = (slot: number, generation: number): number => (slot + 1) | (generation << 11);

export const isGone = (alive: number): boolean => (alive & TID) === 0 || (alive & OWNER_DIED) !== 0;

/** Room for words: those of the participants first. The specification's own state is in such words too. */
export class Room {
  readonly names: string[] = ['high', 'members'];
  readonly initial: number[] = [0, 0];
  readonly slots: number;

  constructor(slots: number) {
    this.slots = slots;
    for (let slot = 0; slot < slots; slot++) {
      this.word(`alive ${slot}`);
      this.word(`generation ${slot}`);
    }
  }

  word(name: string, initial = 0): number {
    this.names.push(name);
    return this.initial.push(initial) - 1;
  }

  /** Room for an object of its own, at a cell's boundary. */
  object(name: string, n: number): number {
    while (this.initial.length % 16 !== 0) this.word('(nothing)');
    return this.table(name, Math.ceil(n / 16) * 16);
  }

  table(name: string, n: number): number {
    const at = this.initial.length;
    for (let i = 0; i < n; i++) this.word(`${name} ${i}`);
    return at;
  }
}

/** The words of a state, for the core's own functions to look at. */
export function peek(state: readonly number[]): Memory {
  const refuse = (): never => {
    throw new Error('a state can only be looked at');
  };
  const load = (at: number): number => state[at]!;
  const place = { me: 0, membersAt: MEMBERS_AT, highAt: HIGH_AT, aliveAt, generationAt };
  return { ...place, load, store: refuse, cas: refuse, exchange: refuse, add: refuse, wake: refuse };
}

/** Whether a name belongs to nobody who lives. */
export function isGoneIn(state: readonly number[], name: number): boolean {
  const slot = (name & 0x7ff) - 1;
  return isGone(state[aliveAt(slot)]!) || nameOf(slot, state[generationAt(slot)]!) !== name;
}

/** Whether a word is the name of somebody who lives. */
export function namesLiving(state: readonly number[], at: number): boolean {
  return state[at] !== 0 && !isGoneIn(state, state[at]!);
}

/** The registration of native/participant.cc, in its order, and then the body. */
export function joining(slot: number, tid: number, body: Body, stops = false, others = 0): Body {
  return (api) => {
    const { m } = api;
    const bit = api.run(() => {
      if (m.load(HIGH_AT) <= slot) m.cas(HIGH_AT, slot, slot + 1);
      return m.load(aliveAt(slot)) & WAITERS;
    });
    api.before((state) => {
      state[generationAt(slot)]! += 1 + others; // in the same instant: native/robust_list.cc
    });
    api.run(() => m.store(aliveAt(slot), tid | bit));
    if (stops) return;
    api.run(() => {
      if (bit === 0) m.add(aliveAt(slot), WAITERS);
      m.add(MEMBERS_AT, 1);
      m.wake(MEMBERS_AT, 0x7fffffff);
      m.wake(aliveAt(slot), 0x7fffffff);
    });
    body(api);
  };
}

/** Words hold names of participants and a sign bit: 2.1 is the participant in slot 2, generation 1. */
export function show(w: number): string {
  const low = w & 0x7fffffff;
  const name = low > 0x7ff ? `${(low & 0x7ff) - 1}.${low >>> 11}` : low === 0x7ff ? 'reserved' : String(low);
  return w < 0 ? `${name}|S` : name;
}

export function describe({ kind, a, b }: Op, name: string, old: number): string {
  if (kind === 'load') return `sees ${name} = ${show(old)}`;
  if (kind === 'cas' && old === a) return `changes ${name} from ${show(a)} to ${show(b)}`;
  if (kind === 'cas') return `does not change ${name}: expected ${show(a)}, it is ${show(old)}`;
  if (kind === 'add') return `adds ${a} to ${name}: ${show((old + a) | 0)}`;
  return `sets ${name} to ${show(a)} (it was ${show(old)})`;
}
