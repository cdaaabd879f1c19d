import { statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { types } from 'node:util';
import { outOfRange, TargetError, wrongType } from '../../errors.js';
import { programFile } from '../../home.js';
import { whyNoStart } from '../fork/why-no-fork.js';
import { exportsOf } from './exports.js';
import { locate } from './locate.js';
import { mainModule } from './main-module.js';
import type { Place } from './place.js';
import { resolve } from './resolve.js';

// biome-ignore lint/suspicious/noExplicitAny: any function can be a target
export type AnyFunction = (...args: any[]) => unknown;

/** A function, or where a module exports one: `[import.meta.url, 'work']`. */
export type Target<F extends AnyFunction = AnyFunction> = F | readonly [module: string | URL, name: string];

/** The arguments of a target: those of the function, if it is one. */
export type ArgsOf<T> = T extends AnyFunction ? Readonly<Parameters<T>> : readonly unknown[];

/** What a target gives, when it has been awaited. */
export type ResultOf<T> = T extends AnyFunction ? Awaited<ReturnType<T>> : unknown;

/** What can be done, here. `isLocated`: where it was written is known. */
function advice(what: string, isLocated: boolean): string {
  const ways = isLocated ? ['export it from its module'] : [];
  if (what !== 'the class') ways.push('give [module, name] as the target, where a module exports it');
  if (whyNoStart() === undefined) ways.push("use the start method 'fork' (getContext('fork'))");
  return ways.length === 0 ? '' : `. What helps: ${ways.join(', or ')}`;
}

const places = new WeakMap<object, Place>();

/** Where a new process finds a function or class. Error: `ERR_FORKLOCK_TARGET`, when no module exports it. */
export function placeOf(value: object & { name: string }, what: string): Place {
  let place = places.get(value);
  if (!place) {
    const title = `${what} ${value.name === '' ? '(anonymous)' : `'${value.name}'`}`;
    const found = locate(value);
    const exported = typeof found === 'string' ? found : exportsOf(value, found);
    if (typeof exported === 'string') {
      throw new TargetError(
        `${title} cannot be carried to a new process: ${exported}${advice(what, typeof found !== 'string')}`,
      );
    }
    place = exported;
    places.set(value, place);
  }
  return place;
}

/** Checks `[module, name]` and says where that is. Errors: `ERR_FORKLOCK_TARGET`, and those of arguments. */
export function placeAt(target: readonly unknown[]): Place {
  const [module, name] = target;
  if (target.length !== 2) throw wrongType('target', 'a function or [module, name]', target);
  if (typeof name !== 'string') throw wrongType('target[1]', 'the name of an export', name);
  if (name === '') throw outOfRange('target[1]', 'the name of an export', name);
  return { module: moduleUrl(module, 'target[0]'), name };
}

/** A module as `import()` takes it from anywhere: bare names are looked up from the main module. */
export function moduleUrl(module: unknown, what: string): string {
  const url = module instanceof URL ? module.href : module;
  if (typeof url !== 'string') throw wrongType(what, 'a URL, an absolute path or the name of a package', module);
  if (isAbsolute(url)) return existing(pathToFileURL(url).href, what);
  if (/^[a-z][a-z0-9+.-]*:/i.test(url)) {
    if (/^file:/i.test(url)) return existing(url, what);
    if (URL.canParse(url)) return url;
  }
  if (url === '' || /^\.{0,2}\//.test(url) || /^\.{1,2}$/.test(url)) {
    throw outOfRange(
      what,
      "an absolute path, or a URL like new URL('./worker.js', import.meta.url), as nobody knows relative to what",
      module,
    );
  }
  if (modules().isBuiltin(url)) return `node:${url}`;
  const from = mainModule();
  try {
    const found = resolve(url, from);
    // Who loads modules in his own way may have taught `require`.
    return found ?? pathToFileURL(modules().createRequire(from).resolve(url)).href;
  } catch (cause) {
    throw new TargetError(
      `${what}: import('${url}') finds no module from ${from}. Where it does, import.meta.resolve('${url}') tells its URL`,
      { cause },
    );
  }
}

/** The URL of the last target, as it was given, as Node writes it, and its path: many processes have the same one. */
let last = { given: '', href: '', path: '' };

function existing(url: string, what: string): string {
  if (url !== last.given) {
    try {
      last = { given: url, href: new URL(url).href, path: fileURLToPath(url) };
    } catch (cause) {
      throw new TargetError(`${what}: ${url} is no URL of a file`, { cause });
    }
  }
  if (!isFile(last.path)) throw new TargetError(`${what}: there is no file ${last.path}`);
  return last.href;
}

/** Or what is read as one: a pipe. */
function isFile(path: string): boolean {
  try {
    return !statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Loaders and transformations that a program was started with know import() best. */
export const hasLoaders = /(^|\s)(--import|--require|-r|--loader|--experimental-)/.test(
  [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' '),
);

/** Bundlers take an imported `createRequire` for a promise that they have to keep. */
const modules = () => process.getBuiltinModule('node:module');

let require: NodeJS.Require | undefined;

export function moduleRequire(): NodeJS.Require {
  require ??= modules().createRequire(programFile());
  return require;
}

/**
 * As import(), but where it can without libuv's thread pool, which a forked process would have to start first. An ES
 * module is the same to both; only one with a top-level await, or that is being imported, takes import().
 */
export async function importModule(url: string): Promise<Record<string, unknown>> {
  if (!hasLoaders && /^file:[^?#]*\.(mjs|js)$/.test(url)) {
    try {
      const exported = moduleRequire()(fileURLToPath(url));
      if (types.isModuleNamespaceObject(exported)) return exported as Record<string, unknown>;
    } catch (error) {
      if (!/^ERR_REQUIRE_/.test(String((error as NodeJS.ErrnoException)?.code))) throw error;
    }
  }
  return import(/* webpackIgnore: true */ /* @vite-ignore */ url);
}

/** Imports what a place names. Errors: those of the import; `ERR_FORKLOCK_TARGET` when it is not there or no function. */
export async function load({ module, name }: Place, by = importModule): Promise<unknown> {
  const namespace = await by(module);
  // What a CommonJS module exports is in its default, and often only there.
  const value = name in namespace ? exported(namespace, module, name) : Object(namespace.default)[name];
  if (typeof value !== 'function') {
    throw new TargetError(
      `${module} exports no function '${name}': it exports ${
        Reflect.ownKeys(namespace)
          .filter((key) => typeof key === 'string')
          .join(', ') || 'nothing'
      }`,
    );
  }
  return value;
}

function exported(namespace: Record<string, unknown>, module: string, name: string): unknown {
  try {
    return namespace[name];
  } catch (cause) {
    // Of a module that a fork has as far as its parent had come.
    throw new TargetError(`${module} had no '${name}' yet when this process was started`, { cause });
  }
}

/** Of a target that a user gave. */
export function checkTarget(target: unknown): void {
  if (Array.isArray(target)) {
    const [module, name] = target;
    if (target.length !== 2) throw outOfRange('target', 'a function or [module, name]', target);
    if (typeof module !== 'string' && !(module instanceof URL))
      throw wrongType('target[0]', 'a URL or a string', module);
    if (typeof name !== 'string') throw wrongType('target[1]', 'the name of an export', name);
  } else if (typeof target !== 'function') {
    throw wrongType('target', 'a function or [module, name]', target);
  }
}
