/**
 * Bugs on purpose in what the async waits of all primitives have in common: src/wait/async.ts, and the waiter. Each
 * suite adds in which of its stories they must be found.
 */

export const CANCELLED_WAKE_UP_IS_KEPT = {
  title: 'an aborted wait leaves its wake-up with the waiter',
  flaw: 'it keeps the wake-ups of cancelled waits',
} as const;

export const NO_LOOK_FOR_DEATHS = {
  title: 'the waiter does not look for deaths before it sleeps',
  flaw: 'it does not look whether who it sleeps for is stale',
} as const;

export const ABORT_PASSES_NOTHING_ON = {
  title: 'an aborted wait passes nothing on',
  file: 'wait/async.ts',
  from: `const done = this.#wait.leave();
      this.#settle(() => (done`,
  to: `const done = false;
      this.#settle(() => (done`,
};

export const ABORTED_WAIT_STAYS = {
  title: 'an aborted wait stays with the waiter',
  file: 'wait/async.ts',
  from: `  abort(): void {
    this.#wake();`,
  to: '  abort(): void {',
};

export const TIMEOUT_TAKES_FOR_NOTHING = {
  title: 'a timeout takes a grant for nothing',
  file: 'wait/async.ts',
  from: 'const done = this.#wait.step() || this.#wait.leave();',
  to: `this.#wait.step();
      const done = this.#wait.leave();`,
};
