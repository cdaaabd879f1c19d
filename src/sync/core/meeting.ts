import { digestOfLiving, EVERYONE, generationOf, highOf, isGone, type Memory, slotOf } from '../../memory/words.js';
import { ParkedWait } from '../../wait/wait.js';

/**
 * A barrier. One word:
 *
 *   bits 14–31  round (18 bits, wraps)
 *   bit 13      opening: the round has succeeded, and whoever sees this may start the next one
 *   bit 12      broken: only a reset starts the next one
 *   bits 0–11   arrived
 *
 * `arrived === parties` means that the last one runs its action and nobody else can arrive. Opening and broken exclude
 * each other, so the outcome of a round is decided by one CAS. It is then noted in `outcomes`, a bit for each of the
 * last 32 rounds (1: broken), before the next round starts: so a party that wakes late learns how its round ended.
 * `present` has a word for each slot that says in which round the participant of that slot is: so a party that dies is
 * missed, and breaks the barrier. Only its own thread writes that word, and it carries the slot's generation, so a
 * successor in the slot is not taken for it.
 */
export interface Meeting {
  state: number;
  outcomes: number;
  /** First word of the table of slots. */
  present: number;
  parties: number;
}

const ROUND_SHIFT = 14;
const ROUNDS = 0x3ffff;
const OPENING = 1 << 13;
const BROKEN = 1 << 12;
const ARRIVED = 0xfff;
export const MAX_PARTIES = 4095;

const roundOf = (w: number): number => (w >>> ROUND_SHIFT) & ROUNDS;
const startOf = (round: number): number => (round & ROUNDS) << ROUND_SHIFT;

export const arrivedOf = (w: number): number => w & ARRIVED;
export const isBroken = (w: number): boolean => (w & BROKEN) !== 0;

/** 12 bits of the slot's generation, 1, 18 bits of the round. */
function presence(name: number, round: number): number {
  return ((generationOf(name) & 0xfff) << 19) | (1 << 18) | round;
}

const PRESENT_ROUND = 0x7ffff;

/** Whether somebody who is in this round has died. */
function missesParty(m: Memory, b: Meeting, round: number): boolean {
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    const w = m.load(b.present + slot);
    if ((w & PRESENT_ROUND) !== ((1 << 18) | round)) continue;
    const alive = m.load(m.aliveAt(slot));
    const generation = m.load(m.generationAt(slot));
    if (isGone(alive) || (generation & 0xfff) !== ((w >>> 19) & 0xfff)) return true;
  }
  return false;
}

function setOutcome(m: Memory, b: Meeting, round: number, broken: boolean): void {
  const bit = 1 << (round & 31);
  for (;;) {
    const w = m.load(b.outcomes);
    const next = broken ? w | bit : w & ~bit;
    if (w === next || m.cas(b.outcomes, w, next) === w) return;
  }
}

/** Starts the round after one whose outcome is decided. */
function advance(m: Memory, b: Meeting, w: number): void {
  const round = roundOf(w);
  setOutcome(m, b, round, isBroken(w));
  if (m.cas(b.state, w, startOf(round + 1)) === w) m.wake(b.state, EVERYONE);
}

/** Breaks the round if it is still this one, and not a success already. */
function breakRound(m: Memory, b: Meeting, round: number): void {
  for (;;) {
    const w = m.load(b.state);
    if (roundOf(w) !== round || (w & (BROKEN | OPENING)) !== 0) return;
    if (m.cas(b.state, w, w | BROKEN) !== w) continue;
    m.wake(b.state, EVERYONE);
    return;
  }
}

export function abort(m: Memory, b: Meeting): void {
  breakRound(m, b, roundOf(m.load(b.state)));
}

/** Starts a fresh round. Who waits in the old one finds it broken. */
export function reset(m: Memory, b: Meeting): void {
  for (;;) {
    const w = m.load(b.state);
    if (arrivedOf(w) === 0 && !isBroken(w)) return;
    if ((w & (BROKEN | OPENING)) !== 0) {
      advance(m, b, w);
      if (isBroken(w)) return;
    } else {
      breakRound(m, b, roundOf(w));
    }
  }
}

