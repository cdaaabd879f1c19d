import { digestOfLiving, EVERYONE, highOf, isGone, type Memory, nameOf, slotOf } from '../../memory/words.js';
import { MOST_WAITS, ParkedWait } from '../../wait/wait.js';

/**
 * The waiters of a condition. All of this changes only under the condition's lock, which is itself safe against the
 * death of its owner; so there are no races here, only deaths between two words.
 *
 * Each participant has a record of five words:
 *
 *   who       its name: a record with another name is of somebody of former days
 *   waiting   its waits that have not ended
 *   granted   notifications for them that none has used yet
 *   ticket    when its longest wait without a notification began
 *   signal    grows with each notification: what the waits sleep on (`granted` may fall and rise to the same value)
 *
 * A notification is granted to a living participant, the one with the oldest ticket first. When a participant dies
 * with grants that it has not used, whoever looks next passes them on: no notification is lost in a killed process.
 */
export interface Signals {
  /** Word with the next ticket. */
  tickets: number;
  /** First word of the table of records. */
  records: number;
}

export const RECORD_WORDS = 5;
const WHO = 0;
const WAITING = 1;
const GRANTED = 2;
const TICKET = 3;
const SIGNAL = 4;

/**
 * What is worth choosing the oldest one by one. Of more than that, a thousandth at a time goes to one participant; and what a
 * dead one has left goes to everybody.
 */
const MANY = 1000;

const recordAt = (c: Signals, slot: number): number => c.records + slot * RECORD_WORDS;

function isCurrent(m: Memory, at: number, slot: number): boolean {
  const alive = m.load(m.aliveAt(slot));
  return !isGone(alive) && m.load(at + WHO) === nameOf(slot, m.load(m.generationAt(slot)));
}

/** Begins a wait; the caller has the lock. Returns the ticket. */
export function enter(m: Memory, c: Signals): number {
  const slot = slotOf(m.me);
  const at = recordAt(c, slot);
  passOnOfDead(m, c);
  if (m.load(at + WHO) !== m.me) {
    m.store(at + WAITING, 0);
    m.store(at + GRANTED, 0);
    m.store(at + WHO, m.me);
  }
  const ticket = m.add(c.tickets, 1);
  if (m.load(at + WAITING) === m.load(at + GRANTED)) m.store(at + TICKET, ticket);
  m.add(at + WAITING, 1);
  return ticket;
}

/**
 * Ends a wait that has been notified; the caller has the lock again. False: it has not (any more), and goes on.
 * `oldest` is the ticket of this participant's longest other wait, if it has one.
 */
export function use(m: Memory, c: Signals, oldest: number | undefined): boolean {
  const at = recordAt(c, slotOf(m.me));
  passOnOfDead(m, c);
  if (m.load(at + GRANTED) <= 0) return false;
  m.add(at + GRANTED, -1);
  m.add(at + WAITING, -1);
  if (oldest !== undefined) m.store(at + TICKET, oldest);
  return true;
}

/** Ends a wait that nobody notified in time; the caller has the lock again. */
export function cancel(m: Memory, c: Signals, oldest: number | undefined): void {
  const at = recordAt(c, slotOf(m.me));
  m.add(at + WAITING, -1);
  if (oldest !== undefined) m.store(at + TICKET, oldest);
  if (m.load(at + GRANTED) <= m.load(at + WAITING)) return;
  m.add(at + GRANTED, -1);
  grant(m, c, 1); // the notification was meant for whoever waits, not for this participant
  passOnOfDead(m, c);
}

/** Notifies at most n waits; the caller has the lock. Returns how many. */
export function notify(m: Memory, c: Signals, n: number): number {
  passOnOfDead(m, c);
  const granted = grant(m, c, n);
  passOnOfDead(m, c); // one of them may have died between the choice and the grant, before which nobody could see it
  return granted;
}

function grant(m: Memory, c: Signals, n: number): number {
  if (n >= MANY && n >= waits(m, c)) return grantAll(m, c);
  let left = n;
  while (left > 0) {
    const at = oldestWaiting(m, c);
    if (at < 0) break;
    // Its next oldest wait is not known here; it is younger than this one, and says its ticket when it looks.
    const told = Math.max(1, Math.min(waitsAt(m, at), 1 + Math.floor(left / MANY)));
    tell(m, at, told);
    left -= told;
  }
  return n - left;
}

