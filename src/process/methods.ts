import { outOfRange, ProcessError, wrongType } from '../errors.js';
import { isSingleExecutable } from '../home.js';
import { checkBoolean, checkObject } from '../options.js';
import { process } from '../thread.js';
import { whyNoStart } from './fork/why-no-fork.js';

/**
 * How a `Process` comes to be: `'spawn'` starts a fresh node; `'forkserver'` forks a clean template that has been
 * started once, which takes a fraction of the time; `'fork'` forks the running process, with all that it has in memory.
 */
export type StartMethod = 'spawn' | 'forkserver' | 'fork';

const METHODS: readonly StartMethod[] = ['spawn', 'forkserver', 'fork'];

let chosen: StartMethod | undefined;
/** Why the fork server had to be given up. */
let noServer: string | undefined;
export function checkMethod(method: unknown, what = 'method'): StartMethod {
  if (typeof method !== 'string') throw wrongType(what, `one of ${METHODS.join(', ')}`, method);
  if (!METHODS.includes(method as StartMethod)) throw outOfRange(what, `one of ${METHODS.join(', ')}`, method);
  return method as StartMethod;
}

/** The server is a process of its own: whether this one could fork does not matter. */
function defaultMethod(): StartMethod {
  return noServer === undefined ? 'forkserver' : 'spawn';
}

/** What a `Process` without a context of its own is started by: what was set, else the default. */
export function getStartMethod(): StartMethod {
  return chosen === 'forkserver' && noServer !== undefined ? 'spawn' : (chosen ?? defaultMethod());
}

/**
 * Chooses the start method for this thread, once. Error: `ERR_FORKLOCK_PROCESS` when that has been done already;
 * `force: true` does it anyway.
 */
export function setStartMethod(method: StartMethod, options: { force?: boolean | undefined } = {}): void {
  const { force = false } = checkObject(options, 'options') as { force?: boolean };
  checkBoolean(force, 'options.force');
  checkMethod(method);
  if (chosen !== undefined && !force) {
    throw new ProcessError(`the start method has been set already, to '${chosen}': { force: true } sets it again`);
  }
  chosen = method;
}

/** The start methods that can work here, the default first. */
export function getAllStartMethods(): StartMethod[] {
  const methods: StartMethod[] = noServer === undefined ? ['forkserver', 'spawn'] : ['spawn'];
  if (isSingleExecutable()) methods.length = 0;
  if (whyNoStart() === undefined) methods.push('fork');
  return methods;
}

/** The fork server cannot fork: from now on its processes are spawned. Says so once. */
export function giveUpServer(reason: string): void {
  if (noServer !== undefined) return;
  noServer = reason;
  process.emitWarning(
    `the fork server cannot fork, so its processes are started by 'spawn', each in a fresh node: ${reason}`,
    { type: 'ForklockWarning', code: 'FORKLOCK_FORKSERVER_FALLBACK' },
  );
}

export function serverGivenUp(): boolean {
  return noServer !== undefined;
}
