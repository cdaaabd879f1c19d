import type { Core } from './core.js';
import { type Body, type Ghost, type Place, type Point, Program, Violation } from './program.js';
import {
  aliveAt,
  describe,
  generationAt,
  HIGH_AT,
  isGone,
  joining,
  MEMBERS_AT,
  nameOf,
  OWNER_DIED,
  peek,
  type Room,
  show,
  TID,
  WAITERS,
} from './words.js';

/**
 * What surrounds the algorithms: words, the kernel's queues of sleepers, and deaths. One step of a participant is one
 * memory operation, or falling asleep, or passing a wake-up on. As native/waiter.cc and native/participant.cc have it:
 *
 * - A sleep begins only if the word, the members word and the digest of who lives are what the wait's step saw, and the
 *   owner lives. It watches the alive word of everybody who lives then. (The kernel compares and enqueues word after word; a change between
 *   two is either seen or wakes, so one step stands for it all.)
 * - At a death the kernel marks the alive word and wakes *one* of those who watch it; that one, when it runs, wakes
 *   all the others. It may be killed before it does.
 * - A wake of one sleeper may go to any of them.
 * - No slice ends a sleep: async waits have none.
 */
export interface Participant {
  slot: number;
  body: Body;
  /** Registers first: in the slot of one that has died, or in one that was never used. */
  joins?: boolean;
  /** How many have come to the slot, and gone again, before it joins. */
  others?: number;
  /** Is stopped for ever when it has taken the slot, and has not said so. */
  stops?: boolean;
  /** Whether it may begin yet. */
  begins?: (state: readonly number[]) => boolean;
}

export interface Scenario {
  room: Room;
  participants: Participant[];
  /** How many deaths there may be. Tasks of one slot die together. Default 0. */
  kills?: number;
  /** How many sleeps may end for no reason. Default 0. */
  spurious?: number;
  /** All participants do the same, and the algorithm does not look through slots in their order. */
  symmetric?: boolean;
  /** Words that only one thread ever touches: no other order of these operations needs to be tried. */
  privates?: ReadonlySet<number>;
  /** Words that only the participants of one slot write: by word, the slot. */
  writers?: ReadonlyMap<number, number>;
  /** What the specification notes at a participant's death. */
  died?: (state: number[], index: number) => void;
  /** Asked where nobody can go on, with the words that they sleep on: whether that is right. Default: it never is. */
  mayRest?: (state: readonly number[], words: readonly number[]) => boolean;
  /** Asked where everybody is done or dead. */
  final?: (state: readonly number[]) => string | undefined;
}

/** How a state came about: a chain, as long as the search needs it. */
export interface Path {
  readonly text: () => string;
  readonly before: Path | undefined;
}

/** Called with each state that may come next. `event`: a death, a timeout and the like, not a step of the program. */
export type Emit = (state: number[], path: Path, event: boolean) => void;

/** A participant's part of the state: its point, the slots that its sleep watches, those of them that have died. */
const POINT = 0;
const WATCH = 1;
const DEAD = 2;
const PART = 3;

export class World {
  readonly #scenario: Scenario;
  readonly #digestOfLiving: Core['words']['digestOfLiving'];
  readonly #room: Room;
  readonly #points: Point[] = [];
  readonly #programs: Program[] = [];
  readonly #starts: number[] = [];
  /** Tasks of the same thread. */
  readonly #siblings: number[][];
  readonly #tids: number[];
  /** Where the participants' parts begin, and the budgets. */
  readonly #parts: number;
  readonly #kills: number;
  readonly #spurious: number;
  readonly #hasJoiners: boolean;
  readonly initial: number[];

