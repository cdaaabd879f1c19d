// What everybody in the storm writes down, in shared words that the supervisor reads after a death: who sits where, what
// it is about to do, who is in which section, and what went wrong. It stands beside the locks, so it can convict them.
import { RawArray } from 'forklock';

/** Async tasks of one participant; a blocking one is the first. */
export const TASKS = 3;

const STOP = 0;
const LULLS = 1;
const COMPLAINTS = 2;
const SUSPICIONS = 3;
const HITS = 4;
const BEAT = 5;
const STARTING = 6;
const HANGS = 7;

const COMPLAINT_RING = 32;
const COMPLAINT_WORDS = 8;
const COMPLAINT_COUNT = 256;
const SUSPICION_RING = COMPLAINT_RING + COMPLAINT_WORDS * COMPLAINT_COUNT;
const SUSPICION_WORDS = 32;
const SUSPICION_COUNT = 256;
const SUBJECTS = SUSPICION_RING + SUSPICION_WORDS * SUSPICION_COUNT;
export const DATA_WORDS = 32;
const MOST_SUBJECTS = 24;
const SEATS = SUBJECTS + DATA_WORDS * MOST_SUBJECTS;

/** Words of a seat. */
export const SEAT = {
  incarnation: 0,
  state: 1,
  pid: 2,
  tid: 3,
  /** How it shall die: index of a way, of a point + 1 (0: when the supervisor says so), and at which passing. */
  way: 4,
  point: 5,
  count: 6,
  /** What it died of, at which point + 1. */
  diedAt: 7,
  operations: 8,
  /** What its host shall do with it. */
  command: 9,
  exitCode: 10,
  /** That it has begun. */
  begun: 11,
};
const SEAT_WORDS = 16;

/** Words of a lane: one task of one seat. */
export const LANE = {
  /** Grows with each operation. */
  sequence: 0,
  /** Index of the subject + 1; 0: between operations. */
  doing: 1,
  phase: 2,
  /** Odd inside of a section that is counted, not exclusive. */
  section: 3,
  since: 4,
};
const LANE_WORDS = 8;

/** To whom the killer has sent a signal: SIGKILL, or SIGSTOP. */
export const HIT = { server: 1, spare: 2, stopped: 3 };
const HIT_WORDS = 4;
const HIT_COUNT = 512;

export const STATE = { empty: 0, starting: 1, running: 2, atPoint: 3, dying: 4, ended: 5, done: 6 };
export const PHASE = { none: 0, waiting: 1, inside: 2, releasing: 3 };
export const COMMAND = { none: 0, terminate: 1 };
export const COMPLAINT = { violation: 0, unreported: 1, torn: 2, error: 3, twice: 4 };

/** Milliseconds of a clock that all processes share. */
export const now = () => Number(process.hrtime.bigint() / 1_000_000n) & 0x7fffffff;

export class Journal {
  #array;
  #seats;
  #hits;
  words;

  constructor(seats, handle) {
    this.#hits = SEATS + seats * (SEAT_WORDS + TASKS * LANE_WORDS);
    const size = this.#hits + HIT_WORDS * HIT_COUNT;
    this.#seats = seats;
    this.#array = handle === undefined ? new RawArray('int32', size) : RawArray.from(handle);
    this.words = this.#array.view;
  }

  get handle() {
    return this.#array.handle;
  }

  get object() {
    return this.#array;
  }

  close() {
    this.#array.close();
  }

  // The storm as a whole.

  get stopped() {
    return Atomics.load(this.words, STOP) !== 0;
  }

  stop() {
    Atomics.store(this.words, STOP, 1);
  }

  /** Whether a subject is to come to rest: nobody begins anything on it. */
  inLull(subject) {
    return (Atomics.load(this.words, LULLS) & (1 << subject)) !== 0;
  }

  setLull(subject, on) {
    if (on) Atomics.or(this.words, LULLS, 1 << subject);
    else Atomics.and(this.words, LULLS, ~(1 << subject));
  }

  /** The supervisor's sign of life. */
  get beat() {
    return Atomics.load(this.words, BEAT);
  }

  setBeat() {
    Atomics.store(this.words, BEAT, now());
  }

  /** Whether the supervisor is in the middle of starting a process by the fork server. */
  get isStarting() {
    return Atomics.load(this.words, STARTING) !== 0;
  }

  setStarting(on) {
    Atomics.store(this.words, STARTING, on ? 1 : 0);
  }

  /** How often that has hung. */
  get hangs() {
    return Atomics.load(this.words, HANGS);
  }

  hang() {
    Atomics.add(this.words, HANGS, 1);
  }

  noteHit(kind, pid) {
    const i = Atomics.load(this.words, HITS);
    const at = this.#hits + (i % HIT_COUNT) * HIT_WORDS;
    for (const [j, word] of [kind, pid, now()].entries()) Atomics.store(this.words, at + j, word);
    Atomics.store(this.words, HITS, i + 1);
  }

