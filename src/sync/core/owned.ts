import { EVERYONE, isAlive, type Memory, slotOf } from '../../memory/words.js';
import { PatientWait } from './reservation.js';

/**
 * A word with one owner, whose death the next one notices: the core of Lock, RLock and the writing side of RWLock.
 *
 *   word                 | means
 *   0                    | free
 *   name                 | owned; nobody sleeps
 *   name | SLEEPERS      | owned; somebody may sleep, so the release must wake one
 *   a reservation        | free, but only for the participant that `want` names, as long as it lives and wants it
 *
 * A reservation has RESERVED where a name has its slot, a number that no other recent one has, and SLEEPERS. The number
 * keeps a waiter that looked at an earlier one, which was good, from going to sleep on a later one that is void.
 *
 * The bit may be set without a sleeper (one wake for nothing); it may not be missing while somebody sleeps, except
 * where a woken one is on its way. Hence: who has slept takes the word with the bit set, and who gives up after a
 * sleep puts it back (`leave`). A woken one may be killed on its way: every sleeper watches everybody's life.
 *
 * Barging is allowed, so throughput does not pay for fairness; who has lost too often writes its name to `want`, and
 * the next release reserves the word for it. That is what keeps async waits, which come late, from starving.
 *
 * Sources: the three-state futex mutex of U. Drepper, "Futexes Are Tricky"; robust_list(2); and, for the reservation,
 * the idea of nsync's "long wait" bit.
 */
export interface OwnedWord {
  /** The word. */
  word: number;
  /** Word with the name of an owner that died, from when its word is taken over until the release that follows. */
  died: number;
  /** Word with the name of a participant that has lost too often. */
  want: number;
  /** Word that numbers the reservations. */
  turn: number;
  /**
   * Where owning the word is not yet having the data (a writer that waits for readers): word with the name of the
   * owner that has it. Who takes the word and finds a name there knows that its bearer died with the data in hand.
   */
  inside?: number;
}

export const SLEEPERS = -0x80000000;
const NAME = 0x7fffffff;
const RESERVED = 0x7ff;
const TURNS = 0xfffff;

const isReserved = (w: number): boolean => (w & RESERVED) === RESERVED;
const reservation = (turn: number): number => RESERVED | ((turn & TURNS) << 11) | SLEEPERS;

/** Lost races for the word after which a waiter asks for a reservation. */
export const PATIENT = 16;
export const IMPATIENT = 3;

/** The name in the word; 0 when it is free or reserved. */
export function ownerOf(w: number): number {
  const name = w & NAME;
  return isReserved(w) ? 0 : name;
}

/** The fast path: one atomic operation. Its twin, `cas(word, me, 0)`, releases when nobody sleeps. */
export function tryTake(m: Memory, at: number): boolean {
  return m.cas(at, 0, m.me) === 0;
}

/** A reservation counts only while `want` names somebody who lives: whoever withdraws or dies voids it. */
function reservedForOther(m: Memory, o: OwnedWord): number {
  const name = m.load(o.want);
  return name !== 0 && name !== m.me && isAlive(m, name) ? name : 0;
}

/**
 * Takes the word. What ends a sleep: the release wakes one sleeper; a reservation wakes all; the death of any
 * participant; a newcomer.
 */
export class Take extends PatientWait {
  readonly #m: Memory;
  readonly #o: OwnedWord;
  readonly #patience: number;
  #parked = false;
  #keep = 0;
  #wanted = false;
  readonly #steal: boolean;
  /** After a step that was true: whether the word is this participant's now. */
  owns = false;
  /** Name of the owner that died and left the data as they are; 0: none. */
  deadOwner = 0;

  /** With `steal: false` the word of a dead owner is not taken: the step is done, `deadOwner` says who, `owns` is false. */
  constructor(m: Memory, o: OwnedWord, patience: number, steal = true) {
    super();
    this.#m = m;
    this.#o = o;
    this.#patience = patience;
    this.#steal = steal;
    this.word = this.line = o.word;
  }

  step(): boolean {
    if (this.#parked) {
      this.#keep = SLEEPERS;
      this.lost++;
    }
    return this.#look(true);
  }

  override try(): boolean {
    return this.#look(false);
  }