export type Arrival = 'waiting' | 'last' | 'through' | 'broken';

/**
 * One party's way through a round. `step` is true when `arrival` says how it ended; 'last' means: run the action, then
 * call `open`, or `fail` when it threw. What ends a sleep: the last party, a break, a death, a newcomer.
 */
export class Meet extends ParkedWait {
  readonly #m: Memory;
  readonly #b: Meeting;
  #round = ABSENT;
  arrival: Arrival = 'waiting';
  /** 0 for the first to arrive, parties − 1 for the last. */
  index = -1;

  constructor(m: Memory, b: Meeting) {
    super();
    this.#m = m;
    this.#b = b;
    this.word = b.state;
  }

  step(): boolean {
    const m = this.#m;
    const b = this.#b;
    for (;;) {
      const members = m.load(m.membersAt);
      const living = digestOfLiving(m); // a party that dies right after it was looked for
      const w = m.load(b.state);
      if ((w & OPENING) !== 0) {
        advance(m, b, w); // whoever set it may have died before it could
        continue;
      }
      if (this.index < 0) {
        if (isBroken(w)) return this.#end('broken');
        this.#sayPresent(arrivedOf(w) < b.parties ? roundOf(w) : ABSENT);
      } else if (roundOf(w) !== this.#round) {
        const broken = (m.load(b.outcomes) & (1 << (this.#round & 31))) !== 0;
        return this.#end(broken ? 'broken' : 'through');
      } else if (isBroken(w)) {
        return this.#end('broken');
      }
      if (missesParty(m, b, roundOf(w))) {
        breakRound(m, b, roundOf(w));
        continue;
      }
      if (this.index < 0 && arrivedOf(w) < b.parties) {
        // The presence was said before this counts the arrival: from here on a death is missed.
        if (m.cas(b.state, w, w + 1) !== w) continue;
        this.index = arrivedOf(w);
        if (this.index < b.parties - 1) continue;
        this.arrival = 'last';
        return true;
      }
      this.expected = w;
      this.members = members;
      this.living = living;
      return false;
    }
  }

  /** The last party lets everybody through. False: the round was broken while the action ran. */
  open(): boolean {
    const m = this.#m;
    const b = this.#b;
    for (;;) {
      const w = m.load(b.state);
      if (roundOf(w) !== this.#round || isBroken(w)) {
        this.#end('broken');
        return false;
      }
      if (m.cas(b.state, w, w | OPENING) !== w) continue;
      advance(m, b, w | OPENING);
      this.#end('through');
      return true;
    }
  }

  /** The wait was given up, or the action threw: nobody gets through the round that this party is counted in. */
  leave(): boolean {
    if (this.index >= 0) breakRound(this.#m, this.#b, this.#round);
    const through = this.index >= 0 && this.#succeeded();
    this.#end(through ? 'through' : 'broken');
    return through;
  }

  /** A round that could not be broken was a success before. */
  #succeeded(): boolean {
    const w = this.#m.load(this.#b.state);
    if (roundOf(w) === this.#round) return !isBroken(w);
    return (this.#m.load(this.#b.outcomes) & (1 << (this.#round & 31))) === 0;
  }

  #end(arrival: Arrival): true {
    this.arrival = arrival;
    this.#sayPresent(ABSENT);
    return true;
  }

  /** Another party of the same thread may have said its presence in a later round: that is not taken back. */
  #sayPresent(round: number): void {
    const m = this.#m;
    const at = this.#b.present + slotOf(m.me);
    if (round === this.#round) return;
    if (round !== ABSENT) m.store(at, presence(m.me, round));
    else m.cas(at, presence(m.me, this.#round), 0);
    this.#round = round;
  }
}

const ABSENT = -1;