function tell(m: Memory, at: number, n: number): void {
  m.add(at + GRANTED, n);
  m.add(at + SIGNAL, 1);
  m.add(at + TICKET, n);
  // All of the participant's sleepers: only it knows which of them waits longest.
  m.wake(at + SIGNAL, EVERYONE);
}

/** Waits of a record that nobody has notified. What it says is input: a loop is never as long as that. */
function waitsAt(m: Memory, at: number): number {
  return Math.max(0, Math.min(MOST_WAITS, m.load(at + WAITING) - m.load(at + GRANTED)));
}

function waits(m: Memory, c: Signals): number {
  let sum = 0;
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) sum += waitsAt(m, recordAt(c, slot));
  return sum;
}

/** As `grant`, without an order, because all are served. */
function grantAll(m: Memory, c: Signals): number {
  let granted = 0;
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    const at = recordAt(c, slot);
    const n = waitsAt(m, at);
    if (n === 0 || !isCurrent(m, at, slot)) continue;
    tell(m, at, n);
    granted += n;
  }
  return granted;
}

function oldestWaiting(m: Memory, c: Signals): number {
  let best = -1;
  let bestTicket = 0;
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    const at = recordAt(c, slot);
    if (m.load(at + WAITING) <= m.load(at + GRANTED) || !isCurrent(m, at, slot)) continue;
    const ticket = m.load(at + TICKET);
    if (best < 0 || ((ticket - bestTicket) | 0) < 0) {
      best = at;
      bestTicket = ticket;
    }
  }
  return best;
}

/** Whether a participant that is gone has a notification that it did not use. */
function strandedAt(m: Memory, c: Signals): number {
  const high = highOf(m);
  for (let slot = 0; slot < high; slot++) {
    const at = recordAt(c, slot);
    if (m.load(at + GRANTED) > 0 && !isCurrent(m, at, slot)) return at;
  }
  return -1;
}

/**
 * Takes a dead participant's unused notifications away from it and gives them to others. A death in between may give
 * one of them twice, which a waiter may take for a spurious wakeup; it never loses one.
 */
function passOnOfDead(m: Memory, c: Signals): void {
  for (let at = strandedAt(m, c); at >= 0; at = strandedAt(m, c)) {
    const left = Math.min(m.load(at + GRANTED), m.load(at + WAITING));
    const unused = left < MANY ? left : Number.MAX_SAFE_INTEGER;
    grant(m, c, unused);
    m.store(at + WAITING, 0);
    m.store(at + GRANTED, 0);
  }
}

/**
 * The sleep of one wait, without the lock. Done when there is a reason to take the lock and look: a notification for
 * this participant that no other of its waits is after, or one that a dead participant has left.
 */
export class AwaitSignal extends ParkedWait {
  readonly #m: Memory;
  readonly #c: Signals;
  readonly #claims: { count: number };
  #claimed = false;

  /** `claims.count`: how many of this participant's waits are on their way to use a notification. */
  constructor(m: Memory, c: Signals, claims: { count: number }) {
    super();
    this.#m = m;
    this.#c = c;
    this.#claims = claims;
    this.word = this.line = recordAt(c, slotOf(m.me)) + SIGNAL;
  }

  step(): boolean {
    const m = this.#m;
    this.members = m.load(m.membersAt);
    this.living = digestOfLiving(m); // a participant that dies right after it was notified
    this.expected = m.load(this.word);
    if (m.load(this.word - SIGNAL + GRANTED) > this.#claims.count) {
      this.#claims.count++;
      this.#claimed = true;
      return true;
    }
    return strandedAt(m, this.#c) >= 0;
  }

  /** When the wait is over, whether or not it used the notification that it went for. */
  settle(): void {
    if (this.#claimed) this.#claims.count--;
    this.#claimed = false;
  }

  leave(): boolean {
    return false; // whether a notification came after all is seen, and said, under the lock
  }
}
