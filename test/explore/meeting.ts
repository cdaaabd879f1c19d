import type { Memory } from '../../src/memory/words.js';
import { type Seat, seatOf, times } from './cast.js';
import type { Core } from './core.js';
import { type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { Room } from './words.js';
import type { Participant, Scenario } from './world.js';

/** Barrier. */
export type Meeting = import('../../src/sync/core/meeting.js').Meeting;
type Meet = import('../../src/sync/core/meeting.js').Meet;

export interface PartyPlan extends WaitOptions, Seat {
  rounds?: number;
  /** Its action throws when it is the last. */
  fails?: boolean;
}

/** Rounds that a scenario may come to. */
const ROUNDS = 6;

/** A wait that remembers in which round it ended. */
interface Watched extends Meet {
  roundMet: number;
}

type WatchedClass = new (m: Memory, b: Meeting) => Watched;

export class MeetingModel {
  readonly b: Meeting;
  readonly #core: Core['meeting'];
  /** For each round: how many of those counted in it got through; how many found it broken; bits of the indices. */
  readonly #through: number;
  readonly #broken: number;
  readonly #indices: number;
  /** Waits that have begun. */
  readonly #begun: number;

  constructor(core: Core, room: Room, parties: number, at?: Meeting) {
    this.#core = core.meeting;
    const make = (): Meeting => {
      const [state, outcomes] = [room.word('state'), room.word('outcomes')];
      return { state, outcomes, present: room.table('present', room.slots), parties };
    };
    this.b = at ?? make();
    this.#through = room.table('(through)', ROUNDS);
    this.#broken = room.table('(broken)', ROUNDS);
    this.#indices = room.table('(indices)', ROUNDS);
    this.#begun = room.word('(begun)');
  }

  /** The class, with a note of the round that a wait was counted in; the explorer made `#end` and `#round` visible. */
  #watched(): WatchedClass {
    type Open = { _end(arrival: string): true; _round: number };
    const Base = this.#core.Meet as unknown as new (...of: unknown[]) => Open;
    class Watching extends Base {
      roundMet = -1;
      override _end(arrival: string): true {
        this.roundMet = this._round;
        return super._end(arrival);
      }
    }
    return Watching as unknown as WatchedClass;
  }

  party(plan: PartyPlan = {}): Body {
    const Watching = this.#watched();
    return (api) => {
      for (let i = 0; i < (plan.rounds ?? 1); i++) {
        api.before((s) => this.begins(s));
        const [arrival, index, round] = api.wait(
          () => new Watching(api.m, this.b),
          plan,
          (meet) => {
            if (meet.arrival === 'last') {
              if (plan.fails) meet.leave();
              else meet.open();
            }
            return [meet.arrival, meet.index, meet.roundMet] as const;
          },
        );
        api.after((s) => this.note(s, arrival, index, round));
      }
    };
  }

  begins(s: number[]): void {
    s[this.#begun]!++;
  }

  note(s: number[], arrival: string, index: number, round: number): void {
    if (arrival !== 'through' && arrival !== 'broken')
      throw new Violation(`a wait ended, and its arrival is ${arrival}`);
    if (index < 0) {
      if (arrival === 'through') throw new Violation('somebody got through who never arrived');
      return;
    }
    const [through, broken, indices] = [this.#through + round, this.#broken + round, this.#indices + round];
    s[arrival === 'through' ? through : broken]!++;
    if (s[through] !== 0 && s[broken] !== 0) throw new Violation(`round ${round}: some got through, and some did not`);
    if (s[through]! > this.b.parties) throw new Violation(`round ${round}: ${s[through]} got through`);
    let successes = 0;
    for (let i = 0; i < ROUNDS; i++) if (s[this.#through + i] !== 0) successes++;
    if (s[this.#begun]! < successes * this.b.parties) throw new Violation(`round ${round}: not all parties were there`);
    if ((s[indices]! & (1 << index)) !== 0) throw new Violation(`round ${round}: two have the index ${index}`);
    s[indices]! |= 1 << index;
  }

  /** Breaks or resets. */
  disturber(...does: ('abort' | 'reset')[]): Body {
    return (api) => {
      for (const what of does) {
        api.run(() => this.#core[what](api.m, this.b));
      }
    };
  }

  /** Parties may wait for one that has not come, if none of those who have is gone. */
  mayRest(state: readonly number[], words: readonly number[]): boolean {
    const w = state[this.b.state]!;
    if (words.some((word) => word !== this.b.state) || this.#core.isBroken(w)) return false;
    return this.#core.arrivedOf(w) === words.length && words.length < this.b.parties;
  }
}

function meet(
  core: Core,
  parties: number,
  plans: PartyPlan[],
  disturbers: ('abort' | 'reset')[][] = [],
  rest: Partial<Scenario> = {},
): Scenario {
  const room = new Room(plans.length + disturbers.length);
  const model = new MeetingModel(core, room, parties);
  const participants: Participant[] = [
    ...plans.map((plan, i) => ({ ...seatOf(plan, i), body: model.party(plan) })),
    ...disturbers.map((does, i) => ({ slot: plans.length + i, body: model.disturber(...does) })),
  ];
  return {
    room,
    participants,
    writers: new Map(plans.map((_, slot) => [model.b.present + slot, slot])),
    mayRest: (state, words) => model.mayRest(state, words),
    ...rest,
  };
}

export const meeting: Suite = {
  name: 'a meeting (Barrier)',
  stories: [
    { title: 'two parties, three rounds', build: (core) => meet(core, 2, times(2, { rounds: 3 })) },
    {
      title: 'three parties, one round',
      build: (core) => meet(core, 3, times(3, {})),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'three parties, two rounds',
      build: (core) => meet(core, 3, times(3, { rounds: 2 })),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two parties, two rounds, and one may die',
      build: (core) => meet(core, 2, times(2, { rounds: 2 }), [], { kills: 1 }),
    },
    {
      title: 'three parties, and one may die',
      build: (core) => meet(core, 3, times(3, {}), [], { kills: 1 }),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'three parties who time out and are aborted',
      build: (core) => meet(core, 3, [{}, { timeout: 'ever' }, { abort: true }]),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two parties, two rounds, who time out and are aborted',
      build: (core) =>
        meet(core, 2, [
          { rounds: 2, timeout: 'ever' },
          { rounds: 2, abort: true },
        ]),
    },
    {
      title: 'two parties, two rounds, whose action throws',
      build: (core) => meet(core, 2, [{ rounds: 2, fails: true }, { rounds: 2 }]),
    },
    {
      title: 'two parties, two rounds, and somebody who aborts and resets',
      build: (core) => meet(core, 2, times(2, { rounds: 2 }), [['abort', 'reset']]),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'three waits at a barrier for two, and somebody who resets',
      build: (core) => meet(core, 2, times(3, {}), [['reset']]),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two parties, a reset, and one may die',
      build: (core) => meet(core, 2, times(2, {}), [['reset']], { kills: 1 }),
    },
    {
      title: 'two tasks of one thread and another party, two rounds',
      build: (core) =>
        meet(core, 3, [
          { slot: 0, rounds: 2 },
          { slot: 0, rounds: 2 },
          { slot: 1, rounds: 2 },
        ]),
    },
    {
      title: 'three parties who time out and are aborted, a reset, and one may die',
      build: (core) => meet(core, 2, [{ timeout: 'ever' }, { abort: true }, {}], [['reset']], { kills: 1 }),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'two parties of three, and a newcomer that wants nothing, in the slot of one that died',
      build: (core) => meet(core, 3, [{}, {}, { slot: 0, joins: true, rounds: 0 }], [], { kills: 1 }),
    },
    {
      title: 'two parties of three, and a newcomer that wants nothing, in the slot of one that died, and two may die',
      build: (core) => meet(core, 3, [{}, {}, { slot: 0, joins: true, rounds: 0 }], [], { kills: 2 }),
    },
    {
      title: 'two parties, and a newcomer that comes in the slot of one that died, and a reset',
      build: (core) => meet(core, 2, [{ rounds: 2 }, {}, { slot: 0, joins: true }], [['reset']], { kills: 1 }),
      bounded: { states: 150_000, walks: 1000 },
    },
  ],
  mutants: [
    {
      title: 'the last party wakes nobody',
      file: 'sync/core/meeting.ts',
      from: 'if (m.cas(b.state, w, startOf(round + 1)) === w) m.wake(b.state, EVERYONE);',
      to: 'm.cas(b.state, w, startOf(round + 1));',
      caughtBy: 'two parties, three rounds',
    },
    {
      title: 'the last party wakes one',
      file: 'sync/core/meeting.ts',
      from: 'if (m.cas(b.state, w, startOf(round + 1)) === w) m.wake(b.state, EVERYONE);',
      to: 'if (m.cas(b.state, w, startOf(round + 1)) === w) m.wake(b.state, 1);',
      caughtBy: 'three parties, one round',
    },
    {
      title: 'the outcome of a round is not noted',
      file: 'sync/core/meeting.ts',
      from: 'const next = broken ? w | bit : w & ~bit;',
      to: 'const next = w;',
      caughtBy: 'two parties, two rounds, and somebody who aborts and resets',
    },
    {
      title: 'a break wakes nobody',
      file: 'sync/core/meeting.ts',
      from: `    m.wake(b.state, EVERYONE);
    return;`,
      to: '    return;',
      caughtBy: 'three parties who time out and are aborted',
    },
    {
      title: 'a success may be broken',
      file: 'sync/core/meeting.ts',
      from: 'if (roundOf(w) !== round || (w & (BROKEN | OPENING)) !== 0) return;',
      to: 'if (roundOf(w) !== round || (w & BROKEN) !== 0) return;',
      caughtBy: 'two parties, two rounds, who time out and are aborted',
    },
    {
      title: 'parties do not say that they are present',
      file: 'sync/core/meeting.ts',
      from: 'if (round !== ABSENT) m.store(at, presence(m.me, round));',
      to: 'if (round !== ABSENT) m.store(at, 0);',
      caughtBy: 'two parties, two rounds, and one may die',
    },
    {
      title: 'who gives up takes a success for a break',
      file: 'sync/core/meeting.ts',
      from: `this.#end(through ? 'through' : 'broken');`,
      to: `this.#end('broken');`,
      caughtBy: 'two parties, two rounds, who time out and are aborted',
    },
    {
      title: 'who gives up breaks nothing',
      file: 'sync/core/meeting.ts',
      from: 'if (this.index >= 0) breakRound(this.#m, this.#b, this.#round);',
      to: '',
      caughtBy: 'two parties, two rounds, who time out and are aborted',
    },
    {
      title: 'nobody looks who lives before the sleep',
      file: 'sync/core/meeting.ts',
      from: 'this.living = living;',
      to: 'void living;',
      caughtBy: 'two parties, two rounds, and one may die',
    },
    {
      title: 'a party is not missed when somebody else has its slot',
      file: 'sync/core/meeting.ts',
      from: 'if (isGone(alive) || (generation & 0xfff) !== ((w >>> 19) & 0xfff)) return true;',
      to: 'if (isGone(alive)) return true;',
      caughtBy: 'two parties of three, and a newcomer that wants nothing, in the slot of one that died',
    },
  ],
};
