import type { Core } from '../core.js';
import { LockModel, type LockPlan } from '../owned.js';
import { Violation } from '../program.js';
import { Room } from '../words.js';
import type { Task } from './js-thread.js';
import {
  ABORT_PASSES_NOTHING_ON,
  ABORTED_WAIT_STAYS,
  CANCELLED_WAKE_UP_IS_KEPT,
  EVERYONE_LOOKS,
  NEXT_DOES_NOT_LOOK,
  NEXT_OF_ABORTED_DOES_NOT_LOOK,
  NO_LOOK_FOR_DEATHS,
  TIMEOUT_PASSES,
  TIMEOUT_TAKES_FOR_NOTHING,
} from './mutants.js';
import type { AsyncSuite } from './suite.js';
import { type AsyncPlan, Lines, opening, playing, waiting } from './tasks.js';
import type { AsyncScenario } from './world.js';

/** Lock, by async tasks beside threads that block. The words are those of src/sync/lock.ts. */
export const lockWordsAt = (at: number) => ({ word: at + 2, died: at + 3, want: at + 4, turn: at + 6 });

/** For each JavaScript thread its tasks, and for each one that blocks what it does. */
interface TaskPlan extends AsyncPlan {
  /** An RLock; and its wrapper is closed while it waits or later. */
  closes?: boolean;
}

function locked(
  core: Core,
  threads: TaskPlan[][],
  blocked: LockPlan[] = [],
  rest: Partial<AsyncScenario> = {},
): AsyncScenario {
  const recursive = threads.flat().some(({ closes }) => closes);
  const room = new Room(threads.length + blocked.length);
  const at = room.object('lock', 16);
  const model = new LockModel(core, room, lockWordsAt(at));
  const open = opening((thread) => (recursive ? new thread.classes.RLock() : new thread.classes.Lock()));
  const lines = new Lines();
  const task = (plan: TaskPlan): Task =>
    function* (thread, index) {
      const lock = open(thread);
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        const outcome = yield* waiting(thread, index, plan, (options) => {
          const promise = lines.begin(thread, index, () => lock.acquireAsync(options));
          if (plan.closes) thread.turns.push(() => lock.close());
          return promise;
        });
        lines.end(thread, index, outcome);
        if (outcome === 'aborted' || !outcome.value) continue;
        thread.note((s) => model.entered(s, index, s[model.o.died]!));
        yield thread.turn();
        thread.note((s) => model.leaves(s));
        if (!plan.closes) lock.release();
        else {
          if (thread.world.state[model.o.word + 3] !== 1) throw new Violation('the depth of an RLock is not its own');
          core.owned.giveBackForOwner(thread.memory, model.o);
        }
      }
    };
  const users = blocked.map((plan) => model.user(plan));
  return {
    room,
    objects: [{ at, words: 16 }],
    setUp: (thread) => void open(thread).handle, // the memory of what is closed is not given back: others have it
    ...playing(threads, task, users),
    died: (state, index) => model.died(state, index),
    final: (state) => model.final(state),
    ...rest,
  };
}

export const asyncLock: AsyncSuite = {
  name: 'a lock, by async tasks',
  stories: [
    {
      title: 'two threads, one with two tasks, and a participant that blocks',
      build: (core) => locked(core, [[{}, {}], [{}]], [{}]),
    },
    {
      title: 'tasks that time out and are aborted, and a participant that blocks',
      build: (core) => locked(core, [[{ timeout: true, abort: true }, {}], [{ abort: true }]], [{ rounds: 2 }]),
    },
    {
      title: 'tasks of two threads and a participant that blocks, and one may die or end',
      build: (core) => locked(core, [[{}, { abort: true }], [{ timeout: true }]], [{}], { kills: 1, ends: 1 }),
    },
    {
      title: 'three participants that block and time out, and a thread with two tasks',
      build: (core) =>
        locked(core, [[{ abort: true }, { rounds: 2 }]], [{ timeout: 'ever', patience: 0 }, { abort: true }, {}]),
    },
    {
      title: 'a task whose RLock is closed while it waits, and a participant that blocks',
      build: (core) => locked(core, [[{ closes: true, abort: true }]], [{ rounds: 2 }]),
    },
    {
      title: 'four tasks of one thread, in their order',
      build: (core) => locked(core, [[{ rounds: 2 }, { abort: true }, {}, { rounds: 2 }]]),
    },
    {
      title: 'three tasks of one thread that may give up, and two that block',
      build: (core) =>
        locked(core, [[{ abort: true, timeout: true }, { timeout: true, abort: true }, { timeout: true }]], [{}, {}]),
    },
  ],
  mutants: [
    { ...CANCELLED_WAKE_UP_IS_KEPT, caughtBy: 'tasks that time out and are aborted, and a participant that blocks' },
    {
      title: 'the waiter does not hear of a new wait',
      flaw: 'it does not ring for a new wait',
      caughtBy: 'two threads, one with two tasks, and a participant that blocks',
    },
    { ...NO_LOOK_FOR_DEATHS, caughtBy: 'tasks of two threads and a participant that blocks, and one may die or end' },
    { ...ABORT_PASSES_NOTHING_ON, caughtBy: 'tasks that time out and are aborted, and a participant that blocks' },
    { ...ABORTED_WAIT_STAYS, caughtBy: 'tasks that time out and are aborted, and a participant that blocks' },
    {
      title: 'a wait that timed out stays with the waiter',
      file: 'wait/async.ts',
      from: `    this.#wake();
    try {`,
      to: '    try {',
      caughtBy: 'tasks that time out and are aborted, and a participant that blocks',
    },
    {
      title: 'a wait that is over listens to its signal',
      file: 'wait/async.ts',
      from: 'if (this.#signal) offAbort(this.#signal, this);',
      to: '',
      caughtBy: 'tasks that time out and are aborted, and a participant that blocks',
    },
    {
      title: 'a wait that is over has a timer',
      file: 'wait/async.ts',
      from: `  #settle(deliver: () => void): void {
    clearTimeout(this.#timer);`,
      to: '  #settle(deliver: () => void): void {',
      caughtBy: 'tasks that time out and are aborted, and a participant that blocks',
    },
    { ...TIMEOUT_TAKES_FOR_NOTHING, caughtBy: 'tasks that time out and are aborted, and a participant that blocks' },
    { ...EVERYONE_LOOKS, caughtBy: 'three participants that block and time out, and a thread with two tasks' },
    { ...NEXT_DOES_NOT_LOOK, caughtBy: 'four tasks of one thread, in their order' },
    { ...NEXT_OF_ABORTED_DOES_NOT_LOOK, caughtBy: 'three tasks of one thread that may give up, and two that block' },
    { ...TIMEOUT_PASSES, caughtBy: 'three tasks of one thread that may give up, and two that block' },
    {
      title: 'a wait that is over keeps its object',
      file: 'wait/async.ts',
      from: `this.#cell.release();
    deliver();`,
      to: 'deliver();',
      caughtBy: 'two threads, one with two tasks, and a participant that blocks',
    },
    {
      title: 'an RLock that was closed meanwhile keeps the depth of its last owner',
      file: 'sync/rlock.ts',
      from: 'this.#begin(holder, 1, m);',
      to: 'this.#begin(holder);',
      caughtBy: 'a task whose RLock is closed while it waits, and a participant that blocks',
    },
  ],
};
