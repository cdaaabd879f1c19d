import { digestOfLiving, EVERYONE, highOf, isGone, type Memory, nameOf, slotOf } from '../../memory/words.js';
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
 * each other, so the outcome of a round is decided by one CAS.
 *
 * And a record of two words for each slot, which says in which round the participant of that slot is:
 *
 *   who     its name: a record with another name is of somebody of former days
 *   place   bits 0–1 AWAY, IN, THROUGH or FAILED; bits 2–19 the round; bits 20–31 count the rounds that it has been in
 *
 * So a party that dies is missed, and breaks the barrier. And before a round makes way for the next one, everybody who
 * is in it is told how it ended (IN becomes THROUGH or FAILED): then a party may look as late as it likes. Only its own
 * thread writes IN, and only over what it has read; so no two rounds of one party look alike to who is slow to tell,
 * before 2^30 of them.
 */
export interface Meeting {
  state: number;
  /** First word of the table of records. */
  records: number;
  parties: number;
}

/** How a round ended. */
export type Ending = 'through' | 'broken';

/**
 * What the parties of one thread share, because they share a record: how rounds ended of which the record says nothing
 * any more, as long as some of them have yet to look. By what `place` was while the round went on.
 */
export interface Endings {
  /** A party has been counted. */
  arrived(place: number): void;
  /** It knows how its round ended. */
  left(place: number): void;
  note(place: number, ending: Ending): void;
  get(place: number): Ending | undefined;
}

const ROUND_SHIFT = 14;
const ROUNDS = 0x3ffff;
const OPENING = 1 << 13;
const BROKEN = 1 << 12;
const ARRIVED = 0xfff;
export const MAX_PARTIES = 4095;

const roundOf = (w: number): number => (w >>> ROUND_SHIFT) & ROUNDS;
export const startOf = (round: number): number => (round & ROUNDS) << ROUND_SHIFT;

export const arrivedOf = (w: number): number => w & ARRIVED;
export const isBroken = (w: number): boolean => (w & BROKEN) !== 0;
const isUndecided = (w: number): boolean => (w & (BROKEN | OPENING)) === 0;

export const RECORD_WORDS = 2;
const WHO = 0;
const PLACE = 1;

const STATUS = 3;
const AWAY = 0;
const IN = 1;
const THROUGH = 2;
const FAILED = 3;
const PLACE_SHIFT = 2;
const NEXT_COUNT = 1 << 20;
const COUNT = -NEXT_COUNT;

const recordAt = (b: Meeting, slot: number): number => b.records + slot * RECORD_WORDS;
const isIn = (place: number): boolean => (place & STATUS) === IN;
export const roundIn = (place: number): number => (place >>> PLACE_SHIFT) & ROUNDS;
/** Whether a round was before another one, as far as the numbers can say: less than half of them lie between. */
const isBefore = (round: number, other: number): boolean => ((round - other) & ROUNDS) > ROUNDS >>> 1;

function isHere(m: Memory, slot: number, name: number): boolean {
  const alive = m.load(m.aliveAt(slot));
  return !isGone(alive) && nameOf(slot, m.load(m.generationAt(slot))) === name;
}

/** Whether somebody who is in this round has died. */
function missesParty(m: Memory, b: Meeting, round: number): boolean {
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    const at = recordAt(b, slot);
    const place = m.load(at + PLACE);
    // The name is read after the place: a newcomer writes it when the place of who had its slot is nobody's any more.
    if (!isIn(place) || isHere(m, slot, m.load(at + WHO))) continue;
    if (roundIn(place) === round) return true;
    // It died as it came, too late for its round. Its place must not be there when the numbers come round.
    if (isBefore(roundIn(place), round)) m.cas(at + PLACE, place, place ^ IN);
  }
  return false;
}

/** Tells everybody who is in the round of `w`, which is decided, how it ended. */
function tellParties(m: Memory, b: Meeting, w: number): void {
  const told = isBroken(w) ? FAILED : THROUGH;
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    const at = recordAt(b, slot) + PLACE;
    const place = m.load(at);
    if (!isIn(place) || roundIn(place) !== roundOf(w)) continue;
    if (m.load(b.state) !== w) return; // somebody else has told them: this may be a later round of the same number
    m.cas(at, place, place ^ IN ^ told);
  }
}

/** Starts the round after one whose outcome is decided. */
function advance(m: Memory, b: Meeting, w: number): void {
  tellParties(m, b, w);
  if (m.cas(b.state, w, startOf(roundOf(w) + 1)) === w) m.wake(b.state, EVERYONE);
}

/** Breaks the round of `w`, which is undecided. False: something has changed. */
function breakRound(m: Memory, b: Meeting, w: number): boolean {
  if (m.cas(b.state, w, w | BROKEN) !== w) return false;
  m.wake(b.state, EVERYONE);
  return true;
}

export function abort(m: Memory, b: Meeting): void {
  for (;;) {
    const w = m.load(b.state);
    if ((w & OPENING) !== 0) advance(m, b, w);
    else if (isBroken(w) || breakRound(m, b, w)) return;
  }
}

