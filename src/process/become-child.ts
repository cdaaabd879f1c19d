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

/** Everything that a fork leaves wrong in JavaScript. `rehearsing`: this is not a child, and nothing changes. */
export function becomeChild(rehearsing = false): void {
  if (!rehearsing) {
    Object.defineProperty(process, 'pid', {
      value: native().getpid(),
      writable: false,
      configurable: true,
      enumerable: true,
    });
    if (!leaves) leaveAtTheEnd();
    leaves = true;
    renewRandomness();
    if (process.send !== undefined) dropChannel();
    if (native().leftOutput()) dropBuffered();
  }
  if (rehearsing || native().leftRequests()) silenceRequests(rehearsing);
  runAfterFork(rehearsing);
}

/** The steps between the two returns of the system call, in the child. A failure is the parent's error. */
export function prepareChild(steps: () => void): void {
  try {
    steps();
  } catch (error) {
    process.stderr.write(`forklock: the child of a fork could not be set up: ${(error as Error)?.stack}\n`);
    native().leaveProcess(127);
  }
  native().childIsReady();
}
