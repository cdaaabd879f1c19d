import { setImmediate } from 'node:timers';
import { ForkUnsafeError } from '../../errors.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';
import { runHooksInChild } from './at-fork.js';
import { becomeChild, setUpChild } from './become-child.js';
import { dropHooks, standIn } from './drop-hooks.js';
import { endWithEmptyLoop } from './empty-loop.js';
import { callFork, type Forked } from './fork.js';
import { type Immediate, leaveImmediate, runningImmediate, silenceParent } from './silence.js';
import { whyNoStart } from './why-no-fork.js';

const nothing = (): void => {};

/** What a child that has not begun to run what is its own may be told of the parent's: it concerns the parent. */
const TROUBLE = ['uncaughtException', 'unhandledRejection'] as const;

/** What Node's C++ calls when an exception was not caught. Not by way of there, which has none within the handler of another. */
const node = process as unknown as { _fatalException(error: unknown): boolean };

/**
 * Node keeps a stack of its own of who called whom (async_hooks), and aborts when it is not empty in the end. It empties it
 * after an uncaught exception that somebody handles.
 */
function forgetCallers(): void {
  for (const event of TROUBLE) process.on(event, nothing);
  node._fatalException(undefined);
}

/**
 * Leaves all JavaScript that is running: no catch and no finally block of it runs, and the next JavaScript is what the
 * event loop calls. As `worker.terminate()` does, only that the environment goes on.
 */
function unwind(): never {
  native().leaveCalls();
  for (;;); // V8 ends it where it looks whether it should go on, and a plain return is no such place
}

/** Calls back when what the parent has left in this turn of the event loop is over: rejections that it would have handled. */
function afterParent(body: () => void): void {
  setImmediate(() => {
    setImmediate(() => {
      for (const event of TROUBLE) process.off(event, nothing);
      body();
    });
  });
}

/** In the child: lets go of all that is the parent's, and calls `begin`. `dryRun`: this is not a child, and nothing changes. */
function becomeAnother(begin: () => void, immediate: Immediate | undefined, dryRun = false): void {
  dropHooks(dryRun ? standIn() : undefined);
  if (!dryRun) forgetCallers(); // before the child has an end of its own, which an uncaught exception would begin
  becomeChild({ anew: true, dryRun });
  if (immediate) leaveImmediate(immediate);
  silenceParent(dryRun);
  endWithEmptyLoop(dryRun);
  begin();
  if (!dryRun) runHooksInChild();
}

let precompiled = false;

/** As `precompile()`: what only children of this kind call. */
function precompileInto(): void {
  if (precompiled) return;
  precompiled = true;
  // Twice: a regular expression is compiled when it is used a second time.
  try {
    for (let i = 0; i < 2; i++) becomeAnother(nothing, undefined, true);
  } catch {} // what the program has put there throws in the child as well, which is its error then
}

/**
 * Forks, for start method 'fork'. Returns in the parent only. In the child nothing of the parent's goes
 * on: not the code that called this, nor its timers, connections, servers, pending calls, promises and handlers of
 * `process`. There `begin` is called at once, and what it throws is the parent's error; `body` from the child's event
 * loop. The child ends when nothing of its own is left to do.
 */
export function forkInto(begin: () => void, body: () => void): Forked {
  const reason = whyNoStart();
  if (reason !== undefined) throw new ForkUnsafeError(reason);
  if ((process as unknown as { _exiting?: boolean })._exiting) {
    throw new ForkUnsafeError(
      "the process is ending, and in its child no event loop would run any more: call start() before the 'exit' event",
    );
  }
  const immediate = runningImmediate();
  precompileInto();
  const forked = callFork([], false);
  if (forked.pid > 0) return forked;
  return setUpChild(() => {
    becomeAnother(begin, immediate);
    afterParent(body);
    unwind();
  });
}
