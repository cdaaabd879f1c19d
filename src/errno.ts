import { constants } from 'node:os';

const { errno } = constants;

// As native calls report them: negative.
export const EPERM = -errno.EPERM;
export const ENOENT = -errno.ENOENT;
export const ESRCH = -errno.ESRCH;
export const ECHILD = -errno.ECHILD;
export const EAGAIN = -errno.EAGAIN;
export const ENOMEM = -errno.ENOMEM;
export const EACCES = -errno.EACCES;
export const EEXIST = -errno.EEXIST;
export const EFBIG = -errno.EFBIG;
export const ESTALE = -errno.ESTALE;
export const EMFILE = -errno.EMFILE;
export const EPIPE = -errno.EPIPE;
export const ECONNRESET = -errno.ECONNRESET;
