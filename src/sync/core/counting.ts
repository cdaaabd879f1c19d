import { EVERYONE, isAlive, type Memory, slotOf } from '../../memory/words.js';
import { PatientWait } from './reservation.js';

/**
 * The count of a semaphore, in one word, so that a release can check the bound and add in one step:
 *
 *   bit 31       somebody may sleep (SLEEPERS)
 *   bit 30       one more permit, reserved for the participant that `want` names (RESERVED)
 *   bits 24–29   number of the last reservation, so that who looked at an earlier one does not sleep on a later one
 *   bits 0–23    permits that anybody may take
 *
 * A release clears the sleepers' bit and wakes as many as it brought permits; whoever was woken takes its permit with
 * the bit set again, and wakes another sleeper when permits are left. (With a bit that only sleepers set, and nobody
 * who passes wakes on, two quick releases wake one of two sleepers.) The rest is as in owned.ts.
 */
export interface Count {
  /** The word. */
  count: number;
  /** Word with the name of a participant that has lost too often. */
  want: number;
  /** How many permits there may be at most: not a word, because it never changes. */
  bound: number;
}

const SLEEPERS = -0x80000000;
const NOT_SLEEPERS = 0x7fffffff;
const RESERVED = 0x40000000;
const TURN = 0x3f000000;
const NEXT_TURN = 0x01000000;
export const MAX_PERMITS = 0x00ffffff;

export function permits(m: Memory, c: Count): number {
  return permitsIn(m.load(c.count));
}

function permitsIn(w: number): number {
  return (w & MAX_PERMITS) + (w & RESERVED ? 1 : 0);
}

export function tryTakePermit(m: Memory, at: number): boolean {
  for (;;) {
    const w = m.load(at);
    if ((w & MAX_PERMITS) === 0) return false;
    if (m.cas(at, w, w - 1) === w) return true;
  }
}

/** Brings n permits. False: there would be more than the bound, and nothing has changed. */
export function givePermits(m: Memory, c: Count, n: number): boolean {
  for (;;) {
    const w = m.load(c.count);
    if (permitsIn(w) + n > c.bound) return false;
    if (w >= 0) {
      if (m.cas(c.count, w, w + n) === w) return true;
      continue;
    }
    const wanted = m.load(c.want);
    const reserve = wanted !== 0 && (w & RESERVED) === 0 && isAlive(m, wanted);
    if (wanted !== 0 && !reserve && !isAlive(m, wanted)) m.cas(c.want, wanted, 0);
    const awake = w & NOT_SLEEPERS;
    const turn = (awake + NEXT_TURN) & TURN;
    const reserved = ((awake & ~TURN) | turn | RESERVED) + (n - 1);
    if (m.cas(c.count, w, reserve ? reserved : awake + n) !== w) continue;
    m.wake(c.count, reserve ? EVERYONE : n);
    return true;
  }
}

/** Takes a permit. What ends a sleep: a release, a reservation, the death of a participant, a newcomer. */
export class TakePermit extends PatientWait {
  readonly #m: Memory;
  readonly #c: Count;
  readonly #patience: number;
  #parked = false;
  #wanted = false;

  constructor(m: Memory, c: Count, patience: number) {
    super();
    this.#m = m;
    this.#c = c;
    this.#patience = patience;
    this.word = this.line = c.count;
  }

  step(): boolean {
    if (this.#parked) this.lost++;
    return this.#look(true);
  }

  override try(): boolean {
    return this.#look(false);
  }

  #look(sleeps: boolean): boolean {
    const m = this.#m;
    const { count, want } = this.#c;
    for (;;) {
      const members = m.load(m.membersAt);
      const w = m.load(count);
      const keep = this.#parked ? SLEEPERS : 0;
      const bearer = (w & RESERVED) === 0 || this.isOverdue(w) ? 0 : this.#bearer();
      if ((w & RESERVED) !== 0 && bearer === 0) {
        const next = (w & ~RESERVED) | keep;
        if (m.cas(count, w, next) !== w) continue;
        this.#taken(next);
        return true;
      }
      if ((w & MAX_PERMITS) > 0) {
        const next = (w - 1) | keep;
        if (m.cas(count, w, next) !== w) continue;
        this.#taken(next);
        return true;
      }
      if (!sleeps) return false;
      if (this.lost >= this.#patience && !this.#wanted) {
        this.#wanted = m.cas(want, 0, m.me) === 0;
        if (this.#wanted) continue;
      }
      if (w >= 0 && m.cas(count, w, w | SLEEPERS) !== w) continue;
      this.expected = w | SLEEPERS;
      this.members = members;
      this.owner = bearer === 0 ? -1 : slotOf(bearer);
      this.#parked = true;
      this.sleepsBeside((w & RESERVED) === 0 ? 0 : this.expected);
      return false;
    }
  }

  /** Name of the other participant that the reserved permit is for; 0: this one may take it. */
  #bearer(): number {
    const m = this.#m;
    const name = m.load(this.#c.want);
    return name === 0 || name === m.me || !isAlive(m, name) ? 0 : name;
  }

  #taken(next: number): void {
    if (this.#parked && (next & MAX_PERMITS) > 0) this.#m.wake(this.#c.count, 1);
    this.#withdraw();
  }

  /** A permit that was reserved for this participant, and is not needed, becomes everybody's. */
  #withdraw(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    const m = this.#m;
    const { count, want } = this.#c;
    m.cas(want, m.me, 0);
    for (;;) {
      const w = m.load(count);
      if ((w & RESERVED) === 0 || this.#bearer() !== 0) return;
      if (m.cas(count, w, (w & ~RESERVED & NOT_SLEEPERS) + 1) !== w) continue;
      m.wake(count, 1);
      return;
    }
  }

  leave(): boolean {
    this.#withdraw();
    if (!this.#parked) return false;
    const m = this.#m;
    const { count } = this.#c;
    for (;;) {
      const w = m.load(count);
      if ((w & MAX_PERMITS) > 0) {
        m.wake(count, 1); // the wake that this wait may have used up goes to the next sleeper
        return false;
      }
      if (w < 0 || m.cas(count, w, w | SLEEPERS) === w) return false;
    }
  }
}
