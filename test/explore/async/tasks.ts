import { type Body, Violation } from '../program.js';
import { ABORTED, type JsThread, type Task } from './js-thread.js';
import type { AsyncScenario } from './world.js';

/** What the stories of all primitives need to be told by tasks: who plays, objects, and how a task waits. */

/** Each list of plans is a thread with that many tasks, in a slot of its own; who blocks has the slots behind. */
export function playing<P>(
  threads: readonly P[][],
  task: (plan: P) => Task,
  blocked: readonly Body[],
): Pick<AsyncScenario, 'threads' | 'programs'> {
  return {
    threads: threads.map((plans, slot) => ({ slot, tasks: plans.map(task) })),
    programs: blocked.map((body, i) => ({ slot: threads.length + i, body })),
  };
}

/** The slot of a task, or undefined for who blocks: the indices of those come first. */
export function slotOfTask(threads: readonly unknown[][], blocked: number, index: number): number | undefined {
  return threads.flatMap((plans, slot) => plans.map(() => slot))[index - blocked];
}

/** Opens an object once for each thread. */
export function opening<T extends { cell: object }>(make: (thread: JsThread) => T): (thread: JsThread) => T {
  const objects = new WeakMap<JsThread, T>();
  return (thread) => {
    let object = objects.get(thread);
    if (!object) {
      object = thread.watch(make(thread));
      objects.set(thread, object);
    }
    return object;
  };
}

/** The tasks of each thread that wait, in the order in which they came: it is promised that they are served so. */
export class Lines {
  readonly #lines = new WeakMap<JsThread, number[]>();

  /** Begins a wait. Who need not wait stands in no line. */
  begin<T>(thread: JsThread, index: number, wait: () => T): T {
    const before = thread.waits;
    const result = wait();
    if (thread.waits > before) this.#lines.set(thread, [...(this.#lines.get(thread) ?? []), index]);
    return result;
  }

  end(thread: JsThread, index: number, outcome: Outcome<boolean>): void {
    const line = this.#lines.get(thread) ?? [];
    const place = line.indexOf(index);
    this.#lines.set(
      thread,
      line.filter((other) => other !== index),
    );
    if (place > 0 && outcome !== 'aborted' && outcome.value) {
      throw new Violation(`task ${index} came before one that waited longer`);
    }
  }
}

/** How a task waits. */
export interface AsyncPlan {
  /** May run out at any time. */
  timeout?: boolean;
  /** An AbortSignal may fire at any time. */
  abort?: boolean;
  rounds?: number;
}

/** What came of a wait: what it resolved with, or that it was aborted. */
export type Outcome<T> = { value: T } | 'aborted';

/** Waits with the options of the plan; anything else than its own abort is passed on. */
export function* waiting<T>(
  thread: JsThread,
  index: number,
  plan: AsyncPlan,
  wait: (options: { timeout?: number; signal?: AbortSignal } | undefined) => Promise<T>,
): Generator<unknown, Outcome<T>, unknown> {
  const signal = plan.abort ? thread.signal(`task ${index}`) : undefined;
  const options = plan.timeout || signal ? { timeout: plan.timeout ? 1000 : undefined, signal } : undefined;
  try {
    return { value: (yield wait(options as { timeout?: number; signal?: AbortSignal } | undefined)) as T };
  } catch (error) {
    if (error !== ABORTED) throw error;
    if (!signal?.aborted) throw new Error('a wait ended with an abort that never was');
    return 'aborted';
  }
}
