import { runAfterForkInParent } from '../../after-fork.js';
import { EAGAIN } from '../../errno.js';
import { checked, ForkUnsafeError, type Reasons, wrongType } from '../../errors.js';
import { native } from '../../native.js';
import { checkObject } from '../../options.js';
import { checkPidfds } from '../child/pidfd.js';
import { adoptForked } from '../child/waitpid.js';
import { beginRound } from './at-fork.js';
import { goOnAsChild } from './go-on.js';
import { precompile } from './precompile.js';
import { findAhead } from './random.js';
import { runsAlone, whyNoFork } from './why-no-fork.js';

export interface ForkOptions {
  /**
   * Sockets and servers of `node:net`, `node:http`, `node:dgram` and the like, or descriptors, that go on in the child.
   * Sockets that listen do anyway. Both processes then have them: say in your program which one uses which.
   */
  keep?: readonly unknown[] | undefined;
}

/** Beyond it the addon would see another number. */
const MOST_FD = 2 ** 31 - 1;
const isFd = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST_FD;

function descriptorOf(value: unknown, what: string): number {
  if (isFd(value)) return value;
  const fd = (value as { _handle?: { fd?: unknown } } | null)?._handle?.fd ?? (value as { fd?: unknown } | null)?.fd;
  if (!isFd(fd)) throw wrongType(what, 'an open socket or server, or a descriptor', value);
  return fd;
}

export interface Forked {
  /** 0: this is the child. */
  pid: number;
  pidfd: number;
}

const REASONS: Reasons = {
  EAGAIN: 'a limit on processes or threads was reached (RLIMIT_NPROC, a cgroup)',
  ETIMEDOUT: 'the child was not ready in time, and was ended',
};

const made = new Int32Array(1);

export function callFork(descriptors: readonly number[], listening: boolean): Forked {
  const reason = whyNoFork();
  if (reason !== undefined) throw new ForkUnsafeError(reason);
  checkPidfds();
  precompile();
  findAhead();
  const hooks = beginRound();
  let pid = -1;
  try {
    pid = native().fork(Int32Array.from(descriptors), listening, !runsAlone(), made);
    const refusal = pid === EAGAIN ? native().forkRefusal() : '';
    if (refusal !== '') throw new ForkUnsafeError(refusal);
    if (checked(pid, 'fork()', REASONS) > 0) runAfterForkInParent();
  } finally {
    if (pid !== 0) hooks.inParent();
  }
  return { pid, pidfd: made[0]! };
}

/**
 * fork(2): called once, returns twice. In the parent the child's pid, in the child 0; both go on behind this call.
 *
 * - **The child** has a copy of all memory, the main thread, and V8's helper threads (a Solaris `forkall(2)` for these,
 *   a `fork1` for everything else: libuv's pool starts anew when it is used). What was settled in this turn of the event
 *   loop happens in both: ticks, promises. Handlers of `process` are copied: they run in both.
 * - **The parent's** are the timers and immediates that keep a process alive, connections, pending calls, watchers,
 *   workers, child processes and the IPC channel: in the child nothing of them is called, nor keeps it alive. Sockets
 *   that listen go on in both, and what `keep` names. Descriptors are shared with their positions in the files.
 * - **Locks** that the parent holds stay the parent's; so do its pending waits. The child holds nothing, so what only an owner
 *   may release (an RLock, a side of an RWLock) it cannot release; a Lock, as any process may, it can. forklock's objects are
 *   the same ones in both.
 * - **Put right in the child**: `process.pid`, `Math.random`, what `node:crypto` has made ahead.
 * - **The end of the child**: it leaves by `_exit(2)`, after its `'exit'` handlers. The parent's event loop reaps it, and
 *   its status is kept for one `waitpid` or `waitpidAsync`; while the loop is blocked it is a zombie. It does not keep the
 *   parent alive, and lives on when the parent ends.
 * - **Time**: it blocks the thread until each helper thread has been seen asleep, for a second at the most, and until the
 *   child has put its own things in order. Page tables are copied, so it takes longer the larger the process is.
 *
 * Errors, after which there is no child: `ERR_FORKLOCK_FORK_UNSAFE`, whose `reason` says what stands in the way: worker
 * threads, the inspector, a thread that never slept in that second, an unknown machine or C library, what was thrown, or
 * has ended the child, when it was set up (it has not gone on with the program); `ERR_FORKLOCK_SYSTEM`, of fork(2) and what
 * the child takes; `ERR_FORKLOCK_INVALID_ARG_TYPE` for `options` that are no object, and for what `keep` has besides open
 * sockets, servers and descriptors.
 *
 * Functions that `registerAtFork` was given run around it. What is whose, and the limits: docs/processes.md.
 */
export function fork(options: ForkOptions = {}): number {
  const { keep = [] } = checkObject(options, 'options') as ForkOptions;
  if (!Array.isArray(keep)) throw wrongType('options.keep', 'an array', keep);
  const descriptors = Array.from(keep, (value, i) => descriptorOf(value, `options.keep[${i}]`)); // also what is missing in it
  const forked = callFork(descriptors, true);
  if (forked.pid === 0) goOnAsChild();
  else adoptForked(forked);
  return forked.pid;
}
