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
  from: 'if (this.#wake()) this.#endWith(reason);',
  to: 'if (this.#wake()) this.#settle(() => this.#reject(reason));',
};

export const ABORTED_WAIT_STAYS = {
  title: 'an aborted wait stays with the waiter',
  file: 'wait/async.ts',
  from: 'if (this.#wake()) this.#endWith(reason);',
  to: 'if (this.#asleep) this.#endWith(reason);',
};

export const TIMEOUT_TAKES_FOR_NOTHING = {
  title: 'a timeout takes a grant for nothing',
  file: 'wait/async.ts',
  from: 'if (this.#wait.step()) {',
  to: 'if (this.#wait.step() && !this.#late) {',
};

export const EVERYONE_LOOKS = {
  title: 'each one in a line looks for itself',
  file: 'wait/async.ts',
  from: 'wait.line < 0 ? undefined : Line.join(segment.index, wait.line, this);',
  to: 'undefined;',
};

export const NEXT_DOES_NOT_LOOK = {
  title: 'the next in line does not look when the first one is served',
  file: 'wait/line.ts',
  from: 'if (wait.look()) continue;',
  to: 'if (wait.look()) return;',
};

export const NEXT_OF_ABORTED_DOES_NOT_LOOK = {
  title: 'the next in line does not look when the first one is aborted',
  file: 'wait/async.ts',
  from: 'if (isFirst) this.#place?.value.line.advance();',
  to: 'void isFirst;',
};

export const TIMEOUT_PASSES = {
  title: 'who times out in a line looks before the first one',
  file: 'wait/async.ts',
  from: 'if (this.#asleep || this.#place?.value.line.hasNews) this.lookAgain();',
  to: 'this.look();',
};
