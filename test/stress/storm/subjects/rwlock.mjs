// RWLock: writers have the section for themselves; readers see nothing of it change, and never half of it.
import { RWLock } from 'forklock';
import { COMPLAINT, PHASE } from '../journal.mjs';
import { takeAsync, takeSync } from './forms.mjs';
import { Section } from './section.mjs';

export class ReadersWriter {
  index;
  #rw;
  #section;

  constructor(journal, index, rw) {
    this.index = index;
    this.#rw = rw;
    this.#section = new Section(journal, index);
  }

  static create(journal, index) {
    return new ReadersWriter(journal, index, new RWLock());
  }

  static open(journal, index, { handle }) {
    return new ReadersWriter(journal, index, RWLock.from(handle));
  }

  get spec() {
    return { type: 'ReadersWriter', handle: this.#rw.handle };
  }

  get title() {
    return 'RWLock';
  }

  get objects() {
    return [this.#rw];
  }

  get places() {
    const { cell } = this.#rw;
    return [{ object: 'rwlock', words: cell.segment.words, at: cell.at, size: 16 + 1023 }];
  }

  actSync(lane) {
    const { read, write } = this.#rw;
    if (lane.random.chance(0.6)) {
      takeSync(lane, read, () => {
        const seen = this.#look(lane);
        lane.linger();
        this.#lookAgain(lane, seen);
      });
    } else if (lane.random.chance(0.2)) {
      if (!write.acquire(lane.timeout())) return;
      this.#section.run(lane, this.#rw.ownerDied, false);
      this.#downgrade(lane);
    } else {
      takeSync(lane, write, (scoped) => this.#section.run(lane, this.#rw.ownerDied, scoped));
    }
  }

  async actAsync(lane) {
    const { read, write } = this.#rw;
    if (lane.random.chance(0.6)) {
      await takeAsync(lane, read, async () => {
        const seen = this.#look(lane);
        await lane.lingerAsync();
        this.#lookAgain(lane, seen);
      });
    } else {
      await takeAsync(lane, write, (scoped) => this.#section.runAsync(lane, this.#rw.ownerDied, scoped));
    }
  }

  #downgrade(lane) {
    const before = this.#section.a;
    this.#rw.downgrade();
    const seen = this.#look(lane);
    if (seen.a !== before) lane.complain(COMPLAINT.violation, this.index, 0);
    this.#lookAgain(lane, seen);
    this.#rw.read.release();
  }

  #look(lane) {
    lane.phase(PHASE.inside);
    this.#section.noteEntry();
    const { a, isTorn, holder } = this.#section;
    if ((isTorn || holder !== 0) && !this.#rw.ownerDied) lane.complain(COMPLAINT.unreported, this.index, holder);
    lane.at('reading: half of it is read');
    return { a, isTorn, holder };
  }

  #lookAgain(lane, seen) {
    const { a, isTorn, holder } = this.#section;
    if (a !== seen.a || isTorn !== seen.isTorn || holder !== seen.holder) {
      lane.complain(COMPLAINT.violation, this.index, holder);
    }
    lane.phase(PHASE.releasing);
  }

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return this.#rw.waiting;
  }

  isBusy() {
    return this.#rw.writer !== null || this.#rw.readers > 0;
  }

  check() {
    const wrong = [];
    if (this.isBusy()) wrong.push(['violations', 'somebody reads or writes, and nobody does']);
    const { isTorn, holder } = this.#section;
    if ((isTorn || holder !== 0) && !this.#rw.ownerDied) {
      wrong.push(['unreported deaths', 'a writer died inside, and ownerDied is false']);
    }
    return wrong;
  }
}
