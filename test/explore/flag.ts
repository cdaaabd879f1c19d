import { type Seat, seatOf, times } from './cast.js';
import type { Core } from './core.js';
import { type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { peek, Room } from './words.js';
import type { Scenario } from './world.js';

/** Event. */
export type Does = 'set' | 'clear';

export class FlagModel {
  readonly at: number;
  readonly #core: Core['flag'];
  /** How many sets have begun. */
  readonly #sets: number;
  /** Bits of the waiters: who has slept in its wait; who has slept before a set began that is over now. */
  readonly #present: number;
  readonly #owed: number;
  /** For each participant: who was present when the set began that it is in. */
  readonly #setting: number;
  readonly #participants: number;

  constructor(core: Core, room: Room, participants: number, at = room.word('flag')) {
    this.#core = core.flag;
    this.at = at;
    this.#sets = room.word('(sets)');
    this.#present = room.word('(present)');
    this.#owed = room.word('(owed)');
    this.#setting = room.table('(setting)', participants);
    this.#participants = participants;
  }

  waiter(plan: WaitOptions = {}, rounds = 1): Body {
    const { AwaitSet } = this.#core;
    return (api) => {
      const asleep = (s: number[]): void => this.waits(s, api.index);
      for (let round = 0; round < rounds; round++) {
        const make = () => new AwaitSet(api.m, this.at);
        const how = api.wait(make, { ...plan, asleep }, (_, end) => end);
        api.after((s) => this.waited(s, api.index, how === 'done'));
      }
    };
  }

  waits(s: number[], index: number): void {
    s[this.#present]! |= 1 << index;
  }

  waited(s: number[], index: number, done: boolean): void {
    if (done && s[this.#sets] === 0) throw new Violation('a wait ended without any set');
    this.died(s, index);
  }

  beginsToSet(s: number[], index: number): void {
    s[this.#sets]!++;
    s[this.#setting + index] = s[this.#present]!;
  }

  hasSet(s: number[], index: number): void {
    s[this.#owed]! |= s[this.#setting + index]! & s[this.#present]!;
    s[this.#setting + index] = 0;
  }

  setter(...does: Does[]): Body {
    const { set, clear } = this.#core;
    return (api) => {
      for (const what of does) {
        if (what === 'clear') {
          api.run(() => clear(api.m, this.at));
          continue;
        }
        api.before((s) => this.beginsToSet(s, api.index));
        api.run(() => set(api.m, this.at));
        api.after((s) => this.hasSet(s, api.index));
      }
    };
  }

  /** A wait may sleep on if nothing was set since it began to sleep. (The owed bits of others are gone with them.) */
  mayRest(state: readonly number[]): boolean {
    return !this.#core.isSet(peek(state), this.at) && state[this.#owed] === 0;
  }

  died(state: number[], index: number): void {
    state[this.#present]! &= ~(1 << index);
    state[this.#owed]! &= ~(1 << index);
    // A set that is under way owes the next wait of that participant nothing.
    for (let i = 0; i < this.#participants; i++) state[this.#setting + i]! &= ~(1 << index);
  }
}

interface Waiter extends WaitOptions, Seat {
  rounds?: number;
}

/** `late`: the setters register when the waiters may be asleep already. */
function flagged(
  core: Core,
  waiters: Waiter[],
  setters: Does[][],
  rest: Partial<Scenario> = {},
  late = false,
): Scenario {
  const n = waiters.length + setters.length;
  const room = new Room(n);
  const model = new FlagModel(core, room, n);
  const bodies = [
    ...waiters.map((plan) => model.waiter(plan, plan.rounds)),
    ...setters.map((does) => model.setter(...does)),
  ];
  return {
    room,
    participants: bodies.map((body, i) => ({ ...seatOf(waiters[i] ?? { joins: late }, i), body })),
    died: (state, index) => model.died(state, index),
    mayRest: (state) => model.mayRest(state),
    ...rest,
  };
}

export const flag: Suite = {
  name: 'a flag (Event)',
  stories: [
    {
      title: 'three waiters and a set with a clear right behind it, and one may die',
      build: (core) => flagged(core, times(3, {}), [['set', 'clear']], { kills: 1 }),
    },
    {
      title: 'two waiters, and two who set and clear twice',
      build: (core) => flagged(core, times(2, {}), times(2, ['set', 'clear', 'set'])),
    },
    {
      title: 'a waiter, and two sets with a clear right behind each',
      build: (core) => flagged(core, [{}], [['set', 'clear', 'set', 'clear']]),
    },
    {
      title: 'waiters who wait twice, time out and are aborted',
      build: (core) =>
        flagged(core, [{ rounds: 2 }, { timeout: 'ever', abort: true }, {}], [['set', 'clear', 'set']], {
          spurious: 1,
        }),
    },
    {
      title: 'two waiters and two setters, and two may die',
      build: (core) => flagged(core, times(2, {}), [['set', 'clear'], ['set']], { kills: 2 }),
    },
    {
      title: 'waiters who time out and are aborted, and two setters, one of whom may die',
      build: (core) =>
        flagged(
          core,
          [{ timeout: 'ever' }, { abort: true }, {}],
          [
            ['set', 'clear'],
            ['set', 'clear'],
          ],
          { kills: 1 },
        ),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'two waiters and a setter that comes later, which may die',
      build: (core) => flagged(core, times(2, {}), [['set']], { kills: 1 }, true),
    },
    {
      title: 'a waiter, a newcomer that waits in the slot of one that died, and a set with a clear, and two may die',
      build: (core) => flagged(core, [{}, {}, { slot: 0, joins: true }], [['set', 'clear']], { kills: 2 }),
    },
  ],
  mutants: [
    {
      title: 'set wakes nobody',
      file: 'sync/core/flag.ts',
      from: 'if (w < 0) m.wake(at, EVERYONE);',
      to: '',
      caughtBy: 'three waiters and a set with a clear right behind it, and one may die',
    },
    {
      title: 'set wakes one',
      file: 'sync/core/flag.ts',
      from: 'if (w < 0) m.wake(at, EVERYONE);',
      to: 'if (w < 0) m.wake(at, 1);',
      caughtBy: 'three waiters and a set with a clear right behind it, and one may die',
    },
    {
      title: 'a set and a clear are not seen',
      file: 'sync/core/flag.ts',
      from: 'if ((w & SET) !== 0 || (w & EPOCH) !== this.#epoch) return true;',
      to: 'if ((w & SET) !== 0) return true;',
      caughtBy: 'three waiters and a set with a clear right behind it, and one may die',
    },
    {
      title: 'set does not count the epoch',
      file: 'sync/core/flag.ts',
      from: '(((w & EPOCH) + 2) & EPOCH) | SET',
      to: '(w & EPOCH) | SET',
      caughtBy: 'three waiters and a set with a clear right behind it, and one may die',
    },
    {
      title: 'the epoch has one bit',
      file: 'sync/core/flag.ts',
      from: 'const EPOCH = 0x7ffffffe;',
      to: 'const EPOCH = 2;',
      caughtBy: 'a waiter, and two sets with a clear right behind each',
    },
    {
      title: 'clear forgets the sleepers',
      file: 'sync/core/flag.ts',
      from: 'if (m.cas(at, w, w & ~SET) === w) return;',
      to: `m.store(at, 0);
    return;`,
      caughtBy: 'two waiters, and two who set and clear twice',
    },
    {
      title: 'a waiter sleeps without the bit',
      file: 'sync/core/flag.ts',
      from: `if (w >= 0 && m.cas(this.word, w, w | SLEEPERS) !== w) continue;
      this.expected = w | SLEEPERS;`,
      to: 'this.expected = w;',
      caughtBy: 'three waiters and a set with a clear right behind it, and one may die',
    },
  ],
};
