import { checked } from '../errors.js';
import { native } from '../native.js';
import { hasOwnTimers, isAtRest } from './silence.js';

/**
 * Ends the process when nothing of its own keeps the event loop alive, in children where Node's own look at the loop
 * would not: it counts what was the parent's, and then waits for tasks of helper threads, which there may be none of.
 * As in Node, `beforeExit` may start something new, and then comes again when that has ended.
 */
export function endAtRest(): void {
  let asked = false;
  const look = (handles: number): void => {
    if (!isAtRest(handles)) {
      asked = false;
    } else if (asked) {
      // As at a natural end, where Node says by the exit code that a top-level await was never settled.
      (process as unknown as { _exiting: boolean })._exiting = true;
      process.emit('exit', Number(process.exitCode ?? 0));
    } else {
      asked = true;
      process.emit('beforeExit', Number(process.exitCode ?? 0));
      // The loop turns once more, and whatever was started shows; a timer may be over before the next look.
      setImmediate(() => {
        asked &&= !hasOwnTimers();
      });
    }
  };
  checked(native().onRest(look), 'watching the event loop');
}
