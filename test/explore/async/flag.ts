import type { Change, Core } from '../core.js';
import { type Does, FlagModel } from '../flag.js';
import { Room } from '../words.js';
import type { JsThread, Task } from './js-thread.js';
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
  /** It may be one wait more than there may be. */
  refused?: boolean;
}

/** At most so many waits of a thread at a time. */
const FEW = 2;
const FEW_WAITS: Change = {
  file: 'wait/wait.ts',
  from: 'export const MOST_WAITS = 0xffffff;',
  to: `export const MOST_WAITS = ${FEW};`,
};

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
  const refuse = (thread: JsThread, error: unknown): false => {
    if ((error as { code?: string }).code !== 'ERR_FORKLOCK_OUT_OF_RANGE') throw error;
    if (thread.waits < FEW) thread.world.fail('a wait was refused, and there was room');
    return false;
  };
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
          const before = thread.waits;
          const promise = event.waitAsync(options);
          if (thread.waits > FEW && plan.refused) thread.world.fail('a wait more than there may be');
          if (thread.waits === before && plan.refused)
            return promise.then(
              (value) => value,
              (error) => refuse(thread, error),
            );
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
      title: 'three tasks of one thread, of whom two may wait at a time, and one that sets',
      build: (core) =>
        flagged(core, [[{ refused: true }, { refused: true, abort: true }, { refused: true }]], [['set']]),
      narrow: [FEW_WAITS],
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
      title: 'a sleep that was cancelled is taken for one that still goes on',
      file: 'wait/sleep.ts',
      from: `    this.#forget();
    native().cancelAsync(this.#id);`,
      to: '    native().cancelAsync(this.#id);',
      caughtBy: 'tasks that time out and are aborted, and one that sets and clears beside them',
    },
    {
      title: 'there is no end of waits',
      file: 'wait/async.ts',
      from: 'if (waits.size < MOST_WAITS) return;',
      to: 'if (waits.size < 2 * MOST_WAITS) return;',
      caughtBy: 'three tasks of one thread, of whom two may wait at a time, and one that sets',
    },
    {
      title: 'of those who share a sleep one is woken',
      file: 'wait/sleep.ts',
      from: 'for (const sleeper of woken) sleeper.woken();',
      to: 'woken[0]?.woken();',
      caughtBy: 'tasks of two threads, and a set with a clear right behind it',
    },
    {
      title: 'who leaves a sleep that others share ends it',
      file: 'wait/sleep.ts',
      from: 'if (!this.#sleepers.delete(sleeper) || this.#sleepers.size > 0) return;',
      to: 'this.#sleepers.delete(sleeper);',
      caughtBy: 'three tasks of one thread, of whom two may wait at a time, and one that sets',
    },
    { ...ABORTED_WAIT_STAYS, caughtBy: 'a task that closes its event while it waits' },
  ],
};