/** Starts a fresh round. Who waits in the old one finds it broken. */
export function reset(m: Memory, b: Meeting): void {
  for (;;) {
    const w = m.load(b.state);
    if (arrivedOf(w) === 0 && !isBroken(w)) return;
    if (isUndecided(w)) {
      breakRound(m, b, w);
    } else {
      advance(m, b, w);
      if (isBroken(w)) return;
    }
  }
}

export type Arrival = 'waiting' | 'last' | Ending;

/**
 * One party's way through a round. `step` is true when `arrival` says how it ended; 'last' means: run the action, then
 * call `open`, or `fail` when it threw. What ends a sleep: the last party, a break, a death, a newcomer.
 */
export class Meet extends ParkedWait {
  readonly #m: Memory;
  readonly #b: Meeting;
  readonly #endings: Endings;
  /** What the record's `place` was when it came in, and whether that was said by this party. */
  #place = AWAY;
  #said = false;
  arrival: Arrival = 'waiting';
  /** 0 for the first to arrive, parties − 1 for the last. */
  index = -1;

  constructor(m: Memory, b: Meeting, endings: Endings) {
    super();
    this.#m = m;
    this.#b = b;
    this.#endings = endings;
    this.word = b.state;
  }

  step(): boolean {
    const m = this.#m;
    const b = this.#b;
    for (;;) {
      const members = m.load(m.membersAt);
      const living = digestOfLiving(m); // a party that dies right after it was looked for
      const w = m.load(b.state);
      const ending = this.#ending(w);
      if (ending !== undefined) return this.#end(ending);
      if ((w & OPENING) !== 0) {
        advance(m, b, w); // whoever set it may have died before it could
        continue;
      }
      if (isBroken(w)) return this.#end('broken');
      if (missesParty(m, b, roundOf(w))) {
        breakRound(m, b, w);
        continue;
      }
      if (this.index < 0 && arrivedOf(w) < b.parties) {
        // Not before the look for who is missed, because that may be who had its slot. From here on its own death is missed.
        this.#comeIn(w);
        if (m.cas(b.state, w, w + 1) !== w) continue;
        this.index = arrivedOf(w);
        this.#endings.arrived(this.#place);
        if (this.index < b.parties - 1) continue;
        this.arrival = 'last';
        return true;
      }
      this.#goAway();
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
      const ending = this.#ending(w);
      if (ending !== undefined) {
        this.#end(ending);
        return ending === 'through';
      }
      if (m.cas(b.state, w, w | OPENING) !== w) continue;
      advance(m, b, w | OPENING);
      this.#end('through');
      return true;
    }
  }

  /** The wait was given up, or the action threw: nobody gets through the round that this party is counted in. */
  leave(): boolean {
    const ending = this.index < 0 ? 'broken' : this.#break();
    this.#end(ending);
    return ending === 'through';
  }

  /** Breaks its round. One that could not be broken was a success before. */
  #break(): Ending {
    for (;;) {
      const w = this.#m.load(this.#b.state);
      const ending = this.#ending(w) ?? ((w & OPENING) !== 0 ? 'through' : undefined);
      if (ending !== undefined) return ending;
      if (breakRound(this.#m, this.#b, w)) return 'broken';
    }
  }

  /**
   * How the round ended that it is counted in, if it has. `w` was read before: if the record says then that the round
   * goes on, it did so at `w`, because everybody is told of the end before the next round begins.
   */
  #ending(w: number): Ending | undefined {
    if (this.index < 0) return undefined;
    const noted = this.#endings.get(this.#place);
    if (noted !== undefined) return noted;
    const place = this.#m.load(recordAt(this.#b, slotOf(this.#m.me)) + PLACE);
    if (place === (this.#place ^ IN ^ THROUGH)) return 'through';
    // The rest cannot be, unless somebody has damaged the words.
    if (place !== this.#place || roundIn(place) !== roundOf(w)) return 'broken';
    return isBroken(w) ? 'broken' : undefined;
  }

  #end(arrival: Ending): true {
    this.arrival = arrival;
    if (this.index >= 0) this.#endings.left(this.#place);
    this.#goAway();
    return true;
  }

  /** Says that it is in the round of `w`, unless another party of this thread has said so already. */
  #comeIn(w: number): void {
    const m = this.#m;
    const b = this.#b;
    const at = recordAt(b, slotOf(m.me));
    const place = m.load(at + PLACE);
    if (m.load(at + WHO) !== m.me) {
      m.store(at + PLACE, place & ~STATUS);
      m.store(at + WHO, m.me);
    } else if (isIn(place) && roundIn(place) === roundOf(w)) {
      if (place !== this.#place) this.#said = false;
      this.#place = place;
      return;
    } else if ((place & STATUS) > IN) {
      this.#endings.note((place & ~STATUS) | IN, (place & STATUS) === THROUGH ? 'through' : 'broken');
    }
    this.#place = ((place & COUNT) + NEXT_COUNT) | (roundOf(w) << PLACE_SHIFT) | IN;
    this.#said = true;
    m.store(at + PLACE, this.#place);
  }

  /** Unless it is counted. What another party of this thread has said is not taken back. */
  #goAway(): void {
    const m = this.#m;
    if (this.#said && this.index < 0) m.cas(recordAt(this.#b, slotOf(m.me)) + PLACE, this.#place, this.#place ^ IN);
    this.#said = false;
  }
}
