import { type Seat, SHORT_TAG, seatOf, slotsOf, times } from './cast.js';
import type { Change, Core } from './core.js';
import { LockModel, type OwnedWord } from './owned.js';
import { type Api, type Body, Violation, type WaitOptions } from './program.js';
import type { Suite } from './suite.js';
import { Room } from './words.js';
import type { Participant, Scenario } from './world.js';

/** Condition, with a Lock: waits, notifications, and what becomes of them when somebody dies. */
type Signals = import('../../src/sync/core/signals.js').Signals;

interface WaiterPlan extends WaitOptions, Seat {
  rounds?: number;
}

/** A wait beside others of its thread: what Condition keeps in `Local`, in words that only this thread touches. */
interface Local {
  claims: number;
  tickets: number[];
}

export class SignalsModel {
  readonly c: Signals;
  readonly lock: LockModel;
  readonly locals = new Map<number, Local>();
  readonly #core: Core;
  readonly #room: Room;
  /** Notifications given and not received yet; less than 0: received and never given. */
  readonly #debt: number;
  /** Deaths so far: a death in the middle of `notify` may give a notification twice. */
  readonly #deaths: number;
  /** Bits of those who may just have used a notification: if they die here, it may be gone. */
  readonly #using: number;
  /** For each participant, whether it waits. */
  readonly #waits: number;
  readonly #participants: number;

  constructor(core: Core, room: Room, participants: number, at?: { lock: OwnedWord; signals: Signals }) {
    this.#core = core;
    this.#participants = participants;
    this.#room = room;
    this.lock = new LockModel(core, room, at?.lock);
    const records = (): number => room.table('record', room.slots * core.signals.RECORD_WORDS);
    this.c = at?.signals ?? { tickets: room.word('tickets'), records: records() };
    this.#debt = room.word('(debt)');
    this.#deaths = room.word('(deaths)');
    this.#using = room.word('(using)');
    this.#waits = room.table('(waits)', participants);
  }

  #local(slot: number): Local {
    let local = this.locals.get(slot);
    if (!local) {
      local = { claims: this.#room.word(`claims of ${slot}`), tickets: [] };
      this.locals.set(slot, local);
    }
    return local;
  }

  /** As Condition.wait: `#enter`, the sleep, the lock again, `#ends`. */
  waiter(plan: WaiterPlan, slot: number): Body {
    const local = this.#local(slot);
    const ticketAt = this.#room.word('(ticket)');
    local.tickets.push(ticketAt);
    return (api) => {
      for (let round = 0; round < (plan.rounds ?? 1); round++) this.#wait(api, plan, local, ticketAt);
    };
  }