  constructor(scenario: Scenario, { digestOfLiving }: Core['words']) {
    const { room, participants } = scenario;
    this.#scenario = scenario;
    this.#digestOfLiving = digestOfLiving;
    this.#room = room;
    this.#parts = room.initial.length;
    this.#kills = this.#parts + participants.length * PART;
    this.#spurious = this.#kills + 1;
    this.#hasJoiners = participants.some(({ joins }) => joins === true);
    this.#siblings = participants.map(({ slot, joins }) =>
      participants.flatMap((p, i) => (p.slot === slot && p.joins === joins ? [i] : [])),
    );
    this.#tids = this.#siblings.map(([first]) => 100 + first!);
    this.initial = this.#firstState(scenario);
  }

  #firstState({ room, participants, kills = 0, spurious = 0 }: Scenario): number[] {
    const state = [...room.initial];
    participants.forEach(({ slot, joins }, i) => {
      if (joins) return;
      state[HIGH_AT] = Math.max(state[HIGH_AT]!, slot + 1);
      state[aliveAt(slot)] = this.#tids[i]! | WAITERS;
      state[generationAt(slot)] = 1;
    });
    // The point of the dead comes first, so that its number is 0.
    this.#points.push({ stage: 'done', id: 0, atRest: true } as Point);
    const firstAfter: Ghost[] = [];
    participants.forEach((participant, index) => {
      const program = new Program(this.#place(index, state), this.#bodyOf(participant, index));
      const { point, after } = program.start();
      this.#programs.push(program);
      this.#starts.push(point.id);
      firstAfter.push(...after);
      state.push(point.id, 0, 0);
    });
    state.push(kills, spurious);
    for (const ghost of firstAfter) ghost(state);
    return state;
  }

  #place(index: number, first: readonly number[]): Place {
    const { participants, kills = 0 } = this.#scenario;
    const { slot, joins, others = 0 } = participants[index]!;
    const generation = joins ? first[generationAt(slot)]! + 1 + others : 1;
    const fixed = new Set<number>();
    if (!this.#hasJoiners) {
      fixed.add(HIGH_AT).add(MEMBERS_AT);
      for (let s = 0; s < this.#room.slots; s++) {
        fixed.add(generationAt(s));
        if (kills === 0) fixed.add(aliveAt(s));
      }
    }
    return {
      index,
      me: nameOf(slot, generation),
      membersAt: MEMBERS_AT,
      highAt: HIGH_AT,
      aliveAt,
      generationAt,
      constant: (at) => (fixed.has(at) ? first[at] : undefined),
      register: (make) => {
        const point = make(this.#points.length);
        this.#points.push(point);
        return point;
      },
    };
  }

  #bodyOf({ slot, body, joins, stops, others }: Participant, index: number): Body {
    if (!joins) return body;
    return joining(slot, this.#tids[index]!, body, stops, others);
  }

  #pointAt(state: readonly number[], index: number): Point {
    return this.#points[state[this.#parts + index * PART + POINT]!]!;
  }

  #isAsleep(state: readonly number[], index: number): boolean {
    return this.#pointAt(state, index).stage === 'asleep';
  }

  /** Whether it has not begun. */
  #isAtStart(state: readonly number[], index: number): boolean {
    return state[this.#parts + index * PART + POINT] === this.#starts[index];
  }

  #mayRun(state: readonly number[], index: number): boolean {
    const { participants, symmetric } = this.#scenario;
    const point = this.#pointAt(state, index);
    if (point.stage === 'done' || point.stage === 'asleep') return false;
    if (this.#isAtStart(state, index)) {
      const { joins, slot, begins } = participants[index]!;
      if (begins && !begins(state)) return false;
      if (joins && !isGone(state[aliveAt(slot)]!)) return false;
      // Whoever begins first may as well be called the first.
      if (symmetric && index > 0 && this.#isAtStart(state, index - 1)) return false;
    }
    return this.#siblings[index]!.every((other) => other === index || this.#pointAt(state, other).atRest);
  }

  /** All that may happen next. */
  expand(state: number[], path: Path | undefined, emit: Emit): void {
    const count = this.#programs.length;
    const runnable: number[] = [];
    for (let i = 0; i < count; i++) if (this.#mayRun(state, i)) runnable.push(i);
    const alone = runnable.find((i) => this.#isInvisible(state, i));
    if (alone !== undefined) {
      this.#step(state, alone, path, emit);
      return;
    }
    for (const i of runnable) this.#step(state, i, path, emit);
    for (let i = 0; i < count; i++) this.#happenings(state, i, path, emit);
    if (runnable.length === 0) this.#checkRest(state);
  }

  /** An operation that gives the same whenever it is done and changes nothing: no other order needs to be tried. */
  #isInvisible(state: readonly number[], index: number): boolean {
    const { op, before, mayTimeOut, mayAbort, atRest, stage } = this.#pointAt(state, index);
    if (stage !== 'op' || before.length > 0 || mayTimeOut || mayAbort) return false;
    if (state[this.#parts + index * PART + DEAD] !== 0 || (atRest && this.#siblings[index]!.length > 1)) return false;
    if (this.#scenario.privates?.has(op!.at)) return true;
    if (op!.kind !== 'load') return false;
    const writer = this.#scenario.writers?.get(op!.at);
    if (writer !== undefined && this.#writesNoMore(state, index, writer)) return true;
    if (state[this.#kills] !== 0 || this.#hasJoiners) return false;
    return op!.at < 2 + 2 * this.#room.slots;
  }

  /** Nobody but the reader itself can write what only this slot's participants write. */
  #writesNoMore(state: readonly number[], reader: number, slot: number): boolean {
    return this.#scenario.participants.every(
      (p, i) => p.slot !== slot || i === reader || this.#pointAt(state, i).stage === 'done',
    );
  }

  #checkRest(state: readonly number[]): void {
    const asleep = this.#programs.flatMap((_, i) => (this.#isAsleep(state, i) ? [i] : []));
    if (asleep.length > 0) {
      const words = asleep.map((i) => this.#pointAt(state, i).wait!.word);
      if (this.#scenario.mayRest?.(state, words) === true) return;
      throw new Violation(`stuck: ${asleep.map((i) => `${i} sleeps on ${this.#sleepOf(state, i)}`).join(', ')}`);
    }
    const wrong = this.#scenario.final?.(state);
    if (wrong !== undefined) throw new Violation(wrong);
  }

  #sleepOf(state: readonly number[], index: number): string {
    const { word, expected } = this.#pointAt(state, index).wait!;
    return `${this.#room.names[word]} = ${show(expected)} (it is ${show(state[word]!)})`;
  }

  #step(state: number[], index: number, path: Path | undefined, emit: Emit): void {
    const point = this.#pointAt(state, index);
    const part = this.#parts + index * PART;
    const emitAs = (text: () => string, next: number[]) =>
      emit(next, { text: () => `${index} ${text()}`, before: path }, false);
    if (point.stage === 'thrown') throw new Violation(`${index} threw ${point.error}`);
    if (state[part + DEAD] !== 0) {
      const next = [...state];
      for (let slot = 0; slot < this.#room.slots; slot++) {
        if ((next[part + DEAD]! & (1 << slot)) !== 0) this.#wakeAll(next, aliveAt(slot));
      }
      next[part + DEAD] = 0;
      emitAs(() => 'passes the wake-up by a death on', next);
      return;
    }
    if (point.stage === 'sleep') {
      const next = [...state];
      const fell = this.#fallAsleep(next, index, point);
      emitAs(
        () => (fell ? `sleeps on ${this.#sleepOf(next, index)}` : 'does not fall asleep: something changed'),
        next,
      );
      return;
    }
    this.#operate(state, index, point, emitAs);
    this.#givingUp(state, index, path, emit);
  }

  #fallAsleep(state: number[], index: number, point: Point): boolean {
    const { word, expected, members, owner, living } = point.wait!;
    const high = Math.min(state[HIGH_AT]!, this.#room.slots);
    let watch = 0;
    for (let slot = 0; slot < high; slot++) if (!isGone(state[aliveAt(slot)]!)) watch |= 1 << slot;
    const ended = owner >= 0 && owner < high && (watch & (1 << owner)) === 0;
    const stale =
      ended || state[MEMBERS_AT] !== members || (living >= 0 && living !== this.#digestOfLiving(peek(state)));
    if (stale || state[word] !== expected) {
      this.#move(state, index, 'woken');
      return false;
    }
    this.#move(state, index, 'slept');
    state[this.#parts + index * PART + WATCH] = watch;
    return true;
  }

  #operate(state: number[], index: number, point: Point, emit: (text: () => string, next: number[]) => void): void {
    const { at, kind, a, b } = point.op!;
    const next = [...state];
    for (const ghost of point.before) ghost(next);
    const old = next[at]!;
    if (kind === 'wake') {
      this.#wake(next, at, a, (woken, who) => {
        this.#move(woken, index, 0);
        emit(() => `wakes ${a > 1000 ? 'all' : a} of ${this.#room.names[at]}: ${who.join(', ') || 'nobody'}`, woken);
      });
      return;
    }
    if (kind === 'store' || kind === 'exchange') next[at] = a;
    else if (kind === 'add') next[at] = (old + a) | 0;
    else if (kind === 'cas' && old === a) next[at] = b;
    this.#move(next, index, kind === 'store' ? 0 : old);
    emit(() => describe(point.op!, this.#room.names[at]!, old), next);
  }

  /** The wait's time runs out, or its signal fires. */
  #givingUp(state: number[], index: number, path: Path | undefined, emit: Emit): void {
    const { mayTimeOut, mayAbort } = this.#pointAt(state, index);
    for (const what of ['timeout', 'abort'] as const) {
      if (!(what === 'timeout' ? mayTimeOut : mayAbort)) continue;
      const next = [...state];
      next[this.#parts + index * PART + WATCH] = 0;
      this.#move(next, index, what);
      const text = () => `${index} ${what === 'timeout' ? 'times out' : 'is aborted'}`;
      emit(next, { text, before: path }, true);
    }
  }

  /** What may happen to a participant besides its own steps. */
  #happenings(state: number[], index: number, path: Path | undefined, emit: Emit): void {
    if (this.#isAsleep(state, index)) {
      this.#givingUp(state, index, path, emit);
      if (state[this.#spurious]! > 0) {
        const next = [...state];
        next[this.#spurious]!--;
        this.#rouse(next, index);
        emit(next, { text: () => `${index} wakes for no reason`, before: path }, true);
      }
    }
    if (state[this.#kills]! > 0 && index === this.#siblings[index]![0]) this.#kill(state, index, path, emit);
  }

  #kill(state: number[], index: number, path: Path | undefined, emit: Emit): void {
    const siblings = this.#siblings[index]!;
    if (siblings.length === 1 && !this.#pointAt(state, index).killable) return;
    // Who has not begun, or is done, has nothing that its death could leave behind.
    if (siblings.every((i) => this.#isAtStart(state, i) || this.#pointAt(state, i).stage === 'done')) return;
    const { slot } = this.#scenario.participants[index]!;
    const dead = [...state];
    dead[this.#kills]!--;
    for (const i of siblings) {
      const part = this.#parts + i * PART;
      dead[part + POINT] = dead[part + WATCH] = dead[part + DEAD] = 0;
      this.#scenario.died?.(dead, i);
    }
    const alive = dead[aliveAt(slot)]!;
    const emitDead = (next: number[], who: string) =>
      emit(next, { text: () => `${index} is KILLED${who}`, before: path }, true);
    if ((alive & TID) !== this.#tids[index]!) {
      emitDead(dead, ' before it is registered');
      return;
    }
    dead[aliveAt(slot)] = (alive & WAITERS) | OWNER_DIED;
    const watchers = this.#sleepersOn(dead, aliveAt(slot));
    for (const i of watchers) dead[this.#parts + i * PART + DEAD]! |= 1 << slot;
    if (watchers.length === 0 || (alive & WAITERS) === 0) emitDead(dead, '');
    else {
      for (const i of watchers) {
        const next = [...dead];
        this.#rouse(next, i);
        emitDead(next, `, which wakes ${i}`);
      }
    }
  }

  #sleepersOn(state: readonly number[], at: number): number[] {
    const sleepers: number[] = [];
    for (let i = 0; i < this.#programs.length; i++) {
      const point = this.#pointAt(state, i);
      if (point.stage !== 'asleep') continue;
      const watch = state[this.#parts + i * PART + WATCH]!;
      const watched = at < aliveAt(this.#room.slots) && at >= 2 && (watch & (1 << ((at - 2) >> 1))) !== 0;
      if (point.wait!.word === at || at === MEMBERS_AT || (watched && at % 2 === 0)) sleepers.push(i);
    }
    return sleepers;
  }

  #wakeAll(state: number[], at: number): void {
    for (const i of this.#sleepersOn(state, at)) this.#rouse(state, i);
  }

  /** Every choice of n of the word's sleepers. */
  #wake(state: number[], at: number, n: number, done: (state: number[], who: number[]) => void): void {
    const sleepers = this.#sleepersOn(state, at);
    const choose = (from: number, chosen: number[]): void => {
      if (chosen.length === Math.min(n, sleepers.length)) {
        const next = [...state];
        for (const i of chosen) this.#rouse(next, i);
        done(next, chosen);
        return;
      }
      for (let i = from; i < sleepers.length; i++) choose(i + 1, [...chosen, sleepers[i]!]);
    };
    choose(0, []);
  }

  #rouse(state: number[], index: number): void {
    state[this.#parts + index * PART + WATCH] = 0;
    this.#move(state, index, 'woken');
  }

  #move(state: number[], index: number, input: number | 'slept' | 'woken' | 'timeout' | 'abort'): void {
    const { point, after } = this.#programs[index]!.advance(this.#pointAt(state, index), input);
    state[this.#parts + index * PART + POINT] = point.id;
    for (const ghost of after) ghost(state);
  }
}
