import type { Change, Core } from '../core.js';
import { Violation } from '../program.js';
import type { Chooser, Run } from '../schedule.js';
import {
  aliveAt,
  describe,
  generationAt,
  HIGH_AT,
  MEMBERS_AT,
  OWNER_DIED,
  peek,
  type Room,
  show,
  WAITERS,
} from '../words.js';
import type { Participant } from '../world.js';
import { type Automaton, automataOf, Blocked } from './blocked.js';
import { JsThread, type Task } from './js-thread.js';
import { KILLED } from './promises.js';
import { Realm } from './realm.js';
import { type Flaw, Waiter } from './waiter.js';

/**
 * What surrounds JavaScript threads and their waiters: words, the kernel's queues, participants that block, deaths.
 * Between any two operations of anybody there may come others, with one limit: a thread that was interrupted goes on
 * only when those that came between have ended their turn, because its JavaScript is on the same stack as theirs.
 * (Each step of the algorithms against each other step is what the searches over states are for.)
 */
export interface AsyncScenario {
  room: Room;
  /** The objects that each thread makes or opens, in this order. */
  objects: { at: number; words: number }[];
  threads: { slot: number; tasks: Task[] }[];
  /** Makes the objects of a thread, before anything can be seen. */
  setUp: (thread: JsThread) => unknown;
  /** Participants that block, as in the searches over states. Their indices come before those of the tasks. */
  programs?: Participant[];
  /** Slots to each of which somebody comes who wants nothing, when who had it has died. */
  newcomers?: number[];
  /** How many deaths there may be, and how many ends of a worker (which leaves its slot, and tells everybody). */
  kills?: number;
  ends?: number;
  died?: (state: number[], index: number) => void;
  /** Asked where nobody can go on, with the words that are slept on. Default: that is never right. */
  mayRest?: (state: readonly number[], words: readonly number[]) => boolean;
  final?: (state: readonly number[]) => string | undefined;
}

type Agent = Blocked | JsThread | Waiter;
export type Kind = 'load' | 'store' | 'cas' | 'exchange' | 'add' | 'wake';

/** Steps of a schedule after which it is taken not to end. */
const ENDLESS = 5000;

/** One schedule. */
export class World {
  readonly chooser: Chooser;
  readonly state: number[];
  readonly slots: number;
  readonly objects: AsyncScenario['objects'];
  readonly #core: Core;
  readonly #scenario: AsyncScenario;
  readonly #trace: string[] | undefined;
  readonly #blocked: Blocked[];
  readonly #threads: JsThread[];
  readonly #agents: Agent[];
  readonly #tasks: [thread: JsThread, index: number][] = [];
  /** The kernel's queues, in the order of arrival. */
  #queue: { who: Blocked | Waiter; at: number }[] = [];
  #kills: number;
  #ends: number;
  /** What went wrong. From then on nothing happens any more. */
  #failed: string | undefined;
  #last: Agent | undefined;
  #steps = 0;

