import { afterForkInChild } from '../../after-fork.js';
import { ForklockError } from '../../errors.js';
import { checkInteger, checkObject, checkTimeout, checkWaitOptions, type WaitOptions } from '../../options.js';
import { process } from '../../thread.js';
import { OwnChild } from './child.js';

/** How a process ended, as the 'exit' event of node:child_process has it: one of the two is null. */
export interface ExitStatus {
  pid: number;
  exitCode: number | null;
  signal: NodeJS.Signals | null;
}

export interface WaitpidOptions {
  /** Milliseconds. `undefined` or `Infinity`: for ever. `0` or less: one look. */
  timeout?: number | undefined;
}

/** How many statuses that nobody has asked for are kept. */
const MOST_KEPT = 1024;
const MAX_PID = 2 ** 22; // PID_MAX_LIMIT of the kernel

/** The children of fork() whose status nobody has asked for, oldest first. */
const forked = new Map<number, OwnChild>();
/** Those of them that have ended. */
let ended = new Set<number>();

// A forked child has its parent's children as siblings.
afterForkInChild((dryRun) => {
  if (dryRun) return;
  for (const child of forked.values()) child.close();
  forked.clear();
  ended = new Set();
});

/** From here on the child of a fork() is reaped when it ends, and `waitpid` knows it. It does not keep the event loop alive. */
export function adoptForked({ pid, pidfd }: { pid: number; pidfd: number }): void {
  const child = new OwnChild(pid, pidfd, []);
  forked.get(pid)?.close(); // ended long ago: its pid was given out again
  forked.delete(pid);
  ended.delete(pid);
  forked.set(pid, child);
  child.whenOver(() => {
    if (forked.get(pid) !== child) return;
    ended.add(pid);
    if (ended.size <= MOST_KEPT) return;
    const [oldest] = ended;
    ended.delete(oldest!);
    forked.delete(oldest!);
  });
}

/**
 * Blocks the thread until a child made by `fork()` has ended, and says how; undefined when `timeout` ms have passed.
 * The status is there once: afterwards the pid may belong to somebody else. Other waits for the same child that are
 * under way get it too.
 *
 * Errors: `ERR_FORKLOCK_NOT_CHILD` for a process that this one has not made by `fork()`, or whose status was asked for
 * (or was dropped: the last 1,024 are kept).
 */
export function waitpid(pid: number, options?: { timeout?: undefined }): ExitStatus;
export function waitpid(pid: number, options?: WaitpidOptions): ExitStatus | undefined;
export function waitpid(pid: number, options: WaitpidOptions = {}): ExitStatus | undefined {
  const { timeout } = checkObject(options, 'options') as WaitpidOptions;
  const ms = checkTimeout(timeout);
  const child = childOf(pid);
  return child.wait(ms) ? statusOf(child) : undefined;
}

/** As `waitpid`, without blocking. Rejects with `signal.reason` on abort. It keeps the event loop alive while it waits. */
export function waitpidAsync(pid: number, options?: { timeout?: undefined; signal?: AbortSignal }): Promise<ExitStatus>;
export function waitpidAsync(pid: number, options?: WaitOptions): Promise<ExitStatus | undefined>;
export async function waitpidAsync(pid: number, options?: WaitOptions): Promise<ExitStatus | undefined> {
  const wait = checkWaitOptions(options);
  const child = childOf(pid);
  return (await child.waitAsync(wait)) ? statusOf(child) : undefined;
}

function childOf(pid: unknown): OwnChild {
  const child = forked.get(checkInteger(pid, 'pid', 1, MAX_PID));
  if (!child) {
    throw new ForklockError(
      'ERR_FORKLOCK_NOT_CHILD',
      `process ${pid} is not a child that this process made by fork(), or its status has been asked for already`,
    );
  }
  return child;
}

function statusOf(child: OwnChild): ExitStatus {
  const { pid, exitCode } = child;
  if (forked.get(pid) === child) {
    forked.delete(pid);
    ended.delete(pid);
  }
  return exitCode! >= 0 ? { pid, exitCode, signal: null } : { pid, exitCode: null, signal: signalName(-exitCode!) };
}

function signalName(number: number): NodeJS.Signals {
  const { signals } = process.getBuiltinModule('node:os').constants;
  const found = Object.entries(signals).find(([, value]) => value === number);
  return (found?.[0] ?? `SIG${number}`) as NodeJS.Signals; // real-time signals have no names here
}
