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
/** Longest gap between two looks that counts: in a longer one there may have been a reason. */
const BLIND = 250;
/**
 * From here on it is noted who lacks a processor, and nobody is killed or started: the death of a waiter would hide its
 * stall, a newcomer or the death of another would end it.
 */
const NOTED = 15;
/**
 * After so many a wake was missed, unless a processor was: a wait looks again by itself after 20 ms, or 100, so a lost wake
 * is no stall, but late.
 */
const LATE = 60;
/** The same where nothing but such a look notices a death, which is promised within 100 ms. */
const LATE_LOOK = 110;
/** Share of its time for which a waiter may be ready without running, and how seldom it may run meanwhile. */
const STARVED = 0.25;
const SELDOM = 3;

/** For each thread of a process: ns for which it was ready and did not run, and how often it ran (proc(5), schedstat). */
function schedules(pid) {
  const threads = new Map();
  try {
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      const [, delay, times] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ').map(Number);
      threads.set(tid, { delay, times });
    }
  } catch {
    // it has just ended
  }
  return threads;
}

/** Who waits, and whether they could have gone on. */
class Starvation {
  #before = new Map();
  #since = performance.now();

  constructor(pids) {
    for (const pid of pids) this.#before.set(pid, schedules(pid));
  }

  get found() {
    const limit = (performance.now() - this.#since) * STARVED * 1e6;
    return [...this.#before].some(([pid, before]) =>
      [...schedules(pid)].some(([tid, { delay, times }]) => {
        const then = before.get(tid);
        return then === undefined || (delay - then.delay > limit && times - then.times < SELDOM);
      }),
    );
  }
}

/** Runs while somebody waits for no reason; starts again with every sign of life. */
class StallClock {
  #population;
  #tally;
  #late;
  #waited = 0;
  #last = 0;
  #signature = '';
  #starvation;
  #isLate = false;

  constructor(population, tally, late) {
    this.#population = population;
    this.#tally = tally;
    this.#late = late;
  }

  /** True: a stall. `signature` changes with every sign of life. */
  look(lanes, hasReason, signature) {
    const now = performance.now();
    const gap = now - this.#last;
    this.#last = now;
    if (lanes.length === 0 || hasReason || signature !== this.#signature) {
      this.#signature = signature;
      this.#reset();
      return false;
    }
    if (gap < BLIND) this.#waited += gap;
    this.#tally.longestRest = Math.max(this.#tally.longestRest, this.#waited);
    if (this.#waited < NOTED) return false;
    this.#starvation ??= new Starvation(new Set(lanes.map(({ seat }) => this.#population.pidOf(seat))));
    this.#population.holdStill();
    if (this.#waited < this.#late) return false;
    if (!this.#isLate && !this.#starvation.found) this.#tally.late++;
    this.#isLate = true;
    if (this.#waited <= STALL) return false;
    const starved = this.#starvation.found;
    this.#reset();
    if (!starved) return true;
    this.#tally.slow++;
    return false;
  }

  #reset() {
    this.#waited = 0;
    this.#starvation = undefined;
    this.#isLate = false;
  }
}

export class Rest {
  #journal;
  #population;
  #subjects;
  #tally;
  #random;
  #clocks;

  constructor({ journal, population, subjects, tally, random, isPlain }) {
    this.#journal = journal;
    this.#population = population;
    this.#subjects = subjects;
    this.#tally = tally;
    this.#random = random;
    this.#clocks = subjects.map(() => new StallClock(population, tally, isPlain ? LATE_LOOK : LATE));
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
    await subject.calm?.(this.#lanes(subject).lanes);
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
      this.#population.holdStill(); // the death of who is wrong would put it right
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
