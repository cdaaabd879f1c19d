// Event: nobody goes on without a set(), and everybody who waited when it was set does.
import { setTimeout as sleep } from 'node:timers/promises';
import { Event } from 'forklock';
import { COMPLAINT } from '../journal.mjs';
import { isAbort } from '../lane.mjs';
import { Section } from './section.mjs';

/** How often somebody was about to set it, and how often somebody had. */
const BEGUN = 0;
const SET = 1;
const LOOK = 5;

export class Events {
  index;
  #event;
  #section;
  /** Since the lull began: pulse first, then set for good. */
  #pulsed = [];

  constructor(journal, index, event) {
    this.index = index;
    this.#event = event;
    this.#section = new Section(journal, index);
  }

  static create(journal, index) {
    return new Events(journal, index, new Event());
  }

  static open(journal, index, { handle }) {
    return new Events(journal, index, Event.from(handle));
  }

  get spec() {
    return { type: 'Events', handle: this.#event.handle };
  }

  get title() {
    return 'Event';
  }

  get objects() {
    return [this.#event];
  }

  get places() {
    const { cell } = this.#event;
    return [{ object: 'event', words: cell.segment.words, at: cell.at, size: 16 }];
  }

  #set() {
    this.#section.addWord(BEGUN, 1);
    this.#event.set();
    this.#section.addWord(SET, 1);
  }

  /** Not a wait, if it is true. */
  #change(lane) {
    const how = lane.random.next();
    if (how > 0.35) return false;
    if (how < 0.1) this.#event.clear();
    else this.#set();
    if (how < 0.3) this.#event.clear();
    return true;
  }

  actSync(lane) {
    if (this.#change(lane)) return;
    const before = this.#before();
    this.#went(lane, before, this.#event.wait(lane.timeout()));
  }

  async actAsync(lane) {
    if (this.#change(lane)) return;
    const before = this.#before();
    try {
      this.#went(lane, before, await this.#event.waitAsync(lane.waitOptions()));
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
  }

  #before() {
    const sets = this.#section.word(SET);
    return this.#event.isSet ? -1 : sets;
  }

  #went(lane, before, result) {
    this.#section.noteEntry();
    if (result && before === this.#section.word(BEGUN)) lane.complain(COMPLAINT.violation, this.index, 0);
  }

  get entries() {
    return this.#section.entries;
  }

  get waiting() {
    return this.#event.waiting;
  }

  isBusy(inLull) {
    return !inLull && !this.#event.isSet;
  }

  /** Everybody is let go: if all of them are known to wait, by a set() with a clear() right behind it. */
  async calm(lanes) {
    const all = () => this.#event.waiting === lanes.length;
    // Twice: a newcomer in the slot of a dead waiter makes that look alive for a moment, and it would be counted, too.
    let pulse = lanes.length > 0 && all();
    if (pulse) await sleep(LOOK);
    pulse &&= all();
    this.#set();
    if (pulse) this.#event.clear();
    this.#pulsed = pulse ? lanes : [];
  }

  soothe(lanes) {
    // Those that the pulse was for must go on by themselves.
    const stuck = lanes.some((lane) => this.#pulsed.some((each) => each.key === lane.key));
    if (!stuck && !this.#event.isSet) this.#set();
  }

  check() {
    return [];
  }

  restore() {
    this.#event.clear();
    this.#section.setWord(SET, this.#section.word(BEGUN)); // some died in between
  }
}
