import { setImmediate } from 'node:timers';
import { checked } from '../../errors.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';
import { hasImmediates, hasOwnTimers, isLoopEmpty } from './silence.js';
import { runsAlone } from './why-no-fork.js';

/**
 * Ends the process when nothing of its own keeps the event loop alive, in children where Node's own look at the loop
 * would not: it counts what was the parent's. As in Node, tasks of V8 that are under way are waited for (a compilation of
 * WebAssembly keeps no loop alive), and `beforeExit` may start something new, and then comes again when that has ended.
 * `dryRun`: it is only looked once, where too much is active for an end.
 */
export function endWithEmptyLoop(dryRun = false): void {
  // Without helper threads nobody would do the tasks, and Node would wait for ever.
  const nobodyHelps = runsAlone();
  let waited = nobodyHelps;
  let asked = false;
  const look = (handles: number): void => {
    if (!isLoopEmpty(handles)) {
      asked = false;
      waited = nobodyHelps;
    } else if (!waited) {
      waited = true;
      native().leaveLoop();
    } else if (asked) {
      // As at a natural end, where Node says by the exit code that a top-level await was never settled.
      (process as unknown as { _exiting: boolean })._exiting = true;
      process.emit('exit', Number(process.exitCode ?? 0));
    } else {
      asked = true;
      waited = nobodyHelps;
      process.emit('beforeExit', Number(process.exitCode ?? 0));
      if (hasOwnTimers() || hasImmediates()) asked = false;
      // The loop turns once more, and whatever was started shows; a timer may be over before the next look.
      setImmediate(() => {
        asked &&= !hasOwnTimers();
      });
    }
  };
  if (dryRun) look(Number.POSITIVE_INFINITY);
  else checked(native().onRest(look), 'watching the event loop');
}
