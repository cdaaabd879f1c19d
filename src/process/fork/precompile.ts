import { EventEmitter } from 'node:events';
import { process } from '../../thread.js';
import { type Ending, leaveAtTheEnd } from './child-end.js';
import { goOnAsChild } from './go-on.js';
import { renewMath } from './random.js';

const nothing = (): void => {};
let done = false;

/**
 * V8 compiles a function when it is first called, so what only children call would be compiled in each of them anew. This
 * calls it in the parent, before the first fork, where it does nothing.
 */
export function precompile(): void {
  if (done) return;
  done = true;
  const ending: Ending = { emit: () => true, reallyExit: nothing };
  leaveAtTheEnd(ending, {
    setExitCode: nothing,
    flushOutput: () => false,
    leaveBeforeTeardown: nothing,
    leaveProcess: nothing,
  });
  ending.emit('exit', 0);
  ending.reallyExit(0);
  const math = { random: () => 0 };
  renewMath(math);
  goOnAsChild(true);
  new EventEmitter().once('exit', nothing).emit('exit');
  const getters = process as unknown as { _exiting: boolean };
  void [process.exitCode, getters._exiting];
  precompileExit();
  precompileExitCode();
}

/** Where Node's function begins with a step that can be kept from being done, and is nobody else's. */
const EXIT = /^function exit\(code\) \{\s*const \{ handleProcessExit \} = require\([^)]*\);\s*process\.off\('exit'/;

/** Calls `process.exit()` as far as its first step. */
function precompileExit(): void {
  if (Object.hasOwn(process, 'off') || !EXIT.test(String(process.exit))) return; // somebody has put his own there
  const stop = new Error();
  Object.defineProperty(process, 'off', {
    value: () => {
      throw stop;
    },
    configurable: true,
  });
  try {
    process.exit();
  } catch (error) {
    if (error !== stop) throw error;
  } finally {
    delete (process as { off?: unknown }).off;
  }
  for (const listener of (process as EventEmitter).listeners('removeListener')) {
    if (LISTENER.test(String(listener))) listener('', nothing);
  }
}

/** Node's own, which do nothing when it is for no event that they know. */
const LISTENER = /^function stopListeningIfSignal\(|^\(eventName\) => \{\s*if \(eventName === 'multipleResolves'\)/;

const SETTER = /^set\(code\) \{\s*if \(code !== null && code !== undefined\)/;

/** As `process.exit(code)` does: sets the exit code, and here takes that back. */
function precompileExitCode(): void {
  const { get, set } = Object.getOwnPropertyDescriptor(process, 'exitCode') ?? {};
  if (!set || !SETTER.test(String(set))) return;
  const code: unknown = get?.call(process);
  set.call(process, 0);
  set.call(process, code);
}
