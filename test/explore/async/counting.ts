import type { Core } from '../core.js';
import { CountModel, type TakerPlan } from '../counting.js';
import { Room } from '../words.js';
import {
  ABORT_PASSES_NOTHING_ON,
  CANCELLED_WAKE_UP_IS_KEPT,
  EVERYONE_LOOKS,
  NEXT_DOES_NOT_LOOK,
  TIMEOUT_TAKES_FOR_NOTHING,
} from './mutants.js';
import { type TaskPlan, takingPermits } from './permit-tasks.js';
import type { AsyncSuite } from './suite.js';
import { opening, playing } from './tasks.js';
import type { AsyncScenario } from './world.js';

/** Semaphore without `recover`, by async tasks. The words are those of src/sync/semaphore.ts. */
interface Cast {
  permits: number;
  threads: TaskPlan[][];
  takers?: TakerPlan[];
  /** For each giver, how many permits it brings in each release. */
  givers?: number[][];
}

function counted(core: Core, cast: Cast, rest: Partial<AsyncScenario> = {}): AsyncScenario {
  const { permits, threads, takers = [], givers = [] } = cast;
  const room = new Room(threads.length + takers.length + givers.length);
  const at = room.object('semaphore', 16);
  const model = new CountModel(core, room, permits, { count: at + 2, want: at + 4 });
  const open = opening((thread) => new thread.classes.Semaphore(permits));
  const task = takingPermits(open, model);
  return {
    room,
    objects: [{ at, words: 16 }],
    setUp: open,
    ...playing(threads, task, [
      ...takers.map((plan) => model.taker(plan)),
      ...givers.map((amounts) => model.giver(...amounts)),
    ]),
    died: (state) => model.died(state),
    mayRest: (state) => model.mayRest(state),
    final: (state) => model.final(state),
    ...rest,
  };
}

export const asyncCounting: AsyncSuite = {
  name: 'a semaphore, by async tasks',
  stories: [
    {
      title: 'tasks of two threads and a participant that blocks share one permit',
      build: (core) => counted(core, { permits: 1, threads: [[{}, { rounds: 2 }], [{}]], takers: [{ patience: 0 }] }),
    },
    {
      title: 'two tasks of one thread and a participant that blocks, and releases of two and one',
      build: (core) =>
        counted(core, {
          permits: 0,
          threads: [[{ keeps: true }, { keeps: true }]],
          takers: [{ keeps: true }],
          givers: [[2], [1]],
        }),
    },
    {
      title: 'tasks that time out and are aborted, one that stays, and two releases',
      build: (core) =>
        counted(core, {
          permits: 0,
          threads: [[{ keeps: true, abort: true }, { keeps: true }], [{ keeps: true, timeout: true }]],
          givers: [[1, 1]],
        }),
    },
    {
      title: 'tasks of two threads and a participant that blocks share one permit, and one may die or end',
      build: (core) =>
        counted(
          core,
          { permits: 1, threads: [[{}, { abort: true }], [{ timeout: true }]], takers: [{}] },
          { kills: 1, ends: 1 },
        ),
    },
    {
      title: 'three tasks of one thread, of whom one may give up, and two releases',
      build: (core) =>
        counted(core, {
          permits: 0,
          threads: [[{ keeps: true }, { keeps: true, timeout: true, abort: true }, { keeps: true }]],
          takers: [{ keeps: true }],
          givers: [[2], [1, 1]],
        }),
    },
  ],
  mutants: [
    { ...EVERYONE_LOOKS, caughtBy: 'three tasks of one thread, of whom one may give up, and two releases' },
    { ...NEXT_DOES_NOT_LOOK, caughtBy: 'three tasks of one thread, of whom one may give up, and two releases' },
    { ...CANCELLED_WAKE_UP_IS_KEPT, caughtBy: 'tasks that time out and are aborted, one that stays, and two releases' },
    { ...ABORT_PASSES_NOTHING_ON, caughtBy: 'tasks that time out and are aborted, one that stays, and two releases' },
    {
      title: 'who has slept does not wake the next when permits are left',
      file: 'sync/core/counting.ts',
      from: 'if (this.#parked && (next & MAX_PERMITS) > 0) this.#m.wake(this.#c.count, 1);',
      to: '',
      caughtBy: 'two tasks of one thread and a participant that blocks, and releases of two and one',
    },
    { ...TIMEOUT_TAKES_FOR_NOTHING, caughtBy: 'tasks that time out and are aborted, one that stays, and two releases' },
  ],
};
