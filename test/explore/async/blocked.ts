import { type Point, Program, Violation } from '../program.js';
import { aliveAt, generationAt, HIGH_AT, isGone, joining, MEMBERS_AT, nameOf } from '../words.js';
import type { Participant } from '../world.js';
import type { World } from './world.js';

/**
 * A participant that blocks, as in the searches over states: one step is one memory operation, falling asleep, or
 * waking. Its program is an automaton, which is the same for all schedules.
 */
export interface Automaton {
  participant: Participant;
  program: Program;
  start: Point;
  tid: number;
}

export function automataOf(participants: readonly Participant[]): Automaton[] {
  const points: Point[] = [];
  return participants.map((participant, index) => {
    const { slot, joins, body } = participant;
    const tid = joins ? 200 + index : 100 + slot;
    const program = new Program(
      {
        index,
        me: nameOf(slot, joins ? 2 : 1),
        membersAt: MEMBERS_AT,
        highAt: HIGH_AT,
        aliveAt,
        generationAt,
        constant: () => undefined,
        register: (make) => {
          const point = make(points.length);
          points.push(point);
          return point;
        },
      },
      joins ? joining(slot, tid, body) : body,
    );
    return { participant, program, start: program.start().point, tid };
  });
}

export class Blocked {
  readonly world: World;
  readonly index: number;
  readonly slot: number;
  readonly automaton: Automaton;
  point: Point;
  dead = false;
  asleep = false;
  woken = false;
  #watched: { slot: number; alive: number }[] = [];

  constructor(world: World, index: number, automaton: Automaton) {
    this.world = world;
    this.index = index;
    this.automaton = automaton;
    this.slot = automaton.participant.slot;
    this.point = automaton.start;
  }

  get canRun(): boolean {
    if (this.dead || this.point.stage === 'done' || (this.asleep && !this.woken)) return false;
    if (this.point !== this.automaton.start) return true;
    const { joins, begins, slot } = this.automaton.participant;
    const { state } = this.world;
    return (!joins || isGone(state[aliveAt(slot)]!)) && (!begins || begins(state));
  }

  step(): void {
    const { world, point, index } = this;
    if (point.stage === 'thrown') throw new Violation(`${index} threw ${point.error}`);
    if (this.asleep) {
      this.#wakeUp();
      for (const { slot, alive } of this.#watched)
        if (world.state[aliveAt(slot)] !== alive) world.wakeAll(aliveAt(slot));
      world.note(() => `${index} wakes`);
      this.#move('woken');
      return;
    }
    if (point.stage === 'sleep') {
      const fell = this.#fallAsleep();
      world.note(() => `${index} ${fell ? 'falls asleep' : 'does not fall asleep'}`);
      return;
    }
    const { kind, at, a, b } = point.op!;
    for (const ghost of point.before) ghost(world.state);
    const old = world.apply(kind, at, a, b);
    world.note(() => world.textOf(index, kind, at, a, b, old));
    this.#move(kind === 'store' || kind === 'wake' ? 0 : old);
  }

  giveUp(what: 'timeout' | 'abort'): void {
    this.world.note(() => `${this.index} ${what === 'timeout' ? 'times out' : 'is aborted'}`);
    this.#wakeUp();
    this.#move(what);
  }

  #wakeUp(): void {
    this.world.dequeue(this);
    this.asleep = this.woken = false;
  }

  #fallAsleep(): boolean {
    const { word, expected, members, owner, living } = this.point.wait!;
    const { world } = this;
    const { state, high } = world;
    this.#watched = [];
    for (let slot = 0; slot < high; slot++) {
      const alive = state[aliveAt(slot)]!;
      if (!isGone(alive) && slot !== this.slot) this.#watched.push({ slot, alive });
    }
    const ended = owner >= 0 && owner < high && isGone(state[aliveAt(owner)]!);
    const stale = ended || state[MEMBERS_AT] !== members || (living >= 0 && living !== world.digestOfLiving);
    if (stale || state[word] !== expected) {
      this.#move('woken');
      return false;
    }
    world.enqueue(this, word);
    world.enqueue(this, MEMBERS_AT);
    for (const { slot } of this.#watched) world.enqueue(this, aliveAt(slot));
    this.#move('slept');
    this.asleep = true;
    return true;
  }

  #move(input: number | 'slept' | 'woken' | 'timeout' | 'abort'): void {
    const { point, after } = this.automaton.program.advance(this.point, input);
    this.point = point;
    for (const ghost of after) ghost(this.world.state);
  }
}
