import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { TargetError } from '../../errors.js';
import { programFile } from '../../home.js';
import { hasLoaders, importModule, load, moduleRequire } from './target.js';

/** What Node's loader calls a module of V8, as it hangs on the `Module` by which it has been required. */
interface Wrap {
  getStatus(): number;
  getNamespace(): Record<string, unknown>;
}

/** V8's status of a module whose evaluation has begun; those above it: evaluated (or at an `await`), and failed. */
const EVALUATING = 3;

/** What is true of what `import()` cannot give here, unless the module itself is to blame. */
export const WHEN_UNFINISHED =
  ": its parent was loading it when it was forked, and nobody goes on with that here. Give the function itself as the target, which start method 'fork' takes, or start the process later";

/**
 * As `importModule`, in the child of a fork: a module that the parent was evaluating then, as far as that had come. Nobody
 * goes on with it here, so `import()` waits for ever, or rejects with the null that is left where V8 has ended it.
 */
export async function importInFork(url: string): Promise<Record<string, unknown>> {
  const path = /^file:[^?#]*$/.test(url) ? fileURLToPath(url) : undefined;
  const unfinished = path === undefined ? undefined : (ofRequired(path) ?? ofImported(path));
  if (unfinished) return unfinished;
  try {
    return await importModule(url);
  } catch (error) {
    throw error === null ? new TargetError(`${url} cannot be imported${WHEN_UNFINISHED}`) : error;
  }
}

let warm = false;

/** In a parent, before it forks a child that imports its target: it may have imported few modules this way, or long ago. */
export function warmUpImport(): void {
  if (warm || hasLoaders) return; // import() would still be at it at the fork
  warm = true;
  const file = join(dirname(programFile()), 'warm-fork.mjs');
  if (!existsSync(file)) return;
  void load({ module: pathToFileURL(file).href, name: 'nothing' }, importInFork).catch(() => {});
}

/** Of what `require` is loading. */
function ofRequired(path: string): Record<string, unknown> | undefined {
  const module = moduleRequire().cache[path];
  if (!module || module.loaded) return undefined;
  return wrapOf(module) ? begun(module) : { default: module.exports };
}

/** An ES module; one that is new to this process is evaluated, as whether it is can be told only by trying. */
function ofImported(path: string): Record<string, unknown> | undefined {
  if (!isModule(path)) return undefined;
  const { Module } = process.getBuiltinModule('node:module');
  const module = new Module(path) as NodeJS.Module & { load(path: string): void };
  try {
    module.load(path); // the loader of ES modules has one of each, whoever asks
  } catch (error) {
    if (error !== null && !/^ERR_REQUIRE_/.test(String((error as NodeJS.ErrnoException | undefined)?.code)))
      throw error;
  }
  return begun(module);
}

function begun(module: NodeJS.Module): Record<string, unknown> | undefined {
  const wrap = wrapOf(module);
  return wrap && wrap.getStatus() >= EVALUATING ? wrap.getNamespace() : undefined;
}

const CJS = ['exports', 'require', 'module', '__filename', '__dirname'];

/** By its syntax, as Node has it: CommonJS must not run a second time. */
function isModule(path: string): boolean {
  if (path.endsWith('.mjs')) return true;
  if (hasLoaders || !/\.m?[jt]s$/.test(path)) return false;
  try {
    const source = readFileSync(path, 'utf8');
    if (path.endsWith('ts')) return /^export\s+(?!type\b|interface\b|declare\b)/m.test(source);
    process.getBuiltinModule('node:vm').compileFunction(source, CJS);
    return false;
  } catch (error) {
    return error instanceof SyntaxError;
  }
}

function wrapOf(module: NodeJS.Module): Wrap | undefined {
  const values = Object.getOwnPropertySymbols(module).map((symbol) => Reflect.get(module, symbol));
  return values.find((value) => typeof value?.getNamespace === 'function' && typeof value.getStatus === 'function');
}
