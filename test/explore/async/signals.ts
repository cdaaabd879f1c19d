import type { Core } from '../core.js';
import { SignalsModel } from '../signals.js';
import { nameOf, Room } from '../words.js';
import type { JsThread, Task } from './js-thread.js';
import { lockWordsAt } from './lock.js';
import type { AsyncSuite } from './suite.js';
import { type AsyncPlan, opening, playing, slotOfTask, waiting } from './tasks.js';
import type { AsyncScenario } from './world.js';

/** Condition, by async tasks. The words are those of src/sync/condition.ts. */
interface TaskPlan extends AsyncPlan {
  /** Its wrapper, and the lock's, are closed while it waits or later. */
  closes?: boolean;
  /** Notifies so many, each time, instead of waiting. */
  notifies?: number[];
}

interface Cast {
  threads: TaskPlan[][];
  /** For each one that blocks, how many it notifies each time; none: it waits. */
  blocked?: number[][];
  /** The condition has a lock of its own, an RLock. */
  own?: boolean;
}

function signalled(core: Core, { threads, blocked = [], own = false }: Cast, rest: Partial<AsyncScenario> = {}) {
  const room = new Room(threads.length + blocked.length);
  const words = 32 + room.slots * core.signals.RECORD_WORDS;
  const cell = own ? undefined : room.object('lock', 16);
  const at = room.object('condition', words);
  const lock = lockWordsAt(cell ?? at + 16);
  const count = blocked.length + threads.flat().length;
  const model = new SignalsModel(core, room, count, { lock, signals: { tickets: at + 2, records: at + 32 } });
  const open = opening((thread) => {
    const { Lock, Condition } = thread.classes;
    return own ? new Condition() : new Condition(thread.watch(new Lock()));
  });

  function* enter(thread: JsThread, index: number): Generator<unknown, void, unknown> {
    yield open(thread).acquireAsync();
    thread.note((s) => model.lock.entered(s, index, s[lock.died]!));
  }
  const leave = (thread: JsThread): void => {
    thread.note((s) => model.lock.leaves(s));
    core.owned.giveBackForOwner(thread.memory, lock);
  };

  const task = (plan: TaskPlan): Task =>
    function* (thread, index) {
      const condition = open(thread);
      for (const n of plan.notifies ?? []) {
        yield* enter(thread, index);
        const told = condition.notify(n);
        thread.note((s) => model.notified(s, told));
        thread.note((s) => model.lock.leaves(s));
        condition.release();
      }
      if (plan.notifies) return;
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        yield* enter(thread, index);
        thread.note((s) => model.lock.leaves(s));
        const waitsAt = at + 32 + thread.slot * core.signals.RECORD_WORDS + 1;
        thread.noteWith('add', waitsAt, (s) => model.begins(s, index));
        const outcome = yield* waiting(thread, index, plan, (options) => {
          const promise = condition.waitAsync(options);
          if (plan.closes) {
            thread.turns.push(() => {
              condition.close();
              condition.lock.close();
            });
          }
          return promise;
        });
        thread.note((s) => {
          model.lock.entered(s, index, s[lock.died]!);
          model.ends(s, index, outcome !== 'aborted' && outcome.value);
        });
        yield thread.turn();
        if (plan.closes) leave(thread);
        else {
          thread.note((s) => model.lock.leaves(s));
          condition.release();
        }
      }
    };
  const others = blocked.map((amounts, i) =>
    amounts.length > 0 ? model.notifier(...amounts) : model.waiter({}, threads.length + i),
  );
  const objects = [...(cell === undefined ? [] : [{ at: cell, words: 16 }]), { at, words: Math.ceil(words / 16) * 16 }];
  return {
    room,
    objects,
    setUp: (thread: JsThread) => {
      const condition = open(thread);
      void condition.handle; // the memory of what is closed is not given back, as others have it
      if (!own) void condition.lock.handle;
    },
    ...playing(threads, task, others),
    died: (state: number[], index: number) => {
      // It has the lock, and one of its tasks waits: perhaps that one has just used its notification.
      const owner = core.owned.ownerOf(state[lock.word]!);
      const slot = slotOfTask(threads, blocked.length, index);
      if (slot !== undefined && owner === nameOf(slot, 1) && model.isWaiting(state, index)) {
        model.mayHaveUsed(state, index, true);
      }
      model.died(state, index);
    },
    mayRest: (state: readonly number[], on: readonly number[]) => model.mayRest(state, on),
    final: (state: readonly number[]) => model.lock.final(state),
    ...rest,
  };
}