  #wait(api: Api, plan: WaiterPlan, local: Local, ticketAt: number): void {
    const { m } = api;
    const { AwaitSignal, enter, use, cancel } = this.#core.signals;
    const claims = {
      get count() {
        return m.load(local.claims);
      },
      set count(value: number) {
        m.store(local.claims, value);
      },
    };
    this.lock.acquire(api, {});
    api.run(() => {
      const ticket = enter(m, this.c);
      m.store(ticketAt, ticket + 1);
    });
    api.after((s) => this.begins(s, api.index));
    this.lock.release(api);
    for (;;) {
      const [how, claimed] = api.wait(
        () => new AwaitSignal(m, this.c, claims),
        plan,
        (signal, end) => [end, (signal as unknown as { _claimed: boolean })._claimed] as const,
      );
      this.lock.acquire(api, {});
      api.before((s) => {
        s[this.#using]! |= 1 << api.index;
      });
      const end = api.run(() => {
        const signal = new AwaitSignal(m, this.c, claims);
        (signal as unknown as { _claimed: boolean })._claimed = claimed;
        signal.settle();
        const others = local.tickets.filter((at) => at !== ticketAt).map((at) => m.load(at));
        const oldest = others.filter((ticket) => ticket !== 0).sort((a, b) => a - b)[0];
        let over: 'notified' | 'over' | 'not over' = 'over';
        if (how !== 'abort' && use(m, this.c, oldest === undefined ? undefined : oldest - 1)) over = 'notified';
        else if (how === 'done') return 'not over';
        else cancel(m, this.c, oldest === undefined ? undefined : oldest - 1);
        m.store(ticketAt, 0);
        return over;
      });
      api.after((s) => {
        s[this.#using]! &= ~(1 << api.index);
        if (end === 'not over') this.#forget(s);
        else this.ends(s, api.index, end === 'notified');
      });
      this.lock.release(api);
      if (end !== 'not over') return;
    }
  }

  begins(s: number[], index: number): void {
    s[this.#waits + index] = 1;
  }

  ends(s: number[], index: number, notified: boolean): void {
    if (notified) this.#received(s, index);
    s[this.#waits + index] = 0;
    this.#forget(s);
  }

  notified(s: number[], told: number): void {
    s[this.#debt]! += told;
    this.#forget(s);
  }

  /** Some participant may just have used a notification and not have said so: if it dies here, it may be gone. */
  mayHaveUsed(s: number[], index: number, may: boolean): void {
    if (may) s[this.#using]! |= 1 << index;
    else s[this.#using]! &= ~(1 << index);
  }

  isWaiting(s: readonly number[], index: number): boolean {
    return s[this.#waits + index] !== 0;
  }

  /** A notification that its wait could not use goes to another wait; where there is none, it is gone. */
  #forget(s: number[]): void {
    let waiting = 0;
    for (let i = 0; i < this.#participants; i++) if (s[this.#waits + i] !== 0) waiting++;
    s[this.#debt] = Math.min(s[this.#debt]!, waiting);
  }

  #received(s: number[], index: number): void {
    s[this.#debt]!--;
    if (s[this.#debt]! < 0 && s[this.#deaths] === 0) throw new Violation(`${index} was notified by nobody`);
  }

  notifier(...amounts: number[]): Body {
    return (api) => {
      for (const n of amounts) {
        this.lock.acquire(api, {});
        const told = api.run(() => this.#core.signals.notify(api.m, this.c, n));
        api.after((s) => this.notified(s, told));
        this.lock.release(api);
      }
    };
  }

  died(state: number[], index: number): void {
    this.lock.died(state, index);
    state[this.#deaths]!++;
    state[this.#waits + index] = 0;
    this.#forget(state);
    if ((state[this.#using]! & (1 << index)) === 0) return;
    state[this.#using]! &= ~(1 << index);
    state[this.#debt]!--;
  }

  /** Who waits for a notification may wait on if none is under way; nobody may be left waiting for the lock. */
  mayRest(state: readonly number[], words: readonly number[]): boolean {
    return (
      state[this.#debt]! <= 0 && words.every((word) => word >= this.c.records) && this.lock.final(state) === undefined
    );
  }
}

interface Cast {
  waiters: WaiterPlan[];
  /** For each notifier, how many it notifies each time. */
  notifiers: number[][];
}

function signalled(core: Core, { waiters, notifiers }: Cast, rest: Partial<Scenario> = {}): Scenario {
  const first = slotsOf(waiters);
  const room = new Room(first + notifiers.length);
  const model = new SignalsModel(core, room, waiters.length + notifiers.length);
  const participants: Participant[] = [
    ...waiters.map((plan, i) => {
      const seat = seatOf(plan, i);
      return { ...seat, body: model.waiter(plan, seat.slot) };
    }),
    ...notifiers.map((amounts, i) => ({ slot: first + i, body: model.notifier(...amounts) })),
  ];
  return {
    room,
    participants,
    privates: new Set([...model.locals.values()].flatMap(({ claims, tickets }) => [claims, ...tickets])),
    died: (state, index) => model.died(state, index),
    mayRest: (state, words) => model.mayRest(state, words),
    final: (state) => model.lock.final(state),
    ...rest,
  };
}

/** Two are chosen one by one, and more not. */
const FEW_ARE_MANY: Change = {
  file: 'sync/core/signals.ts',
  from: 'const MANY = 1000;',
  to: 'const MANY = 2;',
};

export const signals: Suite = {
  name: 'signals (Condition)',
  stories: [
    {
      title: 'a waiter, and two notifications',
      build: (core) => signalled(core, { waiters: [{}], notifiers: [[1, 1]] }),
    },
    {
      title: 'two waiters, and two who notify one',
      build: (core) => signalled(core, { waiters: times(2, {}), notifiers: [[1], [1]] }),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two waiters, and a notification of all',
      build: (core) => signalled(core, { waiters: times(2, {}), notifiers: [[9]] }),
    },
    {
      title: 'a waiter who waits twice and times out, and two notifications',
      build: (core) => signalled(core, { waiters: [{ rounds: 2, timeout: 'ever' }], notifiers: [[1, 1]] }),
    },
    {
      title: 'two waiters, one of whom times out or is aborted, and a notification',
      build: (core) => signalled(core, { waiters: [{ timeout: 'ever', abort: true }, {}], notifiers: [[1]] }),
    },
    {
      title: 'two waiters and a notification, and one may die',
      build: (core) => signalled(core, { waiters: times(2, {}), notifiers: [[1]] }, { kills: 1 }),
    },
    {
      title: 'three waiters and a notification of two, and one may die',
      build: (core) => signalled(core, { waiters: times(3, {}), notifiers: [[2]] }, { kills: 1 }),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'two waiting tasks of one thread, one of whom is aborted, and two notifications',
      build: (core) => signalled(core, { waiters: [{ slot: 0, abort: true }, { slot: 0 }], notifiers: [[1, 1]] }),
    },
    {
      title: 'two waiting tasks of one thread and another waiter, and two notifications',
      build: (core) =>
        signalled(core, { waiters: [{ slot: 0 }, { slot: 0, timeout: 'ever' }, { slot: 1 }], notifiers: [[1], [1]] }),
      bounded: { states: 500_000, walks: 1000 },
    },
    {
      title: 'three waiters, one of whom times out and one is aborted, a notification, and one may die',
      build: (core) =>
        signalled(core, { waiters: [{ timeout: 'ever' }, { abort: true }, {}], notifiers: [[1]] }, { kills: 1 }),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'two waiters and a notification, and a newcomer that wants nothing, in the slot of one that died',
      build: (core) =>
        signalled(core, { waiters: [{}, {}, { slot: 0, joins: true, rounds: 0 }], notifiers: [[1]] }, { kills: 1 }),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'two waiters and a notification, and a newcomer in the slot of one that died, after 4,095 others',
      build: (core) =>
        signalled(
          core,
          { waiters: [{}, {}, { slot: 0, joins: true, rounds: 0, others: SHORT_TAG }], notifiers: [[1]] },
          { kills: 1 },
        ),
      bounded: { states: 150_000, walks: 1000 },
    },
    {
      title: 'three waiters and a notification of two, which are many',
      build: (core) => signalled(core, { waiters: times(3, {}), notifiers: [[2]] }),
      bounded: { states: 150_000, walks: 1000 },
      narrow: [FEW_ARE_MANY],
    },
    {
      title: 'two waiters and a notification, and a newcomer in the slot of one that died, and two may die',
      build: (core) =>
        signalled(core, { waiters: [{}, {}, { slot: 0, joins: true, rounds: 0 }], notifiers: [[1]] }, { kills: 2 }),
      bounded: { states: 150_000, walks: 1000 },
    },
  ],
  mutants: [
    {
      title: 'a notification wakes nobody',
      file: 'sync/core/signals.ts',
      from: 'm.wake(at + SIGNAL, EVERYONE);',
      to: '',
      caughtBy: 'a waiter, and two notifications',
    },
    {
      title: 'the signal does not grow',
      file: 'sync/core/signals.ts',
      from: 'm.add(at + SIGNAL, 1);',
      to: '',
      caughtBy: 'a waiter, and two notifications',
    },
    {
      title: 'the signal is read after the look',
      file: 'sync/core/signals.ts',
      from: `this.expected = m.load(this.word);
    if (m.load(this.word - SIGNAL + GRANTED) > this.#claims.count) {`,
      to: `const granted = m.load(this.word - SIGNAL + GRANTED);
    this.expected = m.load(this.word);
    if (granted > this.#claims.count) {`,
      caughtBy: 'a waiter, and two notifications',
    },
    {
      title: 'a notification is used and not taken off',
      file: 'sync/core/signals.ts',
      from: `m.add(at + GRANTED, -1);
  m.add(at + WAITING, -1);`,
      to: 'm.add(at + WAITING, -1);',
      caughtBy: 'a waiter who waits twice and times out, and two notifications',
    },
    {
      title: 'a notification that came too late is not passed on',
      file: 'sync/core/signals.ts',
      from: 'grant(m, c, 1);',
      to: '',
      caughtBy: 'two waiters, one of whom times out or is aborted, and a notification',
    },
    {
      title: 'notifications of the dead are not passed on',
      file: 'sync/core/signals.ts',
      from: 'grant(m, c, unused);',
      to: '',
      caughtBy: 'two waiters and a notification, and one may die',
    },
    {
      title: 'nobody looks whether who was notified has died meanwhile',
      file: 'sync/core/signals.ts',
      from: `const granted = grant(m, c, n);
  passOnOfDead(m, c);`,
      to: 'const granted = grant(m, c, n);',
      caughtBy: 'two waiters and a notification, and one may die',
    },
    {
      title: 'nobody looks for what the dead have left',
      file: 'sync/core/signals.ts',
      from: 'return strandedAt(m, this.#c) >= 0;',
      to: 'return false;',
      caughtBy: 'two waiters and a notification, and one may die',
    },
    {
      title: 'a notification stays with who has the slot now',
      file: 'sync/core/signals.ts',
      from: 'return !isGone(alive) && m.load(at + WHO) === nameOf(slot, m.load(m.generationAt(slot)));',
      to: 'return !isGone(alive);',
      caughtBy: 'two waiters and a notification, and a newcomer that wants nothing, in the slot of one that died',
    },
    {
      title: 'the name of a waiter has 12 bits of its generation',
      file: 'sync/core/signals.ts',
      from: 'm.load(at + WHO) === nameOf(slot, m.load(m.generationAt(slot)));',
      to: '((m.load(at + WHO) ^ nameOf(slot, m.load(m.generationAt(slot)))) & 0x7fffff) === 0;',
      caughtBy: 'two waiters and a notification, and a newcomer in the slot of one that died, after 4,095 others',
    },
    {
      title: 'a participant is notified more often than it waits',
      file: 'sync/core/signals.ts',
      from: 'Math.min(waitsAt(m, at), 1 + Math.floor(left / MANY))',
      to: '1 + Math.floor(left / MANY)',
      caughtBy: 'three waiters and a notification of two, which are many',
    },
  ],
};
