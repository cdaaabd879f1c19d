import { runAfterFork } from '../after-fork.js';
import { native } from '../native.js';
import { leaveAtTheEnd } from './child-end.js';
import { dropBuffered } from './output.js';
import { renewRandomness } from './random.js';
import { silenceRequests } from './silence.js';

/** The IPC channel to whoever started the parent with `child_process.fork` is the parent's. */
function dropChannel(): void {
  for (const [key, value] of [['send'], ['disconnect'], ['channel'], ['connected', false]] as const) {
    Object.defineProperty(process, key, { value, writable: true, configurable: true, enumerable: true });
  }
}

/** Forked children leave as this says; a child of a child has it already. */
let leaves = false;

export interface Becoming {
  /** This is not a child, and nothing changes. */
  rehearsing?: boolean;
  /** What the parent has made of the end of its process is forgotten. */
  anew?: boolean;
}

/** Everything that a fork leaves wrong in JavaScript. */
export function becomeChild({ rehearsing = false, anew = false }: Becoming = {}): void {
  if (!rehearsing) {
    Object.defineProperty(process, 'pid', {
      value: native().getpid(),
      writable: false,
      configurable: true,
      enumerable: true,
    });
    if (!leaves || anew) leaveAtTheEnd();
    leaves = true;
    renewRandomness();
    if (process.send !== undefined) dropChannel();
    if (native().leftOutput()) dropBuffered();
  }
  if (rehearsing || native().leftRequests()) silenceRequests(rehearsing);
  runAfterFork(rehearsing);
}

/**
 * The steps between the two returns of the system call, in the child. A failure is the parent's error, and nobody who
 * called this is told here: the child must not go on with its parent's program.
 */
export function setUpChild<T>(steps: () => T): T {
  try {
    return steps();
  } catch (error) {
    return native().childGivesUp(`the child could not be set up: ${textOf(error)}`);
  }
}

function textOf(error: unknown): string {
  try {
    return String(error);
  } catch {
    return 'an error that cannot be printed';
  }
}
