import { outOfRange, wrongType } from '../errors.js';

/** Where named objects are: one directory a user, so that nobody else can plant or read files there. */
export function namedDirectory(): string {
  return `/dev/shm/forklock-${process.geteuid?.() ?? 0}`;
}

export function ensureNamedDirectory(): string {
  const path = namedDirectory();
  try {
    process.getBuiltinModule('node:fs').mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return path; // whose it is, and who may write to it, the addon checks on the descriptor that it opens
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
