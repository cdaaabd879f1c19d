import { outOfRange } from '../../errors.js';
import { digestOfLiving, EVERYONE, highOf, isGone, type Memory, nameOf, slotOf } from '../../memory/words.js';
import { ParkedWait } from '../../wait/wait.js';
import { giveBackToSleepers, type OwnedWord, SLEEPERS, Take } from './owned.js';

/**
 * Readers and writers. The writing side is an owned word (owned.ts). Readers are not counted in one place: each
 * participant has a record of two words in `readers`, its name and how often it reads, which only its own thread writes.
 * So readers do not disturb each other, and those of the dead are simply not counted.
 *
 *   read:  raise the own count, then look at the writers' word: free → reading; else lower the own count again and wait
 *   write: take the writers' word, then wait until no living participant reads
 *
 * One of the two sees the other (Dekker's handshake; it needs sequential consistency). A writer that waits holds
 * newcomers off, so writers do not starve; readers that lose too often reserve the word as any waiter of an owned word
 * does, and then let all readers in.
 */
export interface Sharing extends OwnedWord {
  /** Word that grows when a reader leaves while a writer waits: the writer sleeps on it. */
  drain: number;
  /** Word with the name of the writer that has the data, as opposed to one that still waits for readers. */
  inside: number;
  /** First word of the table of records. */
  readers: number;
}

export const READER_WORDS = 2;
const WHO = 0;
const READS = 1;

/** Of one participant at a time. */
export const MOST_READS = 0xffffff;

const recordAt = (s: Sharing, slot: number): number => s.readers + slot * READER_WORDS;

/** How often this participant reads. */
export function ownReads(m: Memory, s: Sharing): number {
  const at = recordAt(s, slotOf(m.me));
  return m.load(at + WHO) === m.me ? Math.max(0, m.load(at + READS)) : 0;
}

const tooMany = (): RangeError => outOfRange('reads of this thread', `at most ${MOST_READS} at a time`, MOST_READS + 1);

/** False: it reads as often as it may, and nothing has changed. */
function addRead(m: Memory, s: Sharing): boolean {
  const at = recordAt(s, slotOf(m.me));
  let reads = 0;
  if (m.load(at + WHO) === m.me) {
    reads = Math.max(0, m.load(at + READS));
    if (reads >= MOST_READS) return false;
  } else {
    m.store(at + READS, 0); // of who had the slot: not to be taken for its own
    m.store(at + WHO, m.me);
  }
  m.store(at + READS, reads + 1);
  return true;
}

/** Lowers the own count, and wakes a writer that waits for it. */
export function dropRead(m: Memory, s: Sharing): void {
  m.store(recordAt(s, slotOf(m.me)) + READS, ownReads(m, s) - 1);
  if (m.load(s.word) === 0) return;
  m.add(s.drain, 1);
  m.wake(s.drain, EVERYONE);
}

/** How often the participant in a slot reads, if it lives. */
function readsOf(m: Memory, s: Sharing, slot: number): number {
  const at = recordAt(s, slot);
  const name = m.load(at + WHO); // before the count: that of who had the slot goes before a newcomer's name comes
  const reads = Math.min(m.load(at + READS), MOST_READS);
  if (reads <= 0 || isGone(m.load(m.aliveAt(slot)))) return 0;
  return name === nameOf(slot, m.load(m.generationAt(slot))) ? reads : 0;
}

/** Living participants' reads. */
export function reads(m: Memory, s: Sharing): number {
  let sum = 0;
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) sum += readsOf(m, s, slot);
  return sum;
}

/** The slot of somebody who reads, or -1. */
function someReader(m: Memory, s: Sharing): number {
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) if (readsOf(m, s, slot) > 0) return slot;
  return -1;
}

/** False also if it reads as often as it may: then a wait says so. */
export function tryRead(m: Memory, s: Sharing): boolean {
  if (!addRead(m, s)) return false;
  if (m.load(s.word) === 0) return true;
  dropRead(m, s);
  return false;
}

/**
 * Becomes a reader. Waits as a taker of the writers' word does (its wakes and ends are the same), and having taken it
 * lets itself and all other readers in.
 */
export class TakeRead extends ParkedWait {
  readonly #m: Memory;
  readonly #s: Sharing;
  readonly #take: Take;

  constructor(m: Memory, s: Sharing, patience: number, steal: boolean) {
    super();
    this.#m = m;
    this.#s = s;
    this.#take = new Take(m, s, patience, steal);
    this.word = s.word;
  }

