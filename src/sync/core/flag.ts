import { EVERYONE, type Memory } from '../../memory/words.js';
import { ParkedWait } from '../../wait/wait.js';

/**
 * The word of an Event: bit 0 set; bits 1–30 how often it was set (the epoch); bit 31 somebody may sleep.
 * A wait is over when the event is set *or the epoch has moved*, so that a `set` with a `clear` right behind it
 * lets everybody through who was waiting.
 */
const SET = 1;
const EPOCH = 0x7ffffffe;
const SLEEPERS = -0x80000000;

export const isSet = (m: Memory, at: number): boolean => (m.load(at) & SET) !== 0;

export function set(m: Memory, at: number): void {
  for (;;) {
    const w = m.load(at);
    if ((w & SET) !== 0) return;
    if (m.cas(at, w, (((w & EPOCH) + 2) & EPOCH) | SET) !== w) continue;
    if (w < 0) m.wake(at, EVERYONE);
    return;
  }
}

export function clear(m: Memory, at: number): void {
  for (;;) {
    const w = m.load(at);
    if ((w & SET) === 0) return;
    if (m.cas(at, w, w & ~SET) === w) return;
  }
}

/** What ends a sleep: `set`; the death of a participant (it may have died between setting and waking); a newcomer. */
export class AwaitSet extends ParkedWait {
  readonly #m: Memory;
  readonly #epoch: number;

  constructor(m: Memory, at: number) {
    super();
    this.#m = m;
    this.word = at;
    this.#epoch = m.load(at) & EPOCH;
  }

  step(): boolean {
    const m = this.#m;
    for (;;) {
      const members = m.load(m.membersAt);
      const w = m.load(this.word);
      if ((w & SET) !== 0 || (w & EPOCH) !== this.#epoch) return true;
      if (w >= 0 && m.cas(this.word, w, w | SLEEPERS) !== w) continue;
      this.expected = w | SLEEPERS;
      this.members = members;
      return false;
    }
  }

  override try(): boolean {
    return isSet(this.#m, this.word);
  }

  leave(): boolean {
    return false; // `set` wakes everybody: no wake was used up that another needs
  }
}
