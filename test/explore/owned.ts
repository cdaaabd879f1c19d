import { NEVER_WANTS, type Seat, seatOf, times } from './cast.js';
import type { Core } from './core.js';
import { type Api, type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { isGoneIn, namesLiving, Room } from './words.js';
import type { Participant, Scenario } from './world.js';

/** Lock, RLock, and the writing side of RWLock. */
type Owned = Core['owned'];
export type OwnedWord = import('../../src/sync/core/owned.js').OwnedWord;

export interface LockPlan extends WaitOptions {
  /** Lost races until the word is reserved. */
  patience?: number;
  rounds?: number;
  /** False: as with `onOwnerDied: 'throw'`. */
  steal?: boolean;
  /** Begins as Lock.acquire does, with one CAS. */
  fast?: boolean;
  /** Does not release: that is for one that `releases` whatever is handed over, without having acquired. */
  hands?: boolean;
  releases?: boolean;
}

/** A lock, and what the specification knows of it. */
export class LockModel {
  readonly o: OwnedWord;
  readonly #owned: Owned;
  /** Who is in the critical section, a bit each. */
  readonly #inside: number;
  /** Somebody died there, and nobody has been told. */
  readonly #lost: number;
  /** The lock was handed over for another to release. */
  readonly #handed: number;

  constructor(core: Core, room: Room, at?: OwnedWord) {
    this.#owned = core.owned;
    const word = (name: string): number => room.word(name);
    this.o = at ?? { word: word('word'), died: word('died'), want: word('want'), turn: word('turn') };
    this.#inside = room.word('(inside)');
    this.#lost = room.word('(lost)');
    this.#handed = room.word('(handed)');
  }

  /** Whether it got the lock. With `steal: false` a dead owner's lock is recovered first. */
  acquire(api: Api, plan: LockPlan): boolean {
    const { o } = this;
    const { m } = api;
    const { Take, tryTake, freeDead } = this.#owned;
    const { patience = NEVER_WANTS, steal = true } = plan;
    for (;;) {
      if (plan.fast && api.run(() => tryTake(m, o.word))) return this.#enter(api, 0);
      const [how, owns, dead] = api.wait(
        () => new Take(m, o, patience, steal),
        plan,
        (take, end) => [end, take.owns, take.deadOwner] as const,
      );
      if (how !== 'done') return false;
      if (owns) return this.#enter(api, dead);
      if (steal || dead === 0) throw new Violation('a wait was done without the word, and no owner had died');
      api.before((s) => {
        s[this.#lost] = 0; // from here on it is being recovered
      });
      api.run(() => freeDead(m, o) !== 0 || m.exchange(o.died, 0) !== 0);
    }
  }

  #enter(api: Api, deadOwner: number): true {
    api.after((s) => this.entered(s, api.index, deadOwner));
    return true;
  }

  /** The participant has the lock. */
  entered(s: number[], index: number, deadOwner: number): void {
    if (s[this.#inside] !== 0) throw new Violation(`${index} is in the critical section, and so is another`);
    if (s[this.#lost] !== 0 && deadOwner === 0) throw new Violation(`${index} was not told of a death inside`);
    if (deadOwner !== 0 && s[this.o.died] === 0) throw new Violation('`died` is 0 after a death');
    s[this.#inside] = 1 << index;
    s[this.#lost] = 0;
  }

  /** It is about to give it back. */
  leaves(s: number[]): void {
    s[this.#inside] = 0;
  }

  release(api: Api): void {
    const { m } = api;
    const { giveBackForOwner } = this.#owned;
    api.before((s) => this.leaves(s));
    // As Lock.release does it.
    if (api.run(() => m.cas(this.o.word, m.me, 0)) === m.me) return;
    if (!api.run(() => giveBackForOwner(m, this.o))) throw new Violation('release() of a lock that nobody holds');
  }

  /** Rounds of the critical section. */
  user(plan: LockPlan = {}): Body {
    return (api) => {
      if (plan.releases) {
        this.#releaseForOther(api);
        return;
      }
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        if (!this.acquire(api, plan)) continue;
        if (!plan.hands) this.release(api);
        else api.run(() => api.m.store(this.#handed, 1));
      }
    };
  }

  /** Lock.release of one who has not acquired: any thread may release. */
  #releaseForOther(api: Api): void {
    api.before((s) => {
      s[this.#inside] = 0;
    });
    if (!api.run(() => this.#owned.giveBackForOwner(api.m, this.o))) throw new Violation('it could not be released');
  }

  /** Whether the lock has been handed over. */
  isHandedOver(state: readonly number[]): boolean {
    return state[this.#handed] !== 0;
  }

  died(state: number[], index: number): void {
    if ((state[this.#inside]! & (1 << index)) === 0) return;
    state[this.#inside] = 0;
    state[this.#lost] = 1;
  }

  /** When everybody has gone, the word is free (or a dead owner's), and nobody's reservation is left. */
  final(state: readonly number[]): string | undefined {
    const owner = this.#owned.ownerOf(state[this.o.word]!);
    if (owner !== 0 && !isGoneIn(state, owner)) return 'the lock is still held by somebody who is done';
    if (namesLiving(state, this.o.want)) return 'a reservation is left of somebody who is done';
    if (owner === 0 && state[this.o.died] !== 0 && state[this.#lost] === 0) return '`died` is left after the release';
    return undefined;
  }
}

interface Cast {
  slots: number;
  users: (LockPlan & Seat)[];
}

function locked(core: Core, cast: Cast, rest: Partial<Scenario> = {}): Scenario {
  const room = new Room(cast.slots);
  const lock = new LockModel(core, room);
  const participants = cast.users.map(
    (plan, i): Participant => ({
      ...seatOf(plan, i),
      body: lock.user(plan),
      begins: (state) => !plan.releases || lock.isHandedOver(state),
    }),
  );
  return {
    room,
    participants,
    died: (state, index) => lock.died(state, index),
    final: (state) => lock.final(state),
    ...rest,
  };
}

export const owned: Suite = {
  name: 'an owned word (Lock, RLock)',
  stories: [
    {
      title: 'two participants exclude each other for two rounds, and two may die anywhere',
      build: (core) =>
        locked(core, { slots: 2, users: times(2, { rounds: 2, fast: true }) }, { kills: 2, symmetric: true }),
    },
    {
      title: 'three participants, two rounds each',
      build: (core) => locked(core, { slots: 3, users: times(3, { rounds: 2 }) }, { symmetric: true }),
    },
    {
      title: 'three participants, two of whom may die anywhere',
      build: (core) => locked(core, { slots: 3, users: times(3, {}) }, { kills: 2, symmetric: true }),
    },
    {
      title: 'four participants',
      build: (core) => locked(core, { slots: 4, users: times(4, {}) }, { symmetric: true }),
    },
    {
      title: 'four participants, one of whom may die anywhere',
      build: (core) => locked(core, { slots: 4, users: times(4, {}) }, { kills: 1, symmetric: true }),
      bounded: { states: 400_000, walks: 1000 },
    },
    {
      title: 'three participants who time out, are aborted, or wake for no reason',
      build: (core) =>
        locked(
          core,
          { slots: 3, users: [{ rounds: 2 }, { timeout: 'ever', abort: true }, { timeout: 'ever', abort: true }] },
          { spurious: 1 },
        ),
    },
    {
      title: 'three participants who reserve at once',
      build: (core) => locked(core, { slots: 3, users: times(3, { patience: 0 }) }, { symmetric: true }),
    },
    {
      title: 'three participants who reserve at once, one of whom may die anywhere',
      build: (core) => locked(core, { slots: 3, users: times(3, { patience: 0 }) }, { kills: 1, symmetric: true }),
    },
    {
      title: 'participants who reserve, time out and are aborted',
      build: (core) =>
        locked(core, {
          slots: 3,
          users: [{ rounds: 2 }, { patience: 0, timeout: 'ever', abort: true }, { patience: 0 }],
        }),
    },
    {
      title: 'participants who reserve and are aborted, one of whom may die',
      build: (core) =>
        locked(
          core,
          { slots: 3, users: [{}, { patience: 0, abort: true }, { patience: 1, abort: true }] },
          { kills: 1 },
        ),
    },
    {
      title: 'two participants and a newcomer in the slot of one that died',
      build: (core) => locked(core, { slots: 2, users: [{}, {}, { slot: 0, joins: true }] }, { kills: 2 }),
    },
    {
      title: 'two participants and a newcomer that wants nothing, in the slot of one that died',
      build: (core) => locked(core, { slots: 2, users: [{}, {}, { slot: 0, joins: true, rounds: 0 }] }, { kills: 1 }),
    },
    {
      title: 'three participants and a newcomer in the slot of one that died',
      build: (core) => locked(core, { slots: 3, users: [{}, {}, {}, { slot: 0, joins: true }] }, { kills: 1 }),
      bounded: { states: 400_000, walks: 1000 },
    },
    {
      title: 'an owner whose lock another releases, and two who want it',
      build: (core) => locked(core, { slots: 4, users: [{ hands: true }, { releases: true }, {}, {}] }),
    },
    {
      title: 'two participants and a newcomer in a fresh slot, one of whom may die',
      build: (core) => locked(core, { slots: 3, users: [{}, {}, { joins: true }] }, { kills: 1 }),
    },
    {
      title: 'three participants who refuse a dead owner’s lock until it is recovered',
      build: (core) => locked(core, { slots: 3, users: times(3, { steal: false }) }, { kills: 1, symmetric: true }),
    },
    {
      title: 'two tasks of one thread and another participant, who reserve and are aborted',
      build: (core) =>
        locked(core, {
          slots: 2,
          users: [
            { slot: 0, patience: 0, abort: true },
            { slot: 0, patience: 0, abort: true },
            { slot: 1, patience: 0 },
          ],
        }),
    },
    {
      title: 'two tasks of one thread and two others, who reserve',
      build: (core) =>
        locked(core, {
          slots: 3,
          users: [
            { slot: 0, patience: 0, abort: true },
            { slot: 0, patience: 0 },
            { slot: 1 },
            { slot: 2, patience: 0 },
          ],
        }),
    },
    {
      title: 'participants who reserve, time out and refuse a dead owner’s lock, and one may die anywhere',
      build: (core) =>
        locked(
          core,
          {
            slots: 3,
            users: [
              { steal: false, patience: 0, timeout: 'ever' },
              { steal: false, patience: 0, abort: true },
              { steal: false, patience: 0 },
            ],
          },
          { kills: 1 },
        ),
      bounded: { states: 150_000, walks: 1000 },
    },
  ],
  mutants: [
    {
      title: 'a release wakes nobody',
      file: 'sync/core/owned.ts',
      from: 'm.wake(o.word, reserve ? EVERYONE : 1);',
      to: 'void reserve;',
      caughtBy: 'three participants, two rounds each',
    },
    {
      title: 'who has slept takes the word without the bit',
      file: 'sync/core/owned.ts',
      from: 'this.#keep = SLEEPERS;',
      to: 'this.#keep = 0;',
      caughtBy: 'three participants, two rounds each',
    },
    {
      title: 'who gives up does not put the bit back',
      file: 'sync/core/owned.ts',
      from: 'if (w < 0 || m.cas(o.word, w, w | SLEEPERS) === w) return false;',
      to: 'return false;',
      caughtBy: 'three participants who time out, are aborted, or wake for no reason',
    },
    {
      title: 'who gives up keeps the wake-up that it used',
      file: 'sync/core/owned.ts',
      from: 'm.wake(o.word, 1); // the wake that this wait used up goes to the next sleeper',
      to: '',
      caughtBy: 'three participants who time out, are aborted, or wake for no reason',
    },
    {
      title: `a dead owner's word is taken with a store`,
      file: 'sync/core/owned.ts',
      from: 'if (m.cas(o.word, w, m.me | SLEEPERS) !== w) continue;',
      to: 'm.store(o.word, m.me | SLEEPERS);',
      caughtBy: 'three participants, two of whom may die anywhere',
    },
    {
      title: `a dead owner's word is taken without the bit`,
      file: 'sync/core/owned.ts',
      from: 'if (m.cas(o.word, w, m.me | SLEEPERS) !== w) continue;',
      to: 'if (m.cas(o.word, w, m.me) !== w) continue;',
      caughtBy: 'three participants, two of whom may die anywhere',
    },
    {
      title: 'a sleeper does not ask whether the owner still lives',
      file: 'sync/core/owned.ts',
      from: 'this.owner = slotOf(blocker);',
      to: 'this.owner = -1;',
      caughtBy: 'three participants, two of whom may die anywhere',
    },
    {
      title: 'the next owner is not told of the death',
      file: 'sync/core/owned.ts',
      from: 'if (this.deadOwner !== 0) m.store(died, this.deadOwner);',
      to: '',
      caughtBy: 'three participants, two of whom may die anywhere',
    },
    {
      title: 'a name is taken for alive when its slot is',
      file: 'memory/words.ts',
      from: 'return !isGone(alive) && sameGeneration(name, generation);',
      to: 'return !isGone(alive);',
      caughtBy: 'two participants and a newcomer in the slot of one that died',
    },
    {
      title: 'the members are counted after the look',
      file: 'sync/core/owned.ts',
      from: 'this.members = members;',
      to: 'this.members = m.load(m.membersAt);',
      caughtBy: 'two participants and a newcomer that wants nothing, in the slot of one that died',
    },
    {
      title: 'a reservation wakes one',
      file: 'sync/core/owned.ts',
      from: 'm.wake(o.word, reserve ? EVERYONE : 1);',
      to: 'm.wake(o.word, 1);',
      caughtBy: 'three participants who reserve at once',
    },
    {
      title: 'there is no second look after asking for a reservation',
      file: 'sync/core/owned.ts',
      from: 'if (this.#wanted) continue;',
      to: '',
      caughtBy: 'participants who reserve, time out and are aborted',
    },
    {
      title: 'who gives up leaves its name in want',
      file: 'sync/core/owned.ts',
      from: 'if (this.#wanted) this.#m.cas(this.#o.want, this.#m.me, 0);',
      to: '',
      caughtBy: 'participants who reserve, time out and are aborted',
    },
    {
      title: 'who gives up does not free what is reserved for it',
      file: 'sync/core/owned.ts',
      from: 'if (isReserved(w) && reservedForOther(m, o) === 0) {',
      to: 'if (false) {',
      caughtBy: 'participants who reserve, time out and are aborted',
    },
    {
      title: 'reservations have no numbers',
      file: 'sync/core/owned.ts',
      from: 'RESERVED | ((turn & TURNS) << 11) | SLEEPERS;',
      to: 'RESERVED | (turn & 0) | SLEEPERS;',
      caughtBy: 'participants who reserve, time out and are aborted',
    },
  ],
};
