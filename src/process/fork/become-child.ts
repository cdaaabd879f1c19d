import { afterForkInChild, runAfterFork } from '../../after-fork.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';
import { leaveAtTheEnd } from './child-end.js';
import { letExitEnd } from './exit-ends.js';
import { dropBuffered } from './output.js';
import { renewCrypto, renewMath } from './random.js';
import { silenceRequests } from './silence.js';

/** The IPC channel to whoever started the parent with `child_process.fork` is the parent's. */
function dropChannel(of: NodeJS.Process): void {
  for (const [key, value] of [['send'], ['disconnect'], ['channel'], ['connected', false]] as const) {
    Object.defineProperty(of, key, { value, writable: true, configurable: true, enumerable: true });
  }
}

function putRight(of: NodeJS.Process): void {
  const pid = { value: native().getpid(), writable: false, configurable: true, enumerable: true };
  Object.defineProperty(of, 'pid', pid);
  if (of.send !== undefined) dropChannel(of);
  letExitEnd(of);
}

// Whichever instance of the package has forked: what there is one of in each context, where `process` may be a copy.
afterForkInChild((dryRun) => {
  if (dryRun) return;
  renewMath(Math);
  const copy = globalThis.process as NodeJS.Process | undefined;
  if (copy && copy !== process) putRight(copy);
});

/** Forked children leave as this says; a child of a child has it already. */
let leaves = false;

export interface Becoming {
  /** This is not a child, and nothing changes. */
  dryRun?: boolean;
  /** What the parent has made of the end of its process is forgotten. */
  anew?: boolean;
}

/** Everything that a fork leaves wrong in JavaScript. */
export function becomeChild({ dryRun = false, anew = false }: Becoming = {}): void {
  if (!dryRun) {
    putRight(process);
    if (!leaves || anew) leaveAtTheEnd();
    leaves = true;
    renewCrypto();
    if (native().leftOutput()) dropBuffered();
  }
  if (dryRun || native().leftRequests()) silenceRequests(dryRun);
  runAfterFork(dryRun);
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
