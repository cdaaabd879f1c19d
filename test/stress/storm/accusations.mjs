// What participants complain of, judged with what the supervisor knows of the dead.
import { COMPLAINT } from './journal.mjs';

/** Milliseconds after which a death is known. */
const HEARD_OF = 500;

export class Accusations {
  #journal;
  #population;
  #subjects;
  #tally;
  #complaints = 0;
  #suspicions = 0;
  #open = [];
  #undecided = [];

  constructor({ journal, population, subjects, tally }) {
    this.#journal = journal;
    this.#population = population;
    this.#subjects = subjects;
    this.#tally = tally;
  }

  look() {
    for (const complaint of this.#journal.complaints(this.#complaints)) {
      this.#complaints++;
      this.#judge(complaint);
    }
    this.#undecided = this.#undecided.filter((each) => this.#isUndecided(each));
    for (;;) {
      const suspicion = this.#journal.suspicion(this.#suspicions);
      if (suspicion === undefined) break;
      this.#suspicions++;
      this.#open.push(suspicion);
    }
    this.#open = this.#open.filter((suspicion) => this.#isOpen(suspicion));
  }

  #judge({ kind, subject, token, details }) {
    const where = `${this.#subjects[subject].title}, ${token}`;
    if (kind === COMPLAINT.violation) {
      this.#tally.fail('violations', `${where}: it changed under somebody who had it (by ${details[0]})`);
    } else if (kind === COMPLAINT.torn) {
      this.#tally.fail('violations', `${where}: half-changed, and no owner died: ${details[0]}, ${details[1]}`);
    } else if (kind === COMPLAINT.unreported) {
      this.#undecided.push({ where, before: details[0], at: performance.now() });
    } else if (kind === COMPLAINT.twice) {
      this.#tally.fail('errors', `${token}: was started twice, or after start() had failed`);
    } else {
      this.#tally.fail('errors', `of ${token}: see the log`);
    }
  }

  /** Somebody was inside before, alive or dead: if dead, the supervisor may not have heard of it yet. */
  #isUndecided({ where, before, at }) {
    if (performance.now() - at < HEARD_OF) return true;
    if (before !== 0 && this.#population.isPresent(before)) {
      this.#tally.fail('violations', `${where}: ${before} is inside, too`);
    } else this.#tally.fail('unreported deaths', `${where}: ${before} died inside, and nobody was told`);
    return false;
  }

  /**
   * Too many were seen inside. Who came out again later was alive then; if those alone are too many, it is proved. Who
   * died inside may have been dead already.
   */
  #isOpen({ subject, token, limit, members }) {
    if (members.length <= limit) return false;
    const fates = members.map(([seat, name, section]) => {
      const known = this.#population.sectionOf(seat, name);
      if (known === undefined) return 'dead';
      if (known.section !== section) return 'alive';
      return known.dead ? 'dead' : 'inside';
    });
    const count = (fate) => fates.filter((each) => each === fate).length;
    if (count('alive') + count('inside') <= limit) return false;
    if (count('alive') <= limit) return true;
    this.#tally.fail(
      'violations',
      `${this.#subjects[subject].title}, ${token}: ${count('alive')} were inside of ${limit}: ${members.map(([, name], i) => `${name} ${fates[i]}`)}`,
    );
    return false;
  }
}
