import { onExit } from '../after-fork.js';
import { SystemError } from '../errors.js';
import { process } from '../thread.js';
import { nap } from './child/descriptors.js';
import { endServers } from './server/client.js';

/** How long daemons may take to end by themselves when their parent ends, in ms. */
const GRACE = 1000;

/** A child, as the end of its parent sees it. */
interface Running {
  readonly daemon: boolean;
  isAlive(): boolean;
  terminate(): void;
  kill(): void;
}

/**
 * Daemons end with the process that started them, however that ends. Here it ends by itself: they get a SIGTERM, and a
 * moment for their own handlers. What is left then, SIGKILL ends.
 */
export function endChildren(children: Iterable<Running>): void {
  // In the child of a fork there are none: its parent's were forgotten.
  const daemons = [...children].filter((child) => child.daemon && child.isAlive());
  for (const child of daemons) tell(() => child.terminate());
  const deadline = performance.now() + GRACE;
  const some = (): boolean => daemons.some((child) => child.isAlive());
  while (some() && performance.now() < deadline) nap(); // until all have ended, or their time is up
  for (const child of daemons) tell(() => child.kill());
  endServers();
}

/** Calls back once at the end of this process, however often it is asked to. (A worker that ends is no process.) */
export function atEndOfProcess(callback: () => void): void {
  if (process.getBuiltinModule('node:worker_threads').isMainThread) onExit(callback);
}

/** A process that has given up root may not send a signal to what it started before. That sees its end all the same. */
function tell(send: () => void): void {
  try {
    send();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
