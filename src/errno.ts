import { constants } from 'node:os';

const { errno } = constants;

// As native calls report them: negative.
export const ENOENT = -errno.ENOENT;
export const ESRCH = -errno.ESRCH;
export const ECHILD = -errno.ECHILD;
export const EAGAIN = -errno.EAGAIN;
export const ENOMEM = -errno.ENOMEM;
export const EEXIST = -errno.EEXIST;
export const EPIPE = -errno.EPIPE;
export const ECONNRESET = -errno.ECONNRESET;
