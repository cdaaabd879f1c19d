import { aliveAt, isGone, MEMBERS_AT } from '../words.js';
import type { World } from './world.js';

/**
 * The helper thread that sleeps for the async waits of one JavaScript thread: native/waiter.cc, a step here for each
 * stretch there that others can come between. The flaws are mutants of it: each is a line of waiter.cc left out.
 */
export interface Entry {
  readonly id: number;
  readonly word: number;
  readonly expected: number;
  readonly members: number;
  readonly owner: number;
  readonly living: number;
}

export type Flaw =
  | 'it does not ring for a new wait'
  | 'it keeps the wake-ups of cancelled waits'
  | 'it passes no death on'
  | 'it does not look whether who it sleeps for is stale';

type Doing = 'looks' | 'falls asleep' | 'sleeps' | 'passes on' | 'gives back' | 'reports' | 'tells';

export class Waiter {
  readonly world: World;
  readonly slot: number;
  readonly entries: Entry[] = [];
  dead = false;
  doing: Doing = 'looks';
  /** Woken, and has not run since: what it sleeps on is still in the kernel's queues. */
  woken = false;
  readonly #flaw: Flaw | undefined;
  readonly #report: (id: number) => void;
  #control = 0;
  #controlSeen = 0;
  #sleptOn: Entry[] = [];
  #stale = false;
  #watched: { slot: number; alive: number }[] = [];
  #cancelled: number[] = [];
  #done: number[] = [];

  constructor(world: World, slot: number, report: (id: number) => void, flaw: Flaw | undefined) {
    this.world = world;
    this.slot = slot;
    this.#report = report;
    this.#flaw = flaw;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    if (this.#flaw !== 'it does not ring for a new wait') this.#ring();
  }

  remove(id: number): boolean {
    const at = this.entries.findIndex((entry) => entry.id === id);
    if (at < 0) return false;
    this.entries.splice(at, 1);
    this.#ring();
    return true;
  }

  #ring(): void {
    this.#control++;
    if (this.doing === 'sleeps') this.woken = true;
  }

  get canRun(): boolean {
    return !this.dead && (this.doing !== 'sleeps' || this.woken);
  }

  step(): string {
    switch (this.doing) {
      case 'looks':
        this.#look();
        return 'looks what to sleep on';
      case 'falls asleep':
        this.#fallAsleep();
        return (this.doing as Doing) === 'sleeps' ? 'falls asleep' : 'does not fall asleep';
      case 'sleeps':
        this.world.dequeue(this);
        this.woken = false;
        this.doing = 'passes on';
        return 'wakes';
      case 'passes on':
        this.#passOn();
        return 'passes deaths on';
      case 'gives back':
        this.#giveBack();
        return 'gives back the wake-ups of cancelled waits';
      case 'reports':
        this.#reportChanged();
        return 'looks what has changed';
      case 'tells': {
        const id = this.#done.shift()!;
        if (this.#done.length === 0) this.doing = 'looks';
        this.#report(id);
        return `reports ${id}`;
      }
    }
  }

  #look(): void {
    const { state } = this.world;
    this.#controlSeen = this.#control;
    this.#sleptOn = [...this.entries];
    this.#stale = this.#sleptOn.some((entry) => this.#isStale(entry));
    this.#watched = [];
    if (this.#sleptOn.length > 0) {
      for (let slot = 0; slot < this.world.high; slot++) {
        const alive = state[aliveAt(slot)]!;
        if (slot !== this.slot && !isGone(alive)) this.#watched.push({ slot, alive });
      }
    }
    this.doing = 'falls asleep';
  }

  #fallAsleep(): void {
    const { state } = this.world;
    if (this.#flaw !== 'it does not look whether who it sleeps for is stale' && this.#stale) {
      this.doing = 'gives back';
      return;
    }
    const same =
      this.#control === this.#controlSeen &&
      this.#sleptOn.every(({ word, expected }) => state[word] === expected) &&
      this.#sleptOn.slice(0, 1).every(({ members }) => state[MEMBERS_AT] === members) &&
      this.#watched.every(({ slot, alive }) => state[aliveAt(slot)] === alive);
    if (!same) {
      this.doing = 'passes on';
      return;
    }
    for (const { word } of this.#sleptOn) this.world.enqueue(this, word);
    if (this.#sleptOn.length > 0) this.world.enqueue(this, MEMBERS_AT);
    for (const { slot } of this.#watched) this.world.enqueue(this, aliveAt(slot));
    this.doing = 'sleeps';
  }

  #isStale({ members, owner, living }: Entry): boolean {
    const { state, high } = this.world;
    if (state[MEMBERS_AT] !== members) return true;
    if (owner >= 0 && owner < high && isGone(state[aliveAt(owner)]!)) return true;
    return living >= 0 && this.world.digestOfLiving !== living;
  }

  #passOn(): void {
    const { world } = this;
    this.doing = 'gives back';
    if (this.#flaw === 'it passes no death on') return;
    for (const { slot, alive } of this.#watched) if (world.state[aliveAt(slot)] !== alive) world.wakeAll(aliveAt(slot));
  }

  #giveBack(): void {
    if (this.#cancelled.length === 0) {
      const there = new Set(this.entries.map(({ id }) => id));
      this.#cancelled = this.#sleptOn.filter(({ id }) => !there.has(id)).map(({ word }) => word);
      if (this.#flaw === 'it keeps the wake-ups of cancelled waits') this.#cancelled = [];
    }
    const word = this.#cancelled.shift();
    if (word !== undefined) this.world.apply('wake', word, 1, 0);
    if (this.#cancelled.length === 0) this.doing = 'reports';
  }

  #reportChanged(): void {
    const { state } = this.world;
    for (const entry of [...this.entries]) {
      if (state[entry.word] === entry.expected && !this.#isStale(entry)) continue;
      this.entries.splice(this.entries.indexOf(entry), 1);
      this.#done.push(entry.id);
    }
    this.doing = this.#done.length > 0 ? 'tells' : 'looks';
  }
}
