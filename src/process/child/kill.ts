import { constants } from 'node:os';
import { EAGAIN } from '../../errno.js';
import { native } from '../../native.js';
import { blockUntil } from './descriptors.js';

/** Ends a child of this process, if it has not ended, and reaps it. `patience`: how long to wait for its end, in ms. */
export function killChild(pidfd: number, patience = Number.POSITIVE_INFINITY): void {
  native().pidfdSignal(pidfd, constants.signals.SIGKILL);
  blockUntil(
    () => native().exitStatus(pidfd, true) !== EAGAIN,
    () => [pidfd], // until the kernel has ended it
    patience,
  );
}
