import { digestOfLiving, EVERYONE, isAlive, type Memory } from '../../memory/words.js';
import { ParkedWait } from '../../wait/wait.js';
import { LOOK_AGAIN, LOOKS_AT_RESERVATION } from './reservation.js';

/**
 * A semaphore whose permits know who holds them, so that those of a dead participant are free: a table with a word for
 * each permit (0: free, or the holder's name), and beside it a word to sleep on.
 *
 *   sequence: bit 31 somebody may sleep; bits 0–30 grow with each release that wakes
 *
 * Who wants to sleep sets the bit, *then* looks through the table once more, then sleeps on the sequence; who releases
 * frees its word, *then* looks at the bit. One of the two sees the other.
 * A reservation is a word of RESERVED in the table: free, but only for whom `want` names (see owned.ts).
 */
export interface Permits {
  sequence: number;
  want: number;
  /** First word of the table. */
  table: number;
  /** How many permits there are. */
  size: number;
}

const SLEEPERS = -0x80000000;
const SEQUENCE = 0x7fffffff;
const RESERVED = 0x7ff;

function isFree(m: Memory, p: Permits, w: number): boolean {
  if (w === 0) return true;
  if (w === m.me) return false;
  if (w !== RESERVED) return !isAlive(m, w);
  const wanted = m.load(p.want);
  return wanted === 0 || wanted === m.me || !isAlive(m, wanted);
}

/** Permits that nobody living holds. */
export function freePermits(m: Memory, p: Permits): number {
  let free = 0;
  for (let i = 0; i < p.size; i++) {
    const w = m.load(p.table + i);
    if (w === 0 || w === RESERVED || (w !== m.me && !isAlive(m, w))) free++;
  }
  return free;
}

export function heldBy(m: Memory, p: Permits, name: number): number {
  let held = 0;
  for (let i = 0; i < p.size; i++) if (m.load(p.table + i) === name) held++;
  return held;
}

/** Takes a free permit or one of a dead holder; or, with `reserved`, one reserved for this participant. */
export function tryTakeRow(m: Memory, p: Permits, reserved = true): boolean {
  for (let i = 0; i < p.size; i++) {
    const w = m.load(p.table + i);
    if (w === RESERVED && !reserved) continue;
    if (isFree(m, p, w) && m.cas(p.table + i, w, m.me) === w) return true;
  }
  return false;
}

/** Gives back n permits of this participant. False: it holds fewer, and nothing has changed. */
export function giveRows(m: Memory, p: Permits, n: number): boolean {
  // Only this thread adds or removes its own name, so what is counted here is still there below.
  if (heldBy(m, p, m.me) < n) return false;
  let left = n;
  for (let i = 0; i < p.size && left > 0; i++) {
    if (m.load(p.table + i) !== m.me) continue;
    const wanted = m.load(p.sequence) < 0 ? m.load(p.want) : 0;
    const reserve = wanted !== 0 && isAlive(m, wanted);
    m.store(p.table + i, reserve ? RESERVED : 0);
    left--;
    announce(m, p, reserve);
  }
  return true;
}

function announce(m: Memory, p: Permits, everyone: boolean): void {
  for (;;) {
    const s = m.load(p.sequence);
    // Without the bit there is nobody to wake, or another release is about to; but it will wake one, and a reservation
    // needs its bearer.
    if (s >= 0) {
      if (everyone) m.wake(p.sequence, EVERYONE);
      return;
    }
    if (m.cas(p.sequence, s, (s + 1) & SEQUENCE) !== s) continue;
    m.wake(p.sequence, everyone ? EVERYONE : 1);
    return;
  }
}

/** Takes a permit of the table. What ends a sleep: a release, a reservation, the death of a participant, a newcomer. */
export class TakeRow extends ParkedWait {
  readonly #m: Memory;
  readonly #p: Permits;
  readonly #patience: number;
  #parked = false;
  #wanted = false;
  /** The last sequence that it slept on, and how often beside a reserved permit. */
  #slept = 0;
  #looks = 0;

  constructor(m: Memory, p: Permits, patience: number) {
    super();
    this.#m = m;
    this.#p = p;
    this.#patience = patience;
    this.word = this.line = p.sequence;
  }

  override try(): boolean {
    return tryTakeRow(this.#m, this.#p);
  }

  step(): boolean {
    const m = this.#m;
    const p = this.#p;
    if (this.#parked) this.lost++;
    for (;;) {
      const members = m.load(m.membersAt);
      const living = digestOfLiving(m); // a holder that frees its word and dies before it says so
      const s = m.load(p.sequence);
      if (s >= 0 && m.cas(p.sequence, s, s | SLEEPERS) !== s) continue;
      if (tryTakeRow(m, p)) {
        // The bit stays: there may be other sleepers, and there may be more free permits than one wake was for.
        if (this.#parked && freePermits(m, p) > 0) m.wake(p.sequence, 1);
        this.#withdraw();
        return true;
      }
      if (this.lost >= this.#patience && !this.#wanted) {
        this.#wanted = m.cas(p.want, 0, m.me) === 0;
        if (this.#wanted) continue;
      }
      if (this.#takesOverdue(s | SLEEPERS)) return true;
      this.expected = s | SLEEPERS;
      this.members = members;
      this.living = living;
      this.#parked = true;
      return false;
    }
  }

  /** Takes a reserved permit that it has slept beside for too long: see LOOKS_AT_RESERVATION. */
  #takesOverdue(sequence: number): boolean {
    const m = this.#m;
    const p = this.#p;
    let row = -1;
    for (let i = 0; i < p.size && row < 0; i++) if (m.load(p.table + i) === RESERVED) row = i;
    this.again = row < 0 ? 0 : LOOK_AGAIN;
    this.#looks = row >= 0 && sequence === this.#slept ? this.#looks + 1 : 0;
    this.#slept = sequence;
    if (this.#looks < LOOKS_AT_RESERVATION || m.cas(p.table + row, RESERVED, m.me) !== RESERVED) return false;
    this.#withdraw();
    return true;
  }

  #withdraw(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    const m = this.#m;
    const p = this.#p;
    m.cas(p.want, m.me, 0);
    for (let i = 0; i < p.size; i++) {
      const w = m.load(p.table + i);
      if (w === RESERVED && isFree(m, p, w)) m.cas(p.table + i, w, 0);
    }
    announce(m, p, false);
  }

  leave(): boolean {
    this.#withdraw();
    if (!this.#parked) return false;
    const m = this.#m;
    const p = this.#p;
    for (;;) {
      const s = m.load(p.sequence);
      if (s >= 0 && m.cas(p.sequence, s, s | SLEEPERS) !== s) continue;
      break;
    }
    if (freePermits(m, p) > 0) m.wake(p.sequence, 1);
    return false;
  }
}
