import { ForkUnsafeError } from '../errors.js';
import { native } from '../native.js';
import { becomeChild } from './become-child.js';
import { callFork, prepareChild } from './fork.js';
import { endAtRest } from './rest.js';
import { leaveImmediate, runningImmediate, silenceParent } from './silence.js';

/** Node's own listeners, and what listeners are added and removed with. */
const KEPT = new Set(['newListener', 'removeListener', 'warning', 'SIGWINCH']);

/** The parent's handlers of signals, of uncaught exceptions and of the end are about the parent's work. */
function dropListeners(): void {
  for (const event of process.eventNames()) {
    if (!KEPT.has(String(event))) process.removeAllListeners(event as string);
  }
}

/**
 * Forks, for start method 'fork'. Returns the child's pid, in the parent only. In the child nothing of the parent's goes
 * on: not the code that called this (no catch and no finally of it runs), nor its timers, connections, servers, pending
 * calls, promises and handlers of `process`. `body` is called from the child's event loop, and the child ends when
 * nothing of its own is left to do.
 */
export function forkInto(body: () => void): number {
  if (!native().canUnwind())
    throw new ForkUnsafeError(
      'this build of Node hides the functions that it takes to leave the code that called start(): use the start method forkserver or spawn',
    );
  const immediate = runningImmediate();
  const pid = callFork([], false);
  if (pid > 0) return pid;
  prepareChild(() => {
    dropListeners();
    becomeChild();
    if (immediate) leaveImmediate(immediate);
    silenceParent();
    endAtRest();
    setImmediate(body);
  });
  process.once('uncaughtException', () => {});
  native().unwind(new Error('the code that called fork() is left'));
  for (;;); // V8 ends it where it looks whether it should go on, and a plain return is no such place
}
