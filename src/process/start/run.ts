import { writeSync } from 'node:fs';
import { constants } from 'node:os';
import { inspect } from 'node:util';
import { checked, SystemError } from '../../errors.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';
import { isReadable } from '../child/descriptors.js';
import { NEVER_RAN } from '../self/program.js';
import { type Parent, self } from '../self/self.js';

/** The exit code of a target whose promise nothing can settle any more, as node has for its main module. */
const UNSETTLED = 13;

/** A daemon ends when its parent does, in whatever way. `tied`: it was made by the parent's main thread itself. */
export function endWithParent({ pidfd }: Parent, tied: boolean): void {
  // The kernel's signal comes even when this process is stopped, but also when the thread ends that made it: the main
  // thread ends with its process. If it has ended before this call, nothing comes: hence the second.
  if (tied) native().signalAtEndOfParent(constants.signals.SIGKILL);
  const failed = native().dieWith(pidfd);
  if (failed < 0 && !tied) endWithError(new SystemError('watching the parent of a daemon', failed)); // else the kernel does it
  if (isReadable(pidfd)) process.kill(process.pid, 'SIGKILL');
}

/**
 * /dev/null for its standard input, as Python: children of a terminal do not compete for what is typed. And for an output
 * that the parent has closed, which else would be the next file that is opened.
 */
export function closeStdin(): void {
  checked(native().closeInput(), 'opening /dev/null');
  for (const fd of [1, 2]) if (!native().isOpen(fd)) checked(native().redirect(0, fd), 'opening /dev/null');
}

/** Prints an error of the child's program, and ends with exit code 1. Exit handlers run. */
export function endWithError(error: unknown): never {
  const text = `Process ${self().name}:\n${textOf(error)}\n`;
  try {
    process.stderr.write(text);
  } catch {
    writeSync(2, text); // the program has put something there that does not work
  } finally {
    process.exit(1);
  }
}

/** Also of what cannot be looked at: a `stack`, or an `inspect.custom`, that throws. */
function textOf(error: unknown): string {
  for (const show of [inspect, String]) {
    try {
      return show(error);
    } catch {}
  }
  return 'something was thrown that cannot be printed';
}

let isImporting = false;

/**
 * Imports the module of this process's target: if the process ends meanwhile, it has failed, whatever exit code was given.
 * `because`: why nothing might settle that.
 */
export async function importing<T>(imported: () => Promise<T>, because = ''): Promise<T> {
  const unsettled = (): void => {
    if (process.exitCode !== undefined) return;
    process.stderr.write(`Process ${self().name}: nothing can settle the import of its target any more${because}\n`);
    process.exitCode = UNSETTLED;
  };
  const ended = (code: number): void => {
    if (code !== 0) return;
    process.stderr.write(
      `Process ${self().name}: its target was not called, as the import of that ended the process\n`,
    );
    process.exitCode = NEVER_RAN;
  };
  process.once('beforeExit', unsettled);
  process.once('exit', ended);
  isImporting = true;
  try {
    return await imported();
  } finally {
    isImporting = false;
    process.off('beforeExit', unsettled);
    process.off('exit', ended);
  }
}

/** A process, as far as it runs. */
export interface Runnable {
  run(): unknown;
}

/** Runs the target in the child. The process ends when that is done and nothing else keeps its event loop alive. */
export async function runHere(instance: Runnable): Promise<void> {
  const unsettled = (): void => {
    if (isImporting) return;
    process.stderr.write(`Process ${self().name}: nothing can settle the promise of its target any more\n`);
    process.exitCode ??= UNSETTLED;
  };
  process.once('beforeExit', unsettled);
  try {
    await instance.run();
  } catch (error) {
    endWithError(error);
  }
  process.off('beforeExit', unsettled);
}