  /** The i-th; undefined: there have not been so many. */
  hit(i) {
    if (i >= Atomics.load(this.words, HITS)) return undefined;
    const at = this.#hits + (i % HIT_COUNT) * HIT_WORDS;
    const [kind, pid, when] = this.words.slice(at, at + HIT_WORDS);
    return { kind, pid, at: when };
  }

  /** First word of what a subject keeps here. */
  data(subject) {
    return SUBJECTS + subject * DATA_WORDS;
  }

  // Seats and lanes.

  seat(seat, field) {
    return Atomics.load(this.words, this.#seatAt(seat) + field);
  }

  setSeat(seat, field, value) {
    Atomics.store(this.words, this.#seatAt(seat) + field, value);
  }

  /** False: somebody has begun in this seat already, or it is another's by now. */
  beginSeat(seat, incarnation) {
    const first = Atomics.compareExchange(this.words, this.#seatAt(seat) + SEAT.begun, 0, 1) === 0;
    return first && this.seat(seat, SEAT.incarnation) === incarnation;
  }

  addSeat(seat, field, by) {
    Atomics.add(this.words, this.#seatAt(seat) + field, by);
  }

  #seatAt(seat) {
    return SEATS + seat * SEAT_WORDS;
  }

  lane(seat, task, field) {
    return Atomics.load(this.words, this.laneAt(seat, task) + field);
  }

  laneAt(seat, task) {
    return SEATS + this.#seats * SEAT_WORDS + (seat * TASKS + task) * LANE_WORDS;
  }

  clearLanes(seat) {
    for (let task = 0; task < TASKS; task++) {
      for (const field of [LANE.doing, LANE.phase, LANE.section]) {
        Atomics.store(this.words, this.laneAt(seat, task) + field, 0);
      }
    }
  }

  /** Who is in the middle of something on a subject: `[seat, task]` each. */
  lanesIn(subject) {
    const found = [];
    for (let seat = 0; seat < this.#seats; seat++) {
      for (let task = 0; task < TASKS; task++) {
        if (this.lane(seat, task, LANE.doing) === subject + 1) found.push([seat, task]);
      }
    }
    return found;
  }

  /** `[seat, token, section]` of a task that is inside of a section that is counted; undefined: it is not. */
  insider(seat, task) {
    const incarnation = this.seat(seat, SEAT.incarnation);
    const section = this.lane(seat, task, LANE.section);
    if (section % 2 === 0 || this.seat(seat, SEAT.incarnation) !== incarnation) return undefined;
    return [seat, tokenOf(incarnation, task), section];
  }

  // What went wrong.

  complain(kind, subject, token, ...details) {
    const i = Atomics.add(this.words, COMPLAINTS, 1);
    if (i >= COMPLAINT_COUNT) return;
    const at = COMPLAINT_RING + i * COMPLAINT_WORDS;
    for (const [j, word] of [subject, token, ...details].entries()) Atomics.store(this.words, at + 1 + j, word);
    Atomics.store(this.words, at, kind + 1);
  }

  /** Complaints from the i-th on. */
  complaints(from) {
    const found = [];
    const n = Math.min(Atomics.load(this.words, COMPLAINTS), COMPLAINT_COUNT);
    for (let i = from; i < n; i++) {
      const at = COMPLAINT_RING + i * COMPLAINT_WORDS;
      const kind = Atomics.load(this.words, at) - 1;
      if (kind < 0) break; // being written, or its writer was killed over it
      const [subject, token, ...details] = this.words.slice(at + 1, at + COMPLAINT_WORDS);
      found.push({ kind, subject, token, details });
    }
    return found;
  }

  /** More were seen inside than may be; some of them may be dead. `members`: of `insider`. */
  suspect(subject, token, limit, members) {
    const i = Atomics.add(this.words, SUSPICIONS, 1);
    const at = SUSPICION_RING + (i % SUSPICION_COUNT) * SUSPICION_WORDS;
    Atomics.store(this.words, at, 0);
    const listed = members.slice(0, 9);
    const content = [subject, token, limit, listed.length, ...listed.flat()];
    for (const [j, word] of content.entries()) Atomics.store(this.words, at + 1 + j, word);
    Atomics.store(this.words, at, i + 1);
  }

  /** The i-th suspicion; undefined: not there (yet). */
  suspicion(i) {
    if (i >= Atomics.load(this.words, SUSPICIONS)) return undefined;
    const at = SUSPICION_RING + (i % SUSPICION_COUNT) * SUSPICION_WORDS;
    if (Atomics.load(this.words, at) !== i + 1) return { members: [], limit: 0 }; // its writer was killed over it
    const [subject, token, limit, n] = this.words.slice(at + 1, at + 5);
    const members = [];
    for (let j = 0; j < n; j++) members.push([...this.words.slice(at + 5 + 3 * j, at + 8 + 3 * j)]);
    return { subject, token, limit, members };
  }
}

/** Names a task of one incarnation; never 0, never the same again. */
export const tokenOf = (incarnation, task) => incarnation * TASKS + task + 1;
export const incarnationOf = (token) => Math.floor((token - 1) / TASKS);
export const taskOf = (token) => (token - 1) % TASKS;
