import type { Memory } from '../../src/memory/words.js';
import { type Seat, SHORT_TAG, seatOf, slotsOf, times } from './cast.js';
import type { Core } from './core.js';
import { type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { generationAt, HIGH_AT, nameOf, Room } from './words.js';
import type { Participant, Scenario } from './world.js';

/** Barrier. */
export type Meeting = import('../../src/sync/core/meeting.js').Meeting;
type Meet = import('../../src/sync/core/meeting.js').Meet;
type Endings = import('../../src/sync/core/meeting.js').Endings;

export interface PartyPlan extends WaitOptions, Seat {
  rounds?: number;
  /** Its action throws when it is the last. */
  fails?: boolean;
}

/** Rounds that a scenario may come to. */
const ROUNDS = 6;

/** Rounds of a thread of which it may have to remember the ending. */
const NOTES = 4;

/** A wait that remembers in which round it ended. */
interface Watched extends Meet {
  roundMet: number;
}

type WatchedClass = new (m: Memory, b: Meeting, endings: Endings) => Watched;

export class MeetingModel {
  readonly b: Meeting;
  readonly #core: Core['meeting'];
  /** For each round: how many of those counted in it got through; how many found it broken; bits of the indices. */
  readonly #through: number;
  readonly #broken: number;
  readonly #indices: number;
  /** Waits that have begun. */
  readonly #begun: number;
  /** For each slot, what the Local of Barrier remembers. */
  readonly #notes: number;
  /** Number of the first round. */
  readonly #first: number;
  /** Words that only one thread touches. */
  readonly privates = new Set<number>();

  constructor(core: Core, room: Room, parties: number, at?: Meeting, first = 0) {
    this.#core = core.meeting;
    this.#first = first;
    const make = (): Meeting => {
      const state = room.word('state', core.meeting.startOf(first));
      return { state, records: room.table('record', room.slots * core.meeting.RECORD_WORDS), parties };
    };
    this.b = at ?? make();
    this.#notes = room.table('note', room.slots * NOTES);
    for (let i = 0; i < room.slots * NOTES; i++) this.privates.add(this.#notes + i);
    this.#through = room.table('(through)', ROUNDS);
    this.#broken = room.table('(broken)', ROUNDS);
    this.#indices = room.table('(indices)', ROUNDS);
    this.#begun = room.word('(begun)');
  }

  /** The class, with a note of the round that a wait was counted in; the explorer made `#end` and `#place` visible. */
  #watched(): WatchedClass {
    type Open = { _end(arrival: string): true; _place: number };
    const Base = this.#core.Meet as unknown as new (...of: unknown[]) => Open;
    const { roundIn } = this.#core;
    const first = this.#first;
    class Watching extends Base {
      roundMet = -1;
      override _end(arrival: string): true {
        this.roundMet = roundIn(this._place - (first << 2));
        return super._end(arrival);
      }
    }
    return Watching as unknown as WatchedClass;
  }

  /** As the Local of Barrier has it; by how many rounds the thread has been in. */
  #endings(m: Memory, slot: number): Endings {
    const at = (place: number): number => this.#notes + slot * NOTES + ((place >>> 20) % NOTES);
    return {
      arrived: () => {},
      left: () => {},
      note: (place, ending) => m.store(at(place), (place & ~3) | (ending === 'through' ? 2 : 3)),
      get: (place) => {
        const noted = m.load(at(place));
        if ((noted & ~3) !== (place & ~3) || noted === 0) return undefined;
        return (noted & 3) === 2 ? 'through' : 'broken';
      },
    };
  }

  party(plan: PartyPlan, slot: number): Body {
    const Watching = this.#watched();
    return (api) => {
      for (let i = 0; i < (plan.rounds ?? 1); i++) {
        api.before((s) => this.begins(s));
        const [arrival, index, round] = api.wait(
          () => new Watching(api.m, this.b, this.#endings(api.m, slot)),
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

  /** Who is counted in the first round. */
  isCounted(state: readonly number[], slot: number): boolean {
    const place = state[this.b.records + slot * this.#core.RECORD_WORDS + 1]!;
    return (place & 3) === 1 && this.#core.arrivedOf(state[this.b.state]!) > 0;
  }

  /** Breaks or resets. */
  disturber(...does: ('abort' | 'reset')[]): Body {
    return (api) => {
      for (const what of does) {
        api.run(() => this.#core[what](api.m, this.b));
      }
    };
  }

  /** The words of a participant that died as it came, too late for a round that is over. */
  haunt(room: Room, slot: number, round: number): void {
    const at = this.b.records + slot * this.#core.RECORD_WORDS;
    room.initial[HIGH_AT] = slot + 1;
    room.initial[generationAt(slot)] = 1;
    room.initial[at] = nameOf(slot, 1);
    room.initial[at + 1] = ((round & 0x3ffff) << 2) | 1;
  }

  /** What the dead have left there would break a round of the same number, some day. */
  final(state: readonly number[], from: number, ghosts: number, broken: boolean): string | undefined {
    if (broken && !this.#core.isBroken(state[this.b.state]!)) return 'it was aborted, and is not broken';
    for (let slot = from; slot < from + ghosts; slot++) {
      const place = state[this.b.records + slot * this.#core.RECORD_WORDS + 1]!;
      if ((place & 3) === 1) return `slot ${slot} is still in a round that was over long ago`;
    }
    return undefined;
  }

  /** Parties may wait for one that has not come, if none of those who have is gone. */
  mayRest(state: readonly number[], words: readonly number[]): boolean {
    const w = state[this.b.state]!;
    if (words.some((word) => word !== this.b.state) || this.#core.isBroken(w)) return false;
    return this.#core.arrivedOf(w) === words.length && words.length < this.b.parties;
  }
}

interface Setting extends Partial<Scenario> {
  /** Number of the first round. */
  first?: number;
  /** The others come when the first party has been counted. */
  late?: boolean;
  /** Slots whose participant has died in the round before the first one, as it came. */
  ghosts?: number;
  /** It is broken in the end. */
  isBroken?: boolean;
}

function meet(
  core: Core,
  parties: number,
  plans: PartyPlan[],
  disturbers: ('abort' | 'reset')[][] = [],
  { first = 0, late = false, ghosts = 0, isBroken = false, ...rest }: Setting = {},
): Scenario {
  const slots = slotsOf(plans);
  const room = new Room(slots + disturbers.length + ghosts);
  const model = new MeetingModel(core, room, parties, undefined, first);
  const begins = (state: readonly number[]): boolean => model.isCounted(state, 0);
  const participants: Participant[] = [
    ...plans.map((plan, i) => {
      const seat = seatOf(plan, i);
      return { ...seat, body: model.party(plan, seat.slot), ...(late && i > 0 ? { begins } : {}) };
    }),
    ...disturbers.map((does, i) => ({ slot: slots + i, body: model.disturber(...does) })),
  ];
  for (let i = 0; i < ghosts; i++) model.haunt(room, slots + disturbers.length + i, first - 1);
  const { RECORD_WORDS } = core.meeting;
  // Nobody writes the records of those who are no parties.
  for (let at = slots * RECORD_WORDS; at < room.slots * RECORD_WORDS; at++)
    if (ghosts === 0) model.privates.add(model.b.records + at);
  return {
    room,
    participants,
    privates: model.privates,
    writers: new Map(times(slots, 0).map((_, slot) => [model.b.records + slot * RECORD_WORDS, slot])),
    mayRest: (state, words) => model.mayRest(state, words),
    final: (state) => model.final(state, slots + disturbers.length, ghosts, isBroken),
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
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two tasks of one thread and another party, two rounds',
      build: (core) =>
        meet(core, 3, [
          { slot: 0, rounds: 2 },
          { slot: 0, rounds: 2 },
          { slot: 1, rounds: 2 },
        ]),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two tasks of one thread and another party',
      build: (core) => meet(core, 3, [{ slot: 0 }, { slot: 0 }, { slot: 1 }]),
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
      title: 'a party of three that dies, and one that comes in its slot',
      build: (core) => meet(core, 3, [{}, { slot: 0, joins: true }], [], { kills: 1 }),
    },
    {
      title: 'two parties of three, and a newcomer in the slot of one that died, after 4,095 others',
      build: (core) =>
        meet(core, 3, [{}, {}, { slot: 0, joins: true, rounds: 0, others: SHORT_TAG }], [], { kills: 1 }),
    },
    {
      title: 'a party that looks late, and two who go on without it, and abort',
      build: (core) => meet(core, 2, [{}, { rounds: 3 }, { rounds: 2 }], [['abort']], { late: true }),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two tasks of one thread that look late, and another party, three rounds',
      build: (core) => meet(core, 2, [{ slot: 0 }, { slot: 0, rounds: 2 }, { slot: 1, rounds: 3 }]),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two parties, three rounds, when the numbers of rounds run out',
      build: (core) => meet(core, 2, times(2, { rounds: 3 }), [], { first: 0x3fffe }),
    },
    {
      title: 'two parties when the numbers of rounds have run out, and one that died in the round before',
      build: (core) => meet(core, 2, times(2, {}), [], { ghosts: 1 }),
    },
    {
      title: 'two parties, and one that aborts',
      build: (core) => meet(core, 2, times(2, {}), [['abort']], { isBroken: true }),
      bounded: { states: 500_000, walks: 1000 },
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
      from: 'if (m.cas(b.state, w, startOf(roundOf(w) + 1)) === w) m.wake(b.state, EVERYONE);',
      to: 'm.cas(b.state, w, startOf(roundOf(w) + 1));',
      caughtBy: 'two parties, three rounds',
    },
    {
      title: 'the last party wakes one',
      file: 'sync/core/meeting.ts',
      from: 'if (m.cas(b.state, w, startOf(roundOf(w) + 1)) === w) m.wake(b.state, EVERYONE);',
      to: 'if (m.cas(b.state, w, startOf(roundOf(w) + 1)) === w) m.wake(b.state, 1);',
      caughtBy: 'three parties, one round',
    },
    {
      title: 'nobody is told how a round ended',
      file: 'sync/core/meeting.ts',
      from: '  tellParties(m, b, w);',
      to: '',
      caughtBy: 'two parties, three rounds',
    },
    {
      title: 'the parties are told when the next round has begun',
      file: 'sync/core/meeting.ts',
      from: `  tellParties(m, b, w);
  if (m.cas(b.state, w, startOf(roundOf(w) + 1)) === w) m.wake(b.state, EVERYONE);`,
      to: `  if (m.cas(b.state, w, startOf(roundOf(w) + 1)) === w) m.wake(b.state, EVERYONE);
  tellParties(m, b, w);`,
      caughtBy: 'two parties, three rounds',
    },
    {
      title: 'a slow one tells the parties of a later round',
      file: 'sync/core/meeting.ts',
      from: `    if (!isIn(place) || roundIn(place) !== roundOf(w)) continue;
    if (m.load(b.state) !== w) return;`,
      to: '    if (!isIn(place)) continue;',
      caughtBy: 'two parties, three rounds',
    },
    {
      title: 'a thread forgets how a round ended when it comes into the next one',
      file: 'sync/core/meeting.ts',
      from: `this.#endings.note((place & ~STATUS) | IN,`,
      to: 'void ((place & ~STATUS) | IN,',
      caughtBy: 'two tasks of one thread that look late, and another party, three rounds',
    },
    {
      title: 'who comes takes the place of who died in the same slot before it looks who is missed',
      file: 'sync/core/meeting.ts',
      from: "if (isBroken(w)) return this.#end('broken');\n",
      to: `if (isBroken(w)) return this.#end('broken');
      if (this.index < 0 && arrivedOf(w) < b.parties) this.#comeIn(w);\n`,
      caughtBy: 'a party of three that dies, and one that comes in its slot',
    },
    {
      title: 'the name of a party has 12 bits of its generation',
      file: 'sync/core/meeting.ts',
      from: 'nameOf(slot, m.load(m.generationAt(slot))) === name;',
      to: '((nameOf(slot, m.load(m.generationAt(slot))) ^ name) & 0x7fffff) === 0;',
      caughtBy: 'two parties of three, and a newcomer in the slot of one that died, after 4,095 others',
    },
    {
      title: 'who died as it came stays in its round',
      file: 'sync/core/meeting.ts',
      from: 'if (isBefore(roundIn(place), round)) m.cas(at + PLACE, place, place ^ IN);',
      to: '',
      caughtBy: 'two parties when the numbers of rounds have run out, and one that died in the round before',
    },
    {
      title: 'rounds are compared as if their numbers never ran out',
      file: 'sync/core/meeting.ts',
      from: '((round - other) & ROUNDS) > ROUNDS >>> 1;',
      to: 'round < other;',
      caughtBy: 'two parties when the numbers of rounds have run out, and one that died in the round before',
    },
    {
      title: 'an abort is lost on a round that has just succeeded',
      file: 'sync/core/meeting.ts',
      from: 'if ((w & OPENING) !== 0) advance(m, b, w);\n    else if (isBroken(w) ||',
      to: 'if (!isUndecided(w) ||',
      caughtBy: 'two parties, and one that aborts',
    },
    {
      title: 'a break wakes nobody',
      file: 'sync/core/meeting.ts',
      from: `  m.wake(b.state, EVERYONE);
  return true;`,
      to: '  return true;',
      caughtBy: 'three parties who time out and are aborted',
    },
    {
      title: 'a success may be broken',
      file: 'sync/core/meeting.ts',
      from: "this.#ending(w) ?? ((w & OPENING) !== 0 ? 'through' : undefined);",
      to: 'this.#ending(w);',
      caughtBy: 'two parties, two rounds, who time out and are aborted',
    },
    {
      title: 'parties do not say that they are present',
      file: 'sync/core/meeting.ts',
      from: 'm.store(at + PLACE, this.#place);',
      to: '',
      caughtBy: 'two parties, two rounds, and one may die',
    },
    {
      title: 'who gives up takes a success for a break',
      file: 'sync/core/meeting.ts',
      from: 'this.#end(ending);\n    return ending ===',
      to: `this.#end('broken');\n    return ending ===`,
      caughtBy: 'two parties, two rounds, who time out and are aborted',
    },
    {
      title: 'who gives up breaks nothing',
      file: 'sync/core/meeting.ts',
      from: "if (breakRound(this.#m, this.#b, w)) return 'broken';",
      to: "return 'broken';",
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
      from: 'return !isGone(alive) && nameOf(slot, m.load(m.generationAt(slot))) === name;',
      to: 'return !isGone(alive);',
      caughtBy: 'two parties of three, and a newcomer that wants nothing, in the slot of one that died',
    },
  ],
};
