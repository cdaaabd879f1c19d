import type { Core } from '../core.js';
import { type Does, FlagModel } from '../flag.js';
import { Room } from '../words.js';
import type { Task } from './js-thread.js';
import { ABORTED_WAIT_STAYS } from './mutants.js';
import type { AsyncSuite } from './suite.js';
import { type AsyncPlan, opening, playing, waiting } from './tasks.js';
import type { AsyncScenario } from './world.js';

/** Event, by async tasks. The word is that of src/sync/event.ts. */
interface TaskPlan extends AsyncPlan {
  /** Closes its wrapper while it waits. */
  closes?: boolean;
  /** Sets and clears instead of waiting. */
  does?: Does[];
}

function flagged(
  core: Core,
  threads: TaskPlan[][],
  setters: Does[][],
  rest: Partial<AsyncScenario> = {},
): AsyncScenario {
  const room = new Room(threads.length + setters.length);
  const at = room.object('event', 16);
  const model = new FlagModel(core, room, setters.length + threads.flat().length, at + 2);
  const open = opening((thread) => new thread.classes.Event());
  const task = (plan: TaskPlan): Task =>
    function* (thread, index) {
      const event = open(thread);
      for (const what of plan.does ?? []) {
        yield thread.turn();
        if (what === 'clear') event.clear();
        else {
          thread.note((s) => model.beginsToSet(s, index));
          event.set();
          thread.note((s) => model.hasSet(s, index));
        }
      }
      if (plan.does) return;
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        const outcome = yield* waiting(thread, index, plan, (options) => {
          const promise = event.waitAsync(options);
          // From here on a set reaches it, whatever its waiter has heard of yet.
          if (!event.isSet) thread.note((s) => model.waits(s, index));
          if (plan.closes) event.close();
          return promise;
        });
        thread.note((s) => model.waited(s, index, outcome !== 'aborted' && outcome.value));
      }
    };
  const others = setters.map((does) => model.setter(...does));
  return {
    room,
    objects: [{ at, words: 16 }],
    setUp: open,
    ...playing(threads, task, others),
    died: (state, index) => model.died(state, index),
    mayRest: (state) => model.mayRest(state),
    ...rest,
  };
}

export const asyncFlag: AsyncSuite = {
  name: 'an event, by async tasks',
  stories: [
    {
      title: 'tasks of two threads, and a set with a clear right behind it',
      build: (core) => flagged(core, [[{}, {}], [{}]], [['set', 'clear']]),
    },
    {
      title: 'tasks that time out and are aborted, and one that sets and clears beside them',
      build: (core) =>
        flagged(
          core,
          [
            [{ abort: true }, { does: ['set', 'clear', 'set'] }],
            [{ timeout: true }, {}],
          ],
          [],
        ),
    },
    {
      title: 'tasks of two threads, and two who set and clear, one of whom may die or end',
      build: (core) =>
        flagged(
          core,
          [
            [{ rounds: 2, abort: true }, { timeout: true }],
            [{}, { does: ['set', 'clear'] }],
          ],
          [['set', 'clear']],
          { kills: 1, ends: 1 },
        ),
    },
    {
      title: 'a task that closes its event while it waits',
      build: (core) => flagged(core, [[{ closes: true, abort: true, timeout: true }]], [['set']]),
    },
  ],
  mutants: [
    {
      title: 'a set and a clear are not seen',
      file: 'sync/core/flag.ts',
      from: 'if ((w & SET) !== 0 || (w & EPOCH) !== this.#epoch) return true;',
      to: 'if ((w & SET) !== 0) return true;',
      caughtBy: 'tasks of two threads, and a set with a clear right behind it',
    },
    {
      title: 'an object is given back under a wait',
      file: 'wait/async.ts',
      from: '    cell.retain();\n',
      to: '',
      caughtBy: 'a task that closes its event while it waits',
    },
    {
      title: 'a cancelled wait that was reported is taken for one that still waits',
      file: 'wait/async.ts',
      from: `    asleep.delete(this.#id);
    native().cancelAsync(this.#id);`,
      to: '    native().cancelAsync(this.#id);',
      caughtBy: 'a task that closes its event while it waits',
    },
    { ...ABORTED_WAIT_STAYS, caughtBy: 'a task that closes its event while it waits' },
  ],
};
