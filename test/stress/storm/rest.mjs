// Brings one subject after the other to rest while the storm goes on over the others: nobody begins anything on it, and all
// who are in the middle of something must come to an end by themselves, as long as there is no reason to wait. What is then
// counted is exact. Who waits for more than a second without a reason has stalled.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { LANE, tokenOf } from './journal.mjs';

/** Milliseconds without a reason to wait. */
const STALL = 1000;
const LOOK = 5;
/** How many subjects are at rest at a time. */
const AT_ONCE = 3;
/** Longest gap between two looks, and share of its time that a waiter may lack a processor, to be believed. */
const BLIND = 250;
const STARVED = 0.25;

/** Nanoseconds for which the threads of a process were ready to run and did not (proc(5), schedstat). */
function starvation(pid) {
  let sum = 0;
  try {
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      sum += Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[1]);
    }
  } catch {
    // it has just ended
  }
  return sum;
}

/** Runs while somebody waits for no reason; starts again with every sign of life. */
export class StallClock {
  #population;
  #tally;
  #since = 0;
  #last = 0;
  #signature = '';
  #starved = new Map();

  constructor(population, tally) {
    this.#population = population;
    this.#tally = tally;
  }

  /** True: a stall. `signature` changes with every sign of life. */
  look(lanes, hasReason, signature) {
    const now = performance.now();
    const blind = now - this.#last > BLIND;
    this.#last = now;
    if (lanes.length === 0 || hasReason || signature !== this.#signature || blind) {
      this.#signature = signature;
      this.#since = now;
      this.#starved.clear();
      return false;
    }
    const waited = now - this.#since;
    this.#tally.longestRest = Math.max(this.#tally.longestRest, waited);
    const pids = new Set(lanes.map(({ seat }) => this.#population.pidOf(seat)));
    if (waited > STALL / 5 && this.#starved.size === 0) {
      for (const pid of pids) this.#starved.set(pid, starvation(pid));
    }
    if (waited <= STALL) return false;
    this.#since = now;
    const starved = [...this.#starved].some(([pid, before]) => starvation(pid) - before > waited * STARVED * 1e6);
    this.#starved.clear();
    if (!starved) return true;
    this.#tally.slow++;
    return false;
  }
}

export class Rest {
  #journal;
  #population;
  #subjects;
  #tally;
  #random;
  #clocks;

  constructor({ journal, population, subjects, tally, random }) {
    this.#journal = journal;
    this.#population = population;
    this.#subjects = subjects;
    this.#tally = tally;
    this.#random = random;
    this.#clocks = subjects.map(() => new StallClock(population, tally));
  }

  /** Who is in the middle of something on a subject and could go on. */
  #lanes(subject) {
    const lanes = this.#journal.lanesIn(subject.index).map(([seat, task]) => {
      const token = tokenOf(this.#population.incarnationIn(seat), task);
      return { seat, task, token, key: `${token}.${this.#journal.lane(seat, task, LANE.sequence)}` };
    });
    const able = lanes.filter(({ seat }) => !this.#population.isExcused(seat));
    return { lanes, able };
  }

  #look(subject, inLull) {
    const { lanes, able } = this.#lanes(subject);
    const clock = this.#clocks[subject.index];
    // Somebody who is stopped may hold it, or be on the way to.
    const hasReason = able.length < lanes.length || subject.isBusy(inLull, able);
    const waits = inLull || subject.waiting > 0 ? able : [];
    const signature = `${subject.entries} ${able.map(({ key }) => key)}`;
    if (clock.look(waits, hasReason, inLull ? signature : String(subject.entries))) {
      this.#tally.fail(
        'stalls',
        `${subject.title}: ${able.length} wait and nobody holds it: ${subject.objects.map(String)}`,
      );
      this.#population.remove(able.map(({ seat }) => seat));
    }
    return lanes;
  }

  /** At any time: a look at all subjects that are not at rest. */
  watch() {
    for (const subject of this.#subjects) {
      if (!this.#journal.inLull(subject.index)) this.#look(subject, false);
    }
  }

  async lull(subject) {
    const { index } = subject;
    this.#journal.setLull(index, true);
    await subject.calm?.(this.#lanes(subject).able);
    for (let lanes = this.#look(subject, true); lanes.length > 0; lanes = this.#look(subject, true)) {
      await subject.soothe?.(lanes, (some) => this.#population.remove(some.map(({ seat }) => seat)));
      await sleep(LOOK);
    }
    await this.#count(subject);
    this.#tally.lulls++;
    this.#journal.setLull(index, false);
  }

  /**
   * Nobody is in the middle of anything. A newcomer in the slot of a dead participant may make that look alive for the
   * moment in which it sits down, so what is wrong must stay wrong.
   */
  async #count(subject) {
    const deaths = this.#population.deathsIn[subject.index];
    this.#population.deathsIn[subject.index] = 0;
    const until = performance.now() + STALL;
    let wrong = subject.check({ deaths });
    if (wrong.length > 0) this.#tally.secondLooks++;
    while (wrong.length > 0 && performance.now() < until) {
      await sleep(LOOK);
      wrong = subject.check({ deaths });
    }
    wrong.push(...(subject.restore?.() ?? []));
    for (const [what, description] of wrong) {
      this.#tally.fail(what, `${subject.title}: ${description}: ${subject.objects.map(String)}`);
    }
  }

  /** Lulls, one after the other in some subjects at a time, for as long as `goesOn`. */
  async rounds(goesOn) {
    const round = async (subjects) => {
      while (goesOn()) {
        await this.lull(this.#random.pick(subjects));
        await sleep(10);
      }
    };
    const parts = Array.from({ length: AT_ONCE }, () => []);
    for (const [i, subject] of this.#subjects.entries()) parts[i % AT_ONCE].push(subject);
    await Promise.all(parts.map(round));
  }

  async all() {
    for (const subject of this.#subjects) this.#journal.setLull(subject.index, true);
    for (const subject of this.#subjects) {
      await this.lull(subject);
      this.#journal.setLull(subject.index, true);
    }
  }
}
