import type { JsThread, Task } from './js-thread.js';
import { type AsyncPlan, Lines, waiting } from './tasks.js';

export interface TaskPlan extends AsyncPlan {
  /** Keeps what it took. */
  keeps?: boolean;
}

interface Semaphore {
  acquireAsync(options?: object): Promise<boolean>;
  release(): void;
}

/** What is counted of the permits. */
interface Model {
  took(state: number[], index: number): void;
  gives(state: number[], index: number): void;
}

/** Tasks that take a permit and give it back, as often as their plans say. */
export function takingPermits(open: (thread: JsThread) => Semaphore, model: Model): (plan: TaskPlan) => Task {
  const lines = new Lines();
  return (plan) =>
    function* (thread, index) {
      const semaphore = open(thread);
      for (let round = 0; round < (plan.rounds ?? 1); round++) {
        const outcome = yield* waiting(thread, index, plan, (options) =>
          lines.begin(thread, index, () => semaphore.acquireAsync(options)),
        );
        lines.end(thread, index, outcome);
        if (outcome === 'aborted' || !outcome.value) continue;
        thread.note((s) => model.took(s, index));
        if (plan.keeps) continue;
        yield thread.turn();
        thread.note((s) => model.gives(s, index));
        semaphore.release();
      }
    };
}
