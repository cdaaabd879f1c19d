import { ECHILD } from '../../errno.js';
import { checked, type Reasons, reasonsOfRefused, SystemError } from '../../errors.js';
import { native } from '../../native.js';

/** The oldest kernel that can do with pidfds all that processes and `fork()` take: waiting for one was the last to come. */
const SINCE = '5.4';

const OPENING = reasonsOfRefused('pidfd_open', SINCE);
const SIGNALLING = reasonsOfRefused('pidfd_send_signal', SINCE);
const WAITING: Reasons = { EINVAL: `waitid takes no pidfd: that needs Linux ${SINCE} or newer` };

/** Error: `ERR_FORKLOCK_SYSTEM`. */
export function openPidfd(pid: number): number {
  return checked(native().pidfdOpen(pid), `opening a pidfd of process ${pid}`, OPENING);
}

let usable = false;

/** Asked before a process is made that nobody could follow. Error: `ERR_FORKLOCK_SYSTEM`, where the kernel lacks something. */
export function checkPidfds(): void {
  if (usable) return;
  const pidfd = openPidfd(native().getpid());
  try {
    checked(native().pidfdSignal(pidfd, 0), 'asking for a process by its pidfd', SIGNALLING);
    const status = native().exitStatus(pidfd, false);
    if (status !== ECHILD) throw new SystemError('asking for the end of a process by its pidfd', status, WAITING);
  } finally {
    native().closeDescriptor(pidfd);
  }
  usable = true;
}
