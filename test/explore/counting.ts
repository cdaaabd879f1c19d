import { NEVER_WANTS, type Seat, seatOf, times } from './cast.js';
import type { Core } from './core.js';
import { type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { namesLiving, peek, Room } from './words.js';
import type { Participant, Scenario } from './world.js';

/** Semaphore without `recover`: permits are counted, nobody owns one. */
type Count = import('../../src/sync/core/counting.js').Count;

export interface TakerPlan extends WaitOptions, Omit<Seat, 'joins'> {
  patience?: number;
  rounds?: number;
  /** Keeps what it took. */
  keeps?: boolean;
  /** Begins with a try, as Semaphore.acquire does. */
  fast?: boolean;
}

const NO_BOUND = 0xffffff;

/** A semaphore, and how many permits there are and are in whose hands. */
export class CountModel {
  readonly c: Count;
  readonly #core: Core['counting'];
  /** Permits that participants hold, after they took and before they gave. */
  readonly #held: number;
  /** Permits that there should be, in all: those it began with, and those that a participant brought. */
  readonly #total: number;
  /** Somebody died: it may have had a permit in hand. */
  readonly #deaths: number;

  constructor(core: Core, room: Room, permits: number, at?: { count: number; want: number }) {
    this.#core = core.counting;
    const words = at ?? { count: room.word('count', permits), want: room.word('want') };
    this.c = { ...words, bound: NO_BOUND };
    this.#held = room.word('(held)');
    this.#total = room.word('(total)', permits);
    this.#deaths = room.word('(deaths)');
  }

  taker(plan: TakerPlan): Body {
    const { TakePermit, tryTakePermit, givePermits } = this.#core;
    return (api) => {
      const { m } = api;
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        if (!(plan.fast && api.run(() => tryTakePermit(m, this.c.count)))) {
          const make = () => new TakePermit(m, this.c, plan.patience ?? NEVER_WANTS);
          if (api.wait(make, plan, (_, how) => how) !== 'done') continue;
        }
        api.after((s) => this.took(s));
        if (plan.keeps) continue;
        api.before((s) => this.gives(s));
        if (!api.run(() => givePermits(m, this.c, 1))) throw new Violation('a permit could not be given back');
      }
    };
  }

  took(s: number[]): void {
    s[this.#held]!++;
    if (s[this.#held]! > s[this.#total]!) throw new Violation('more permits are held than there are');
  }

  gives(s: number[]): void {
    s[this.#held]!--;
  }

  /** Brings permits that nobody took. */
  giver(...amounts: number[]): Body {
    const { givePermits } = this.#core;
    return (api) => {
      for (const n of amounts) {
        api.before((s) => {
          s[this.#total]! += n;
        });
        const given = api.run(() => givePermits(api.m, this.c, n));
        api.after((s) => {
          if (!given) s[this.#total]! -= n;
        });
      }
    };
  }

  died(state: number[]): void {
    state[this.#deaths]!++;
  }

  #free(state: readonly number[]): number {
    return this.#core.permits(peek(state), this.c);
  }

  /** To sleep is right only where no permit is free. */
  mayRest(state: readonly number[]): boolean {
    return this.#free(state) === 0;
  }

  final(state: readonly number[]): string | undefined {
    if (namesLiving(state, this.c.want)) return 'a reservation is left of somebody who is done';
    const [free, held, total] = [this.#free(state), state[this.#held]!, state[this.#total]!];
    if (free + held > total) return `permits came from nowhere: ${free} free and ${held} held of ${total}`;
    if (state[this.#deaths] === 0 && free + held < total)
      return `permits are lost: ${free} free, ${held} held of ${total}`;
    return undefined;
  }
}

interface Cast {
  permits: number;
  takers: TakerPlan[];
  /** For each giver, how many permits it brings in each release. */
  givers?: number[][];
}

function counted(core: Core, { permits, takers, givers = [] }: Cast, rest: Partial<Scenario> = {}): Scenario {
  const slots = takers.length + givers.length;
  const room = new Room(slots);
  const model = new CountModel(core, room, permits);
  const participants: Participant[] = [
    ...takers.map((plan, i) => ({ ...seatOf(plan, i), body: model.taker(plan) })),
    ...givers.map((amounts, i) => ({ slot: takers.length + i, body: model.giver(...amounts) })),
  ];
  return {
    room,
    participants,
    died: (state) => model.died(state),
    mayRest: (state) => model.mayRest(state),
    final: (state) => model.final(state),
    ...rest,
  };
}

export const counting: Suite = {
  name: 'a count of permits (Semaphore)',
  stories: [
    {
      title: 'three participants share one permit for two rounds',
      build: (core) => counted(core, { permits: 1, takers: times(3, { rounds: 2 }) }, { symmetric: true }),
    },
    {
      title: 'four participants share two permits',
      build: (core) => counted(core, { permits: 2, takers: times(4, { fast: true }) }, { symmetric: true }),
      bounded: { states: 400_000, walks: 1000 },
    },
    {
      title: 'two takers and two releases of one permit',
      build: (core) => counted(core, { permits: 0, takers: times(2, { keeps: true }), givers: [[1, 1]] }),
    },
    {
      title: 'two takers and a release of two permits',
      build: (core) => counted(core, { permits: 0, takers: times(2, { keeps: true }), givers: [[2]] }, { kills: 1 }),
    },
    {
      title: 'three takers, one of whom may die, and two releases of one permit, and one of two',
      build: (core) =>
        counted(core, { permits: 0, takers: times(3, { keeps: true }), givers: [[1, 1], [2]] }, { kills: 1 }),
      bounded: { states: 400_000, walks: 1000 },
    },
    {
      title: 'releases of more permits than there may be',
      build: (core) => counted(core, { permits: NO_BOUND - 1, takers: [{ keeps: true }], givers: [[1], [2, 1]] }),
    },
    {
      title: 'takers who time out and are aborted, and two releases of one permit',
      build: (core) => {
        const hasty: TakerPlan = { keeps: true, timeout: 'ever', abort: true };
        return counted(core, { permits: 0, takers: [hasty, hasty, { keeps: true }], givers: [[1, 1]] });
      },
    },
    {
      title: 'three participants who reserve at once share one permit',
      build: (core) => counted(core, { permits: 1, takers: times(3, { patience: 0 }) }, { symmetric: true }),
    },
    {
      title: 'three participants who reserve at once share one permit, and one may die',
      build: (core) => counted(core, { permits: 1, takers: times(3, { patience: 0 }) }, { symmetric: true, kills: 1 }),
    },
    {
      title: 'participants who reserve, time out and are aborted share one permit',
      build: (core) =>
        counted(core, {
          permits: 1,
          takers: [{ rounds: 2 }, { patience: 0, timeout: 'ever', abort: true }, { patience: 0 }],
        }),
    },
    {
      title: 'takers who reserve and are aborted, and releases of one and two permits',
      build: (core) =>
        counted(core, {
          permits: 0,
          takers: [
            { patience: 0, keeps: true, abort: true },
            { patience: 0, keeps: true },
            { patience: 1, keeps: true },
          ],
          givers: [[1], [2]],
        }),
      bounded: { states: 400_000, walks: 1000 },
    },
    {
      title: 'takers who reserve and are aborted, one of whom may die, and a release of two permits',
      build: (core) =>
        counted(
          core,
          {
            permits: 0,
            takers: [
              { patience: 0, keeps: true, abort: true },
              { patience: 0, keeps: true },
              { patience: 0, keeps: true },
            ],
            givers: [[2]],
          },
          { kills: 1 },
        ),
    },
    {
      title: 'two tasks of one thread and another participant share one permit, reserve and are aborted',
      build: (core) =>
        counted(core, {
          permits: 1,
          takers: [
            { slot: 0, patience: 0, abort: true },
            { slot: 0, patience: 0, abort: true },
            { slot: 1, patience: 0, rounds: 2 },
          ],
        }),
    },
    {
      title: 'takers who reserve, time out and are aborted, one of whom may die, and two releases',
      build: (core) =>
        counted(
          core,
          {
            permits: 0,
            takers: [
              { patience: 0, keeps: true, timeout: 'ever' },
              { patience: 0, keeps: true, abort: true },
              { patience: 1, keeps: true },
            ],
            givers: [[1, 1]],
          },
          { kills: 1 },
        ),
      bounded: { states: 150_000, walks: 1000 },
    },
  ],
  mutants: [
    {
      title: 'a release wakes nobody',
      file: 'sync/core/counting.ts',
      from: 'm.wake(c.count, reserve ? EVERYONE : n);',
      to: 'void EVERYONE;',
      caughtBy: 'three participants share one permit for two rounds',
    },
    {
      title: 'who has slept takes a permit without the bit',
      file: 'sync/core/counting.ts',
      from: 'const keep = this.#parked ? SLEEPERS : 0;',
      to: 'const keep = 0;',
      caughtBy: 'three participants share one permit for two rounds',
    },
    {
      title: 'who has slept does not wake the next when permits are left',
      file: 'sync/core/counting.ts',
      from: 'if (this.#parked && (next & MAX_PERMITS) > 0) this.#m.wake(this.#c.count, 1);',
      to: '',
      caughtBy: 'two takers and two releases of one permit',
    },
    {
      title: 'who gives up keeps the wake-up that it used',
      file: 'sync/core/counting.ts',
      from: 'm.wake(count, 1); // the wake that this wait may have used up goes to the next sleeper',
      to: '',
      caughtBy: 'takers who time out and are aborted, and two releases of one permit',
    },
    {
      title: 'who gives up does not put the bit back',
      file: 'sync/core/counting.ts',
      from: 'if (w < 0 || m.cas(count, w, w | SLEEPERS) === w) return false;',
      to: 'return false;',
      caughtBy: 'takers who time out and are aborted, and two releases of one permit',
    },
    {
      title: 'a permit is taken with a store',
      file: 'sync/core/counting.ts',
      from: 'if (m.cas(at, w, w - 1) === w) return true;',
      to: `m.store(at, w - 1);
    return true;`,
      caughtBy: 'four participants share two permits',
    },
    {
      title: 'a sleeper does not ask whether the bearer of a reservation lives',
      file: 'sync/core/counting.ts',
      from: 'this.owner = bearer === 0 ? -1 : slotOf(bearer);',
      to: '',
      caughtBy: 'three participants who reserve at once share one permit, and one may die',
    },
    {
      title: 'a reservation wakes one',
      file: 'sync/core/counting.ts',
      from: 'm.wake(c.count, reserve ? EVERYONE : n);',
      to: 'm.wake(c.count, n);',
      caughtBy: 'three participants who reserve at once share one permit',
    },
    {
      title: 'who gives up keeps what is reserved for it',
      file: 'sync/core/counting.ts',
      from: 'if ((w & RESERVED) === 0 || this.#bearer() !== 0) return;',
      to: 'return;',
      caughtBy: 'participants who reserve, time out and are aborted share one permit',
    },
    {
      title: 'a reserved permit is taken and stays',
      file: 'sync/core/counting.ts',
      from: 'const next = (w & ~RESERVED) | keep;',
      to: 'const next = w | keep;',
      caughtBy: 'three participants who reserve at once share one permit',
    },
    {
      title: 'permits run into the number of the reservation',
      file: 'sync/core/counting.ts',
      from: 'if (permitsIn(w) + n > c.bound) return false;',
      to: '',
      caughtBy: 'releases of more permits than there may be',
    },
    {
      title: 'reservations have no numbers',
      file: 'sync/core/counting.ts',
      from: 'const turn = (awake + NEXT_TURN) & TURN;',
      to: 'const turn = NEXT_TURN & 0;',
      caughtBy: 'participants who reserve, time out and are aborted share one permit',
    },
  ],
};