export const asyncSignals: AsyncSuite = {
  name: 'a condition, by async tasks',
  stories: [
    {
      title: 'tasks of two threads, and a participant that blocks and notifies twice',
      build: (core) => signalled(core, { threads: [[{}, {}], [{}]], blocked: [[1, 1]] }),
    },
    {
      title: 'tasks that time out and are aborted, two that stay, and two notifications',
      build: (core) => signalled(core, { threads: [[{ timeout: true, abort: true }, {}], [{}]], blocked: [[1], [1]] }),
    },
    {
      title: 'two tasks of one thread who are aborted, and a participant that blocks and waits',
      build: (core) =>
        signalled(core, {
          threads: [[{ abort: true }, { abort: true, timeout: true }, { notifies: [1, 1] }]],
          blocked: [[]],
        }),
    },
    {
      title: 'tasks of two threads and a participant that blocks, and one may die or end',
      build: (core) =>
        signalled(
          core,
          { threads: [[{ timeout: true }, { abort: true }], [{}]], blocked: [[1, 1]] },
          { kills: 1, ends: 1 },
        ),
    },
    {
      title: 'tasks of two threads and a notification, and a newcomer in the slot of one that died, and two may die',
      build: (core) => signalled(core, { threads: [[{}], [{}]], blocked: [[1]] }, { newcomers: [0], kills: 2 }),
    },
    {
      title: 'tasks with the RLock of the condition',
      build: (core) => signalled(core, { own: true, threads: [[{ timeout: true }, {}], [{ notifies: [2] }]] }),
    },
    {
      title: 'a task whose condition is closed while it waits, and another that waits',
      build: (core) =>
        signalled(core, { threads: [[{ closes: true, abort: true, timeout: true }], [{}]], blocked: [[1, 1]] }),
    },
    {
      title: 'a task whose condition, and with it the RLock, is closed while it waits, and another that waits',
      build: (core) =>
        signalled(core, { own: true, threads: [[{ closes: true, abort: true }], [{}]], blocked: [[1, 1]] }),
    },
  ],
  mutants: [
    {
      title: 'a notification that came too late is not passed on',
      file: 'sync/core/signals.ts',
      from: 'grant(m, c, 1);',
      to: '',
      caughtBy: 'tasks that time out and are aborted, two that stay, and two notifications',
    },
    {
      title: 'a wait that goes for a notification keeps its claim when it is over',
      file: 'sync/core/signals.ts',
      from: 'if (this.#claimed) this.#claims.count--;',
      to: '',
      caughtBy: 'tasks of two threads, and a participant that blocks and notifies twice',
    },
    {
      title: 'an aborted wait takes a notification with it',
      file: 'sync/condition.ts',
      from: 'if (!aborted && use(',
      to: 'if (use(',
      caughtBy: 'tasks that time out and are aborted, two that stay, and two notifications',
    },
    {
      title: 'an aborted wait stays in the record',
      file: 'sync/condition.ts',
      from: `        this.#ends(wait, false, true);
        throw failure.reason;`,
      to: '        throw failure.reason;',
      caughtBy: 'tasks that time out and are aborted, two that stay, and two notifications',
    },
    {
      title: 'an aborted wait does not have the lock again',
      file: 'sync/condition.ts',
      from: 'await restoreAsync(lockOfPending(this.lock), wait.saved);',
      to: 'if (!failure) await restoreAsync(lockOfPending(this.lock), wait.saved);',
      caughtBy: 'tasks that time out and are aborted, two that stay, and two notifications',
    },
    {
      title: 'a closed condition has no words for the wait that is pending',
      file: 'sync/condition.ts',
      from: 'const { m, signals } = wait;',
      to: 'const { signals } = wait; const { m } = this.cell;',
      caughtBy: 'a task whose condition is closed while it waits, and another that waits',
    },
    {
      title: 'a wait that is pending finds its lock closed',
      file: 'sync/condition.ts',
      from: 'if (!lock.cell.closed) return lock;',
      to: 'if (lock) return lock;',
      caughtBy: 'a task whose condition, and with it the RLock, is closed while it waits, and another that waits',
    },
  ],
};
