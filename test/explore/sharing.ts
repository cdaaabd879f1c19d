import { NEVER_WANTS, type Seat, SHORT_TAG, seatOf, slotsOf, times } from './cast.js';
import type { Change, Core } from './core.js';
import { type Api, type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { isGoneIn, nameOf, namesLiving, peek, Room } from './words.js';
import type { Scenario } from './world.js';

/** RWLock. */
export type Sharing = import('../../src/sync/core/sharing.js').Sharing;

export interface UserPlan extends WaitOptions, Seat {
  does: 'read' | 'write' | 'downgrade';
  patience?: number;
  rounds?: number;
  /** Begins with a try, as both sides' acquire do. */
  fast?: boolean;
  /** How often it reads at a time; the last one is refused. */
  nested?: number;
}

/** At most two reads of a thread at a time. */
const FEW_READS: Change = {
  file: 'sync/core/sharing.ts',
  from: 'export const MOST_READS = 0xffffff;',
  to: 'export const MOST_READS = 2;',
};

export class SharingModel {
  readonly s: Sharing;
  readonly #core: Core;
  /** Bits of those who read, and of who writes. */
  readonly #reading: number;
  readonly #writing: number;
  /** A writer died inside, and no writer has released since. */
  readonly #lost: number;

  constructor(core: Core, room: Room, at?: Sharing) {
    this.#core = core;
    this.s = at ?? {
      word: room.word('word'),
      died: room.word('died'),
      want: room.word('want'),
      turn: room.word('turn'),
      drain: room.word('drain'),
      inside: room.word('inside'),
      readers: room.table('reads', room.slots * core.sharing.READER_WORDS),
    };
    this.#reading = room.word('(reading)');
    this.#writing = room.word('(writing)');
    this.#lost = room.word('(lost)');
  }

  user(plan: UserPlan): Body {
    return (api) => {
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        if (plan.does === 'read') this.#read(api, plan);
        else this.#write(api, plan);
      }
    };
  }

  #read(api: Api, plan: UserPlan): void {
    const { m } = api;
    const { tryRead, TakeRead } = this.#core.sharing;
    if (!(plan.fast && api.run(() => tryRead(m, this.s)))) {
      const make = () => new TakeRead(m, this.s, plan.patience ?? NEVER_WANTS, true);
      if (api.wait(make, plan, (_, how) => how) !== 'done') return;
    }
    api.after((state) => this.reads(state, api.index));
    for (let i = 1; i < (plan.nested ?? 1); i++) this.#readAgain(api, i + 1 === plan.nested);
    this.#leaveReading(api);
    for (let i = 2; i < (plan.nested ?? 1); i++) api.run(() => this.#core.sharing.dropRead(m, this.s));
  }

  /** While it reads. One too many must be refused, and change nothing. */
  #readAgain(api: Api, tooMany: boolean): void {
    const { m } = api;
    const { tryRead, TakeRead } = this.#core.sharing;
    if (!tooMany) {
      if (!api.run(() => tryRead(m, this.s))) throw new Violation('there was no room for another read');
      return;
    }
    if (api.run(() => tryRead(m, this.s))) throw new Violation('a read more than there may be');
    const make = () => new TakeRead(m, this.s, NEVER_WANTS, true);
    let how: unknown;
    try {
      how = api.wait(make, {}, () => 'done');
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      how = api.run(() => 'refused'); // from here on this is what the wait has given
    }
    if (how !== 'refused') throw new Violation('a read more than there may be');
  }

  #leaveReading(api: Api): void {
    api.before((state) => this.leavesReading(state, api.index));
    api.run(() => this.#core.sharing.dropRead(api.m, this.s));
  }

  #write(api: Api, plan: UserPlan): void {
    const { m } = api;
    const { tryWrite, TakeWrite, leaveWriting, downgrade } = this.#core.sharing;
    if (!(plan.fast && api.run(() => tryWrite(m, this.s)))) {
      const make = () => new TakeWrite(m, this.s, plan.patience ?? NEVER_WANTS, true);
      if (api.wait(make, plan, (_, how) => how) !== 'done') return;
    }
    api.after((state) => this.writes(state, api.index));
    api.before((state) => this.leavesWriting(state, api.index, plan.does === 'downgrade'));
    if (plan.does === 'write') {
      api.run(() => leaveWriting(m, this.s, true));
      return;
    }
    api.run(() => downgrade(m, this.s, true));
    this.#leaveReading(api);
  }

  reads(state: number[], index: number): void {
    if (state[this.#writing] !== 0) throw new Violation(`${index} reads while another writes`);
    this.#checkTold(state);
    state[this.#reading]! |= 1 << index;
  }

  leavesReading(state: number[], index: number): void {
    state[this.#reading]! &= ~(1 << index);
  }

  writes(state: number[], index: number): void {
    if (state[this.#writing] !== 0) throw new Violation(`${index} writes while another writes`);
    if (state[this.#reading] !== 0) throw new Violation(`${index} writes while another reads`);
    this.#checkTold(state);
    state[this.#writing] = 1 << index;
  }

  leavesWriting(state: number[], index: number, stays: boolean): void {
    state[this.#writing] = 0;
    state[this.#lost] = 0;
    if (stays) state[this.#reading]! |= 1 << index;
  }

  /** Whoever comes after a writer that died can know of it. */
  #checkTold(state: readonly number[]): void {
    if (state[this.#lost] !== 0 && state[this.s.died] === 0) throw new Violation('nobody was told of a death inside');
  }

  /** `inside`: the words say that it had the data, whatever it has noted of that. */
  died(state: number[], index: number, inside = false): void {
    const bit = 1 << index;
    state[this.#reading]! &= ~bit;
    if (inside) state[this.#lost] = 1;
    if ((state[this.#writing]! & bit) === 0) return;
    state[this.#writing] = 0;
    state[this.#lost] = 1;
  }

  final(state: readonly number[]): string | undefined {
    const { s } = this;
    const owner = this.#core.owned.ownerOf(state[s.word]!);
    if (owner !== 0 && !isGoneIn(state, owner)) return 'the lock is held by somebody who is done';
    if (namesLiving(state, s.want)) return 'a reservation is left of somebody who is done';
    if (this.#core.sharing.reads(peek(state), s) !== 0) return 'somebody is counted as reading who is done';
    if (owner === 0 && state[s.inside] !== 0) return 'somebody is said to write, and nobody does';
    if (owner === 0 && state[s.died] !== 0 && state[this.#lost] === 0) return '`died` is left after a writer’s release';
    return undefined;
  }
}

function shared(core: Core, users: UserPlan[], rest: Partial<Scenario> = {}): Scenario {
  const room = new Room(slotsOf(users));
  const model = new SharingModel(core, room);
  const participants = users.map((plan, i) => ({ ...seatOf(plan, i), body: model.user(plan) }));
  return {
    room,
    participants,
    writers: new Map(
      times(room.slots * core.sharing.READER_WORDS, 0).map((_, i) => [
        model.s.readers + i,
        Math.floor(i / core.sharing.READER_WORDS),
      ]),
    ),
    died: (state, index) => {
      const { slot, joins } = participants[index]!;
      model.died(state, index, state[model.s.inside] === nameOf(slot, joins ? 2 : 1));
    },
    final: (state) => model.final(state),
    ...rest,
  };
}

const READ: UserPlan = { does: 'read' };
const WRITE: UserPlan = { does: 'write' };

export const sharing: Suite = {
  name: 'readers and writers (RWLock)',
  stories: [
    { title: 'two readers and a writer', build: (core) => shared(core, [READ, READ, WRITE]) },
    { title: 'a reader and two writers', build: (core) => shared(core, [READ, WRITE, WRITE]) },
    {
      title: 'a reader and a writer, two rounds each, who try first',
      build: (core) =>
        shared(core, [
          { does: 'read', rounds: 2, fast: true },
          { does: 'write', rounds: 2, fast: true },
        ]),
    },
    {
      title: 'two readers and a writer, and one may die',
      build: (core) => shared(core, [READ, READ, WRITE], { kills: 1 }),
    },
    {
      title: 'a reader and two writers, and one may die',
      build: (core) => shared(core, [READ, WRITE, WRITE], { kills: 1 }),
    },
    {
      title: 'a writer that becomes a reader, a reader and a writer',
      build: (core) => shared(core, [{ does: 'downgrade' }, READ, WRITE]),
    },
    {
      title: 'a reader and a writer who try first, and a writer that dies',
      build: (core) => shared(core, [{ does: 'read', fast: true }, { does: 'write', fast: true }, WRITE], { kills: 1 }),
      bounded: { states: 600_000, walks: 1000 },
    },
    {
      title: 'readers and writers who time out and are aborted',
      build: (core) =>
        shared(core, [
          { does: 'read', timeout: 'ever', abort: true },
          { does: 'write', timeout: 'ever', abort: true },
          { does: 'write' },
        ]),
    },
    {
      title: 'a reader and writers who reserve, and are aborted',
      build: (core) =>
        shared(core, [
          { does: 'read', patience: 0, abort: true },
          { does: 'write', patience: 0, abort: true },
          { does: 'write', patience: 0 },
        ]),
    },
    {
      title: 'a reader, a writer, and a newcomer that writes in the slot of one that died',
      build: (core) => shared(core, [READ, WRITE, { does: 'write', slot: 0, joins: true }], { kills: 1 }),
    },
    {
      title: 'readers and writers who time out and are aborted, and one may die',
      build: (core) =>
        shared(
          core,
          [
            { does: 'read', timeout: 'ever', abort: true },
            { does: 'write', timeout: 'ever' },
            { does: 'write', abort: true, patience: 0 },
          ],
          { kills: 1 },
        ),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'a writer, a reader, and a newcomer that wants nothing, in the slot of one that died',
      build: (core) => shared(core, [READ, WRITE, { does: 'read', slot: 0, joins: true, rounds: 0 }], { kills: 1 }),
    },
    {
      title: 'a reader that dies, a writer, and a newcomer in its slot after 4,095 others',
      build: (core) =>
        shared(core, [READ, WRITE, { does: 'read', slot: 0, joins: true, rounds: 0, others: SHORT_TAG }], { kills: 1 }),
    },
    {
      title: 'a reader, a writer, and a newcomer that reads in the slot of one that died',
      build: (core) => shared(core, [READ, WRITE, { does: 'read', slot: 0, joins: true, fast: true }], { kills: 1 }),
    },
    {
      title: 'one that reads as often as it may, and another reader',
      build: (core) => shared(core, [{ does: 'read', nested: 3, fast: true }, READ]),
      narrow: [FEW_READS],
    },
    {
      title: 'a writer that becomes a reader, and writers who reserve, and one may die',
      build: (core) =>
        shared(core, [{ does: 'downgrade' }, { does: 'write', patience: 0 }, { does: 'read', patience: 0 }], {
          kills: 1,
        }),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'a reader, a writer, and a newcomer that wants nothing, in the slot of one that died, and two may die',
      build: (core) => shared(core, [READ, WRITE, { does: 'read', slot: 0, joins: true, rounds: 0 }], { kills: 2 }),
    },
  ],
  mutants: [
    {
      title: `a reader looks at the writers' word before it raises its own`,
      file: 'sync/core/sharing.ts',
      from: `  if (!addRead(m, s)) return false;
  if (m.load(s.word) === 0) return true;`,
      to: `  if (m.load(s.word) === 0) return addRead(m, s);
  addRead(m, s);`,
      caughtBy: 'a reader and a writer, two rounds each, who try first',
    },
    {
      title: 'a reader that leaves tells no writer',
      file: 'sync/core/sharing.ts',
      from: `  m.add(s.drain, 1);
  m.wake(s.drain, EVERYONE);`,
      to: '',
      caughtBy: 'two readers and a writer',
    },
    {
      title: 'a reader that leaves wakes before it counts',
      file: 'sync/core/sharing.ts',
      from: `  m.add(s.drain, 1);
  m.wake(s.drain, EVERYONE);`,
      to: `  m.wake(s.drain, EVERYONE);
  m.add(s.drain, 1);`,
      caughtBy: 'two readers and a writer',
    },
    {
      title: 'a writer looks at the readers before it reads what it sleeps on',
      file: 'sync/core/sharing.ts',
      from: 'if (this.owner >= 0) return false;',
      to: `if (this.owner >= 0) {
      this.expected = m.load(s.drain);
      return false;
    }`,
      caughtBy: 'two readers and a writer',
    },
    {
      title: 'a writer does not wait for readers',
      file: 'sync/core/sharing.ts',
      from: 'if (this.owner >= 0) return false;',
      to: '',
      caughtBy: 'two readers and a writer',
    },
    {
      title: 'dead readers are counted',
      file: 'sync/core/sharing.ts',
      from: 'if (reads <= 0 || isGone(m.load(m.aliveAt(slot)))) return 0;',
      to: 'if (reads <= 0) return 0;',
      caughtBy: 'two readers and a writer, and one may die',
    },
    {
      title: 'a writer does not look for the death of a reader before it sleeps',
      file: 'sync/core/sharing.ts',
      from: `    this.owner = wait.owner;
    this.living = wait.living;`,
      to: '',
      caughtBy: 'two readers and a writer, and one may die',
    },
    {
      title: `a downgrade frees the writers' word first`,
      file: 'sync/core/sharing.ts',
      from: `  if (!addRead(m, s)) throw tooMany();
  leaveWriting(m, s, repaired);`,
      to: `  leaveWriting(m, s, repaired);
  addRead(m, s);`,
      caughtBy: 'a writer that becomes a reader, a reader and a writer',
    },
    {
      title: 'a writer inside leaves no name there',
      file: 'sync/core/sharing.ts',
      from: 'm.store(s.inside, m.me);',
      to: '',
      caughtBy: 'a reader and two writers, and one may die',
    },
    {
      title: 'a writer that gives up in the drain keeps the word',
      file: 'sync/core/sharing.ts',
      from: 'leaveWriting(this.#m, this.#s, false);',
      to: '',
      caughtBy: 'readers and writers who time out and are aborted',
    },
    {
      title: 'a reader is counted for who has its slot now',
      file: 'sync/core/sharing.ts',
      from: 'return name === nameOf(slot, m.load(m.generationAt(slot))) ? reads : 0;',
      to: 'return reads;',
      caughtBy: 'a writer, a reader, and a newcomer that wants nothing, in the slot of one that died',
    },
    {
      title: 'the name of a reader has 12 bits of its generation',
      file: 'sync/core/sharing.ts',
      from: 'return name === nameOf(slot, m.load(m.generationAt(slot))) ? reads : 0;',
      to: 'return ((name ^ nameOf(slot, m.load(m.generationAt(slot)))) & 0x7fffff) === 0 ? reads : 0;',
      caughtBy: 'a reader that dies, a writer, and a newcomer in its slot after 4,095 others',
    },
    {
      title: 'a newcomer begins with the reads of who had its slot',
      file: 'sync/core/sharing.ts',
      from: 'm.store(at + READS, 0); // of who had the slot: not to be taken for its own',
      to: 'reads = m.load(at + READS);',
      caughtBy: 'a reader, a writer, and a newcomer that reads in the slot of one that died',
    },
    {
      title: 'the count of reads has no end',
      file: 'sync/core/sharing.ts',
      from: 'if (reads >= MOST_READS) return false;',
      to: '',
      caughtBy: 'one that reads as often as it may, and another reader',
    },
    {
      title: `who reads as often as it may takes the writers' word to read once more`,
      file: 'sync/core/sharing.ts',
      from: 'if (ownReads(this.#m, this.#s) < MOST_READS) return;',
      to: 'return;',
      caughtBy: 'one that reads as often as it may, and another reader',
    },
  ],
};
