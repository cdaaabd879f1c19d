import type { Core } from '../core.js';
import { type HolderPlan, PermitsModel } from '../permits.js';
import { Room } from '../words.js';
import { CANCELLED_WAKE_UP_IS_KEPT, EVERYONE_LOOKS } from './mutants.js';
import { takingPermits } from './permit-tasks.js';
import type { AsyncSuite } from './suite.js';
import { type AsyncPlan, opening, playing } from './tasks.js';
import type { AsyncScenario } from './world.js';

/** Semaphore with `recover`, by async tasks. The words are those of src/sync/semaphore.ts. */
interface Cast {
  permits: number;
  threads: AsyncPlan[][];
  blocked?: HolderPlan[];
}

function recoverable(core: Core, cast: Cast, rest: Partial<AsyncScenario> = {}): AsyncScenario {
  const { permits, threads, blocked = [] } = cast;
  const room = new Room(threads.length + blocked.length);
  const words = 32;
  const at = room.object('semaphore', words);
  const place = { sequence: at + 2, want: at + 4, table: at + 16, size: permits };
  const model = new PermitsModel(core, room, permits, blocked.length + threads.flat().length, place);
  const open = opening((thread) => new thread.classes.Semaphore(permits, { recover: true }));
  const task = takingPermits(open, model);
  const holders = blocked.map((plan) => model.holder(plan));
  return {
    room,
    objects: [{ at, words }],
    setUp: open,
    ...playing(threads, task, holders),
    died: (state, index) => model.died(state, index),
    mayRest: (state) => model.mayRest(state),
    final: (state) => model.final(state),
    ...rest,
  };
}

export const asyncPermits: AsyncSuite = {
  name: 'a semaphore with recover, by async tasks',
  stories: [
    {
      title: 'tasks of two threads and a participant that blocks share two permits, and two may die or end',
      build: (core) =>
        recoverable(core, { permits: 2, threads: [[{}, {}], [{}]], blocked: [{ many: 2 }] }, { kills: 1, ends: 1 }),
    },
    {
      title: 'tasks that time out and are aborted share one permit with a participant that blocks',
      build: (core) =>
        recoverable(core, {
          permits: 1,
          threads: [[{ abort: true }, { timeout: true }, {}], [{ abort: true, rounds: 2 }]],
          blocked: [{ patience: 0 }],
        }),
    },
    {
      title: 'tasks of two threads share one permit, and one may die or end',
      build: (core) =>
        recoverable(core, { permits: 1, threads: [[{ timeout: true }, { abort: true }], [{}]] }, { kills: 1, ends: 1 }),
    },
    {
      title:
        'tasks of two threads share one permit, and a newcomer comes in the slot of one that died, and two may die',
      build: (core) => recoverable(core, { permits: 1, threads: [[{}], [{}], [{}]] }, { newcomers: [0], kills: 2 }),
    },
  ],
  mutants: [
    {
      ...EVERYONE_LOOKS,
      caughtBy: 'tasks that time out and are aborted share one permit with a participant that blocks',
    },
    {
      title: 'permits of the dead are not free',
      file: 'sync/core/permits.ts',
      from: 'if (w !== RESERVED) return !isAlive(m, w);',
      to: 'if (w !== RESERVED) return false;',
      caughtBy: 'tasks of two threads share one permit, and one may die or end',
    },
    {
      title: 'nobody looks who lives before the sleep',
      file: 'sync/core/permits.ts',
      from: 'this.living = living;',
      to: 'void living;',
      caughtBy: 'tasks of two threads share one permit, and one may die or end',
    },
    {
      ...CANCELLED_WAKE_UP_IS_KEPT,
      caughtBy: 'tasks that time out and are aborted share one permit with a participant that blocks',
    },
    {
      title: 'who gives up keeps the wake-up that it used',
      file: 'sync/core/permits.ts',
      from: 'if (freePermits(m, p) > 0) m.wake(p.sequence, 1);\n    return false;',
      to: 'return false;',
      caughtBy: 'tasks that time out and are aborted share one permit with a participant that blocks',
    },
  ],
};
