import { ForkUnsafeError } from '../errors.js';
import { native } from '../native.js';
import { becomeChild, prepareChild } from './become-child.js';
import { callFork, type Forked } from './fork.js';
import { endAtRest } from './rest.js';
import { leaveImmediate, runningImmediate, silenceParent } from './silence.js';

/** Node's own: with what listeners are added and removed, and what prints warnings and follows the size of a terminal. */
const KEPT = ['newListener', 'removeListener', 'SIGWINCH'];
const PRINTS_WARNINGS = 'onWarning';

/** The parent's handlers of signals, of uncaught exceptions and of the end are about the parent's work. */
function dropListeners(): void {
  for (const event of process.eventNames() as NodeJS.Signals[]) {
    if (KEPT.includes(event)) continue;
    for (const listener of process.listeners(event)) {
      if (listener.name !== PRINTS_WARNINGS) process.off(event, listener);
    }
  }
}

/**
 * Leaves all JavaScript that is running: no catch and no finally block of it runs, and the next JavaScript is what the
 * event loop calls. As `worker.terminate()` does, only that the environment goes on (`Runtime.terminateExecution` of the
 * inspector, which V8 takes back when the outermost call has been left).
 */
function unwind(): never {
  const { Session } = process.getBuiltinModule('node:inspector');
  const session = new Session();
  session.connect();
  process.once('uncaughtException', () => {});
  native().dropCalls(new Error('the code that called fork() is left'));
  session.post('Runtime.terminateExecution');
  for (;;); // V8 ends it where it looks whether it should go on, and a plain return is no such place
}

/**
 * Why no process can be started by forking this one; see {@link whyNoFork}. Besides that, it takes two things that a build
 * of Node may lack.
 */
function whyNoForkInto(): string | undefined {
  if (native().canDropCalls() && (process.features as { inspector?: boolean }).inspector) return undefined;
  return 'this build of Node lacks the inspector, or hides functions of V8, and without them the child cannot leave the code that called start(): use the start method forkserver or spawn';
}

/**
 * Forks, for start method 'fork'. Returns in the parent only. In the child nothing of the parent's goes
 * on: not the code that called this, nor its timers, connections, servers, pending calls, promises and handlers of
 * `process`. `body` is called from the child's event loop, and the child ends when nothing of its own is left to do.
 */
export function forkInto(body: () => void): Forked {
  const reason = whyNoForkInto();
  if (reason !== undefined) throw new ForkUnsafeError(reason);
  const immediate = runningImmediate();
  const forked = callFork([], false);
  if (forked.pid > 0) return forked;
  prepareChild(() => {
    dropListeners();
    becomeChild();
    if (immediate) leaveImmediate(immediate);
    silenceParent();
    endAtRest();
    setImmediate(body);
  });
  unwind();
}
