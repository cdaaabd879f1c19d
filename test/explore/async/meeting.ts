import type { Core } from '../core.js';
import { MeetingModel, type PartyPlan } from '../meeting.js';
import { Room } from '../words.js';
import type { JsThread, Task } from './js-thread.js';
import { ABORT_PASSES_NOTHING_ON } from './mutants.js';
import type { AsyncSuite } from './suite.js';
import { type AsyncPlan, opening, playing, waiting } from './tasks.js';
import type { AsyncScenario } from './world.js';

/**
 * Barrier, by async tasks. The words are those of src/sync/barrier.ts. What a task is told is its index, or that the
 * round was broken; in which round that was, only a barrier that is never broken says by the number of waits.
 */
interface TaskPlan extends AsyncPlan {
  /** Its action, which takes its time, throws when it is the last. */
  fails?: boolean;
  /** The wrapper is closed while it waits, or while its action runs. */
  closes?: boolean;
  /** Resets the barrier instead. */
  resets?: boolean;
}

const FAILED = new Error('an action that throws');

interface Cast {
  parties: number;
  threads: TaskPlan[][];
  blocked?: PartyPlan[];
}

function meet(core: Core, cast: Cast, rest: Partial<AsyncScenario> = {}): AsyncScenario {
  const { parties, threads, blocked = [] } = cast;
  const room = new Room(threads.length + blocked.length);
  const words = 32;
  const at = room.object('barrier', words);
  const model = new MeetingModel(core, room, parties, { state: at + 2, records: at + 16, parties });
  /** Whether anybody got through, or found it broken, in a scenario of one round. */
  const outcome = room.word('(outcome)');
  const once = threads.flat().every(({ rounds = 1, resets }) => rounds === 1 && !resets);
  const actions = new WeakMap<JsThread, boolean>();
  const open = opening((thread) => {
    const action = (): unknown => {
      actions.set(thread, true);
      if (threads[thread.slot]!.some(({ fails }) => fails)) throw FAILED;
      return thread.turn();
    };
    return new thread.classes.Barrier(parties, { action: action as () => void });
  });
  const task = (plan: TaskPlan): Task =>
    function* (thread, index) {
      const barrier = open(thread);
      if (plan.resets) {
        yield thread.turn();
        barrier.reset();
        return;
      }
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        thread.note((s) => model.begins(s));
        let through = false;
        try {
          const came = yield* waiting(thread, index, plan, (options) => {
            const promise = barrier.waitAsync(options);
            if (plan.closes) thread.turns.push(() => barrier.close());
            return promise;
          });
          through = came !== 'aborted';
        } catch (error) {
          if (error !== FAILED && (error as Error).name !== 'BrokenBarrierError') throw error;
        }
        if (!once) continue;
        const now = through ? 1 : 2;
        const before = thread.world.state[outcome]!;
        if (before !== 0 && before !== now) thread.world.fail('some got through, and some did not');
        thread.note((s) => {
          s[outcome] = now;
        });
      }
    };
  const others = blocked.map((plan, i) => model.party(plan, threads.length + i));
  return {
    room,
    objects: [{ at, words }],
    setUp: open,
    ...playing(threads, task, others),
    mayRest: (state, on) => model.mayRest(state, on),
    ...rest,
  };
}

export const asyncMeeting: AsyncSuite = {
  name: 'a barrier, by async tasks',
  stories: [
    {
      title: 'tasks of two threads and a party that blocks, two rounds',
      build: (core) =>
        meet(core, { parties: 3, threads: [[{ rounds: 2 }], [{ rounds: 2 }]], blocked: [{ rounds: 2 }] }),
    },
    {
      title: 'three parties, some of whom time out and are aborted',
      build: (core) => meet(core, { parties: 3, threads: [[{ abort: true }, {}], [{ timeout: true, abort: true }]] }),
    },
    {
      title: 'three parties, and one may die or end',
      build: (core) =>
        meet(
          core,
          { parties: 3, threads: [[{ timeout: true }], [{ abort: true }]], blocked: [{}] },
          { kills: 1, ends: 1 },
        ),
    },
    {
      title: 'two parties whose action throws',
      build: (core) => meet(core, { parties: 2, threads: [[{ fails: true }], [{}]] }),
    },
    {
      title: 'two parties, one that resets, and one may die',
      build: (core) => meet(core, { parties: 2, threads: [[{}, { resets: true }], [{ timeout: true }]] }, { kills: 1 }),
    },
    {
      title: 'a party whose barrier is closed while its action runs',
      build: (core) => meet(core, { parties: 2, threads: [[{ closes: true }], [{}]] }),
    },
    {
      title: 'two parties of three, and a newcomer that wants nothing, in the slot of one that died, and two may die',
      build: (core) => meet(core, { parties: 3, threads: [[{}], [{}]] }, { newcomers: [0], kills: 2 }),
    },
  ],
  mutants: [
    {
      title: 'a barrier that is closed is given back while its action runs',
      file: 'sync/barrier.ts',
      from: 'await this.#action?.();',
      to: `cell.release();
          await this.#action?.();
          cell.retain();`,
      caughtBy: 'a party whose barrier is closed while its action runs',
    },
    { ...ABORT_PASSES_NOTHING_ON, caughtBy: 'three parties, some of whom time out and are aborted' },
    {
      title: 'an action that throws breaks nothing',
      file: 'sync/barrier.ts',
      from: `          meet.leave();
          throw error;
        }
        meet.open();
      }
    } finally {`,
      to: `          throw error;
        }
        meet.open();
      }
    } finally {`,
      caughtBy: 'two parties whose action throws',
    },
    {
      title: 'who gives up takes a success for a break',
      file: 'sync/core/meeting.ts',
      from: 'this.#end(ending);\n    return ending ===',
      to: `this.#end('broken');\n    return ending ===`,
      caughtBy: 'three parties, some of whom time out and are aborted',
    },
    {
      title: 'nobody looks who lives before the sleep',
      file: 'sync/core/meeting.ts',
      from: 'this.living = living;',
      to: 'void living;',
      caughtBy: 'three parties, and one may die or end',
    },
  ],
};
