import { afterForkInChild } from '../../after-fork.js';
import { native } from '../../native.js';

/**
 * Milliseconds of the longest uninterrupted native sleep: `worker.terminate()` cannot end a native call, only the
 * JavaScript between two.
 */
const SLICE = 20;

/** What the event loop watches, and whom to call when it is readable. */
const callbacks = new Map<number, () => void>();
let listening = false;

// The child of a fork has the parent's watches; what they watch is the parent's business.
afterForkInChild((dryRun) => {
  if (dryRun) return;
  for (const fd of [...callbacks.keys()]) unwatch(fd);
});

/** Calls back from the event loop as long as the descriptor is readable. `keepsAlive`: as a timer keeps a loop alive. */
export function watch(fd: number, keepsAlive: boolean, callback: () => void): number {
  if (!listening) {
    const failed = native().onReadable((readable) => callbacks.get(readable)?.());
    if (failed < 0) return failed;
    listening = true;
  }
  const result = native().watch(fd, keepsAlive);
  if (result === 0) callbacks.set(fd, callback);
  return result;
}

export function keepWatch(fd: number, keepsAlive: boolean): void {
  if (callbacks.has(fd)) native().keepWatch(fd, keepsAlive);
}

export function unwatch(fd: number): void {
  if (callbacks.delete(fd)) native().unwatch(fd);
}

export function isReadable(fd: number): boolean {
  return native().pollOne(fd, 0) === 1;
}

/** A function of its own: V8 checks for termination where a function is entered. */
function sleep(fds: readonly number[], ms: number): void {
  const n =
    fds.length === 1
      ? native().pollOne(fds[0]!, ms)
      : native().poll(Int32Array.from(fds), new Uint8Array(fds.length), ms);
  if (n < 0) nap(); // more than RLIMIT_NOFILE, or no memory: look after a moment
}

/** A millisecond, where there is nothing to wait for that could be watched. */
export function nap(): void {
  native().poll(new Int32Array(0), new Uint8Array(0), 1);
}

/**
 * Blocks the thread until `look` says yes (true), or `timeout` ms have passed (false). It looks whenever one of the
 * descriptors is readable.
 */
export function blockUntil(look: () => boolean, descriptors: () => readonly number[], timeout: number): boolean {
  if (look()) return true;
  const deadline = performance.now() + timeout;
  for (let left = timeout; left > 0; left = deadline - performance.now()) {
    sleep(descriptors(), Math.ceil(Math.min(left, SLICE)));
    if (look()) return true;
  }
  return false;
}
