// What an exclusive lock protects: two words that are equal unless somebody died in between, and the token of who is inside.
import { COMPLAINT, PHASE } from '../journal.mjs';

const A = 0;
const B = 1;
const HOLDER = 2;
const ENTRIES = 3;
/** First word that a subject has for itself. */
export const OWN = 4;

/** The section of one subject, as a participant sees it. */
export class Section {
  #subject;
  #journal;
  #at;

  constructor(journal, subject) {
    this.#journal = journal;
    this.#subject = subject;
    this.#at = journal.data(subject);
  }

  #load(word) {
    return Atomics.load(this.#journal.words, this.#at + word);
  }

  #store(word, value) {
    Atomics.store(this.#journal.words, this.#at + word, value);
  }

  word(i) {
    return this.#load(OWN + i);
  }

  setWord(i, value) {
    this.#store(OWN + i, value);
  }

  addWord(i, by) {
    return Atomics.add(this.#journal.words, this.#at + OWN + i, by);
  }

  /** How often anybody was inside. */
  get entries() {
    return this.#load(ENTRIES);
  }

  get a() {
    return this.#load(A);
  }

  get isTorn() {
    return this.#load(A) !== this.#load(B);
  }

  /** Token of who is inside, or died there. */
  get holder() {
    return this.#load(HOLDER);
  }

  noteEntry() {
    Atomics.add(this.#journal.words, this.#at + ENTRIES, 1);
  }

  /** The lock is held. `told`: of an owner's death. Returns whether there was something to repair. */
  enter(lane, told) {
    lane.phase(PHASE.inside);
    this.noteEntry();
    const before = Atomics.exchange(this.#journal.words, this.#at + HOLDER, lane.token);
    const torn = this.isTorn;
    if (!told) {
      if (before !== 0) lane.complain(COMPLAINT.unreported, this.#subject, before);
      else if (torn) lane.complain(COMPLAINT.torn, this.#subject, this.#load(A), this.#load(B));
    }
    if (told) lane.at('told of a death, before the repair');
    if (torn) this.mend();
  }

  mend() {
    this.#store(B, this.#load(A));
  }

  /** Forgets who died inside: for who repairs without having the lock. */
  mendAll() {
    this.mend();
    this.#store(HOLDER, 0);
  }

  /** The work that must not be seen half done. */
  begin(lane) {
    lane.at('in the section: nothing is written');
    this.#store(A, this.#load(A) + 1);
    lane.at('in the section: half of it is written');
  }

  finish(lane) {
    this.#store(B, this.#load(A));
    lane.at('in the section: all is written');
  }

  /** The lock will be released. */
  leave(lane) {
    if (Atomics.compareExchange(this.#journal.words, this.#at + HOLDER, lane.token, 0) !== lane.token) {
      lane.complain(COMPLAINT.violation, this.#subject, this.#load(HOLDER));
    }
    lane.phase(PHASE.releasing);
  }

  /** All of it. `scoped`: an exception releases the lock, so what is half done must be repaired first. */
  run(lane, told, scoped) {
    try {
      this.enter(lane, told);
      this.begin(lane);
      lane.linger();
      this.finish(lane);
    } catch (error) {
      if (scoped) this.mendAll();
      throw error;
    }
    this.leave(lane);
  }

  async runAsync(lane, told, scoped) {
    try {
      this.enter(lane, told);
      this.begin(lane);
      await lane.lingerAsync();
      this.finish(lane);
    } catch (error) {
      if (scoped) this.mendAll();
      throw error;
    }
    this.leave(lane);
  }
}
