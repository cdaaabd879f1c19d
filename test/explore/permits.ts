import { NEVER_WANTS, type Seat, seatOf, slotsOf, times } from './cast.js';
import type { Core } from './core.js';
import { type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { namesLiving, peek, Room } from './words.js';
import type { Scenario } from './world.js';

/** Semaphore with `recover: true`: permits know their holders, and those of the dead come back. */
type Permits = import('../../src/sync/core/permits.js').Permits;

export interface HolderPlan extends WaitOptions, Seat {
  patience?: number;
  rounds?: number;
  /** How many permits it takes, one after the other, before it gives them back together. */
  many?: number;
  /** Keeps what it took. */
  keeps?: boolean;
}

export class PermitsModel {
  readonly p: Permits;
  readonly #core: Core['permits'];
  /** How many permits each participant holds. */
  readonly #held: number;
  readonly #count: number;

  constructor(core: Core, room: Room, size: number, participants: number, at?: Permits) {
    this.#core = core.permits;
    const make = (): Permits => {
      const [sequence, want] = [room.word('sequence'), room.word('want')];
      return { sequence, want, table: room.table('permit', size), size };
    };
    this.p = at ?? make();
    this.#held = room.table('(held)', participants);
    this.#count = participants;
  }

  holder(plan: HolderPlan): Body {
    const { TakeRow, giveRows } = this.#core;
    const { rounds = 1, many = 1, patience = NEVER_WANTS } = plan;
    return (api) => {
      const { m } = api;
      for (let round = 0; round < rounds; round++) {
        let got = 0;
        for (let i = 0; i < many; i++) {
          if (
            api.wait(
              () => new TakeRow(m, this.p, patience),
              plan,
              (_, how) => how,
            ) !== 'done'
          )
            continue;
          got++;
          api.after((s) => this.took(s, api.index));
        }
        if (got === 0 || plan.keeps) continue;
        api.before((s) => this.gives(s, api.index));
        if (!api.run(() => giveRows(m, this.p, got))) throw new Violation('permits could not be given back');
      }
    };
  }

  took(s: number[], index: number): void {
    s[this.#held + index]!++;
    if (this.#sum(s) > this.p.size) throw new Violation('more permits are held than there are');
  }

  gives(s: number[], index: number): void {
    s[this.#held + index] = 0;
  }

  #sum(state: readonly number[]): number {
    let sum = 0;
    for (let i = 0; i < this.#count; i++) sum += state[this.#held + i]!;
    return sum;
  }

  died(state: number[], index: number): void {
    state[this.#held + index] = 0;
  }

  #free(state: readonly number[]): number {
    return this.#core.freePermits(peek(state), this.p);
  }

  mayRest(state: readonly number[]): boolean {
    return this.#free(state) === 0;
  }

  final(state: readonly number[]): string | undefined {
    if (namesLiving(state, this.p.want)) return 'a reservation is left of somebody who is done';
    const free = this.#free(state);
    const held = this.#sum(state);
    return free + held === this.p.size ? undefined : `${free} permits are free of ${this.p.size}, and ${held} are held`;
  }
}

function recoverable(core: Core, size: number, users: HolderPlan[], rest: Partial<Scenario> = {}): Scenario {
  const room = new Room(slotsOf(users));
  const model = new PermitsModel(core, room, size, users.length);
  const participants = users.map((plan, i) => ({ ...seatOf(plan, i), body: model.holder(plan) }));
  return {
    room,
    participants,
    died: (state, index) => model.died(state, index),
    mayRest: (state) => model.mayRest(state),
    final: (state) => model.final(state),
    ...rest,
  };
}

export const permits: Suite = {
  name: 'permits that know their holders (Semaphore with recover)',
  stories: [
    {
      title: 'three participants share one permit, and two may die anywhere',
      build: (core) => recoverable(core, 1, times(3, {}), { symmetric: true, kills: 2 }),
    },
    {
      title: 'two participants share one permit for two rounds, and one may die anywhere',
      build: (core) => recoverable(core, 1, times(2, { rounds: 2 }), { symmetric: true, kills: 1 }),
    },
    {
      title: 'three participants share two permits, and one may die',
      build: (core) => recoverable(core, 2, times(3, {}), { symmetric: true, kills: 1 }),
    },
    {
      title: 'one that gives two permits back at once, and two who wait for one each',
      build: (core) => recoverable(core, 2, [{ many: 2 }, { keeps: true }, { keeps: true }], { spurious: 1 }),
    },
    {
      title: 'participants who time out and are aborted share one permit',
      build: (core) =>
        recoverable(core, 1, [{ rounds: 2 }, { timeout: 'ever', abort: true }, { timeout: 'ever', abort: true }]),
    },
    {
      title: 'three participants who reserve at once share one permit',
      build: (core) => recoverable(core, 1, times(3, { patience: 0 }), { symmetric: true }),
    },
    {
      title: 'three participants who reserve at once share one permit, and one may die',
      build: (core) => recoverable(core, 1, times(3, { patience: 0 }), { symmetric: true, kills: 1 }),
      bounded: { states: 600_000, walks: 1000 },
    },
    {
      title: 'participants who reserve, time out and are aborted share one permit',
      build: (core) =>
        recoverable(core, 1, [{ rounds: 2 }, { patience: 0, timeout: 'ever', abort: true }, { patience: 0 }]),
      bounded: { states: 600_000, walks: 1000 },
    },
    {
      title: 'two tasks of one thread and another participant share one permit, reserve and are aborted',
      build: (core) =>
        recoverable(core, 1, [
          { slot: 0, patience: 0, abort: true },
          { slot: 0, patience: 0, abort: true },
          { slot: 1, patience: 0, rounds: 2 },
        ]),
    },
    {
      title: 'two participants and a newcomer in the slot of one that died share one permit',
      build: (core) => recoverable(core, 1, [{}, {}, { slot: 0, joins: true }], { kills: 1 }),
    },
    {
      title: 'two participants and a newcomer that wants nothing, in the slot of one that died, and two may die',
      build: (core) => recoverable(core, 1, [{}, {}, { slot: 0, joins: true, rounds: 0 }], { kills: 2 }),
    },
    {
      title: 'three participants share one permit, two may die, and a newcomer is stopped in the slot of one that died',
      build: (core) => recoverable(core, 1, [{}, {}, {}, { slot: 0, joins: true, stops: true }], { kills: 2 }),
    },
    {
      title: 'participants who reserve, time out and are aborted share one permit, and one may die',
      build: (core) =>
        recoverable(core, 1, [{ patience: 0, timeout: 'ever' }, { patience: 0, abort: true }, { patience: 0 }], {
          kills: 1,
        }),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'participants who take two permits, and a newcomer in the slot of one that died',
      build: (core) =>
        recoverable(core, 2, [{ many: 2 }, { timeout: 'ever' }, { slot: 0, joins: true, many: 2 }], { kills: 1 }),
    },
  ],
  mutants: [
    {
      title: 'a release says nothing',
      file: 'sync/core/permits.ts',
      from: '    announce(m, p, reserve);',
      to: '    void reserve;',
      caughtBy: 'two participants share one permit for two rounds, and one may die anywhere',
    },
    {
      title: 'the bit is set after the look through the table',
      file: 'sync/core/permits.ts',
      from: `if (s >= 0 && m.cas(p.sequence, s, s | SLEEPERS) !== s) continue;
      if (tryTakeRow(m, p)) {`,
      to: 'if (tryTakeRow(m, p)) {',
      caughtBy: 'two participants share one permit for two rounds, and one may die anywhere',
    },
    {
      title: 'a free permit is taken with a store',
      file: 'sync/core/permits.ts',
      from: 'if (isFree(m, p, w) && m.cas(p.table + i, w, m.me) === w) return true;',
      to: `if (isFree(m, p, w)) {
      m.store(p.table + i, m.me);
      return true;
    }`,
      caughtBy: 'three participants share two permits, and one may die',
    },
    {
      title: 'permits of the dead are not free',
      file: 'sync/core/permits.ts',
      from: 'if (w !== RESERVED) return !isAlive(m, w);',
      to: 'if (w !== RESERVED) return false;',
      caughtBy: 'three participants share one permit, and two may die anywhere',
    },
    {
      title: 'nobody looks who lives before the sleep',
      file: 'sync/core/permits.ts',
      from: 'this.living = living;',
      to: 'void living;',
      caughtBy: 'three participants share one permit, and two may die anywhere',
    },
    {
      title: 'who has slept does not wake the next when permits are left',
      file: 'sync/core/permits.ts',
      from: 'if (this.#parked && freePermits(m, p) > 0) m.wake(p.sequence, 1);',
      to: '',
      caughtBy: 'one that gives two permits back at once, and two who wait for one each',
    },
    {
      title: 'who gives up keeps the wake-up that it used',
      file: 'sync/core/permits.ts',
      from: 'if (freePermits(m, p) > 0) m.wake(p.sequence, 1);\n    return false;',
      to: 'return false;',
      caughtBy: 'participants who time out and are aborted share one permit',
    },
    {
      title: 'a reservation wakes nobody when a slower release has cleared the bit',
      file: 'sync/core/permits.ts',
      from: 'if (everyone) m.wake(p.sequence, EVERYONE);',
      to: '',
      caughtBy: 'participants who reserve, time out and are aborted share one permit',
    },
    {
      title: 'a reservation wakes one',
      file: 'sync/core/permits.ts',
      from: 'm.wake(p.sequence, everyone ? EVERYONE : 1);',
      to: 'm.wake(p.sequence, 1);',
      caughtBy: 'three participants who reserve at once share one permit',
    },
    {
      title: 'the living are counted',
      file: 'memory/words.ts',
      from: 'return x ^ (x >>> 13);',
      to: 'return 1;',
      caughtBy:
        'three participants share one permit, two may die, and a newcomer is stopped in the slot of one that died',
    },
    {
      title: 'a newcomer is taken for who had its slot',
      file: 'memory/words.ts',
      from: 'mixOf(nameOf(slot, m.load(m.generationAt(slot))))',
      to: 'mixOf(slot + 1)',
      caughtBy:
        'three participants share one permit, two may die, and a newcomer is stopped in the slot of one that died',
    },
  ],
};
