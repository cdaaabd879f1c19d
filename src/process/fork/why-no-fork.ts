import { isSingleExecutable } from '../../home.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';
import { hasOption } from '../node/options.js';

/** V8 then does all of its work on the main thread, and one helper thread that never gets any cannot be missed. */
export const ALONE = ['--single-threaded', '--v8-pool-size=1'];

/** Of which a single executable has none. */
const OTHER_METHODS = isSingleExecutable() ? '' : ': use the start method forkserver or spawn';

let alone: boolean | undefined;

/** Started so that a fork need not carry any threads over. The program may change what says so, but not that. */
export function runsAlone(): boolean {
  alone ??= ALONE.every(hasOption);
  return alone;
}

/**
 * Why `fork()` cannot work in this process, as far as that can be said before trying; `undefined` when it can.
 * Worker threads, and threads that never sleep, are found at the fork itself.
 */
export function whyNoFork(): string | undefined {
  if (process.platform !== 'linux') return `it is built for Linux, and this is ${process.platform}`;
  if (!process.getBuiltinModule('node:worker_threads').isMainThread) {
    return 'a worker thread cannot fork, because the other threads of its process would be missing in the child: call it from the main thread, or start a Process by the fork server or by spawn';
  }
  if ((process.features as { inspector?: boolean }).inspector && process.getBuiltinModule('node:inspector').url()) {
    return 'the inspector is active, and its thread would listen on the same port in the child: call inspector.close(), or start node without --inspect';
  }
  const reason = runsAlone() ? '' : native().whyNoFork();
  return reason === ''
    ? undefined
    : `${reason}. Start node with ${ALONE.join(' ')} to fork without carrying threads over`;
}

/** Why no process can be started by forking this one, as far as it can be said before. */
export function whyNoStart(): string | undefined {
  const reason = whyNoFork();
  if (reason !== undefined) return reason;
  if (!native().canLeaveCalls()) {
    return `this build of Node hides functions of V8, and without them the child cannot leave the code that called start()${OTHER_METHODS}`;
  }
  const { permission } = process as { permission?: { has(scope: string): boolean } };
  if (permission?.has('inspector') === false) {
    return `the child has to end the JavaScript that called start(), as the inspector can, and what the inspector can the permission model does not allow: start node with --allow-inspector, where it has that option${OTHER_METHODS.replace(':', ', or')}`;
  }
  return undefined;
}
