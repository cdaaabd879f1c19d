import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ForklockError } from './errors.js';
import { VERSION } from './version.js';

/** What the node of a fork server or of a spawned process runs. */
export const PROGRAM = 'program.mjs';

/** The program's main file, as it was called when this was loaded. */
const main: unknown = process.argv[1];

/** A single executable (SEA) runs its own program, whatever arguments it gets. */
export function isSingleExecutable(): boolean {
  const sea = process.getBuiltinModule('node:sea' as 'node:module') as unknown as { isSea(): boolean } | undefined;
  return sea?.isSea() === true;
}

/** A URL or path of a file, as the path of what is there. */
function existing(file: unknown): string | undefined {
  if (typeof file !== 'string') return undefined;
  try {
    const path = file.startsWith('file:') ? fileURLToPath(file) : file;
    return isAbsolute(path) ? realpathSync(path) && path : undefined;
  } catch {
    return undefined;
  }
}

/** Of this module, as the loader says: a bundler may have made that the file of before, or nothing. */
const fileOfModule = (): string | undefined => existing(import.meta.url);

/** In which this code really is. */
export function fileOfScript(): string | undefined {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_, [site]) => site?.getFileName();
    return existing(new Error().stack);
  } catch {
    return undefined; // Error is frozen
  } finally {
    Reflect.set(Error, 'prepareStackTrace', prepareStackTrace);
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}

function places(): string[] {
  const files = [fileOfModule(), fileOfScript(), existing(main), isSingleExecutable() ? process.execPath : undefined];
  return [...new Set(files.filter((file) => file !== undefined))];
}

/**
 * Folders that may be that of the package. Its code may have been put into a bundle, and so be elsewhere: then that is
 * where `require('forklock')` would find it from there, or beside the bundle.
 */
function folders(): string[] {
  const some = places().flatMap((file) => {
    const folder = dirname(file);
    const real = dirname(realpathSync(file));
    return [dirname(folder), installed(file), folder, join(folder, 'forklock'), dirname(real), real];
  });
  return [...new Set(some)].filter((folder) => folder !== undefined && isOfThisVersion(folder)) as string[];
}

function installed(from: string): string | undefined {
  try {
    return dirname(process.getBuiltinModule('node:module').createRequire(from).resolve('forklock/package.json'));
  } catch {
    return undefined;
  }
}

/** Parts of another version would not understand each other. Where only some files were copied, nothing says which. */
function isOfThisVersion(folder: string): boolean {
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return name !== 'forklock' || version === VERSION;
  } catch {
    return true;
  }
}

/** Whether this code is in a bundle. */
function isBundled(): boolean {
  const file = fileOfScript() ?? fileOfModule();
  return (
    file === undefined || !existsSync(join(dirname(file), PROGRAM)) || !/^(forklock|shared)\./.test(basename(file))
  );
}

export function bundled(missing: string): ForklockError {
  return new ForklockError(
    'ERR_FORKLOCK_BUNDLED',
    `forklock was put into a bundle, ${places()[0] ?? 'which has no file'}, and from there its ${missing} was not found. ${
      isSingleExecutable()
        ? 'Its folder has to be copied beside the executable, as forklock/'
        : "It has to be external (external: ['forklock'] in the options of esbuild, rollup, webpack) and installed, or its folder has to be copied beside the bundle, as forklock/"
    }`,
  );
}

let program: string | undefined;

/** The file of the program. Error: `ERR_FORKLOCK_BUNDLED`. */
export function programFile(): string {
  program ??= folders()
    .flatMap((folder) => [join(folder, 'dist', PROGRAM), join(folder, PROGRAM)])
    .find(existsSync);
  if (program === undefined) throw bundled(`program (dist/${PROGRAM})`);
  return program;
}

/** Files of the addon, the best first; and where they were looked for. */
export function addonFiles(): { files: string[]; folders: string[]; isBundled: boolean } {
  const all = folders();
  const files = all.flatMap((folder) => [
    join(folder, 'build/Release/forklock.node'),
    ...prebuilt(join(folder, 'prebuilds', `${process.platform}-${process.arch}`)),
    join(folder, 'forklock.node'),
  ]);
  return { files: files.filter((file) => existsSync(file)), folders: all, isBundled: isBundled() };
}

function prebuilt(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.node'))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}
