import { realpathSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { hasOption } from '../node/options.js';

/** As they were when this was loaded: a program may change both. */
const file: unknown = process.argv[1];
const folder = currentFolder();

function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return '/'; // it is gone
  }
}

let known: string | undefined;

/**
 * The file of the program's main module, from which names of packages are looked up; in a child of forklock that of its
 * parent. A program that has none (`node -e`, standard input) is as if it were in the working directory.
 */
export function mainModule(): string {
  known ??= find();
  return known;
}

export function setMainModule(main: string): void {
  known = main;
}

function find(): string {
  const isEvaluated = (process as { _eval?: string })._eval !== undefined;
  if (isEvaluated || typeof file !== 'string' || !isAbsolute(file)) return join(folder, '[eval]');
  try {
    const path = process.getBuiltinModule('node:module').createRequire('/').resolve(file); // `node .`, and without an extension
    return hasOption('--preserve-symlinks-main') ? path : realpathSync(path);
  } catch {
    return file;
  }
}