  #look(sleeps: boolean): boolean {
    const m = this.#m;
    const o = this.#o;
    for (;;) {
      const members = m.load(m.membersAt);
      const w = m.load(o.word);
      const name = w & NAME;
      let blocker: number;
      if (name === 0 || isReserved(w)) {
        blocker = name === 0 || this.isOverdue(w) ? 0 : reservedForOther(m, o);
        if (blocker === 0) {
          if (m.cas(o.word, w, m.me | this.#keep | (w & SLEEPERS)) !== w) continue;
          return this.#taken(0);
        }
      } else {
        blocker = name;
        if (name !== m.me && !isAlive(m, name)) {
          const lost = o.inside === undefined ? name : m.load(o.inside);
          if (lost !== 0 && !this.#steal) {
            this.deadOwner = lost;
            this.leave();
            return true;
          }
          // On the whole word: names never repeat, so of two who see the same dead owner one wins.
          if (m.cas(o.word, w, m.me | SLEEPERS) !== w) continue;
          return this.#taken(name);
        }
      }
      if (!sleeps) return false;
      if (this.lost >= this.#patience && !this.#wanted) {
        this.#wanted = m.cas(o.want, 0, m.me) === 0;
        if (this.#wanted) continue; // a reservation that somebody has just withdrawn from is now this one's
      }
      if (w >= 0 && m.cas(o.word, w, w | SLEEPERS) !== w) continue;
      this.expected = w | SLEEPERS;
      this.members = members;
      this.owner = slotOf(blocker);
      if (blocker === m.me) this.owner = -1; // this thread lives, whatever its alive word says
      this.#parked = true;
      this.sleepsBeside(isReserved(w) ? w : 0);
      return false;
    }
  }

  #taken(from: number): true {
    const m = this.#m;
    const { died, inside } = this.#o;
    this.owns = true;
    this.deadOwner = inside === undefined ? from : m.load(inside);
    if (this.deadOwner !== 0) m.store(died, this.deadOwner);
    this.#withdraw();
    return true;
  }

  #withdraw(): void {
    if (this.#wanted) this.#m.cas(this.#o.want, this.#m.me, 0);
    this.#wanted = false;
  }

  leave(): boolean {
    const m = this.#m;
    const o = this.#o;
    this.#withdraw();
    if (!this.#parked) return false;
    for (;;) {
      const w = m.load(o.word);
      if (isReserved(w) && reservedForOther(m, o) === 0) {
        // Perhaps for this one, which does not want it any more.
        if (m.cas(o.word, w, 0) !== w) continue;
        m.wake(o.word, 1);
        return false;
      }
      if (w === 0) {
        m.wake(o.word, 1); // the wake that this wait used up goes to the next sleeper
        return false;
      }
      if (w < 0 || m.cas(o.word, w, w | SLEEPERS) === w) return false;
    }
  }
}

/**
 * The slow half of a release: `w`, with the bit, is what the word is. False when it no longer is (only possible when
 * somebody else than the owner releases). Not `repaired`: the next owner is still told of the one that died.
 */
export function giveBackToSleepers(m: Memory, o: OwnedWord, w: number, repaired = true): boolean {
  const wanted = m.load(o.want);
  const reserve = wanted !== 0 && isAlive(m, wanted);
  if (repaired && m.load(o.died) !== 0) m.store(o.died, 0);
  if (wanted !== 0 && !reserve) m.cas(o.want, wanted, 0);
  if (m.cas(o.word, w, reserve ? reservation(m.add(o.turn, 1)) : 0) !== w) return false;
  // Wakes: Take.step. A reservation wakes everybody, because a futex cannot be told whom to wake.
  m.wake(o.word, reserve ? EVERYONE : 1);
  return true;
}

/**
 * Gives the word back on behalf of whoever owns it. False: it is free, or its owner is dead (which is for `Take` or
 * `recover` to find out).
 */
export function giveBackForOwner(m: Memory, o: OwnedWord): boolean {
  for (;;) {
    const w = m.load(o.word);
    const name = ownerOf(w);
    if (name === 0 || (name !== m.me && !isAlive(m, name))) return false;
    if (w < 0) {
      if (giveBackToSleepers(m, o, w)) return true;
    } else if (m.cas(o.word, w, 0) === w) {
      return true;
    }
  }
}

/** Frees the word of a dead owner. Returns the owner's name, or 0 when no owner is dead. */
export function freeDead(m: Memory, o: OwnedWord): number {
  for (;;) {
    const w = m.load(o.word);
    const name = ownerOf(w);
    if (name === 0 || name === m.me || isAlive(m, name)) return 0;
    const lost = o.inside === undefined ? 0 : m.load(o.inside);
    if (o.inside !== undefined && lost !== 0 && !isAlive(m, lost)) m.cas(o.inside, lost, 0);
    if (m.cas(o.word, w, 0) !== w) continue;
    m.wake(o.word, 1);
    return name;
  }
}