  get deadOwner(): number {
    return this.#take.deadOwner;
  }

  override try(): boolean {
    const m = this.#m;
    const s = this.#s;
    this.#checkRoom();
    if (tryRead(m, s)) return true;
    if (!this.#take.try()) return false;
    if (this.#take.owns) downgrade(m, s, false);
    return true;
  }

  step(): boolean {
    const m = this.#m;
    const s = this.#s;
    this.#checkRoom();
    if (m.load(s.word) === 0 && tryRead(m, s)) {
      this.#take.leave();
      return true;
    }
    if (this.#take.step()) {
      if (this.#take.owns) downgrade(m, s, false);
      return true;
    }
    this.expected = this.#take.expected;
    this.members = this.#take.members;
    this.owner = this.#take.owner;
    this.again = this.#take.again;
    return false;
  }

  /** Before the writers' word is taken: who has it can always become a reader then. */
  #checkRoom(): void {
    if (ownReads(this.#m, this.#s) < MOST_READS) return;
    this.#take.leave();
    throw tooMany();
  }

  leave(): boolean {
    return this.#take.leave();
  }
}

/** From writer to reader, with no writer in between. */
export function downgrade(m: Memory, s: Sharing, repaired: boolean): void {
  if (!addRead(m, s)) throw tooMany();
  leaveWriting(m, s, repaired);
}

/**
 * Frees the writers' word. Everybody is woken: readers can all go on at once. Not `repaired`: this participant did not
 * have the data for writing, so the next writer is still told of one that died.
 */
export function leaveWriting(m: Memory, s: Sharing, repaired: boolean): void {
  m.store(s.inside, 0);
  if (repaired && m.load(s.died) !== 0) m.store(s.died, 0);
  if (m.cas(s.word, m.me, 0) === m.me) return;
  giveBackToSleepers(m, s, m.me | SLEEPERS, repaired);
  m.wake(s.word, EVERYONE);
}

/** After the writers' word is taken: waits for the readers. What ends a sleep: `dropRead`; a death; a newcomer. */
export class Drain extends ParkedWait {
  readonly #m: Memory;
  readonly #s: Sharing;

  constructor(m: Memory, s: Sharing) {
    super();
    this.#m = m;
    this.#s = s;
    this.word = s.drain;
  }

  /** Without what only a sleep needs. */
  override try(): boolean {
    if (someReader(this.#m, this.#s) >= 0) return this.leave();
    this.#m.store(this.#s.inside, this.#m.me);
    return true;
  }

  step(): boolean {
    const m = this.#m;
    const s = this.#s;
    this.members = m.load(m.membersAt);
    this.living = digestOfLiving(m); // a reader that lowers its word and dies before it says so
    this.expected = m.load(s.drain);
    this.owner = someReader(m, s);
    if (this.owner >= 0) return false;
    m.store(s.inside, m.me);
    return true;
  }

  leave(): boolean {
    leaveWriting(this.#m, this.#s, false);
    return false;
  }
}

/** Writing: first the word, then the readers. One wait, so that it has one deadline. */
export class TakeWrite extends ParkedWait {
  readonly #take: Take;
  readonly #drain: Drain;
  #taken = false;

  constructor(m: Memory, s: Sharing, patience: number, steal: boolean) {
    super();
    this.#take = new Take(m, s, patience, steal);
    this.#drain = new Drain(m, s);
    this.word = this.line = s.word;
  }

  override missed(looks: number): void {
    this.#take.missed(looks);
  }

  get deadOwner(): number {
    return this.#take.deadOwner;
  }

  override try(): boolean {
    if (!this.#take.try()) return false;
    return !this.#take.owns || this.#drain.try();
  }

  step(): boolean {
    if (!this.#taken) {
      if (!this.#take.step()) return this.#sleepAs(this.#take);
      if (!this.#take.owns) return true;
      this.#taken = true;
    }
    return this.#drain.step() || this.#sleepAs(this.#drain);
  }

  #sleepAs(wait: ParkedWait): false {
    this.word = wait.word;
    this.expected = wait.expected;
    this.members = wait.members;
    this.owner = wait.owner;
    this.living = wait.living;
    this.again = wait.again;
    return false;
  }

  leave(): boolean {
    return this.#taken ? this.#drain.leave() : this.#take.leave();
  }
}

export function tryWrite(m: Memory, s: Sharing): boolean {
  if (m.cas(s.word, 0, m.me) !== 0) return false;
  return new Drain(m, s).try();
}
