import type { Core } from '../core.js';
import { SharingModel, type UserPlan } from '../sharing.js';
import { nameOf, Room } from '../words.js';
import type { Task } from './js-thread.js';
import { ABORT_PASSES_NOTHING_ON, NO_LOOK_FOR_DEATHS } from './mutants.js';
import type { AsyncSuite } from './suite.js';
import { type AsyncPlan, opening, playing, slotOfTask, waiting } from './tasks.js';
import type { AsyncScenario } from './world.js';

/** RWLock, by async tasks. The words are those of src/sync/rwlock.ts. */
interface TaskPlan extends AsyncPlan {
  does: UserPlan['does'];
}

function shared(
  core: Core,
  threads: TaskPlan[][],
  blocked: UserPlan[],
  rest: Partial<AsyncScenario> = {},
): AsyncScenario {
  const room = new Room(threads.length + blocked.length);
  const words = 32;
  const at = room.object('rwlock', words);
  const model = new SharingModel(core, room, {
    word: at + 2,
    died: at + 3,
    want: at + 4,
    drain: at + 5,
    inside: at + 6,
    turn: at + 7,
    readers: at + 16,
  });
  const open = opening((thread) => new thread.classes.RWLock());
  const task = (plan: TaskPlan): Task =>
    function* (thread, index) {
      const { read, write } = open(thread);
      const side = plan.does === 'read' ? read : write;
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        const outcome = yield* waiting(thread, index, plan, (options) => side.acquireAsync(options));
        if (outcome === 'aborted' || !outcome.value) continue;
        if (plan.does === 'read') thread.note((s) => model.reads(s, index));
        else {
          thread.note((s) => model.writes(s, index));
          yield thread.turn();
          thread.note((s) => model.leavesWriting(s, index, plan.does === 'downgrade'));
          if (plan.does === 'downgrade') write.downgrade();
          else write.release();
        }
        if (plan.does === 'write') continue;
        yield thread.turn();
        thread.note((s) => model.leavesReading(s, index));
        read.release();
      }
    };
  const users = blocked.map((plan) => model.user(plan));
  return {
    room,
    objects: [{ at, words }],
    setUp: open,
    ...playing(threads, task, users),
    died: (state, index) => {
      const slot = slotOfTask(threads, blocked.length, index);
      model.died(state, index, slot !== undefined && state[at + 6] === nameOf(slot, 1));
    },
    final: (state) => model.final(state),
    ...rest,
  };
}

const READ = { does: 'read' } as const;
const WRITE = { does: 'write' } as const;

export const asyncSharing: AsyncSuite = {
  name: 'readers and writers, by async tasks',
  stories: [
    {
      title: 'tasks of two threads who read and write, and a writer that blocks',
      build: (core) => shared(core, [[READ, WRITE], [READ]], [WRITE]),
    },
    {
      title: 'tasks that time out and are aborted, a writer that becomes a reader, and a reader that blocks',
      build: (core) =>
        shared(
          core,
          [
            [
              { does: 'write', abort: true },
              { does: 'read', timeout: true },
            ],
            [{ does: 'downgrade' }, { does: 'read', abort: true }],
          ],
          [READ],
        ),
    },
    {
      title: 'tasks of two threads who read and write, and a writer that blocks, and one may die or end',
      build: (core) =>
        shared(
          core,
          [
            [
              { does: 'read', timeout: true },
              { does: 'write', abort: true },
            ],
            [WRITE],
          ],
          [WRITE],
          { kills: 1, ends: 1 },
        ),
    },
    {
      title: 'a reader and two writers, and a newcomer in the slot of one that died, and two may die',
      build: (core) => shared(core, [[READ], [WRITE], [WRITE]], [], { newcomers: [0], kills: 2 }),
    },
  ],
  mutants: [
    {
      title: 'a writer that gives up in the drain keeps the word',
      file: 'sync/core/sharing.ts',
      from: 'leaveWriting(this.#m, this.#s, false);',
      to: '',
      caughtBy: 'tasks that time out and are aborted, a writer that becomes a reader, and a reader that blocks',
    },
    {
      title: 'a writer that waits for readers sleeps as one that waits for the word',
      file: 'sync/core/sharing.ts',
      from: 'this.word = wait.word;',
      to: '',
      caughtBy: 'tasks of two threads who read and write, and a writer that blocks',
    },
    {
      ...ABORT_PASSES_NOTHING_ON,
      caughtBy: 'tasks that time out and are aborted, a writer that becomes a reader, and a reader that blocks',
    },
    {
      ...NO_LOOK_FOR_DEATHS,
      caughtBy: 'tasks of two threads who read and write, and a writer that blocks, and one may die or end',
    },
  ],
};
