import { runAfterFork } from '../after-fork.js';
import { native } from '../native.js';
import { leaveAtTheEnd } from './child-end.js';
import { dropBuffered } from './output.js';
import { renewRandomness } from './random.js';
import { silenceRequests } from './silence.js';

/** The IPC channel to whoever started the parent with `child_process.fork` is the parent's. */
function dropChannel(): void {
  if (process.send === undefined) return;
  for (const [key, value] of [['send'], ['disconnect'], ['channel'], ['connected', false]] as const) {
    Object.defineProperty(process, key, { value, writable: true, configurable: true, enumerable: true });
  }
}

/** Forked children leave as this says; a child of a child has it already. */
let leaves = false;

/** Everything that a fork leaves wrong in JavaScript. */
export function becomeChild(): void {
  Object.defineProperty(process, 'pid', {
    value: native().getpid(),
    writable: false,
    configurable: true,
    enumerable: true,
  });
  if (!leaves) leaveAtTheEnd();
  leaves = true;
  renewRandomness();
  dropChannel();
  silenceRequests();
  if (native().leftOutput()) dropBuffered();
  runAfterFork();
}
