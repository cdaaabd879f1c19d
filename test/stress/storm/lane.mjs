// One task of a participant, as the journal sees it.
import { setTimeout as sleep } from 'node:timers/promises';
import { LANE, now, PHASE, tokenOf } from './journal.mjs';
import { pointOf } from './points.mjs';

const pause = new Int32Array(new SharedArrayBuffer(4));

export class Lane {
  #journal;
  #at;
  #fate;
  seat;
  task;
  token;
  random;

  constructor({ journal, fate, random, seat, incarnation }, task) {
    this.#journal = journal;
    this.#at = journal.laneAt(seat, task);
    this.#fate = fate;
    this.seat = seat;
    this.task = task;
    this.token = tokenOf(incarnation, task);
    this.random = random;
  }

  get journal() {
    return this.#journal;
  }

  #set(field, value) {
    Atomics.store(this.#journal.words, this.#at + field, value);
  }

  /** False: the subject is to be left alone. It says what it will do before it looks, so that a lull misses nobody. */
  begin(subject) {
    Atomics.add(this.#journal.words, this.#at + LANE.sequence, 1);
    this.#set(LANE.since, now());
    this.#set(LANE.phase, PHASE.waiting);
    this.#set(LANE.doing, subject + 1);
    if (!this.#journal.inLull(subject)) return true;
    this.end();
    return false;
  }

  phase(phase) {
    this.#set(LANE.phase, phase);
  }

  end() {
    this.#set(LANE.phase, PHASE.none);
    this.#set(LANE.doing, 0);
  }

  /** Into or out of a section that several may be in. */
  turnSection() {
    Atomics.add(this.#journal.words, this.#at + LANE.section, 1);
  }

  /** It passes one of the points that are not operations on memory. */
  at(name) {
    this.#fate.at(pointOf(name));
  }

  complain(kind, subject, ...details) {
    this.#journal.complain(kind, subject, this.token, ...details);
  }

  /** Most waits are short of time, or in no hurry at all. */
  timeout() {
    return this.random.chance(0.4) ? undefined : this.random.below(40);
  }

  /** Options of an async wait: nothing, a timeout, or a signal that is aborted in time. */
  waitOptions() {
    const how = this.random.next();
    if (how < 0.4) return undefined;
    if (how < 0.7) return { timeout: this.random.below(40) };
    return { signal: AbortSignal.timeout(this.random.below(40)) };
  }

  /** Spends a moment, blocking the thread: mostly none, sometimes long enough for all to gather. */
  linger() {
    const how = this.random.next();
    if (how < 0.15) Atomics.wait(pause, 0, 0, 1 + this.random.below(2));
  }

  async lingerAsync() {
    const how = this.random.next();
    if (how < 0.2) await sleep(this.random.below(3));
    else if (how < 0.6) await undefined;
  }
}

/** Whether an async wait ended because its signal was aborted. */
export const isAbort = (error) => error?.name === 'TimeoutError' || error?.name === 'AbortError';
