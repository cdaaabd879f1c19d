import { outOfRange, type Reasons, SystemError, wrongType } from '../errors.js';
import { process } from '../thread.js';

/** Where named objects are: one directory a user, so that nobody else can plant or read files there. */
export function namedDirectory(): string {
  return `/dev/shm/forklock-${process.geteuid?.() ?? 0}`;
}

/** Of the directory and of files in it. */
export const FILE_REASONS: Reasons = {
  EPERM: 'not allowed: the directory or file belongs to somebody else, or others may read or write it',
  ENOENT: 'there is no such directory (is /dev/shm mounted?)',
  ENOTDIR: 'the directory is a file or a link',
  EACCES: 'permission denied: the directory or file belongs to somebody else, or its mode forbids it',
  ENOSPC: 'no space left (is /dev/shm full?)',
  EROFS: 'the file system is read-only (is /dev/shm mounted so?)',
  EOPNOTSUPP: 'this file system cannot have files without a name (is /dev/shm no tmpfs?)',
  EFBIG: 'a limit on the size of files (RLIMIT_FSIZE) was reached',
  EBADMSG: 'not a forklock segment of this version and libc',
};

/** Errors: `ERR_FORKLOCK_SYSTEM`, where it is missing and cannot be made. */
export function ensureNamedDirectory(): string {
  const path = namedDirectory();
  try {
    process.getBuiltinModule('node:fs').mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw new SystemError(`making the directory ${path}`, errno!, FILE_REASONS);
  }
  return path; // whose it is, and who may write to it, the addon checks on the descriptor that it opens
}

/** Why nothing is found under the name of a handle, which something had. */
export function whyNoName(): string {
  return process.getBuiltinModule('node:fs').existsSync('/dev/shm')
    ? 'its name was unlinked, or is in another /dev/shm (of a container)'
    : 'there is no /dev/shm here';
}

const MAX_FILE_NAME = 255;

export function checkName(name: unknown): string {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name);
  if (name === '') throw outOfRange('name', 'at least one character', name);
  if (!name.isWellFormed()) throw outOfRange('name', 'well-formed Unicode', name);
  if (fileName(name).length > MAX_FILE_NAME) {
    throw outOfRange('name', `at most ${MAX_FILE_NAME} characters once it is percent-encoded`, name);
  }
  return name;
}

/** One file name for each name: percent-encoded, so it has no slash, no NUL, and no leading dot to climb with. */
export function fileName(name: string): string {
  return encodeURIComponent(name).replace(/^\./, '%2E');
}

export function nameOfFile(file: string): string | undefined {
  try {
    const name = decodeURIComponent(file);
    return fileName(name) === file ? name : undefined;
  } catch {
    return undefined;
  }
}
