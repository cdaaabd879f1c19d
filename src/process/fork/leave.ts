import { native } from '../../native.js';
import { checkInteger } from '../../options.js';

const MOST = 2 ** 31 - 1;

/**
 * Ends the process at once, with this exit code modulo 256: no handlers of `'exit'`, no `finally`, and what standard
 * output has queued for a pipe is not written. Python's `os._exit`. In a worker thread too it is the process that ends.
 * Others are told of the locks that it holds, as they are however it ends.
 *
 * Errors: `ERR_FORKLOCK_INVALID_ARG_TYPE`, `ERR_FORKLOCK_OUT_OF_RANGE` for what is no integer of 32 bits; it goes on then.
 */
export function _exit(code = 0): never {
  return native().leaveProcess(checkInteger(code, 'code', -MOST - 1, MOST) & 0xff);
}