  constructor(
    core: Core,
    scenario: AsyncScenario,
    automata: readonly Automaton[],
    chooser: Chooser,
    realms: readonly Realm[],
    flaw: Flaw | undefined,
    trace: string[] | undefined,
  ) {
    this.chooser = chooser;
    this.#core = core;
    this.#scenario = scenario;
    this.#trace = trace;
    this.slots = scenario.room.slots;
    this.objects = scenario.objects;
    this.state = [...scenario.room.initial];
    this.#kills = scenario.kills ?? 0;
    this.#ends = scenario.ends ?? 0;
    this.#blocked = automata.map((automaton, index) => new Blocked(this, index, automaton));
    for (const { participant, tid } of automata) if (!participant.joins) this.#register(participant.slot, tid);
    let index = scenario.programs?.length ?? 0;
    this.#threads = scenario.threads.map(({ slot, tasks }, i) => {
      this.#register(slot, 100 + slot);
      const waiter: Waiter = new Waiter(
        this,
        slot,
        (id) => {
          thread.ready.push(id);
          thread.rung = true;
        },
        flaw,
      );
      const thread: JsThread = new JsThread(this, slot, waiter, realms[i]!);
      const numbered = tasks.map((task): [Task, number] => {
        this.#tasks.push([thread, index]);
        return [task, index++];
      });
      scenario.setUp(thread);
      thread.begin(numbered);
      return thread;
    });
    this.#agents = [...this.#blocked, ...this.#threads, ...this.#threads.map(({ waiter }) => waiter)];
  }

  #register(slot: number, tid: number): void {
    this.state[HIGH_AT] = Math.max(this.state[HIGH_AT]!, slot + 1);
    this.state[aliveAt(slot)] = tid | WAITERS;
    this.state[generationAt(slot)] = 1;
  }

  get high(): number {
    return Math.min(this.state[HIGH_AT]!, this.slots);
  }

  get digestOfLiving(): number {
    return this.#core.words.digestOfLiving(peek(this.state));
  }

  run(): string | undefined {
    while (this.#schedule(undefined)) {
      // until nobody can go on
    }
    if (this.#failed !== undefined) return this.#failed;
    return this.#unfinished() ? undefined : (this.#scenario.final?.(this.state) ?? this.#leftover());
  }

  #leftover(): string | undefined {
    for (const thread of this.#threads) {
      const left = thread.dead ? undefined : thread.leftover();
      if (left !== undefined) return left;
    }
    return undefined;
  }

  #unfinished(): boolean {
    return (
      this.#threads.some(({ dead, unfinished }) => !dead && unfinished > 0) ||
      this.#blocked.some(
        ({ dead, point, automaton: { participant, start } }) =>
          !dead && point.stage !== 'done' && !(participant.joins && point === start),
      )
    );
  }

  // The schedule.

  /** Before an operation of this thread: whatever comes between. */
  point(thread: JsThread): void {
    while (this.#schedule(thread)) {
      // until it is this thread's turn
    }
    this.check(thread);
  }

  check(thread: JsThread): void {
    if (thread.dead || this.#failed !== undefined) throw KILLED;
  }

  /** Code that is explored may catch what is thrown, so it is noted. */
  fail(message: string): never {
    this.#failed ??= message;
    throw KILLED;
  }

  operate(thread: JsThread, kind: Kind, at: number, a: number, b: number): number {
    this.check(thread);
    if (!this.#isConstant(kind, at)) this.point(thread);
    const old = this.apply(kind, at, a, b);
    this.note(() => this.textOf(thread.slot, kind, at, a, b, old));
    return old;
  }

  /** Lives do not change where nobody dies or comes, so reading them is no point of the schedule. */
  #isConstant(kind: Kind, at: number): boolean {
    return kind === 'load' && at < 2 + 2 * this.slots && this.#kills + this.#ends === 0 && !this.#mayJoin();
  }

  #mayJoin(): boolean {
    return this.#blocked.some(({ automaton: { participant }, point }) => participant.joins && point.stage !== 'done');
  }

  /** One step of somebody. False: the interrupted thread goes on; or nobody can. */
  #schedule(interrupted: JsThread | undefined): boolean {
    if (this.#failed !== undefined) return false;
    try {
      return this.#next(interrupted);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#failed ??= error.message;
      return false;
    }
  }

  #next(interrupted: JsThread | undefined): boolean {
    const movers: Agent[] = this.#agents.filter((agent) => agent === interrupted || agent.canRun);
    if (interrupted?.dead) return false;
    const from = this.#last ? movers.indexOf(this.#last) : -1;
    if (from > 0) movers.unshift(...movers.splice(from, 1));
    else if (from < 0 && interrupted) movers.unshift(...movers.splice(movers.indexOf(interrupted), 1));
    if (movers.length === 0) return this.#rests();
    const events = this.#events();
    const n = movers.length + events.length;
    const chosen = n > 1 ? this.chooser.choose(n, movers.length) : 0;
    if (chosen >= movers.length) {
      this.#countStep();
      events[chosen - movers.length]!();
      return true;
    }
    const agent = movers[chosen]!;
    this.#last = agent;
    if (agent === interrupted) return false;
    this.#countStep();
    if (agent instanceof Blocked) agent.step();
    else {
      const what = agent.step();
      this.note(() => `${agent.slot}${agent instanceof Waiter ? ' (waiter)' : ''} ${what}`);
    }
    return true;
  }

  #countStep(): void {
    if (this.#steps++ > ENDLESS) throw new Violation('a schedule does not come to an end');
  }

  /** Nobody can go on: it is checked that this is right. Then something may happen all the same. */
  #rests(): boolean {
    if (!this.#unfinished()) return false;
    const words = [
      ...this.#blocked.flatMap(({ dead, asleep, point }) => (!dead && asleep ? [point.wait!.word] : [])),
      ...this.#threads.flatMap(({ dead, waiter }) => (dead ? [] : waiter.entries.map(({ word }) => word))),
    ];
    for (const thread of this.#threads) {
      if (thread.dead) continue;
      if (thread.waits < thread.unfinished) throw new Violation('a task waits for nothing');
      if (thread.sleepers < thread.standing) {
        throw new Violation('a task waits for what its waiter knows nothing of');
      }
    }
    if (this.#scenario.mayRest?.(this.state, words) !== true) {
      const names = words.map((at) => `${this.#scenario.room.names[at]} (it is ${show(this.state[at]!)})`);
      throw new Violation(`stuck: there are sleepers on ${names.join(', ')}`);
    }
    const events = this.#events();
    const chosen = events.length > 0 ? this.chooser.choose(1 + events.length, 1) : 0;
    if (chosen === 0) return false;
    this.#countStep();
    events[chosen - 1]!();
    return true;
  }

  #events(): (() => void)[] {
    const events: (() => void)[] = [];
    for (const thread of this.#threads) {
      if (thread.dead || thread.running) continue;
      for (const id of thread.timers.keys()) {
        events.push(() => {
          this.note(() => `${thread.slot} has a timer that fires`);
          thread.fire(id);
        });
      }
      for (const [signal, name] of thread.aborts) {
        events.push(() => {
          this.note(() => `${thread.slot} aborts ${name}`);
          thread.abort(signal);
        });
      }
    }
    for (const agent of this.#blocked) {
      if (agent.dead) continue;
      if (agent.point.mayTimeOut) events.push(() => agent.giveUp('timeout'));
      if (agent.point.mayAbort) events.push(() => agent.giveUp('abort'));
    }
    if (this.#kills > 0) {
      for (const slot of this.#living()) {
        events.push(() => {
          this.#kills--;
          this.#die(slot, false);
        });
      }
    }
    if (this.#ends > 0) {
      for (const { slot, dead } of this.#threads) {
        if (dead) continue;
        events.push(() => {
          this.#ends--;
          this.#die(slot, true);
        });
      }
    }
    return events;
  }

  /** Slots of those who have begun and have not ended. */
  #living(): Set<number> {
    const slots = new Set<number>();
    for (const { dead, slot, unfinished } of this.#threads) if (!dead && unfinished > 0) slots.add(slot);
    for (const { dead, slot, point, automaton } of this.#blocked) {
      if (!dead && point.stage !== 'done' && point !== automaton.start) slots.add(slot);
    }
    return slots;
  }

  /** Killed; or a worker's end, which leaves the slot and tells everybody. */
  #die(slot: number, leaves: boolean): void {
    this.note(() => (leaves ? `${slot} ENDS` : `${slot} is KILLED`));
    const tids = new Set<number>();
    for (const agent of this.#blocked) {
      if (agent.slot !== slot || agent.dead || agent.point === agent.automaton.start) continue;
      agent.dead = true;
      tids.add(agent.automaton.tid);
      this.dequeue(agent);
      if (!agent.automaton.participant.joins) this.#scenario.died?.(this.state, agent.index);
    }
    for (const thread of this.#threads) {
      if (thread.slot !== slot || thread.dead) continue;
      thread.dead = true;
      thread.waiter.dead = true;
      tids.add(100 + slot);
      this.dequeue(thread.waiter);
      for (const [of, index] of this.#tasks) if (of === thread) this.#scenario.died?.(this.state, index);
    }
    const alive = this.state[aliveAt(slot)]!;
    if (!tids.has(alive & 0xffff)) return; // it was not registered yet
    if (leaves) {
      this.state[aliveAt(slot)] = 0;
      this.state[MEMBERS_AT]!++;
      this.wakeAll(MEMBERS_AT);
      this.wakeAll(aliveAt(slot));
      return;
    }
    this.state[aliveAt(slot)] = (alive & WAITERS) | OWNER_DIED;
    if ((alive & WAITERS) !== 0) this.#wake(aliveAt(slot), 1);
  }

  // Words and queues.

  apply(kind: Kind, at: number, a: number, b: number): number {
    const { state } = this;
    if (!(at >= 0 && at < state.length)) throw new Violation(`an operation on word ${at}`);
    const old = state[at]!;
    if (kind === 'wake') this.#wake(at, a);
    else if (kind === 'store' || kind === 'exchange') state[at] = a | 0;
    else if (kind === 'add') state[at] = (old + a) | 0;
    else if (kind === 'cas' && old === (a | 0)) state[at] = b | 0;
    return old;
  }

  enqueue(who: Blocked | Waiter, at: number): void {
    this.#queue.push({ who, at });
  }

  dequeue(who: Blocked | Waiter): void {
    this.#queue = this.#queue.filter((entry) => entry.who !== who);
  }

  wakeAll(at: number): void {
    this.#wake(at, 0x7fffffff);
  }

  /** Whoever is in a queue may be the next that it wakes, also one who was woken already and has not run yet. */
  #wake(at: number, n: number): void {
    for (let left = n; left > 0; left--) {
      const there = this.#queue.filter((entry) => entry.at === at);
      if (there.length === 0) return;
      const chosen = there.length > 1 && left < there.length ? this.chooser.choose(there.length, there.length) : 0;
      const entry = there[chosen]!;
      this.#queue.splice(this.#queue.indexOf(entry), 1);
      entry.who.woken = true;
      this.note(
        () => `  which wakes ${entry.who instanceof Waiter ? `the waiter of ${entry.who.slot}` : entry.who.index}`,
      );
    }
  }

  note(text: () => string): void {
    this.#trace?.push(text());
  }

  textOf(who: number, kind: Kind, at: number, a: number, b: number, old: number): string {
    const name = this.#scenario.room.names[at] ?? `word ${at}`;
    if (kind === 'wake') return `${who} wakes ${a > 1000 ? 'all' : a} of ${name}`;
    return `${who} ${describe({ kind, at, a, b }, name, old)}`;
  }
}

/** The automata of the participants that block, and what is loaded, are made once. */
export function schedules(
  build: (core: Core) => AsyncScenario,
  core: Core,
  changes: readonly Change[],
  flaw?: Flaw,
): Run {
  const scenario = build(core);
  const newcomers = (scenario.newcomers ?? []).map((slot) => ({ slot, joins: true, body: () => {} }));
  const automata = automataOf([...(scenario.programs ?? []), ...newcomers]);
  const realms = scenario.threads.map(() => new Realm(scenario.room.slots, changes));
  return (chooser, trace) => {
    try {
      return new World(core, scenario, automata, chooser, realms, flaw, trace).run();
    } catch (error) {
      if (error instanceof Violation) return error.message;
      throw error;
    }
  };
}
